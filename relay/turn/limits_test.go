package turn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
	"github.com/pion/stun/v4"
)

// clock is one that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// RFC 8489, section 9.2: a nonce is for one client and for a time. What another
// client presents is answered with 438 and told, as it may be a replayed request.
func TestANonceIsOfNoUseToAnotherClient(t *testing.T) {
	r := newRig(t, nil)
	username, password := r.credential("alice", "")
	alice := r.wire(username, password)
	recorded := alice.build(stun.MethodAllocate, transportUDP)
	for _, c := range []struct {
		name  string
		nonce stun.Nonce
	}{
		{"the nonce of another client", alice.nonce},
		{"a forged nonce", stun.NewNonce("AAAAAAAAAAAAAAAAAAAAAA")},
		{"a nonce that is none", stun.NewNonce("hello")},
	} {
		before := r.count(turn.AuthenticationFailed)
		other := r.wire(username, password)
		fresh := other.nonce.String()
		other.nonce = c.nonce
		response := other.allocate()
		if code := codeOf(response); code != stun.CodeStaleNonce {
			t.Errorf("%s: wanted 438, got %d", c.name, code)
		}
		var offered stun.Nonce
		ok(t, offered.GetFrom(response))
		if e := r.await(turn.AuthenticationFailed, before+1); e.Rule != turn.RuleNonceForeign || e.Code != 438 || e.User != "alice" {
			t.Errorf("%s: told as %v", c.name, e)
		}
		other.nonce = offered
		if code := codeOf(other.allocate()); code != 0 {
			t.Errorf("%s: the nonce %q offered with 438 is refused with %d (the first was %q)", c.name, offered, code, fresh)
		}
	}
	// The recorded request itself, byte by byte, from another address.
	thief := &wire{t: t, conn: r.dial(turn.UDP)}
	if code := codeOf(thief.send(recorded)); code != stun.CodeStaleNonce {
		t.Errorf("replayed request: wanted 438, got %d", code)
	}
}

func TestANonceExpires(t *testing.T) {
	c := newClock()
	r := newRig(t, func(cfg *turn.Config) { cfg.Now = c.Now })
	username, password := turn.Credential(secret, "alice", "", c.Now().Add(24*time.Hour))
	w := r.wire(username, password)
	w.mustAllocate()
	c.advance(time.Hour - time.Second)
	if code := codeOf(w.request(stun.MethodRefresh)); code != 0 {
		t.Fatalf("refresh with a nonce of nearly an hour: %d", code)
	}
	c.advance(2 * time.Second)
	response := w.request(stun.MethodRefresh)
	if code := codeOf(response); code != stun.CodeStaleNonce {
		t.Fatalf("refresh with an expired nonce: wanted 438, got %d", code)
	}
	ok(t, w.nonce.GetFrom(response))
	if code := codeOf(w.request(stun.MethodRefresh)); code != 0 {
		t.Errorf("refresh with the new nonce: %d", code)
	}
	if s := r.server.Stats(); s.StaleNonces != 1 || s.Unauthenticated != 0 {
		t.Errorf("figures %+v; wanted 1 stale nonce, which is no failure", s)
	}
}

