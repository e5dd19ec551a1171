package dtls

import (
	"encoding/binary"
)

// Versions are written in ones' complement (RFC 6347, section 4.1).
const (
	VersionDTLS10 uint16 = 0xfeff
	VersionDTLS12 uint16 = 0xfefd
	VersionDTLS13 uint16 = 0xfefc
)

// Extensions that are read.
const (
	extGroups            = 10
	extSignatures        = 13
	extUseSRTP           = 14
	extExtendedMaster    = 23
	extSupportedVersions = 43
)

// maxList bounds each list of a hello; real ones stay below 64.
const maxList = 128

// Hello is a ClientHello or ServerHello. In a ServerHello each list has what was
// chosen.
type Hello struct {
	// Versions are those of supported_versions, or the one of the hello.
	Versions             []uint16
	Random               [32]byte
	Cookie               bool
	CipherSuites         []uint16
	Groups               []uint16
	Signatures           []uint16
	SRTPProfiles         []uint16
	MKI                  []byte
	ExtendedMasterSecret bool
}

// ParseClientHello reads RFC 6347, section 4.2.1, with the extensions of RFC 8422,
// 5246, 5764, 7627 and 8446.
func ParseClientHello(body []byte) (Hello, error) {
	var h Hello
	r := reader{rest: body}
	h.Versions = []uint16{r.uint16()}
	copy(h.Random[:], r.bytes(32))
	r.vector8() // session_id
	h.Cookie = len(r.vector8()) > 0
	h.CipherSuites = uint16s(r.vector16())
	r.vector8() // compression_methods
	if r.failed {
		return Hello{}, ErrMessage
	}
	return h, h.extensions(&r, true)
}

// ParseServerHello reads RFC 5246, section 7.4.1.3.
func ParseServerHello(body []byte) (Hello, error) {
	var h Hello
	r := reader{rest: body}
	h.Versions = []uint16{r.uint16()}
	copy(h.Random[:], r.bytes(32))
	r.vector8() // session_id
	h.CipherSuites = []uint16{r.uint16()}
	r.bytes(1) // compression_method
	if r.failed {
		return Hello{}, ErrMessage
	}
	return h, h.extensions(&r, false)
}

// extensions reads the list of extensions, which may be absent. Extensions whose
// inside is malformed are an error, unknown ones are not.
func (h *Hello) extensions(r *reader, client bool) error {
	if len(r.rest) == 0 {
		return nil
	}
	all := reader{rest: r.vector16()}
	if r.failed {
		return ErrMessage
	}
	for len(all.rest) > 0 {
		kind := all.uint16()
		e := reader{rest: all.vector16()}
		if all.failed {
			return ErrMessage
		}
		switch kind {
		case extGroups:
			h.Groups = uint16s(e.vector16())
		case extSignatures:
			h.Signatures = uint16s(e.vector16())
		case extUseSRTP:
			h.SRTPProfiles = uint16s(e.vector16())
			h.MKI = e.vector8()
		case extExtendedMaster:
			h.ExtendedMasterSecret = true
		case extSupportedVersions:
			if client {
				h.Versions = uint16s(e.vector8())
			} else {
				h.Versions = []uint16{e.uint16()}
			}
		}
		if e.failed {
			return ErrMessage
		}
	}
	return nil
}

// ParseCertificate returns the certificates' DER, the end entity's first; they
// are parts of body. At most 16 are returned.
func ParseCertificate(body []byte) ([][]byte, error) {
	r := reader{rest: body}
	list := reader{rest: r.vector24()}
	var chain [][]byte
	for len(list.rest) > 0 && len(chain) < 16 {
		chain = append(chain, list.vector24())
	}
	if r.failed || list.failed {
		return nil, ErrMessage
	}
	return chain, nil
}

// ParseServerKeyExchange reads an ephemeral elliptic-curve exchange (RFC 8422,
// section 5.4): the group, and from DTLS 1.2 on the signature scheme. ok is false
// for any other kind, whose form depends on the cipher suite.
func ParseServerKeyExchange(body []byte, version uint16) (group, scheme uint16, ok bool) {
	const namedCurve = 3
	r := reader{rest: body}
	kind := r.bytes(1)
	if r.failed || kind[0] != namedCurve {
		return 0, 0, false
	}
	group = r.uint16()
	r.vector8() // the public point
	if version != VersionDTLS10 {
		scheme = r.uint16()
	}
	return group, scheme, !r.failed
}

// ParseCertificateVerify returns the signature scheme (RFC 5246, section 7.4.8),
// which DTLS 1.0 has none of.
func ParseCertificateVerify(body []byte, version uint16) (scheme uint16, ok bool) {
	if version == VersionDTLS10 {
		return 0, false
	}
	r := reader{rest: body}
	scheme = r.uint16()
	return scheme, !r.failed
}

// reader takes a message apart; after the first shortage all is empty.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.failed, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint16() uint16 {
	b := r.bytes(2)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func (r *reader) vector8() []byte {
	b := r.bytes(1)
	if b == nil {
		return nil
	}
	return r.bytes(int(b[0]))
}

func (r *reader) vector16() []byte {
	return r.bytes(int(r.uint16()))
}

func (r *reader) vector24() []byte {
	b := r.bytes(3)
	if b == nil {
		return nil
	}
	return r.bytes(uint24(b))
}

func uint16s(b []byte) []uint16 {
	n := min(len(b)/2, maxList)
	all := make([]uint16, 0, n)
	for i := range n {
		all = append(all, binary.BigEndian.Uint16(b[2*i:]))
	}
	return all
}

// HelloRandom peeks at the first message of a handshake record: when that is a
// ClientHello's first fragment, it returns the client's random, by which one
// handshake is told from another.
func HelloRandom(payload []byte) (random [32]byte, ok bool) {
	const untilRandom = handshakeHeader + 2
	if len(payload) < untilRandom+32 || Type(payload[0]) != ClientHello || uint24(payload[6:]) != 0 {
		return random, false
	}
	return [32]byte(payload[untilRandom : untilRandom+32]), true
}

// FromServer tells whether the first message of a handshake record is one that
// only a server sends.
func FromServer(payload []byte) bool {
	if len(payload) == 0 {
		return false
	}
	switch Type(payload[0]) {
	case HelloRequest, ServerHello, HelloVerifyRequest, NewSessionTicket, EncryptedExtensions,
		ServerKeyExchange, CertificateRequest, ServerHelloDone, CertificateStatus:
		return true
	}
	return false
}
