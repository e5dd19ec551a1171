package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/turn"
)

// attempt is one try at what nobody may, and how it must end.
type attempt struct {
	name string
	// do returns the code of the answer.
	do   func() int
	code int
	// rule is what the one record in the audit log names; empty when the refusal
	// is no decision about anybody, as with a challenge.
	rule string
}

// try makes the attempts one after the other. Each must get its code and leave one
// record with its rule, and no record that says it was allowed.
func (p *target) try(attempts []attempt) {
	for _, a := range attempts {
		p.t.Run(a.name, func(t *testing.T) {
			before := p.audits()
			if code := a.do(); code != a.code {
				t.Errorf("answered with %d, wanted %d", code, a.code)
			}
			wanted := 1
			if a.rule == "" {
				wanted = 0
			}
			var added []map[string]any
			p.await("an audit record of "+a.name, func() bool {
				added = p.audited(before)
				return len(added) >= wanted
			})
			if len(added) != wanted {
				t.Errorf("audit records: %v, wanted %d", added, wanted)
			}
			for _, r := range added {
				if r["rule"] != a.rule || r["allowed"] != false || r["event"] != "audit" || r["level"] != "WARN" || r["reason"] == "" {
					t.Errorf("audit record %v, wanted a refusal by rule %q", r, a.rule)
				}
			}
		})
	}
}

// audits counts the refusals in the audit log.
func (p *target) audits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.audited(0))
}

// audited are the refusals after the first n; mu is held.
func (p *target) audited(n int) []map[string]any {
	var out []map[string]any
	for _, r := range p.records {
		if r["msg"] == "audit" && r["allowed"] == false {
			out = append(out, r)
		}
	}
	return out[min(n, len(out)):]
}