// What has no valid credential is metered by its source and passed over when it is
// too much; who has an allocation does not suffer from it.
func TestStrangersAreMetered(t *testing.T) {
	const most = 5
	for _, c := range []struct {
		name string
		send func(w *wire) *stun.Message
	}{
		{"bindings", func(w *wire) *stun.Message { return stun.MustBuild(stun.TransactionID, stun.BindingRequest) }},
		{"allocations without a credential", func(w *wire) *stun.Message {
			return stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transportUDP)
		}},
		{"wrong passwords", func(w *wire) *stun.Message {
			w.password = "guess"
			return w.build(stun.MethodAllocate, transportUDP)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(cfg *turn.Config) {
				// Two clients ask for a nonce first.
				cfg.Limits.Requests, cfg.Limits.RequestsAtOnce = 1, most+2
				cfg.Limits.Idle = -1
			})
			username, password := r.credential("alice", "")
			holder := r.wire(username, password)
			holder.mustAllocate()
			flood := r.wire(username, password)
			const sent = 4 * most
			for range sent {
				_, err := flood.conn.Write(c.send(flood).Raw)
				ok(t, err)
			}
			e := r.await(turn.RequestsLimited, 1)
			if e.Rule != turn.RuleRequestRate || e.Client.Addr() != loopback {
				t.Errorf("told as %v", e)
			}
			if code := codeOf(holder.request(stun.MethodRefresh)); code != 0 {
				t.Errorf("refresh of who has an allocation: %d", code)
			}
			// The relay takes datagrams in order, so all of the flood has been judged.
			if s := r.server.Stats(); s.Limited == 0 || s.Limited > sent {
				t.Errorf("requests passed over: %d of %d", s.Limited, sent)
			}
		})
	}
}

