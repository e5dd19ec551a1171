package server_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling"
)

// client signs one of the first two users in.
func (p *target) client(user string) *signaling.Client {
	p.t.Helper()
	c, err := signaling.NewClient(signaling.ClientConfig{BaseURL: p.url(), Token: p.source(user, p.password(user)).Token, RootCAs: p.roots()})
	ok(p.t, err)
	p.t.Cleanup(func() { ok(p.t, c.Close()) })
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	ok(p.t, c.SignIn(ctx))
	ok(p.t, c.Connect(ctx))
	return c
}

const offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
	"a=fingerprint:sha-256 AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n" +
	"a=setup:actpass\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n" +
	"a=candidate:1 1 udp 2130706431 10.9.8.7 5000 typ host\r\n"

// From the sign-in to an allocation; and a peer that is denied is told with its rule
// and with whose candidate it is.
func TestADeniedPeerNamesItsRuleAndItsCandidate(t *testing.T) {
	p := startServer(t, "--public=localhost")
	alice, bob := p.client("alice"), p.client("bob")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	call, err := alice.Invite(ctx, "bob", signaling.Description{Type: signaling.Offer, SDP: offer})
	ok(t, err)
	servers, err := bob.ICEServers(ctx, call)
	ok(t, err)
	var urls []string
	var user, password string
	for _, s := range servers {
		urls = append(urls, s.URLs...)
		if s.Username != "" {
			user, password = s.Username, s.Credential
		}
	}
	port := func(transport string) string {
		_, port, _ := strings.Cut(p.at[transport].String(), ":")
		return port
	}
	if wanted := []string{"stun:localhost:" + port("udp"), "turn:localhost:" + port("udp") + "?transport=udp",
		"turn:localhost:" + port("tcp") + "?transport=tcp", "turns:localhost:" + port("tls") + "?transport=tcp"}; !slices.Equal(urls, wanted) {
		t.Errorf("ICE servers %v, wanted %v", urls, wanted)
	}
	s := p.session("tls", user, password)
	s.mustAllocate()
	if code := codeOf(s.permission(netip.MustParseAddrPort("10.9.8.7:5000"))); code != 403 {
		t.Errorf("the caller's private address: %d, wanted 403", code)
	}
	p.await("the audit record", func() bool {
		return slices.ContainsFunc(p.audited(0), func(r map[string]any) bool {
			return r["rule"] == "private" && r["peer"] == "10.9.8.7" && r["origin"] == "host candidate of alice" &&
				r["user"] == "bob" && r["call"] == call && r["reason"] != ""
		})
	})
	if n := p.metric("callpath_signaling_calls"); n != "1" {
		t.Errorf("live calls: %s", n)
	}
	if n := p.metric("callpath_signaling_websockets"); n != "2" {
		t.Errorf("open WebSockets: %s", n)
	}
	if n := p.metric(`callpath_relay_refusals_total{kind="permission-denied",rule="private"}`); n != "1" {
		t.Errorf("refusals by the rule: %s", n)
	}
}

func TestServeOverIPv6(t *testing.T) {
	p := startServer(t, "--listen=127.0.0.1,::1", "--relay-udp=0")
	user, password := p.credential("alice")
	s := p.session("udp", user, password)
	if at := s.mustAllocate(familyIPv6); !at.Addr().Is6() {
		t.Errorf("an IPv6 allocation over IPv4 is on %v", at)
	}
	other := p.session("udp", user, password)
	if at := other.mustAllocate(attribute{familyIPv6.kind, []byte{1, 0, 0, 0}}); !at.Addr().Is4() {
		t.Errorf("an IPv4 allocation is on %v", at)
	}
	p.mu.Lock()
	said := strings.Join(p.said, "\n")
	p.mu.Unlock()
	for _, line := range []string{"turn udp", "turn tcp", "turn tls", "turn dtls", "signaling"} {
		_, rest, _ := strings.Cut(said, line)
		first, _, _ := strings.Cut(rest, "\n")
		if !strings.Contains(first, "127.0.0.1:") || !strings.Contains(first, "[::1]:") {
			t.Errorf("%s listens on%s, wanted both families", line, first)
		}
	}
}
