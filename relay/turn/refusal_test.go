package turn_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
	"github.com/pion/stun/v4"
)

// RFC 8489, section 9.2.4: what is not authenticated is answered with 401.
func TestUnverifiedCredentialsAreRefusedWithTheReason(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	good, password := turn.Credential(secret, "alice", "call-1", now.Add(time.Minute))
	longest := strings.Repeat("x", 509-len("1795521660:"))
	for _, c := range []struct {
		name               string
		username, password string
		realm              string
		reason             string
	}{
		{name: "expired", username: "1795521600:alice/call-1", reason: "expired at 2026-11-24T12:00:00Z, 0s ago"},
		{name: "expired long ago", username: "1795435200:alice/call-1", reason: "expired at 2026-11-23T12:00:00Z, 24h0m0s ago"},
		{name: "password guessed", username: good, password: "guess", reason: "unknown secret: the password is of none of this relay's 2 secrets"},
		{name: "expiry moved", username: "1795608000:alice/call-1", password: password, reason: "unknown secret"},
		{name: "another user's password", username: strings.Replace(good, "alice", "mallory", 1), password: password, reason: "unknown secret"},
		{name: "wrong realm", username: good, realm: "elsewhere.test", reason: `wrong realm "elsewhere.test"; this relay's is "relay.callpath.test"`},
		{name: "no expiry", username: "alice", reason: "username without expiry"},
		{name: "expiry not a number", username: "soon:alice", reason: "does not begin with an expiry"},
		{name: "expiry negative", username: "-1795608000:alice", reason: "does not begin with an expiry"},
		{name: "expiry too large", username: "9223372036854775808:alice", reason: "does not begin with an expiry"},
		{name: "no user", username: "1795608000:", reason: "names no user"},
		{name: "bad escape", username: "1795608000:al%ice", reason: "percent sign"},
		{name: "bad escape in the call", username: "1795608000:alice/%", reason: "percent sign"},
		{name: "username too long", username: "1795608000:" + longest, reason: "username of 509 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			r := newRig(t, func(cfg *turn.Config) {
				cfg.Now = func() time.Time { return now }
				cfg.Secrets = [][]byte{secret, []byte("another")}
				cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			if c.password == "" {
				c.password = passwordFor(c.username)
			}
			w := r.wire(c.username, c.password)
			if c.realm != "" {
				w.realm = c.realm
			}
			response := w.allocate()
			if code := codeOf(response); code != stun.CodeUnauthorized {
				t.Errorf("wanted 401, got %d", code)
			}
			if !response.Contains(stun.AttrNonce) || !response.Contains(stun.AttrRealm) {
				t.Errorf("401 without nonce or realm, which RFC 8489, section 9.2.4 wants: %v", response)
			}
			e := r.await(turn.AuthenticationFailed, 1)
			if !strings.Contains(e.Reason, c.reason) || e.Code != 401 || e.Method != "Allocate" || !e.Client.IsValid() {
				t.Errorf("wanted reason %q, got %v", c.reason, e)
			}
			if n := r.server.Stats().Unauthenticated; n != 1 {
				t.Errorf("unauthenticated requests: wanted 1, got %d", n)
			}
			ok(t, r.server.Close())
			for _, said := range []string{log.String(), e.String()} {
				if strings.Contains(said, c.password) || strings.Contains(said, string(secret)) {
					t.Errorf("password or secret told: %s", said)
				}
			}
			if !strings.Contains(log.String(), c.reason[:10]) {
				t.Errorf("reason %q is not in the log: %s", c.reason, log.String())
			}
		})
	}
}

// passwordFor is a right password under the rig's secret for any username.
func passwordFor(username string) string { return turn.Password(secret, username) }

func TestEverySecretVerifies(t *testing.T) {
	old := []byte("old secret")
	r := newRig(t, func(c *turn.Config) { c.Secrets = [][]byte{secret, old} })
	for _, s := range [][]byte{secret, old} {
		username, password := turn.Credential(s, "alice", "", time.Now().Add(time.Hour))
		r.wire(username, password).mustAllocate()
	}
}