// A relay must not be a lever: what an unauthenticated datagram causes is at most a
// small multiple of it.
func TestAnswersToStrangersAreSmall(t *testing.T) {
	const most = 5
	r := newRig(t, nil)
	for _, m := range []*stun.Message{
		stun.MustBuild(stun.TransactionID, stun.BindingRequest),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest)),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodChannelBind, stun.ClassRequest)),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodConnect, stun.ClassRequest)),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), attribute{0x7ff0, nil}, attribute{0x7ff1, nil}),
		stun.MustBuild(stun.TransactionID, stun.BindingRequest, attribute{0x7ff0, nil}, attribute{0x7ff1, nil}),
	} {
		w := &wire{t: t, conn: r.dial(turn.UDP)}
		if response := w.send(m); len(response.Raw) > most*len(m.Raw) {
			t.Errorf("%s of %d bytes is answered with %d, wanted %d times as much at most", m.Type, len(m.Raw), len(response.Raw), most)
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	for _, c := range []struct {
		rule   string
		change func(*turn.Limits)
	}{
		{turn.RuleConnections, func(l *turn.Limits) { l.Connections = 2 }},
		{turn.RuleSourceConnections, func(l *turn.Limits) { l.ConnectionsPerSource = 2 }},
	} {
		t.Run(c.rule, func(t *testing.T) {
			r := newRig(t, func(cfg *turn.Config) { c.change(&cfg.Limits) })
			username, password := r.credential("alice", "")
			first := &wire{t: t, conn: r.dial(turn.TCP), username: username, password: password}
			first.challenge()
			second := &wire{t: t, conn: r.dial(turn.TCP), username: username, password: password}
			second.challenge()
			third := r.dial(turn.TCP)
			mustEnd(t, third)
			if e := r.await(turn.ConnectionRefused, 1); e.Rule != c.rule || e.Transport != turn.TCP {
				t.Errorf("told as %v, wanted rule %s", e, c.rule)
			}
			if s := r.server.Stats(); s.TurnedAway != 1 || s.Refused != 0 {
				t.Errorf("figures %+v; wanted 1 connection turned away", s)
			}
			first.mustAllocate()
			first.conn.Close()
			r.await(turn.AllocationDeleted, 1)
			eventually(t, "another connection is taken", func() bool {
				w := &wire{t: t, conn: r.dial(turn.TCP)}
				_, err := w.conn.Write(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw)
				if err != nil {
					return false
				}
				ok(t, w.conn.SetReadDeadline(time.Now().Add(patience)))
				_, err = w.conn.Read(make([]byte, 100))
				return err == nil
			})
		})
	}
}

func TestConnectionsWithoutAnAllocationEnd(t *testing.T) {
	r := newRig(t, func(cfg *turn.Config) { cfg.Limits.Idle = 100 * time.Millisecond })
	username, password := r.credential("alice", "")
	busy := &wire{t: t, conn: r.dial(turn.TLS), username: username, password: password}
	busy.challenge()
	busy.mustAllocate()
	for _, transport := range []turn.Transport{turn.TCP, turn.TLS} {
		mustEnd(t, r.dial(transport))
	}
	silent, err := net.Dial("tcp4", r.tls.String()) // never begins its handshake
	ok(t, err)
	defer silent.Close()
	mustEnd(t, silent)
	if code := codeOf(busy.request(stun.MethodRefresh)); code != 0 {
		t.Fatalf("the connection with an allocation: refresh answered with %d", code)
	}
	busy.free()
	mustEnd(t, busy.conn)
}

// mustEnd waits until the relay closes the connection.
func mustEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	ok(t, conn.SetReadDeadline(time.Now().Add(patience)))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestADrainingRelayServesWhatItHas(t *testing.T) {
	r := newRig(t, nil)
	peer := echo(t)
	username, password := r.credential("alice", "")
	w, late := r.wire(username, password), r.wire(username, password)
	w.mustAllocate()
	w.permission(peer.Addr())

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if left := r.server.Drain(ended); left != 1 {
		t.Errorf("left when the time is over: %d, wanted 1", left)
	}
	if code := codeOf(late.allocate()); code != stun.CodeInsufficientCapacity {
		t.Errorf("a new allocation: wanted 508, got %d", code)
	}
	if e := r.await(turn.AllocationRefused, 1); e.Rule != turn.RuleDraining {
		t.Errorf("told as %v", e)
	}
	if code := codeOf(w.channel(0x4001, peer)); code != 0 {
		t.Errorf("a channel of a live allocation: %d", code)
	}
	if code := codeOf(w.request(stun.MethodRefresh)); code != 0 {
		t.Errorf("a refresh of a live allocation: %d", code)
	}
	drained := make(chan int)
	go func() { drained <- r.server.Drain(t.Context()) }()
	w.free()
	select {
	case left := <-drained:
		if left != 0 {
			t.Errorf("left when all have ended: %d", left)
		}
	case <-time.After(patience):
		t.Fatal("the relay does not notice that it is drained")
	}
}

func TestBandwidthOverTheQuotaIsDroppedAndCounted(t *testing.T) {
	peer := echo(t)
	for _, c := range []struct {
		name  string
		quota turn.Quota
	}{
		{"of a user", turn.Quota{UserBandwidth: 50}},
		{"in all", turn.Quota{TotalBandwidth: 50}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(cfg *turn.Config) { cfg.Quota = c.quota })
			username, password := r.credential("alice", "")
			w := r.wire(username, password)
			w.mustAllocate()
			w.channel(0x4001, peer)
			data := append([]byte{0x40, 0x01, 0, 100}, make([]byte, 100)...) // two seconds' worth
			for range 3 {
				_, err := w.conn.Write(data)
				ok(t, err)
			}
			if code := codeOf(w.request(stun.MethodRefresh)); code != 0 {
				t.Fatalf("refresh: %d", code)
			}
			if s := r.server.Stats(); s.OverBandwidth != 3 || s.Packets != 0 || s.BytesIn != 0 {
				t.Errorf("figures %+v; wanted 3 payloads over the bandwidth, none relayed", s)
			}
		})
	}
}

func TestSecretsChangeWhileTheRelayRuns(t *testing.T) {
	r := newRig(t, nil)
	username, password := r.credential("alice", "")
	w := r.wire(username, password)
	w.mustAllocate()
	if err := r.server.SetSecrets(nil); err == nil {
		t.Error("no secrets at all are taken")
	}
	next := []byte("next secret of the relay")
	ok(t, r.server.SetSecrets([][]byte{next, secret}))
	if code := codeOf(w.request(stun.MethodRefresh)); code != 0 {
		t.Errorf("refresh while both secrets verify: %d", code)
	}
	ok(t, r.server.SetSecrets([][]byte{next}))
	if code := codeOf(w.request(stun.MethodRefresh)); code != stun.CodeUnauthorized {
		t.Errorf("refresh with a secret that is no more: wanted 401, got %d", code)
	}
	username, password = turn.Credential(next, "alice", "", time.Now().Add(time.Hour))
	r.wire(username, password).mustAllocate()
}

