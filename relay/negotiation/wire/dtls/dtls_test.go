package dtls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// fragment writes a part of a handshake message.
func fragment(kind Type, sequence uint16, message []byte, from, to int) []byte {
	b := []byte{byte(kind), 0, byte(len(message) >> 8), byte(len(message)), byte(sequence >> 8), byte(sequence),
		0, byte(from >> 8), byte(from), 0, byte((to - from) >> 8), byte(to - from)}
	return append(b, message[from:to]...)
}

func record(kind ContentType, epoch uint16, payload []byte) []byte {
	b := make([]byte, recordHeader, recordHeader+len(payload))
	b[0] = byte(kind)
	binary.BigEndian.PutUint16(b[1:], VersionDTLS12)
	binary.BigEndian.PutUint16(b[3:], epoch)
	binary.BigEndian.PutUint16(b[11:], uint16(len(payload)))
	return append(b, payload...)
}

// assemble feeds payloads of records and returns the messages.
func assemble(t *testing.T, a *Assembler, payloads ...[]byte) []Message {
	t.Helper()
	var all []Message
	for _, p := range payloads {
		a.Feed(p)
		for {
			m, ok, err := a.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			m.Body = bytes.Clone(m.Body)
			all = append(all, m)
		}
	}
	return all
}

func TestNext(t *testing.T) {
	datagram := slices.Concat(record(Handshake, 0, []byte("one")), record(ChangeCipherSpec, 0, []byte{1}), record(Handshake, 1, []byte("secret")))
	var got []Record
	for len(datagram) > 0 {
		r, rest, err := Next(datagram)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
		datagram = rest
	}
	if len(got) != 3 || string(got[0].Payload) != "one" || got[1].Type != ChangeCipherSpec || got[2].Epoch != 1 || got[2].Version != VersionDTLS12 {
		t.Errorf("got %+v", got)
	}
	for _, b := range [][]byte{nil, {22}, record(99, 0, nil), record(Handshake, 0, []byte("one"))[:14], {0x2c, 0}} {
		if _, _, err := Next(b); !errors.Is(err, ErrRecord) {
			t.Errorf("% x: got %v, want ErrRecord", b, err)
		}
	}
}

// RFC 9147, section 4: the unified header, whose first bits are 001.
func TestNextOfDTLS13(t *testing.T) {
	r, rest, err := Next([]byte{0x2f, 1, 2, 0, 3, 'a', 'b', 'c'})
	if err != nil || r.Type != Ciphertext || r.Epoch != 3 || rest != nil {
		t.Errorf("got %+v, %v, %v", r, rest, err)
	}
}

// RFC 6347, section 4.2.3.
func TestAssembler(t *testing.T) {
	long := bytes.Repeat([]byte("certificate "), 100)
	whole := []Message{{Type: Certificate, Sequence: 2, Body: long}}
	for name, tt := range map[string]struct {
		payloads [][]byte
		want     []Message
	}{
		"whole":        {[][]byte{fragment(Certificate, 2, long, 0, 1200)}, whole},
		"in order":     {[][]byte{fragment(Certificate, 2, long, 0, 600), fragment(Certificate, 2, long, 600, 1200)}, whole},
		"out of order": {[][]byte{fragment(Certificate, 2, long, 600, 1200), fragment(Certificate, 2, long, 0, 600)}, whole},
		"overlapping": {[][]byte{fragment(Certificate, 2, long, 0, 700), fragment(Certificate, 2, long, 100, 800),
			fragment(Certificate, 2, long, 500, 1200)}, whole},
		"in one record": {[][]byte{slices.Concat(fragment(Certificate, 2, long, 0, 5), fragment(Certificate, 2, long, 5, 1200))}, whole},
		"repeated in other pieces": {[][]byte{fragment(Certificate, 2, long, 0, 1200), fragment(Certificate, 2, long, 0, 600), fragment(Certificate, 2, long, 600, 1200)},
			append(slices.Clone(whole), Message{Type: Certificate, Sequence: 2, Body: long[:600], Repeated: true})},
		"whole after a part": {[][]byte{fragment(Certificate, 2, long, 0, 600), fragment(Certificate, 2, long, 0, 1200)}, whole},
		"missing a part":     {[][]byte{fragment(Certificate, 2, long, 0, 600), fragment(Certificate, 2, long, 601, 1200)}, nil},
		"empty message":      {[][]byte{fragment(ServerHelloDone, 5, nil, 0, 0)}, []Message{{Type: ServerHelloDone, Sequence: 5}}},
	} {
		got := assemble(t, &Assembler{}, tt.payloads...)
		if !slices.EqualFunc(got, tt.want, func(a, b Message) bool {
			return a.Type == b.Type && a.Sequence == b.Sequence && a.Repeated == b.Repeated && bytes.Equal(a.Body, b.Body)
		}) {
			t.Errorf("%s: got %d messages %.60v, want %d", name, len(got), got, len(tt.want))
		}
	}
}

