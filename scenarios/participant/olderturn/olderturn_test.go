package olderturn

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/participant/internal/rig"
	"github.com/callpath/callpath/signaling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAllocate(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	for _, test := range []struct{ url, protocol string }{
		{"turn:relay.callpath.test:3479?transport=udp", "udp"},
		{"turn:relay.callpath.test:3478?transport=tcp", "tcp"},
		{"turns:relay.callpath.test:443?transport=tcp", "tls"},
	} {
		cfg := r.Side("alice", language.Participant{}).Config
		cfg.Servers = r.Server("alice", test.url)
		dialer := endpoint.NewDialer(cfg)
		a, err := Allocate(t.Context(), cfg, dialer)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		if a.Protocol != test.protocol || a.relayed.Addr() != rig.Machines["relay"] {
			t.Errorf("%s: relayed address %s over %s", test.url, a.relayed, a.Protocol)
		}
		c := a.Candidate(negotiation.Candidate{Type: "host", Address: a.relayed})
		if c.Type != "relay" || c.RelayProtocol != test.protocol || c.Related != a.local {
			t.Errorf("%s: the candidate becomes %+v", test.url, c)
		}
		if err := a.Close(); err != nil {
			t.Errorf("%s: close: %v", test.url, err)
		}
		dialer.Close()
	}
}

// TestRefused: a forged credential gives no allocation, and the error says where.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	cfg := r.Side("alice", language.Participant{}).Config
	cfg.Servers[0].Credential = "forged"
	dialer := endpoint.NewDialer(cfg)
	defer dialer.Close()
	if _, err := Allocate(t.Context(), cfg, dialer); err == nil || !strings.Contains(err.Error(), "relay.callpath.test:3478") {
		t.Errorf("Allocate gives %v, want a refusal of the relay", err)
	}
}

// TestUnreachable: a relay that does not answer is given up, also when the caller's
// patience is shorter.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	r.Switch.Drop(func(p rig.Packet) bool { return p.Between("relay") })
	cfg := r.Side("alice", language.Participant{}).Config
	var err error
	if cfg.Servers, err = r.ICEServers("alice", "call"); err != nil {
		t.Fatal(err)
	}
	dialer := endpoint.NewDialer(cfg)
	defer dialer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Allocate(ctx, cfg, dialer); err == nil {
		t.Error("an allocation on a relay that does not answer")
	}
}

func TestNoServers(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	cfg := r.Side("alice", language.Participant{}).Config
	cfg.Servers = []signaling.ICEServer{{URLs: []string{"stun:relay.callpath.test:3478", "nothing"}}}
	if _, err := Allocate(t.Context(), cfg, nil); err == nil {
		t.Error("an allocation without a server")
	}
	cfg.Machine = nil
	if _, err := Allocate(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "simulated") {
		t.Errorf("on no simulated host: %v", err)
	}
}

func TestRelabel(t *testing.T) {
	a := &Allocation{
		relayed: netip.MustParseAddrPort("192.0.2.1:5000"), local: netip.MustParseAddrPort("10.0.0.1:6000"), Protocol: "tcp",
	}
	const other = "candidate:1 1 udp 9 192.0.2.1 50001 typ host"
	tests := []struct{ line, want string }{
		{"candidate:1 1 udp 9 192.0.2.1 5000 typ host ufrag x", "candidate:1 1 udp 9 192.0.2.1 5000 typ relay raddr 10.0.0.1 rport 6000 ufrag x"},
		{other, other},
	}
	for _, test := range tests {
		if got := a.Relabel(test.line); got != test.want {
			t.Errorf("Relabel(%q) = %q, want %q", test.line, got, test.want)
		}
	}
	foreign := negotiation.Candidate{Type: "host", Address: netip.MustParseAddrPort("10.0.0.1:6000")}
	if got := a.Candidate(foreign); got != foreign {
		t.Errorf("another candidate becomes %+v", got)
	}
	var none *Allocation
	if none.Relabel(other) != other || none.Candidate(foreign) != foreign || none.Close() != nil {
		t.Error("no allocation changes something")
	}
}
