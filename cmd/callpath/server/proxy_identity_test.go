package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// signInFrom signs carol in through a load balancer that says where she is.
func (p *target) signInFrom(client string) int {
	p.t.Helper()
	conn, err := net.Dial("tcp4", p.at["https"].String())
	ok(p.t, err)
	defer conn.Close()
	_, err = header(2, client).WriteTo(conn)
	ok(p.t, err)
	ok(p.t, conn.SetDeadline(time.Now().Add(patience)))
	secure := tls.Client(conn, &tls.Config{RootCAs: p.roots(), ServerName: "localhost"})
	body := fmt.Sprintf(`{"client_id":"cli","user":"carol","password":%q}`, carolsPassword)
	req, err := http.NewRequest(http.MethodPost, "https://localhost/identity/sign-in", strings.NewReader(body))
	ok(p.t, err)
	req.Header.Set("Content-Type", kindJSON)
	ok(p.t, req.Write(secure))
	re, err := http.ReadResponse(bufio.NewReader(secure), req)
	ok(p.t, err)
	defer re.Body.Close()
	return re.StatusCode
}

// Conditional access sees the client's address, not the load balancer's.
func TestConditionalAccessIsByTheClientsAddress(t *testing.T) {
	file, rewrite := house(t)
	rewrite(cheap(t, carolsPassword), false, `[{name: Office only, except-networks: [198.51.100.0/24, "2001:db8::7"], then: block}]`)
	p := startServer(t, "--config="+file, "--proxies=127.0.0.0/8")
	for client, wanted := range map[string]int{
		"198.51.100.20:1234": 200, "[2001:db8::7]:99": 200, "203.0.113.9:1234": 403, "[2001:db8::8]:99": 403, "127.0.0.1:99": 403,
	} {
		if status := p.signInFrom(client); status != wanted {
			t.Errorf("carol from %s: %d, wanted %d", client, status, wanted)
		}
	}
	p.await("the audit with the client's address", func() bool {
		return slices.ContainsFunc(p.audited(0), func(r map[string]any) bool {
			return r["client"] == "203.0.113.9:1234" && r["rule"] == "Office only" && r["user"] == "carol"
		})
	})
}

// Bodies that do not end are refused, and told of, once each.
func TestSlowBodiesAreRefused(t *testing.T) {
	if os.Getenv("CI") == "" {
		t.Skip("takes half a minute: how long a request may take")
	}
	p := startServer(t)
	token := p.token("alice", p.password("alice"))
	var attempts []attempt
	for path, rest := range map[string]string{
		"/v1/calls":         "Content-Type: application/json\r\nAuthorization: Bearer " + token,
		"/oauth2/token":     "Content-Type: " + kindForm,
		"/identity/sign-in": "Content-Type: " + kindJSON,
	} {
		// All of them wait at the same time.
		conn, err := tls.Dial("tcp4", p.at["https"].String(), &tls.Config{RootCAs: p.roots(), ServerName: "localhost"})
		ok(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n%s\r\n\r\n{", path, rest)
		ok(t, err)
		attempts = append(attempts, attempt{path, func() int {
			ok(t, conn.SetReadDeadline(time.Now().Add(3*patience)))
			re, err := http.ReadResponse(bufio.NewReader(conn), nil)
			ok(t, err)
			defer re.Body.Close()
			return re.StatusCode
		}, 408, "slow-body"})
	}
	for _, a := range attempts {
		if code := a.do(); code != a.code {
			t.Errorf("%s: %d, wanted %d", a.name, code, a.code)
		}
	}
	p.await("a record for each", func() bool { return len(p.audited(0)) >= len(attempts) })
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.audited(0) {
		if r["rule"] != "slow-body" {
			t.Errorf("audit record %v, wanted rule slow-body", r)
		}
	}
	if n := len(p.audited(0)); n != len(attempts) {
		t.Errorf("%d audit records of refusals, wanted %d", n, len(attempts))
	}
}