func TestExpiryIsCheckedAtEachRequest(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := newRig(t, func(c *turn.Config) {
		c.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	username, password := turn.Credential(secret, "alice", "call-1", now.Add(time.Minute))
	w := r.wire(username, password)
	w.mustAllocate()
	if code := codeOf(w.request(stun.MethodRefresh)); code != 0 {
		t.Fatalf("refresh before expiry: %d", code)
	}
	if e := r.await(turn.AllocationRefreshed, 1); e.Reason != "for 10m0s" || e.User != "alice" {
		t.Errorf("refresh told as %v", e)
	}
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	if code := codeOf(w.request(stun.MethodRefresh)); code != stun.CodeUnauthorized {
		t.Errorf("refresh after expiry: wanted 401, got %d", code)
	}
	// A renewed credential of the same user and call goes on with the allocation.
	w.username, w.password = turn.Credential(secret, "alice", "call-1", now.Add(time.Minute))
	if code := codeOf(w.request(stun.MethodRefresh)); code != 0 {
		t.Errorf("refresh with a renewed credential: wanted success, got %d", code)
	}
	// One for another call does not (RFC 8656, section 5: 441), nor another user's.
	for i, other := range []string{"alice call-2", "bob call-1"} {
		user, call, _ := strings.Cut(other, " ")
		w.username, w.password = turn.Credential(secret, user, call, now.Add(time.Minute))
		for j, m := range []stun.Method{stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
			if code := codeOf(w.request(m, peer(echo(t)))); code != stun.CodeWrongCredentials {
				t.Errorf("%s for %s: wanted 441, got %d", m, other, code)
			}
			kind := []turn.EventKind{turn.RefreshRefused, turn.PermissionDenied, turn.ChannelDenied}[j]
			if e := r.await(kind, i+1); e.Code != 441 || e.User != user {
				t.Errorf("told as %v", e)
			}
		}
	}
}

func TestRequestsWithoutAnAllocationAreAnswered437(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire(r.credential("alice", ""))
	for _, m := range []stun.Method{stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
		response := w.request(m, peer(netip.MustParseAddrPort("203.0.113.1:9")))
		if code := codeOf(response); code != stun.CodeAllocMismatch {
			t.Errorf("%s: wanted 437, got %d", m, code)
		}
		if err := stun.NewLongTermIntegrity(w.username, w.realm, w.password).Check(response); err != nil {
			t.Errorf("%s: response to an authenticated request is not signed: %v", m, err)
		}
	}
	// A second allocation on the same five-tuple, however, is the engine's 437.
	w.mustAllocate()
	if code := codeOf(w.allocate()); code != stun.CodeAllocMismatch {
		t.Errorf("second allocation: wanted 437, got %d", code)
	}
	if e := r.await(turn.AllocationRefused, 1); e.Code != 437 {
		t.Errorf("told as %v", e)
	}
}

// RFC 8656, sections 10.2 and 12.2: 403 for peers that the policy forbids.
func TestForbiddenPeersAreRefusedWithTheirRule(t *testing.T) {
	relay4, relay6 := netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10")
	r := newRig(t, func(c *turn.Config) {
		c.Addresses = []netip.Addr{relay4, relay6}
		c.OwnAddresses = []netip.Addr{netip.MustParseAddr("198.51.100.77")}
		c.ListenPacket = anywhere
		c.Peers = turn.PeerPolicy{
			Deny:  []netip.Prefix{netip.MustParsePrefix("198.51.100.128/25")},
			Allow: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")},
		}
	})
	w4 := r.wire(r.credential("alice", "four"))
	w4.mustAllocate(familyIPv4)
	w6 := r.wire(r.credential("alice", "six"))
	w6.mustAllocate(familyIPv6)

	denials := 0
	for _, c := range []struct{ peer, rule string }{
		{"127.0.0.1", "loopback"},
		{"0.0.0.0", "this-network"},
		{"10.0.0.1", "private"},
		{"172.16.0.1", "private"},
		{"192.168.1.1", "private"},
		{"100.64.0.1", "shared-address"},
		{"169.254.169.254", "link-local"},
		{"224.0.0.251", "multicast"},
		{"255.255.255.255", "broadcast"},
		{"240.0.0.1", "reserved"},
		{"168.63.129.16", "platform"},
		{"198.51.100.200", "deny 198.51.100.128/25"},
		{"198.51.100.77", "own-address"},
		{"10.9.0.1", ""},
		{"203.0.113.99", ""},
		{"203.0.113.10", ""}, // has the relayed addresses of other clients
		{"::ffff:127.0.0.1", "loopback (ipv4-mapped)"},
		{"::ffff:198.51.100.200", "deny 198.51.100.128/25 (ipv4-mapped)"},
		{"::1", "loopback"},
		{"::", "unspecified"},
		{"::127.0.0.1", "loopback (ipv4-compatible)"},
		{"fe80::1", "link-local"},
		{"fd00::1", "unique-local"},
		{"fec0::1", "site-local"},
		{"ff02::1", "multicast"},
		{"100::1", "discard"},
		{"2002:7f00:1::1", "loopback (6to4)"},
		{"2002:a00:1::1", "private (6to4)"},
		{"64:ff9b::10.0.0.1", "private (nat64)"},
		{"64:ff9b::203.0.113.10", "own-address (nat64)"},
		{"64:ff9b:1::1", "nat64"},
		{"2002:a09:1::1", ""}, // 10.9.0.1, which is allowed
		{"64:ff9b::203.0.113.99", ""},
		{"2001:db8::99", ""},
	} {
		t.Run(c.peer, func(t *testing.T) {
			addr := netip.MustParseAddr(c.peer)
			w := w4
			if !addr.Unmap().Is4() {
				w = w6
			}
			var wanted stun.ErrorCode
			if c.rule != "" {
				wanted = stun.CodeForbidden
				denials++
			}
			if code := codeOf(w.permission(addr)); code != wanted {
				t.Errorf("permission: wanted %d, got %d", wanted, code)
			}
			to := netip.AddrPortFrom(addr, 4000)
			if addr != relay4 { // whose ports count too; see TestTwoClientsOfOneRelayReachEachOther
				response := w.channel(0x4000+uint16(addr.As16()[15])<<4+uint16(denials), to)
				if code := codeOf(response); code != wanted {
					t.Errorf("channel: wanted %d, got %d", wanted, code)
				}
				if err := stun.NewLongTermIntegrity(w.username, w.realm, w.password).Check(response); err != nil {
					t.Errorf("response to an authenticated request is not signed: %v", err)
				}
			}
			if c.rule == "" {
				return
			}
			if e := r.await(turn.PermissionDenied, denials); e.Rule != c.rule || e.Peer.Addr() != addr || e.Code != 403 {
				t.Errorf("permission: wanted rule %q, got %v", c.rule, e)
			}
			if e := r.await(turn.ChannelDenied, denials); e.Rule != c.rule || e.Peer.Addr() != addr.Unmap() || e.Code != 403 {
				t.Errorf("channel: wanted rule %q, got %v", c.rule, e)
			}
		})
	}
}

// RFC 8656, section 7.2: 486 beyond the quota; a retransmission is the same request.
func TestAllocationQuotaCountsWhatLives(t *testing.T) {
	r := newRig(t, func(c *turn.Config) { c.Quota = turn.Quota{PerUser: 2, Total: 3} })
	allocate := func(user string) (*wire, stun.ErrorCode) {
		w := r.wire(r.credential(user, "call"))
		return w, codeOf(w.allocate())
	}
	first := r.wire(r.credential("alice", "one"))
	request := first.build(stun.MethodAllocate, transportUDP)
	at := relayedOf(t, first.send(request))
	for range 5 {
		if again := relayedOf(t, first.send(request)); again != at {
			t.Fatalf("retransmission: wanted %v again, got %v", at, again)
		}
	}
	// An allocation that fails after the quota was asked holds nothing.
	for range 5 {
		w := r.wire(r.credential("alice", "none"))
		if code := codeOf(w.allocate(lifetime(0))); code == 0 {
			t.Fatal("allocation with lifetime 0 was made")
		}
		if code := codeOf(w.allocate(familyIPv6)); code != stun.CodeAddrFamilyNotSupported {
			t.Fatalf("IPv6 on a relay without: wanted 440, got %d", code)
		}
	}
	if _, code := allocate("alice"); code != 0 {
		t.Fatalf("alice's second: wanted success, got %d", code)
	}
	if _, code := allocate("alice"); code != stun.CodeAllocQuotaReached {
		t.Errorf("alice's third: wanted 486, got %d", code)
	}
	if _, code := allocate("bob"); code != 0 {
		t.Errorf("bob's first: wanted success, got %d", code)
	}
	carol, code := allocate("carol")
	if code != stun.CodeAllocQuotaReached {
		t.Errorf("fourth in all: wanted 486, got %d", code)
	}
	var rules []string
	r.mu.Lock()
	for _, e := range r.events {
		if e.Code == 486 {
			rules = append(rules, e.User+" "+e.Rule)
		}
	}
	r.mu.Unlock()
	if got := fmt.Sprint(rules); got != "[alice allocations-per-user carol allocations-in-all]" {
		t.Errorf("refusals told: %s", got)
	}

	// The retransmission of a request that lives is answered even now.
	if again := relayedOf(t, first.send(request)); again != at {
		t.Errorf("retransmission when the quota is full: wanted %v, got %v", at, again)
	}
	first.free()
	if code := codeOf(carol.allocate()); code != 0 {
		t.Errorf("after one was freed: wanted success, got %d", code)
	}
	if n := r.server.Stats().Allocations; n != 3 {
		t.Errorf("live allocations: wanted 3, got %d", n)
	}
}

func TestAllocationQuotaHoldsWhenAllComeAtOnce(t *testing.T) {
	const most, clients = 3, 24
	r := newRig(t, func(c *turn.Config) { c.Quota.PerUser = most })
	username, password := r.credential("alice", "")
	var group sync.WaitGroup
	for i := range clients {
		transport := []turn.Transport{turn.UDP, turn.TCP, turn.TLS}[i%3]
		w := &wire{t: t, conn: r.dial(transport), username: username, password: password}
		group.Go(func() {
			w.challenge()
			w.allocate()
		})
	}
	group.Wait()
	if made, refused := r.count(turn.AllocationCreated), r.count(turn.AllocationRefused); made != most || refused != clients-most {
		t.Errorf("wanted %d made and %d refused, got %d and %d", most, clients-most, made, refused)
	}
}

func TestPermissionsAndChannelsOfAnAllocationAreBounded(t *testing.T) {
	r := newRig(t, func(c *turn.Config) { c.Quota = turn.Quota{Permissions: 3, Channels: 2} })
	w := r.wire(r.credential("alice", ""))
	w.mustAllocate()
	address := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, i}) }
	at := func(i byte) netip.AddrPort { return netip.AddrPortFrom(address(i), 1000) }
	for _, step := range []struct {
		name     string
		response *stun.Message
		wanted   stun.ErrorCode
	}{
		{"two permissions in one request", w.permission(address(1), address(2)), 0},
		{"one channel, the third permission", w.channel(0x4001, at(3)), 0},
		{"the fourth permission", w.permission(address(4)), stun.CodeInsufficientCapacity},
		{"a channel with the fourth permission", w.channel(0x4004, at(4)), stun.CodeInsufficientCapacity},
		{"a permission again", w.permission(address(1)), 0},
		{"the second channel", w.channel(0x4002, at(2)), 0},
		{"the third channel", w.channel(0x4003, at(1)), stun.CodeInsufficientCapacity},
		{"a channel again", w.channel(0x4002, at(2)), 0},
		{"a channel's number for another peer", w.channel(0x4002, at(3)), stun.CodeBadRequest},
	} {
		if code := codeOf(step.response); code != step.wanted {
			t.Errorf("%s: wanted %d, got %d", step.name, step.wanted, code)
		}
	}
	for i, rule := range []string{turn.RulePermissionQuota, turn.RuleChannelQuota} {
		if e := r.await(turn.ChannelDenied, i+1); e.Rule != rule || e.Code != 508 {
			t.Errorf("refusal %d: wanted %s, got %v", i, rule, e)
		}
	}
	if s := r.server.Stats(); s.Permissions != 3 || s.Channels != 2 || s.Refused != 4 {
		t.Errorf("figures: %+v; wanted 3 permissions, 2 channels, 4 refusals", s)
	}
	w.free()
	if s := r.server.Stats(); s.Permissions+s.Channels+s.Allocations != 0 {
		t.Errorf("figures after the end: %+v; wanted nothing alive", s)
	}
}

func TestTCPAllocationsAreRefusedWith442(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire(r.credential("alice", ""))
	if code := codeOf(w.request(stun.MethodAllocate, transportTCP)); code != stun.CodeUnsupportedTransProto {
		t.Errorf("wanted 442, got %d", code)
	}
	if e := r.await(turn.AllocationRefused, 1); e.Rule != turn.RuleTransport || e.Code != 442 {
		t.Errorf("told as %v", e)
	}
}
