package server_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pires/go-proxyproto"
)

// header is what a load balancer sends before the client's bytes.
func header(version byte, from string) *proxyproto.Header {
	return proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from)),
		net.TCPAddrFromAddrPort(netip.MustParseAddrPort("203.0.113.1:3478")))
}

// mapped asks over a connection where it comes from; "" when that ends without an answer.
func mapped(t *testing.T, conn net.Conn) string {
	t.Helper()
	if _, err := conn.Write(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw); err != nil {
		return ""
	}
	ok(t, conn.SetReadDeadline(time.Now().Add(patience)))
	m, err := (&session{conn: conn}).read()
	if err != nil || m == nil {
		return ""
	}
	var at stun.XORMappedAddress
	ok(t, at.GetFrom(m))
	return at.String()
}

func TestATrustedProxyTellsTheClientsAddress(t *testing.T) {
	p := startServer(t, "--proxies=127.0.0.0/8", "--relay-limits-connections-per-source=1")
	const client = "198.51.100.20:1234"
	plain := p.dial("tcp")
	_, err := header(2, client).WriteTo(plain)
	ok(t, err)
	if got := mapped(t, plain); got != client {
		t.Errorf("over TCP the client is %q, wanted %s", got, client)
	}
	// Another client behind the same proxy is another source.
	conn, err := net.Dial("tcp4", p.at["tls"].String())
	ok(t, err)
	defer conn.Close()
	_, err = header(2, "[2001:db8::7]:99").WriteTo(conn)
	ok(t, err)
	secure := tls.Client(conn, &tls.Config{RootCAs: p.roots(), ServerName: "localhost"})
	if got := mapped(t, secure); got != "[2001:db8::7]:99" {
		t.Errorf("over TLS the client is %q", got)
	}
	for _, c := range []struct {
		name string
		send func(io.Writer)
	}{
		{"no header", func(io.Writer) {}},
		{"version 1", func(w io.Writer) { _, _ = header(1, client).WriteTo(w) }},
		{"garbage in the header", func(w io.Writer) {
			_, _ = w.Write([]byte("\r\n\r\n\x00\r\nQUIT\n\xff\xff\xff\xff"))
		}},
		{"the same client once more", func(w io.Writer) { _, _ = header(2, client).WriteTo(w) }},
	} {
		conn := p.dial("tcp")
		c.send(conn)
		if got := mapped(t, conn); got != "" {
			t.Errorf("%s: answered as %s, wanted an end", c.name, got)
		}
	}
}

func TestNobodyElseTellsTheClientsAddress(t *testing.T) {
	p := startServer(t, "--proxies=192.0.2.1", "--relay-limits-idle=1s")
	conn := p.dial("tcp")
	if got, wanted := mapped(t, conn), conn.LocalAddr().String(); got != wanted {
		t.Errorf("without a header the client is %s, wanted %s", got, wanted)
	}
	conn = p.dial("tcp")
	_, err := header(2, "198.51.100.20:1234").WriteTo(conn)
	ok(t, err)
	if got := mapped(t, conn); got != "" && got != conn.LocalAddr().String() {
		t.Errorf("a client that is no trusted proxy is taken for %s", got)
	}
}
