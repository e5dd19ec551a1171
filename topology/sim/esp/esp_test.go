package esp_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/callpath/callpath/topology/sim/esp"
)

var key = []byte("0123456789abcdefSALT")

func ends(t testing.TB) (*esp.Sealer, *esp.Opener) {
	t.Helper()
	s, err := esp.NewSealer(4096, key)
	if err != nil {
		t.Fatal(err)
	}
	o, err := esp.NewOpener(4096, key)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

func seal(t testing.TB, s *esp.Sealer, inner []byte) []byte {
	t.Helper()
	out := make([]byte, esp.Size(len(inner)))
	if err := s.Seal(out, inner); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatIsSealedIsOpened(t *testing.T) {
	s, o := ends(t)
	for n := range 70 {
		inner := bytes.Repeat([]byte{0x45}, n)
		sealed := seal(t, s, inner)
		if len(sealed)%4 != 0 || n > 4 && bytes.Contains(sealed, inner) {
			t.Errorf("%d bytes are sealed as %x", n, sealed)
		}
		if spi, ok := esp.SPI(sealed); !ok || spi != 4096 {
			t.Errorf("SPI %d, %v", spi, ok)
		}
		got, err := o.Open(sealed)
		if err != nil || !bytes.Equal(got, inner) {
			t.Errorf("%d bytes: opened %x, %v", n, got, err)
		}
	}
	six := []byte{0x60, 1, 2, 3}
	if got, err := o.Open(seal(t, s, six)); err != nil || !bytes.Equal(got, six) {
		t.Errorf("IPv6: opened %x, %v", got, err)
	}
}

func TestEveryChangedByteIsFound(t *testing.T) {
	s, o := ends(t)
	sealed := seal(t, s, []byte("an inner packet"))
	for k := 4; k < len(sealed); k++ { // the SPI says who opens it
		forged := bytes.Clone(sealed)
		forged[k] ^= 1
		if _, err := o.Open(forged); !errors.Is(err, esp.ErrForged) {
			t.Errorf("byte %d: %v, want %v", k, err, esp.ErrForged)
		}
	}
	if _, err := o.Open(sealed); err != nil {
		t.Errorf("the unchanged packet: %v", err)
	}
}

// RFC 4303, section 3.4.3.
func TestReplays(t *testing.T) {
	s, o := ends(t)
	var sealed [][]byte
	for k := range 200 {
		sealed = append(sealed, seal(t, s, fmt.Appendf(nil, "packet %d", k)))
	}
	for _, c := range []struct {
		packet int
		fresh  bool
	}{
		{0, true}, {0, false}, {5, true}, {3, true}, {3, false}, {5, false}, {4, true},
		{68, true}, {5, false}, {67, true}, {67, false}, {6, true}, {199, true}, {136, true}, {135, false}, {100, false},
	} {
		_, err := o.Open(bytes.Clone(sealed[c.packet]))
		if c.fresh && err != nil || !c.fresh && !errors.Is(err, esp.ErrReplay) {
			t.Errorf("packet %d: %v, want fresh: %v", c.packet, err, c.fresh)
		}
	}
}

func TestWhatIsNotESP(t *testing.T) {
	_, o := ends(t)
	for name, payload := range map[string][]byte{
		"nothing":             nil,
		"a keep-alive":        {0xff},
		"an IKE message":      make([]byte, 100), // begins with four zero bytes
		"something too short": bytes.Repeat([]byte{1}, 33),
	} {
		if _, ok := esp.SPI(payload); ok {
			t.Errorf("%s has an SPI", name)
		}
		if _, err := o.Open(payload); !errors.Is(err, esp.ErrNotESP) {
			t.Errorf("%s: %v, want %v", name, err, esp.ErrNotESP)
		}
	}
}

func TestKeysAndSPIsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		spi uint32
		key []byte
	}{{255, key}, {256, key[1:]}, {256, nil}} {
		if _, err := esp.NewSealer(c.spi, c.key); err == nil {
			t.Errorf("sealer with SPI %d and a key of %d bytes", c.spi, len(c.key))
		}
		if _, err := esp.NewOpener(c.spi, c.key); err == nil {
			t.Errorf("opener with SPI %d and a key of %d bytes", c.spi, len(c.key))
		}
	}
}

func FuzzOpen(f *testing.F) {
	s, _ := ends(f)
	f.Add(seal(f, s, []byte("an inner packet")))
	f.Add(seal(f, s, nil))
	f.Fuzz(func(t *testing.T, payload []byte) {
		_, o := ends(t)
		was := bytes.Clone(payload)
		if inner, err := o.Open(payload); err == nil && bytes.Contains(was, inner) && len(inner) > 4 {
			t.Errorf("opened %x, which was readable", inner)
		}
	})
}
