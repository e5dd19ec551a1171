package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync"
)

// Keys are what a master key and its salt become: the session keys of one direction of
// one DTLS association. They do not change, and any number of goroutines may make
// Sealers and Openers from them.
type Keys struct {
	profile   Profile
	shape     shape
	rtp, rtcp session

	mu sync.Mutex
	// taken are the SSRCs that some Sealer seals. They stay taken for as long as the
	// keys live: a second Sealer would begin with the same indices.
	taken map[claim]struct{}
}

type claim struct {
	rtcp bool
	ssrc uint32
}

// session is one set of session keys; aead or block and authKey are set.
type session struct {
	aead    cipher.AEAD
	block   cipher.Block
	authKey []byte
	salt    []byte
}

// NewKeys derives the session keys (RFC 3711 section 4.3; key derivation rate 0, so
// that it happens once). The salt is the master salt as DTLS-SRTP exports it: 14 bytes,
// or 12 for the AEAD profiles.
func NewKeys(profile Profile, key, salt []byte) (*Keys, error) {
	shape, ok := profile.shape()
	switch {
	case !ok:
		return nil, fmt.Errorf("%v: not supported; valid: %v, %v, %v", profile, AEADAES256GCM, AEADAES128GCM, AES128CMHMACSHA180)
	case len(key) != shape.key:
		return nil, fmt.Errorf("%v: master key of %d bytes; valid: %d", profile, len(key), shape.key)
	case len(salt) != shape.salt:
		return nil, fmt.Errorf("%v: master salt of %d bytes; valid: %d", profile, len(salt), shape.salt)
	}
	master, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", profile, err)
	}
	k := &Keys{profile: profile, shape: shape, taken: make(map[claim]struct{})}
	if k.rtp, err = deriveSession(shape, master, salt, labelRTP); err != nil {
		return nil, fmt.Errorf("%v: %w", profile, err)
	}
	if k.rtcp, err = deriveSession(shape, master, salt, labelRTCP); err != nil {
		return nil, fmt.Errorf("%v: %w", profile, err)
	}
	return k, nil
}

// The labels of the three session keys of SRTP begin at one, those of SRTCP at the
// other: encryption, authentication, salt.
const (
	labelRTP  = 0
	labelRTCP = 3
)

func deriveSession(shape shape, master cipher.Block, salt []byte, first byte) (session, error) {
	return newSession(shape,
		derive(master, salt, first, shape.key),
		derive(master, salt, first+1, shape.authKey),
		derive(master, salt, first+2, shape.salt))
}

// derive is the key derivation function: the key stream of the master key that begins
// at the salt, with the label in its eighth byte. A salt of 12 bytes is followed by
// zeros (RFC 7714 section 11).
func derive(master cipher.Block, salt []byte, label byte, size int) []byte {
	var in, block [aes.BlockSize]byte
	copy(in[:], salt)
	in[7] ^= label
	out := make([]byte, 0, size+len(block))
	for i := uint16(0); len(out) < size; i++ {
		binary.BigEndian.PutUint16(in[14:], i)
		master.Encrypt(block[:], in[:])
		out = append(out, block[:]...)
	}
	return out[:size]
}

func newSession(shape shape, key, authKey, salt []byte) (session, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return session{}, err
	}
	if !shape.aead {
		return session{block: block, authKey: authKey, salt: salt}, nil
	}
	aead, err := cipher.NewGCM(block)
	return session{aead: aead, salt: salt}, err
}

func (s *session) transform() transform {
	if s.aead != nil {
		return newGCM(s.aead, s.salt)
	}
	return newCM(s.block, s.authKey, s.salt)
}

// Profile returns the profile that the keys are for.
func (k *Keys) Profile() Profile { return k.profile }

// String returns the profile, so that a log has no keys.
func (k *Keys) String() string { return k.profile.String() }

// claim takes an SSRC for a Sealer.
func (k *Keys) claim(c claim) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, taken := k.taken[c]; taken {
		return ErrTaken
	}
	k.taken[c] = struct{}{}
	return nil
}
