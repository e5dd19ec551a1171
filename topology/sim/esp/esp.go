// Package esp seals IP packets for a VPN tunnel: ESP in tunnel mode (RFC 4303)
// with AES-GCM (RFC 4106), in the form that goes into UDP port 4500 (RFC 3948).
//
// There is no key exchange: whoever sets up a tunnel hands both ends the key, one
// for each direction. Extended sequence numbers and re-keying are left out; a
// direction ends after 2³² packets. Start reading at Sealer.
package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// Port is the UDP port of both ends (RFC 3948, section 2).
const Port = 4500

// KeySize is an AES-128 key with the four bytes of salt behind it (RFC 4106,
// section 8.1).
const KeySize = 16 + saltSize

const (
	saltSize  = 4
	head      = 8 // SPI and sequence number
	ivSize    = 8
	tagSize   = 16
	alignment = 4
	trailer   = 2 // pad length and next header
)

// The next-header values in the trailer.
const (
	nextIPv4  = 4
	nextIPv6  = 41
	nextDummy = 59 // RFC 4303, section 2.6
)

// Errors from Open.
var (
	ErrNotESP = errors.New("not an ESP packet")
	ErrForged = errors.New("authentication failed")
	ErrReplay = errors.New("replayed or too old")
)

// ErrExhausted means that a Sealer has used all its sequence numbers.
var ErrExhausted = errors.New("sequence numbers are used up")

// SPI reads the security parameters index of an ESP packet, which says whose it
// is. It returns false for what is too short, and for the keep-alives and IKE
// messages that share the port (RFC 3948, section 2).
func SPI(payload []byte) (uint32, bool) {
	if len(payload) < head+ivSize+trailer+tagSize {
		return 0, false
	}
	spi := binary.BigEndian.Uint32(payload)
	return spi, spi != 0
}

// Sealer is the sending end of one direction. It is safe for concurrent use.
type Sealer struct {
	spi  uint32
	aead cipher.AEAD
	salt [saltSize]byte

	mu       sync.Mutex
	sequence uint32
}

// NewSealer makes the sending end. SPIs below 256 are reserved.
func NewSealer(spi uint32, key []byte) (*Sealer, error) {
	aead, salt, err := setUp(spi, key)
	if err != nil {
		return nil, err
	}
	return &Sealer{spi: spi, aead: aead, salt: salt}, nil
}

func setUp(spi uint32, key []byte) (cipher.AEAD, [saltSize]byte, error) {
	var salt [saltSize]byte
	if spi < 256 {
		return nil, salt, fmt.Errorf("SPI %d is reserved; valid: 256 and above", spi)
	}
	if len(key) != KeySize {
		return nil, salt, fmt.Errorf("key of %d bytes; valid: %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key[:KeySize-saltSize])
	if err != nil {
		return nil, salt, err
	}
	aead, err := cipher.NewGCM(block)
	copy(salt[:], key[KeySize-saltSize:])
	return aead, salt, err
}

// Size is how long a packet of n bytes is when it is sealed.
func Size(n int) int {
	return head + ivSize + padded(n) + tagSize
}

func padded(n int) int { return (n + trailer + alignment - 1) &^ (alignment - 1) }

// Seal writes the sealed form of an IP packet to out, which has Size bytes. An
// empty packet makes a dummy, which the other end accepts and ignores.
func (s *Sealer) Seal(out, inner []byte) error {
	s.mu.Lock()
	s.sequence++
	sequence := s.sequence
	if sequence == 0 {
		s.sequence-- // stay exhausted
	}
	s.mu.Unlock()
	if sequence == 0 {
		return ErrExhausted
	}
	binary.BigEndian.PutUint32(out, s.spi)
	binary.BigEndian.PutUint32(out[4:], sequence)
	// The sequence number makes a nonce that never repeats under this key.
	binary.BigEndian.PutUint64(out[head:], uint64(sequence))
	plain := out[head+ivSize : head+ivSize+padded(len(inner))]
	copy(plain, inner)
	padding := plain[len(inner) : len(plain)-trailer]
	for i := range padding {
		padding[i] = byte(i + 1) // RFC 4303, section 2.4
	}
	plain[len(plain)-2] = byte(len(padding))
	plain[len(plain)-1] = next(inner)
	nonce := nonce(s.salt, out[head:head+ivSize])
	s.aead.Seal(plain[:0], nonce[:], plain, out[:head])
	return nil
}

func next(inner []byte) byte {
	switch {
	case len(inner) == 0:
		return nextDummy
	case inner[0]>>4 == 6:
		return nextIPv6
	}
	return nextIPv4
}

func nonce(salt [saltSize]byte, iv []byte) (n [saltSize + ivSize]byte) {
	copy(n[:], salt[:])
	copy(n[saltSize:], iv)
	return n
}

// Opener is the receiving end of one direction. It is safe for concurrent use.
type Opener struct {
	aead cipher.AEAD
	salt [saltSize]byte

	mu     sync.Mutex
	newest uint32
	window uint64 // bit i: newest-i has come (RFC 4303, section 3.4.3)
}

// NewOpener makes the receiving end.
func NewOpener(spi uint32, key []byte) (*Opener, error) {
	aead, salt, err := setUp(spi, key)
	if err != nil {
		return nil, err
	}
	return &Opener{aead: aead, salt: salt}, nil
}

// Open returns the IP packet in a sealed one, in place: the payload's bytes are
// overwritten. A dummy gives an empty packet.
func (o *Opener) Open(payload []byte) ([]byte, error) {
	if _, ok := SPI(payload); !ok {
		return nil, fmt.Errorf("%d bytes: %w", len(payload), ErrNotESP)
	}
	sequence := binary.BigEndian.Uint32(payload[4:])
	nonce := nonce(o.salt, payload[head:head+ivSize])
	sealed := payload[head+ivSize:]
	plain, err := o.aead.Open(sealed[:0], nonce[:], sealed, payload[:head])
	if err != nil {
		return nil, fmt.Errorf("packet %d: %w", sequence, ErrForged)
	}
	if !o.fresh(sequence) {
		return nil, fmt.Errorf("packet %d: %w", sequence, ErrReplay)
	}
	padding := int(plain[len(plain)-2])
	if padding > len(plain)-trailer {
		return nil, fmt.Errorf("padding of %d bytes: %w", padding, ErrNotESP)
	}
	return plain[:len(plain)-trailer-padding], nil
}

// fresh notes an authentic sequence number, and says whether it is new.
func (o *Opener) fresh(sequence uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if sequence > o.newest {
		o.window = o.window<<min(sequence-o.newest, 64) | 1
		o.newest = sequence
		return true
	}
	bit := uint64(1) << min(o.newest-sequence, 64)
	if bit == 0 || o.window&bit != 0 {
		return false
	}
	o.window |= bit
	return true
}
