package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/signaling"
)

// dialTimeout bounds the connection to a relay with its TLS handshake.
const dialTimeout = 5 * time.Second

// Dialer opens TCP connections to the relay, with TLS to those servers whose URL
// is turns:. ICE agents take it as a proxy dialer: then they leave TLS to it. The
// plaintext of TLS is shown to the recorder, which cannot read it from packets.
type Dialer struct {
	machine  Machine
	roots    *x509.CertPool
	recorder *negotiation.Recorder
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc

	mu     sync.Mutex
	secure map[string]bool // by "host:port"
}

// NewDialer returns a dialer for the servers of cfg. Close ends what it dials.
func NewDialer(cfg Config) *Dialer {
	ctx, cancel := context.WithCancel(context.Background())
	d := &Dialer{machine: cfg.Machine, roots: cfg.RootCAs, recorder: cfg.Recorder, log: cfg.Log, ctx: ctx, cancel: cancel}
	d.Servers(cfg.Servers)
	return d
}

// Servers replaces the servers.
func (d *Dialer) Servers(servers []signaling.ICEServer) {
	secure := map[string]bool{}
	for _, s := range servers {
		for _, text := range s.URLs {
			if u, err := stun.ParseURI(text); err == nil && u.Scheme == stun.SchemeTypeTURNS {
				secure[net.JoinHostPort(u.Host, fmt.Sprint(u.Port))] = true
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.secure = secure
}

// Dial connects to addr, which is "host:port" as in the server's URL.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
	defer cancel()
	return d.DialContext(ctx, network, addr)
}

// DialContext is Dial with a bound of the caller's.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.machine.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("relay %s over %s: %w", addr, network, err)
	}
	d.mu.Lock()
	secure := d.secure[addr]
	d.mu.Unlock()
	if !secure {
		return conn, nil
	}
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, closed(conn, fmt.Errorf("relay %q: %w", addr, err))
	}
	client := tls.Client(conn, &tls.Config{
		ServerName: strings.TrimSuffix(name, "."),
		RootCAs:    d.roots,
		MinVersion: tls.VersionTLS12,
	})
	if err := client.HandshakeContext(ctx); err != nil {
		d.recorder.Failure("turn", fmt.Sprintf("TLS to the relay %s: %s", addr, err))
		return nil, closed(conn, fmt.Errorf("TLS to the relay %s: %w", addr, err))
	}
	local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	remote, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	return &shown{Conn: client, recorder: d.recorder, local: local, remote: remote}, nil
}

// Close ends attempts that are under way; connections are their users'.
func (d *Dialer) Close() { d.cancel() }

func closed(conn net.Conn, err error) error {
	_ = conn.Close()
	return err
}

// shown shows the recorder what goes through a TLS connection.
type shown struct {
	net.Conn
	recorder      *negotiation.Recorder
	local, remote netip.AddrPort
}

func (c *shown) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.recorder.Stream(time.Now(), false, c.local, c.remote, "tls", p[:n])
	}
	return n, err
}

func (c *shown) Write(p []byte) (int, error) {
	c.recorder.Stream(time.Now(), true, c.local, c.remote, "tls", p)
	return c.Conn.Write(p)
}