func TestTheRelayIsNotAbused(t *testing.T) {
	p := startServer(t, "--listen=127.0.0.1,::1", "--relay-peers-deny=203.0.113.0/24",
		"--relay-quota-allocations-per-user=4", "--relay-quota-permissions=3", "--relay-quota-channels=2")
	user, password := p.credential("alice")
	v4, v6 := p.alice("udp"), p.alice("udp")
	v4.mustAllocate()
	v6.mustAllocate(familyIPv6)

	var attempts []attempt
	for _, c := range []struct{ peer, rule string }{
		{"127.0.0.2", "loopback"}, {"127.255.255.254", "loopback"},
		{"0.0.0.0", "this-network"}, {"0.1.2.3", "this-network"},
		{"10.0.0.1", "private"}, {"172.16.0.1", "private"}, {"172.31.255.255", "private"}, {"192.168.1.1", "private"},
		{"100.64.0.1", "shared-address"}, {"169.254.169.254", "link-local"}, {"168.63.129.16", "platform"},
		{"192.0.0.8", "protocol-assignments"}, {"224.0.0.1", "multicast"}, {"239.255.255.250", "multicast"},
		{"255.255.255.255", "broadcast"}, {"240.0.0.1", "reserved"}, {"203.0.113.77", "deny 203.0.113.0/24"},
		{"::", "unspecified"}, {"fe80::1", "link-local"}, {"fd00::1", "unique-local"},
		{"fec0::1", "site-local"}, {"ff02::1", "multicast"}, {"100::1", "discard"},
		{"::127.0.0.2", "loopback (ipv4-compatible)"}, {"2002:7f00:2::1", "loopback (6to4)"}, {"2002:a00:1::1", "private (6to4)"},
		{"64:ff9b::a9fe:a9fe", "link-local (nat64)"}, {"64:ff9b::cb00:714d", "deny 203.0.113.0/24 (nat64)"},
		{"2001:0:a00:1::", "private (teredo)"}, {"::ffff:0:a00:1", "private (ipv4-translated)"},
		{"2001:db8::5efe:a00:1", "private (isatap)"}, {"64:ff9b:1::1", "nat64"},
	} {
		at := netip.AddrPortFrom(netip.MustParseAddr(c.peer), 9)
		s := v4
		if at.Addr().Is6() {
			s = v6
		}
		attempts = append(attempts, attempt{"permission for " + c.peer,
			func() int { return int(codeOf(s.permission(at))) }, 403, c.rule})
	}
	public := func(n int) netip.AddrPort { return netip.MustParseAddrPort(fmt.Sprintf("198.51.100.%d:9", n)) }
	change := func(do func(s *session)) func() int {
		return func() int {
			s := p.session("udp", user, password)
			do(s)
			return int(codeOf(s.allocate()))
		}
	}
	mallory, malloryPassword := p.credential("mallory")
	expired, expiredPassword := turn.Credential([]byte(p.secret()), "alice", "", time.Now().Add(-time.Minute))
	attempts = append(attempts,
		attempt{"an IPv4-mapped peer of an IPv6 allocation",
			func() int {
				return int(codeOf(v6.permission(netip.MustParseAddrPort("[::ffff:10.0.0.1]:9"))))
			}, 443, "peer-address-family"},
		attempt{"channel to a private peer", func() int { return int(codeOf(v4.channel(0x4000, netip.MustParseAddrPort("10.0.0.1:9")))) }, 403, "private"},
		attempt{"channel to the relay's own port", func() int { return int(codeOf(v4.channel(0x4000, p.at["udp"]))) }, 403, "own-address"},
		attempt{"channel to another service on the relay's address", func() int { return int(codeOf(v4.channel(0x4000, p.at["admin"]))) }, 403, "own-address"},
		attempt{"no credential", func() int {
			s := p.session("udp", user, password)
			return int(codeOf(s.send(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transportUDP))))
		}, 401, ""},
		attempt{"expired credential", change(func(s *session) { s.user, s.password = expired, expiredPassword }), 401, "expired"},
		attempt{"guessed password", change(func(s *session) { s.password = "guess" }), 401, "signature"},
		attempt{"forged expiry", change(func(s *session) { s.user = "9999999999:alice" }), 401, "signature"},
		attempt{"another user's name", change(func(s *session) { s.user = strings.Replace(user, "alice", "bob", 1) }), 401, "signature"},
		attempt{"plain user name", change(func(s *session) { s.user = "alice" }), 401, "username"},
		attempt{"another realm", change(func(s *session) { s.realm = "elsewhere" }), 401, "realm"},
		attempt{"another client's nonce", change(func(s *session) { s.nonce = v4.nonce }), 438, "nonce-foreign"},
		attempt{"forged nonce", change(func(s *session) { s.nonce = stun.NewNonce("forged") }), 438, "nonce-foreign"},
		attempt{"another user's allocation", func() int {
			thief := *v4
			thief.user, thief.password = mallory, malloryPassword
			return int(codeOf(thief.request(stun.MethodRefresh)))
		}, 441, "owner"},
		attempt{"TCP allocation", func() int {
			return int(codeOf(p.session("udp", user, password).request(stun.MethodAllocate, transportTCP)))
		}, 442, "relayed-transport"},
		attempt{"fourth permission of three", func() int {
			for n := range 3 {
				v4.permission(public(n + 1))
			}
			return int(codeOf(v4.permission(public(9))))
		}, 508, "permissions-per-allocation"},
		attempt{"third channel of two", func() int {
			v4.channel(0x4001, public(1))
			v4.channel(0x4002, public(2))
			return int(codeOf(v4.channel(0x4003, public(3))))
		}, 508, "channels-per-allocation"},
		attempt{"fifth allocation of four", func() int {
			for range 2 {
				p.session("udp", user, password).mustAllocate()
			}
			return int(codeOf(p.session("udp", user, password).allocate()))
		}, 486, "allocations-per-user"},
		attempt{"fifth allocation, sent twice", func() int {
			s := p.session("udp", user, password)
			m := s.build(stun.MethodAllocate, transportUDP)
			return int(codeOf(s.send(m)))
		}, 486, "allocations-per-user"},
	)
	p.try(attempts)
	if n := len(attempts); n < 40 {
		t.Errorf("%d attempts, wanted 40 and more", n)
	}
}

func TestTheAdminEndpointAnswersNoPageOfAnotherHost(t *testing.T) {
	p := startServer(t)
	for host, wanted := range map[string]int{"localhost:9478": 200, "127.0.0.1": 200, "[::1]:1": 200, "evil.example": 403} {
		req, err := http.NewRequest(http.MethodGet, "http://"+p.at["admin"].String()+"/metrics", nil)
		ok(t, err)
		req.Host, req.Close = host, true
		re, err := http.DefaultClient.Do(req)
		ok(t, err)
		re.Body.Close()
		if re.StatusCode != wanted {
			t.Errorf("host %s: %d, wanted %d", host, re.StatusCode, wanted)
		}
	}
	for path, wanted := range map[string]int{"/readyz": 200, "/healthz": 200, "/debug/pprof/": 404, "/": 404} {
		if status, _ := p.get(path); status != wanted {
			t.Errorf("%s: %d, wanted %d", path, status, wanted)
		}
	}
	with := startServer(t, "--admin-pprof=true")
	if status, _ := with.get("/debug/pprof/"); status != 200 {
		t.Errorf("pprof when asked for: %d", status)
	}
}
