package srtp

import "fmt"

// Profile is an SRTP protection profile, by its number in DTLS-SRTP's registry (RFC
// 5764 section 4.1.2, RFC 7714 section 14.2).
type Profile uint16

const (
	AES128CMHMACSHA180 Profile = 0x0001 // AES_CM_128_HMAC_SHA1_80, RFC 3711
	AEADAES128GCM      Profile = 0x0007 // AEAD_AES_128_GCM, RFC 7714
	AEADAES256GCM      Profile = 0x0008 // AEAD_AES_256_GCM, RFC 7714
)

// shape is what a profile fixes: lengths in bytes.
type shape struct {
	name               string
	key, salt, authKey int
	tag                int
	aead               bool
}

func (p Profile) shape() (shape, bool) {
	switch p {
	case AES128CMHMACSHA180:
		return shape{name: "AES_CM_128_HMAC_SHA1_80", key: 16, salt: 14, authKey: 20, tag: tagCM}, true
	case AEADAES128GCM:
		return shape{name: "AEAD_AES_128_GCM", key: 16, salt: 12, tag: tagGCM, aead: true}, true
	case AEADAES256GCM:
		return shape{name: "AEAD_AES_256_GCM", key: 32, salt: 12, tag: tagGCM, aead: true}, true
	}
	return shape{}, false
}

// KeySize is the length of the master key in bytes, 0 when the profile is unknown.
func (p Profile) KeySize() int { s, _ := p.shape(); return s.key }

// SaltSize is the length of the master salt in bytes, 0 when the profile is unknown.
func (p Profile) SaltSize() int { s, _ := p.shape(); return s.salt }

// Overhead is how many bytes an SRTP packet is longer than its RTP packet.
func (p Profile) Overhead() int { s, _ := p.shape(); return s.tag }

// OverheadRTCP is how many bytes an SRTCP packet is longer than its RTCP packet: the
// tag, and the word with the E bit and the index.
func (p Profile) OverheadRTCP() int { return p.Overhead() + indexWord }

// String returns the profile's name in its RFC.
func (p Profile) String() string {
	if s, ok := p.shape(); ok {
		return s.name
	}
	return fmt.Sprintf("SRTP profile %#04x", uint16(p))
}
