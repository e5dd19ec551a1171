package icelite

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v4"
)

const pwd = "an agent's password"

var from = netip.MustParseAddrPort("192.0.2.1:32853")

func build(t testing.TB, setters ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.TransactionID}, setters...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

type attribute struct {
	kind  stun.AttrType
	value []byte
}

func (a attribute) AddTo(m *stun.Message) error { m.Add(a.kind, a.value); return nil }

var (
	username     = stun.NewUsername("lite:full")
	integrity    = stun.NewShortTermIntegrity(pwd)
	useCandidate = attribute{stun.AttrUseCandidate, nil}
	priority     = attribute{stun.AttrPriority, []byte{1, 2, 3, 4}}
	controlling  = attribute{stun.AttrICEControlling, make([]byte, 8)}
	controlled   = attribute{stun.AttrICEControlled, make([]byte, 8)}
	required     = attribute{0x7ffe, []byte{1}}
	optional     = attribute{0xfffe, []byte{1}}
)

func TestRequestsAreRead(t *testing.T) {
	ok := build(t, stun.BindingRequest, username, integrity, stun.Fingerprint)
	for _, tt := range []struct {
		name     string
		datagram []byte
		err      error
	}{
		{"a check", ok, nil},
		{"nothing", nil, ErrNoRequest},
		{"a short one", ok[:19], ErrNoRequest},
		{"a cut one", ok[:len(ok)-4], ErrNoRequest},
		{"one with something behind it", append(bytes.Clone(ok), 0, 0, 0, 0), ErrNoRequest},
		{"a long one", append(bytes.Clone(ok), make([]byte, 1500)...), ErrNoRequest},
		{"an answer", build(t, stun.BindingSuccess, username, integrity, stun.Fingerprint), ErrNoRequest},
		{"a TURN request", build(t, stun.NewType(stun.MethodAllocate, stun.ClassRequest), username, stun.Fingerprint), ErrNoRequest},
		{"no FINGERPRINT", build(t, stun.BindingRequest, username, integrity), ErrFingerprint},
		{"no USERNAME", build(t, stun.BindingRequest, integrity, stun.Fingerprint), ErrUsername},
		{"one fragment", build(t, stun.BindingRequest, stun.NewUsername("lite"), integrity, stun.Fingerprint), ErrUsername},
		{"an empty fragment", build(t, stun.BindingRequest, stun.NewUsername(":full"), integrity, stun.Fingerprint), ErrUsername},
		{"USERNAME behind MESSAGE-INTEGRITY", build(t, stun.BindingRequest, integrity, username, stun.Fingerprint), ErrUsername},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			if err := r.Read(tt.datagram); !errors.Is(err, tt.err) {
				t.Fatalf("got %v, wanted %v for %s", err, tt.err, hex.EncodeToString(tt.datagram))
			}
			if tt.err == nil && (string(r.Local) != "lite" || string(r.Remote) != "full") {
				t.Errorf("fragments %q and %q", r.Local, r.Remote)
			}
		})
	}
}

func TestRequestsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name       string
		attributes []stun.Setter
		code       stun.ErrorCode
		nominates  bool
	}{
		{"a check", []stun.Setter{priority, controlling, integrity}, 0, false},
		{"a nomination (RFC 8445 8.1.1)", []stun.Setter{useCandidate, integrity}, 0, true},
		{"a nomination that was added on the way (RFC 8489 14.5)", []stun.Setter{integrity, useCandidate}, 0, false},
		{"no MESSAGE-INTEGRITY (RFC 8489 9.1.3)", []stun.Setter{priority}, 400, false},
		{"another password", []stun.Setter{stun.NewShortTermIntegrity("other")}, 401, false},
		{"an unknown attribute that must be understood (RFC 8489 6.3.1)", []stun.Setter{required, integrity}, 420, false},
		{"one that need not", []stun.Setter{optional, integrity}, 0, false},
		{"a peer that is controlled too (RFC 8445 7.3.1.1)", []stun.Setter{controlled, integrity}, 487, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			for range 2 { // the second use of a Request remembers nothing
				datagram := build(t, append(append([]stun.Setter{stun.BindingRequest, username}, tt.attributes...), stun.Fingerprint)...)
				if err := r.Read(datagram); err != nil {
					t.Fatal(err)
				}
				if code := r.Check(pwd); code != tt.code {
					t.Errorf("code %d, wanted %d for %s", code, tt.code, hex.EncodeToString(datagram))
				}
				if r.UseCandidate != tt.nominates {
					t.Errorf("nominates: %v, wanted %v", r.UseCandidate, tt.nominates)
				}
				if tt.code == 0 {
					continue
				}
				answer, err := r.Failure(tt.code, pwd)
				if err != nil {
					t.Fatal(err)
				}
				m := decode(t, answer)
				var code stun.ErrorCodeAttribute
				if err := code.GetFrom(m); err != nil || code.Code != tt.code {
					t.Errorf("answered with %v (%v), wanted %d", code, err, tt.code)
				}
				var unknown stun.UnknownAttributes
				if err := unknown.GetFrom(m); tt.code == 420 && (err != nil || len(unknown) != 1 || unknown[0] != required.kind) {
					t.Errorf("unknown attributes %v (%v)", unknown, err)
				}
			}
		})
	}
}

func TestSuccessSaysWhereTheRequestIsFrom(t *testing.T) {
	for _, at := range []string{"192.0.2.1:32853", "[2001:db8::9]:5", "[::ffff:192.0.2.1]:7"} {
		var r Request
		if err := r.Read(build(t, stun.BindingRequest, username, integrity, stun.Fingerprint)); err != nil {
			t.Fatal(err)
		}
		from := netip.MustParseAddrPort(at)
		answer, err := r.Success(from, pwd)
		if err != nil {
			t.Fatal(err)
		}
		m := decode(t, answer)
		var mapped stun.XORMappedAddress
		if err := mapped.GetFrom(m); err != nil || mapped.String() != netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).String() {
			t.Errorf("mapped address %v (%v), wanted %v", mapped, err, from)
		}
		if m.Type != stun.BindingSuccess || m.TransactionID != r.in.TransactionID || integrity.Check(m) != nil {
			t.Errorf("not an authentic answer: %v", m)
		}
	}
}

func decode(t testing.TB, raw []byte) *stun.Message {
	t.Helper()
	m := &stun.Message{Raw: bytes.Clone(raw)}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	if err := stun.Fingerprint.Check(m); err != nil {
		t.Error(err)
	}
	return m
}

func TestCredentialsAreLongEnough(t *testing.T) {
	a, err := NewCredentials(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewCredentials(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Ufrag) != 8 || len(a.Pwd) != 24 || a == b {
		t.Errorf("%v, %v", a, b)
	}
	if _, err := NewCredentials(strings.NewReader("short")); err == nil {
		t.Error("no error without randomness")
	}
}

// FuzzRead: whatever comes, an answer can be made to what was read, and what a stranger
// without the password made is never a check.
func FuzzRead(f *testing.F) {
	f.Add(build(f, stun.BindingRequest, username, useCandidate, priority, controlling, integrity, stun.Fingerprint))
	f.Add(build(f, stun.BindingRequest, username, required, integrity, stun.Fingerprint))
	f.Add(build(f, stun.BindingRequest, integrity, username, stun.Fingerprint))
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		var r Request
		if r.Read(datagram) != nil {
			return
		}
		code := r.Check("a password that nobody knows, and no input can have")
		if code == 0 {
			t.Fatalf("valid: %s", hex.EncodeToString(datagram))
		}
		if _, err := r.Failure(code, pwd); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Success(from, pwd); err != nil {
			t.Fatal(err)
		}
	})
}