func TestAnExpiredCredentialServesWhatItAllocatedIfKept(t *testing.T) {
	c := newClock()
	r := newRig(t, func(cfg *turn.Config) { cfg.Now, cfg.KeepExpired = c.Now, true })
	username, password := turn.Credential(secret, "alice", "", c.Now().Add(time.Minute))
	w, late := r.wire(username, password), r.wire(username, password)
	w.mustAllocate()
	c.advance(2 * time.Minute)
	if code := codeOf(w.request(stun.MethodRefresh)); code != 0 {
		t.Errorf("refresh: %d", code)
	}
	if code := codeOf(w.permission(netip.MustParseAddr("203.0.113.1"))); code != 0 {
		t.Errorf("permission: %d", code)
	}
	if code := codeOf(late.allocate()); code != stun.CodeUnauthorized {
		t.Errorf("a new allocation: wanted 401, got %d", code)
	}
	mallory, password := turn.Credential(secret, "mallory", "", c.Now().Add(-time.Minute))
	w.username, w.password = mallory, password
	if code := codeOf(w.request(stun.MethodRefresh)); code != stun.CodeUnauthorized {
		t.Errorf("another user's expired credential: wanted 401, got %d", code)
	}
}

func TestPermitsJudgesAsARunningRelayDoes(t *testing.T) {
	cfg := turn.Config{Addresses: []netip.Addr{loopback}, OwnAddresses: []netip.Addr{netip.MustParseAddr("198.51.100.9")},
		Peers: turn.PeerPolicy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, Services: []netip.AddrPort{
			netip.MustParseAddrPort("10.0.0.7:3480"), netip.MustParseAddrPort("203.0.113.8:3480")}}}
	for _, c := range []struct {
		peer, rule string
		allowed    bool
	}{
		{"127.0.0.1", "", true}, // its own relayed addresses
		{"::ffff:127.0.0.1", "", true},
		{"127.0.0.2", "loopback", false},
		{"198.51.100.9", "own-address", false},
		{"203.0.113.7", "deny 203.0.113.0/24", false},
		{"192.0.2.1", "", true},
		{"10.0.0.7", "", true}, // a service
		{"10.0.0.8", "private", false},
		{"203.0.113.8", "deny 203.0.113.0/24", false},
	} {
		if rule, allowed := cfg.Permits(netip.MustParseAddr(c.peer)); rule != c.rule || allowed != c.allowed {
			t.Errorf("%s: %q %v, wanted %q %v", c.peer, rule, allowed, c.rule, c.allowed)
		}
	}
}

// RFC 8656, section 7.2: who cannot set the DF bit treats DONT-FRAGMENT as an unknown
// attribute, and says so: the sockets of a simulated host cannot.
func TestDontFragmentIsAnsweredAsUnknown(t *testing.T) {
	r := newRig(t, func(cfg *turn.Config) {
		cfg.ListenPacket = func(_ context.Context, network, address string) (net.PacketConn, error) {
			pc, err := net.ListenPacket(network, address)
			return struct{ net.PacketConn }{pc}, err
		}
	})
	username, password := r.credential("alice", "")
	response := r.wire(username, password).allocate(attribute{stun.AttrDontFragment, nil})
	var unknown stun.UnknownAttributes
	if code := codeOf(response); code != stun.CodeUnknownAttribute {
		t.Errorf("wanted 420, got %d", code)
	}
	ok(t, unknown.GetFrom(response))
	if len(unknown) != 1 || unknown[0] != stun.AttrDontFragment {
		t.Errorf("unknown attributes %v, wanted DONT-FRAGMENT", unknown)
	}
	if e := r.await(turn.AllocationRefused, 1); e.Rule != turn.RuleAttribute || e.Code != 420 {
		t.Errorf("told as %v", e)
	}
}
