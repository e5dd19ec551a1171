package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
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

func TestSignalingIsNotAbused(t *testing.T) {
	p := startServer(t, "--signaling-origins=app.example.org")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: p.roots()}}}
	base := "https://" + p.at["https"].String()
	ask := func(method, path, body string, header ...string) func() int {
		return func() int {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
			ok(t, err)
			req.URL.Opaque = path // as it is, whatever it is
			for i := 0; i < len(header); i += 2 {
				req.Header.Set(header[i], header[i+1])
			}
			re, err := client.Do(req)
			ok(t, err)
			defer re.Body.Close()
			if leak := re.Header.Get("Server"); leak != "" {
				t.Errorf("the answer names the server: %s", leak)
			}
			return re.StatusCode
		}
	}
	data, err := os.ReadFile(filepath.Join(p.state, "users", "alice.secret"))
	ok(t, err)
	token := p.signIn(client, "alice", strings.TrimSpace(string(data)))
	const kind = "application/json"
	p.try([]attempt{
		{"wrong secret", ask("POST", "/v1/sign-in", `{"user":"alice","secret":"wrong secret"}`, "Content-Type", kind), 401, "secret"},
		{"unknown user", ask("POST", "/v1/sign-in", `{"user":"root","secret":"wrong secret"}`, "Content-Type", kind), 401, "secret"},
		{"no token", ask("POST", "/v1/ice-servers", ""), 401, "token"},
		{"forged token", ask("POST", "/v1/ice-servers", "", "Authorization", "Bearer forged"), 401, "token"},
		{"basic authentication", ask("POST", "/v1/ice-servers", "", "Authorization", "Basic YWxpY2U6YWxpY2U="), 401, "token"},
		{"a token without algorithm", ask("POST", "/v1/ice-servers", "", "Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."), 401, "token"},
		{"another origin's page", ask("GET", "/v1/notifications", "", "Authorization", "Bearer "+token, "Origin", "https://evil.example",
			"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), 403, "origin"},
		{"oversized body", ask("POST", "/v1/sign-in", strings.Repeat("x", 1<<20), "Content-Type", kind), 413, "body-size"},
		{"not JSON", ask("POST", "/v1/sign-in", "user=alice", "Content-Type", "application/x-www-form-urlencoded"), 415, "media-type"},
		{"wrong method", ask("DELETE", "/v1/sign-in", ""), 405, "method"},
		{"path traversal", ask("GET", "/v1/../../etc/passwd", ""), 404, "path"},
		{"encoded path traversal", ask("GET", "/v1/%2e%2e/%2e%2e/etc/passwd", ""), 404, "path"},
		{"another kind of slash", ask("GET", `/v1/..%5c..%5cetc/passwd`, ""), 404, "path"},
		{"unknown path", ask("GET", "/.env", ""), 404, "path"},
	})
	t.Run("oversized header", func(t *testing.T) {
		if code := ask("GET", "/v1/calls", "", "X-Large", strings.Repeat("x", 1<<20))(); code != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered with %d, wanted 431", code)
		}
	})
	t.Run("too many wrong secrets", func(t *testing.T) {
		wrong := ask("POST", "/v1/sign-in", `{"user":"bob","secret":"wrong secret"}`, "Content-Type", kind)
		var codes []int
		for range 12 {
			codes = append(codes, wrong())
		}
		if !slices.Contains(codes, 401) || codes[11] != 429 {
			t.Errorf("answered with %v, wanted 401 and in the end 429", codes)
		}
	})
	t.Run("slow header", func(t *testing.T) {
		t.Parallel()
		conn, err := tls.Dial("tcp4", p.at["https"].String(), &tls.Config{RootCAs: p.roots(), ServerName: "localhost"})
		ok(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST /v1/sign-in HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		ok(t, err)
		ok(t, conn.SetReadDeadline(time.Now().Add(2*patience)))
		if re, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			re.Body.Close()
			if re.StatusCode != http.StatusRequestTimeout {
				t.Errorf("answered with %s", re.Status)
			}
		} else if !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
			t.Errorf("the connection is still open: %v", err)
		}
	})
}

// signIn returns a token.
func (p *target) signIn(client *http.Client, user, secret string) string {
	p.t.Helper()
	re, err := client.Post("https://"+p.at["https"].String()+"/v1/sign-in", "application/json",
		strings.NewReader(fmt.Sprintf(`{"user":%q,"secret":%q}`, user, secret)))
	ok(p.t, err)
	defer re.Body.Close()
	var in struct{ Token string }
	ok(p.t, json.NewDecoder(re.Body).Decode(&in))
	if in.Token == "" {
		p.t.Fatalf("sign-in of %s: %s", user, re.Status)
	}
	return in.Token
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
