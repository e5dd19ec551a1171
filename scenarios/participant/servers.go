package participant

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/signaling"
)

const (
	// probeWait is how long the relay's UDP ports have to answer before TCP and
	// TLS are tried, and probeRetry when a probe is sent again.
	probeWait  = 800 * time.Millisecond
	probeRetry = 100 * time.Millisecond
)

// servers gets the ICE servers for a call and reduces them to those that the
// participant uses, of the transports in its specification: UDP before TCP and TLS,
// as "Call networking internals" has it, and of several UDP ports of one relay the
// first that answers. One allocation is enough where UDP works; it leaves no choice
// between equal candidates to chance, and fewer pairs to check.
func (p *Participant) servers(ctx context.Context, call string) ([]signaling.ICEServer, error) {
	list, err := p.client.ICEServers(ctx, call)
	if err != nil {
		return nil, fmt.Errorf("ICE servers of %s: %w", p.cfg.User, err)
	}
	return p.reduce(ctx, list)
}

// reduce is servers for a list that the controller has given.
func (p *Participant) reduce(ctx context.Context, list []signaling.ICEServer) ([]signaling.ICEServer, error) {
	out := make([]signaling.ICEServer, 0, len(list))
	overUDP := false
	for _, s := range list {
		var urls, streams []string
		var ports []stun.URI
		for _, text := range s.URLs {
			u, err := stun.ParseURI(text)
			if err != nil {
				return nil, fmt.Errorf("ICE server %q: %w", text, err)
			}
			switch transport := transportOf(*u); {
			case u.Scheme == stun.SchemeTypeSTUN || u.Scheme == stun.SchemeTypeSTUNS:
				urls = append(urls, text)
			case !p.uses(transport):
			case transport == "udp":
				ports = append(ports, *u)
			default:
				streams = append(streams, text)
			}
		}
		if overUDP {
			continue // the first relay that answers is enough too
		}
		if first, ok := p.answering(ctx, ports); ok {
			overUDP = true
			urls = append([]string{first}, urls...)
		} else {
			urls = append(urls, streams...)
		}
		if p.cfg.Spec.Credential == "forged" && s.Credential != "" {
			s.Credential = "forged-" + strconv.Itoa(len(s.Credential))
		}
		s.URLs = urls
		out = append(out, s)
	}
	if overUDP {
		// A TURN server over UDP tells the reflexive address too (RFC 8656,
		// section 7.3).
		for i := range out {
			out[i].URLs = slices.DeleteFunc(out[i].URLs, func(text string) bool {
				u, err := stun.ParseURI(text)
				return err == nil && u.Scheme == stun.SchemeTypeSTUN
			})
		}
	}
	return slices.DeleteFunc(out, func(s signaling.ICEServer) bool { return len(s.URLs) == 0 }), nil
}

// uses is true for a transport towards the relay that may be tried.
func (p *Participant) uses(transport string) bool {
	return len(p.cfg.Spec.Transports) == 0 || slices.Contains(p.cfg.Spec.Transports, transport)
}

// transportOf is how a server is reached: udp, tcp, tls or dtls.
func transportOf(u stun.URI) string {
	secure := u.Scheme == stun.SchemeTypeTURNS || u.Scheme == stun.SchemeTypeSTUNS
	switch {
	case secure && u.Proto == stun.ProtoTypeUDP:
		return "dtls"
	case secure:
		return "tls"
	case u.Proto == stun.ProtoTypeTCP:
		return "tcp"
	}
	return "udp"
}

// relayName is the host name of the first TURN server; empty for none.
func relayName(servers []signaling.ICEServer) string {
	for _, s := range servers {
		for _, text := range s.URLs {
			u, err := stun.ParseURI(text)
			if err == nil && (u.Scheme == stun.SchemeTypeTURN || u.Scheme == stun.SchemeTypeTURNS) {
				return u.Host
			}
		}
	}
	return ""
}

// answering is the first of a relay's UDP URLs whose port answers a STUN request.
func (p *Participant) answering(ctx context.Context, ports []stun.URI) (url string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	answers := make([]chan bool, len(ports))
	var probes sync.WaitGroup
	defer probes.Wait()
	defer cancel()
	for i, u := range ports {
		answers[i] = make(chan bool, 1)
		probes.Go(func() { answers[i] <- p.probe(ctx, u) })
	}
	for i := range ports {
		if <-answers[i] {
			return ports[i].String(), true
		}
	}
	return "", false
}

// probe is true when a server answers a Binding request in time.
func (p *Participant) probe(ctx context.Context, u stun.URI) bool {
	addresses, err := p.machine.LookupNetIP(ctx, "ip", u.Host)
	if err != nil || len(addresses) == 0 {
		return false
	}
	network, any := "udp4", "0.0.0.0:0"
	if addresses[0].Is6() && !addresses[0].Is4In6() {
		network, any = "udp6", "[::]:0"
	}
	conn, err := p.machine.ListenPacket(ctx, network, any)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	unblock := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer unblock()
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return false
	}
	server := net.UDPAddrFromAddrPort(netip.AddrPortFrom(addresses[0].Unmap(), uint16(u.Port)))
	buffer := make([]byte, 1500)
	for ctx.Err() == nil {
		if _, err := conn.WriteTo(request.Raw, server); err != nil {
			return false
		}
		_ = conn.SetReadDeadline(time.Now().Add(probeRetry))
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			continue // late or refused; ctx bounds the attempts
		}
		answer := &stun.Message{Raw: buffer[:n]}
		if answer.Decode() == nil && answer.TransactionID == request.TransactionID {
			return true
		}
	}
	return false
}
