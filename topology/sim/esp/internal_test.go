package esp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// RFC 4106, sections 3 to 5, and RFC 4303, section 2: what another implementation
// would read.
func TestLayout(t *testing.T) {
	key := []byte("0123456789abcdefSALT")
	s, err := NewSealer(0x1234, key)
	if err != nil {
		t.Fatal(err)
	}
	inner := []byte{0x45, 1, 2, 3, 4}
	out := make([]byte, Size(len(inner)))
	if err := s.Seal(out, inner); err != nil {
		t.Fatal(err)
	}
	if spi, seq := binary.BigEndian.Uint32(out), binary.BigEndian.Uint32(out[4:]); spi != 0x1234 || seq != 1 {
		t.Errorf("SPI %x, sequence number %d; want 1234, 1", spi, seq)
	}
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, append([]byte("SALT"), out[8:16]...), out[16:], out[:8])
	if err != nil {
		t.Fatal(err)
	}
	// One byte of padding makes the two bytes of the trailer end at a multiple of 4.
	if want := []byte{0x45, 1, 2, 3, 4, 1, 1, 4}; !bytes.Equal(plain, want) {
		t.Errorf("plaintext %x, want %x", plain, want)
	}
}

func TestSequenceNumbersRunOut(t *testing.T) {
	s, err := NewSealer(256, make([]byte, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s.sequence = math.MaxUint32 - 1
	out := make([]byte, Size(0))
	if err := s.Seal(out, nil); err != nil {
		t.Errorf("the last number: %v", err)
	}
	for range 2 {
		if err := s.Seal(out, nil); !errors.Is(err, ErrExhausted) {
			t.Errorf("beyond the last: %v, want %v", err, ErrExhausted)
		}
	}
}
