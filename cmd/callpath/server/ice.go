package server

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/signaling"
)

// iceServers makes a credential for one user in one call, and says where the relay
// is, in the order in which a client prefers it: UDP before TCP before TLS. DTLS is
// left out, as browsers refuse the whole list for it.
func (s *Server) iceServers(user, call string) ([]signaling.ICEServer, error) {
	expires := time.Now().Add(time.Duration(s.cfg.Relay.CredentialLifetime))
	username, password := turn.Credential(s.current.Load().secrets[0], user, call, expires)
	server := signaling.ICEServer{Username: username, Credential: password, Expires: expires}
	var stun signaling.ICEServer
	add := func(scheme string, at netip.AddrPort, transport string) {
		server.URLs = append(server.URLs, fmt.Sprintf("%s:%s?transport=%s", scheme, s.reachedAt(at), transport))
	}
	for _, pc := range s.sockets.packets {
		at := addrPort(pc.LocalAddr())
		if stun.URLs == nil {
			stun.URLs = []string{"stun:" + s.reachedAt(at)}
		}
		add("turn", at, "udp")
	}
	for _, want := range []struct {
		transport turn.Transport
		scheme    string
	}{{turn.TCP, "turn"}, {turn.TLS, "turns"}} {
		for _, l := range s.sockets.streams {
			if l.Transport == want.transport {
				add(want.scheme, addrPort(l.Addr()), "tcp")
			}
		}
	}
	server.URLs = unique(server.URLs)
	switch {
	case len(server.URLs) == 0:
		return nil, nil
	case stun.URLs == nil:
		return []signaling.ICEServer{server}, nil
	}
	return []signaling.ICEServer{stun, server}, nil
}

// reachedAt is how clients write a listener's address.
func (s *Server) reachedAt(at netip.AddrPort) string {
	host := s.cfg.Public
	if host == "" {
		host = at.Addr().WithZone("").String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(at.Port())))
}

func unique(list []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func addrPort(a net.Addr) netip.AddrPort {
	at, _ := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
