package full

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/signaling"
)

// loopback keeps the addresses of loopback.
func loopback(ip net.IP) bool { return ip.IsLoopback() }

// dialTimeout bounds the connection to a relay with its TLS handshake.
const dialTimeout = 10 * time.Second

// dialer opens TCP connections to the relay, with TLS to those whose URL is turns:. To an
// ICE agent it is a proxy's dialer: the agent leaves TLS to it, and so takes an authority
// that is not the machine's.
type dialer struct {
	roots  *x509.CertPool // nil: the machine's
	secure map[string]bool
	ctx    context.Context
	cancel context.CancelFunc
}

func newDialer(servers []signaling.ICEServer, roots *x509.CertPool) *dialer {
	d := &dialer{roots: roots, secure: make(map[string]bool)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for _, s := range servers {
		for _, text := range s.URLs {
			if u, err := stun.ParseURI(text); err == nil && u.Scheme == stun.SchemeTypeTURNS {
				d.secure[net.JoinHostPort(u.Host, fmt.Sprint(u.Port))] = true
			}
		}
	}
	return d
}

// Dial implements proxy.Dialer.
func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
	defer cancel()
	if !d.secure[addr] {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	over := tls.Dialer{Config: &tls.Config{RootCAs: d.roots, MinVersion: tls.VersionTLS12}}
	return over.DialContext(ctx, network, addr)
}

// pick returns the servers as webrtc has them: the relay by one transport.
func pick(servers []signaling.ICEServer, transport string) (picked []webrtc.ICEServer, err error) {
	for _, s := range servers {
		for _, text := range s.URLs {
			u, err := stun.ParseURI(text)
			if err != nil {
				return nil, fmt.Errorf("full: ICE server %q: %w", text, err)
			}
			name := u.Proto.String()
			if u.Scheme == stun.SchemeTypeTURNS {
				name = "tls"
			}
			if (u.Scheme == stun.SchemeTypeTURN || u.Scheme == stun.SchemeTypeTURNS) && name == transport {
				picked = append(picked, webrtc.ICEServer{URLs: []string{text}, Username: s.Username, Credential: s.Credential})
				return picked, nil
			}
		}
	}
	return nil, fmt.Errorf("full: the server names no transport relay over %s", transport)
}
