package stun

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The sample messages of RFC 5769, section 2.
const (
	sampleRequest = `00010058 2112a442 b7e7a701 bc34d686 fa87dfae
		80220010 5354554e 20746573 7420636c 69656e74
		00240004 6e0001ff 80290008 932ff9b1 51263b36
		00060009 6576746a 3a683676 59202020
		00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
		80280004 e57a3bcf`
	sampleIPv4 = `0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
		8022000b 74657374 20766563 746f7220
		00200008 0001a147 e112a643
		00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
		80280004 c07d4c96`
	sampleIPv6 = `01010048 2112a442 b7e7a701 bc34d686 fa87dfae
		8022000b 74657374 20766563 746f7220
		00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
		00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
		80280004 c8fb0b4c`
	sampleLongTerm = `00010060 2112a442 78ad3433 c6ad72c0 29da412e
		00060012 e3839ee3 8388e383 aae38383 e382af e382b9 0000
		0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 3634734
		1 0014000b 6578616d 706c652e 6f726700
		00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666`
)

func TestParseSampleRequest(t *testing.T) {
	b := fromHex(t, sampleRequest)
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Class != Request || m.Method != Binding {
		t.Errorf("got %v %v, want a Binding request", m.Class, m.Method)
	}
	if got := m.Text(Software); got != "STUN test client" {
		t.Errorf("software %q", got)
	}
	if got := m.Text(Username); got != "evtj:h6vY" {
		t.Errorf("username %q", got)
	}
	if got, ok := m.Uint32(Priority); !ok || got != 0x6e0001ff {
		t.Errorf("priority %#x", got)
	}
	if !m.Has(ICEControlled) || m.Has(ICEControlling) || m.Has(UseCandidate) || !m.Authenticated() {
		t.Error("wrong attributes")
	}
	b[30] ^= 1
	if _, err := Parse(b); !errors.Is(err, ErrFingerprint) {
		t.Errorf("changed message: got %v, want ErrFingerprint", err)
	}
}

func TestParseSampleResponses(t *testing.T) {
	for sample, want := range map[string]string{
		sampleIPv4: "192.0.2.1:32853",
		sampleIPv6: "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
	} {
		m, err := Parse(fromHex(t, sample))
		if err != nil {
			t.Fatal(err)
		}
		if m.Class != Success || m.Method != Binding {
			t.Errorf("got %v %v, want a Binding success", m.Class, m.Method)
		}
		if got := m.Mapped(); got != netip.MustParseAddrPort(want) {
			t.Errorf("mapped: got %v, want %v", got, want)
		}
		if got := m.Text(Software); got != "test vector" {
			t.Errorf("software %q", got)
		}
	}
}

func TestParseSampleLongTermCredential(t *testing.T) {
	m, err := Parse(fromHex(t, sampleLongTerm))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Text(Username); got != "\u30de\u30c8\u30ea\u30c3\u30af\u30b9" {
		t.Errorf("username %q", got)
	}
	if got := m.Text(Realm); got != "example.org" {
		t.Errorf("realm %q", got)
	}
}

// header is a message of one kind with the attributes.
func header(kind string, attributes string) string {
	n := len(strings.Join(strings.Fields(attributes), "")) / 2
	return kind + hex.EncodeToString([]byte{byte(n >> 8), byte(n)}) + "2112a442 000102030405060708090a0b" + attributes
}

func TestParseRefusesWhatIsMalformed(t *testing.T) {
	for name, tt := range map[string]struct {
		message string
		want    error
	}{
		"empty":                      {"", ErrNotSTUN},
		"short":                      {"00010000 2112a442 0001", ErrNotSTUN},
		"no cookie":                  {"00010000 2112a443 000102030405060708090a0b", ErrNotSTUN},
		"ChannelData":                {"40010000 2112a442 000102030405060708090a0b", ErrNotSTUN},
		"longer than it is":          {"00010004 2112a442 000102030405060708090a0b", ErrMalformed},
		"length no multiple of 4":    {"00010002 2112a442 000102030405060708090a0b 0000", ErrMalformed},
		"attribute longer than left": {header("0001", "00060008 61626364"), ErrMalformed},
		"short FINGERPRINT":          {header("0001", "80280002 61620000"), ErrMalformed},
		"FINGERPRINT before the end": {header("0001", "80280004 00000000 00060000"), ErrMalformed},
		"many attributes":            {header("0001", strings.Repeat("00060000", 65)), ErrMalformed},
	} {
		if _, err := Parse(fromHex(t, tt.message)); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

func TestErrorCode(t *testing.T) {
	for attributes, want := range map[string]string{
		"00090004 00000457":                            "487 Role Conflict",
		"0009000d 00000403 466f72626964 64656e 000000": "403 Forbidden",
		"00090008 00000401 610a6200":                   "401 ab",
		"00090004 00000201":                            "an error without a code",
		"00090003 00000400":                            "an error without a code",
		"":                                             "an error without a code",
	} {
		m, err := Parse(fromHex(t, header("0111", attributes)))
		if err != nil {
			t.Errorf("%s: %v", attributes, err)
			continue
		}
		if got := m.Refusal(); m.Class != Failure || got != want {
			t.Errorf("%s: got %q, want %q", attributes, got, want)
		}
	}
}

// RFC 8489, section 14.5: what comes after MESSAGE-INTEGRITY is not protected and
// ignored.
func TestAttributesAfterIntegrityAreIgnored(t *testing.T) {
	m, err := Parse(fromHex(t, header("0001", "00080014"+strings.Repeat("00", 20)+"00250000"+"00060004 61626364")))
	if err != nil {
		t.Fatal(err)
	}
	if m.Has(UseCandidate) || m.Has(Username) {
		t.Error("unprotected attributes were read")
	}
}

func TestTURNAttributes(t *testing.T) {
	m, err := Parse(fromHex(t, header("0009", "000c0004 40010000 000d0004 00000258"+
		"00120008 0001 2113 2b12a443 00120008 0001 2112 2b12a440 00120004 00010000 00010008 0001 0001 01020304")))
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := m.Channel(); !ok || c != 0x4001 || m.Method != ChannelBind {
		t.Errorf("channel %#x of %v", c, m.Method)
	}
	if d, ok := m.Lifetime(); !ok || d.Seconds() != 600 {
		t.Errorf("lifetime %v", d)
	}
	peers := m.Addresses(XORPeerAddress)
	if len(peers) != 2 || peers[0].String() != "10.0.0.1:1" || peers[1].String() != "10.0.0.2:0" {
		t.Errorf("peers %v", peers)
	}
	if got := m.Mapped().String(); got != "1.2.3.4:1" {
		t.Errorf("MAPPED-ADDRESS %s", got)
	}
	if got := Method(0xabc).String(); got != "method 0xabc" {
		t.Errorf("unknown method %q", got)
	}
	if got := CreatePermission.String(); got != "CreatePermission" {
		t.Errorf("method %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{sampleRequest, sampleIPv4, sampleIPv6, sampleLongTerm, header("0111", "00090004 00000457")} {
		f.Add(fromHex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		for _, kind := range []Attribute{Username, Realm, Software, DataAttribute} {
			if v, ok := m.Get(kind); ok && len(v) > len(b) {
				t.Fatal("an attribute longer than its message")
			}
			if len(m.Text(kind)) > 3*763 {
				t.Fatal("a text longer than its limit")
			}
		}
		m.Mapped()
		m.Addresses(XORPeerAddress)
		m.Refusal()
		m.Channel()
		m.Lifetime()
	})
}