func TestAssemblerRefuses(t *testing.T) {
	body := make([]byte, 100)
	changed := func(at int, value byte) []byte { b := fragment(Certificate, 1, body, 0, 50); b[at] = value; return b }
	for name, tt := range map[string]struct {
		payloads [][]byte
		want     error
	}{
		"short header":            {[][]byte{body[:11]}, ErrMessage},
		"part beyond the record":  {[][]byte{changed(11, 60)}, ErrMessage},
		"part beyond the message": {[][]byte{changed(8, 51)}, ErrMessage},
		"part of nothing":         {[][]byte{fragment(Certificate, 1, body, 0, 0)}, ErrMessage},
		"huge message":            {[][]byte{changed(1, 2)}, ErrTooLarge},
		"late sequence":           {[][]byte{changed(5, 64)}, ErrTooLarge},
		"another length":          {[][]byte{fragment(Certificate, 1, body, 0, 50), changed(3, 99)}, ErrMessage},
		"another type":            {[][]byte{fragment(Certificate, 1, body, 0, 50), changed(0, 2)}, ErrMessage},
	} {
		var a Assembler
		var err error
		for _, p := range tt.payloads {
			a.Feed(p)
			if _, _, err = a.Next(); err != nil {
				break
			}
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

// Fragments that never become messages don't fill the memory.
func TestAssemblerIsBounded(t *testing.T) {
	for name, size := range map[string]int{"many messages": 10, "large messages": 60000} {
		var a Assembler
		var err error
		for n := uint16(0); n < maxSequence && err == nil; n++ {
			a.Feed(fragment(Certificate, n, make([]byte, size), 0, 5))
			_, _, err = a.Next()
		}
		if !errors.Is(err, ErrTooLarge) || a.bytes > maxOpenBytes || len(a.open) > maxOpen {
			t.Errorf("%s: got %v with %d bytes in %d messages, want ErrTooLarge", name, err, a.bytes, len(a.open))
		}
	}
}

// hello writes a ClientHello with the given extensions.
func hello(extensions ...[]byte) []byte {
	b := []byte{0xfe, 0xfd}
	b = append(b, bytes.Repeat([]byte{0xaa}, 32)...)
	b = append(b, 0)                                  // session_id
	b = append(b, 2, 1, 2)                            // cookie
	b = append(b, 0, 6, 0xc0, 0x2b, 0x13, 0x01, 0, 0) // cipher_suites
	b = append(b, 1, 0)                               // compression_methods
	if extensions == nil {
		return b
	}
	all := slices.Concat(extensions...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(all)))
	return append(b, all...)
}

func extension(kind uint16, value ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// A ClientHello that offers DTLS 1.3 beside 1.2 (RFC 9147, section 5.3).
func TestParseClientHello(t *testing.T) {
	h, err := ParseClientHello(hello(
		extension(extSupportedVersions, 4, 0xfe, 0xfc, 0xfe, 0xfd),
		extension(extGroups, 0, 4, 0, 29, 0x0a, 0x0a),
		extension(extSignatures, 0, 2, 4, 3),
		extension(extUseSRTP, 0, 4, 0, 8, 0, 7, 2, 9, 9),
		extension(extExtendedMaster),
		extension(0xff01, 0),
	))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.Versions, []uint16{VersionDTLS13, VersionDTLS12}) || !slices.Equal(h.Groups, []uint16{29, 0x0a0a}) ||
		!slices.Equal(h.Signatures, []uint16{0x0403}) || !slices.Equal(h.SRTPProfiles, []uint16{8, 7}) ||
		!bytes.Equal(h.MKI, []byte{9, 9}) || !h.ExtendedMasterSecret || !h.Cookie || len(h.CipherSuites) != 3 || h.Random[0] != 0xaa {
		t.Errorf("got %+v", h)
	}
	if h, err := ParseClientHello(hello()); err != nil || h.Versions[0] != VersionDTLS12 {
		t.Errorf("without extensions: %+v, %v", h, err)
	}
}

func TestParseHelloRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":                      nil,
		"short":                      hello()[:40],
		"no compression methods":     hello()[:len(hello())-2],
		"extensions shorter":         hello(extension(extGroups, 0, 2, 0, 29))[:55],
		"extension longer than left": hello(extension(extGroups, 0, 2, 0, 29)[:7]),
		"list longer than extension": hello(extension(extUseSRTP, 0, 9, 0, 8)),
	} {
		if _, err := ParseClientHello(b); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: got %v, want ErrMessage", name, err)
		}
	}
	server := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	if _, err := ParseServerHello(append(server, 0, 0xc0)); !errors.Is(err, ErrMessage) {
		t.Errorf("short ServerHello: got %v", err)
	}
	h, err := ParseServerHello(slices.Concat(server, []byte{0, 0x13, 0x01, 0, 0, 6}, extension(extSupportedVersions, 0xfe, 0xfc)))
	if err != nil || h.Versions[0] != VersionDTLS13 || h.CipherSuites[0] != 0x1301 {
		t.Errorf("ServerHello of DTLS 1.3: %+v, %v", h, err)
	}
}

func TestParseCertificate(t *testing.T) {
	chain, err := ParseCertificate([]byte{0, 0, 9, 0, 0, 2, 'a', 'b', 0, 0, 1, 'c'})
	if err != nil || len(chain) != 2 || string(chain[0]) != "ab" || string(chain[1]) != "c" {
		t.Errorf("got %q, %v", chain, err)
	}
	for _, b := range [][]byte{nil, {0, 0, 9, 0}, {0, 0, 4, 0, 0, 2, 'a'}} {
		if _, err := ParseCertificate(b); !errors.Is(err, ErrMessage) {
			t.Errorf("% x: got %v, want ErrMessage", b, err)
		}
	}
	if chain, err := ParseCertificate([]byte{0, 0, 0}); err != nil || len(chain) != 0 {
		t.Errorf("no certificate: got %q, %v", chain, err)
	}
}

func TestParseServerKeyExchange(t *testing.T) {
	b := []byte{3, 0, 29, 2, 1, 1, 4, 3, 0, 0}
	if group, scheme, ok := ParseServerKeyExchange(b, VersionDTLS12); !ok || group != 29 || scheme != 0x0403 {
		t.Errorf("got %d, %#x, %v", group, scheme, ok)
	}
	// RFC 4492, section 5.4: DTLS 1.0 has no scheme there.
	if group, scheme, ok := ParseServerKeyExchange(b, VersionDTLS10); !ok || group != 29 || scheme != 0 {
		t.Errorf("DTLS 1.0: got %d, %#x, %v", group, scheme, ok)
	}
	if _, _, ok := ParseServerKeyExchange([]byte{0, 1, 2}, VersionDTLS12); ok {
		t.Error("a finite-field exchange was read")
	}
	if _, ok := ParseCertificateVerify([]byte{4, 3}, VersionDTLS10); ok {
		t.Error("a scheme in DTLS 1.0")
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		VersionName(VersionDTLS10):  "DTLS 1.0",
		VersionName(0x0303):         "0x0303",
		CipherSuiteName(0xc02b):     "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		CipherSuiteName(0x1a1a):     "GREASE",
		CipherSuiteName(0xc0ff):     "0xC0FF",
		GroupName(23):               "secp256r1",
		SignatureName(0x0804):       "rsa_pss_rsae_sha256",
		SignatureName(0x0303):       "ecdsa_sha224",
		SignatureName(0x0999):       "0x0999",
		SRTPProfileName(8):          "SRTP_AEAD_AES_256_GCM",
		AlertName(40):               "handshake_failure",
		AlertName(255):              "alert 255",
		AlertLevel(2):               "fatal",
		AlertLevel(1):               "warning",
		AlertLevel(9):               "level 9",
		Finished.String():           "Finished",
		Type(200).String():          "handshake type 200",
		HelloVerifyRequest.String(): "HelloVerifyRequest",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestHelloRandom(t *testing.T) {
	b := fragment(ClientHello, 0, hello(), 0, len(hello()))
	if random, ok := HelloRandom(b); !ok || random[31] != 0xaa {
		t.Errorf("got %x, %v", random, ok)
	}
	if _, ok := HelloRandom(fragment(ServerHello, 0, hello(), 0, len(hello()))); ok {
		t.Error("a ServerHello is none")
	}
	if _, ok := HelloRandom(fragment(ClientHello, 0, hello(), 1, len(hello()))); ok {
		t.Error("a second fragment is none")
	}
	if !FromServer([]byte{2}) || FromServer([]byte{1}) || FromServer(nil) {
		t.Error("wrong side")
	}
}

func FuzzDatagram(f *testing.F) {
	long := make([]byte, 300)
	f.Add(record(Handshake, 0, fragment(ClientHello, 0, hello(extension(extGroups, 0, 2, 0, 29)), 0, 58)), []byte{})
	f.Add(record(Handshake, 0, fragment(Certificate, 1, long, 0, 200)), record(Handshake, 0, fragment(Certificate, 1, long, 200, 300)))
	f.Add(record(Alert, 0, []byte{2, 40}), []byte{0x2f, 1, 2, 0, 3})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var a Assembler
		for _, b := range [][]byte{first, second, first} {
			for len(b) > 0 {
				r, rest, err := Next(b)
				if err != nil {
					break
				}
				b = rest
				HelloRandom(r.Payload)
				a.Feed(r.Payload)
				for {
					m, ok, err := a.Next()
					if !ok || err != nil {
						break
					}
					_, _ = ParseClientHello(m.Body)
					_, _ = ParseServerHello(m.Body)
					_, _ = ParseCertificate(m.Body)
					ParseServerKeyExchange(m.Body, VersionDTLS12)
					ParseCertificateVerify(m.Body, VersionDTLS12)
				}
				if a.bytes > maxOpenBytes {
					t.Fatalf("%d bytes are kept", a.bytes)
				}
			}
		}
	})
}
