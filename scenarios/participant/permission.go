package participant

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"

	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/signaling"
)

// askedPort is the port in a permission request; the relay looks at the address
// only (RFC 8656, section 9).
const askedPort = 9

// askPermission asks the relay for a permission towards the address that the
// scenario names, on an allocation of its own, beside the call. The answer shows
// in the packets; the recorder is told of a refusal too.
func (p *Participant) askPermission(s *session, servers []signaling.ICEServer) {
	if p.cfg.Spec.Peer == "" {
		return
	}
	s.transmission.beside(func(ctx context.Context) {
		if err := p.requestPermission(ctx, servers); err != nil {
			p.log.Info("participant.permission_refused",
				slog.String("peer", p.cfg.Spec.Peer), slog.String("error", err.Error()))
			p.cfg.Recorder.Failure("turn", err.Error())
		}
	})
}

func (p *Participant) requestPermission(ctx context.Context, servers []signaling.ICEServer) error {
	peer, err := netip.ParseAddr(p.cfg.Spec.Peer)
	if err != nil {
		return fmt.Errorf("ask-permission-for: %w", err)
	}
	conn, server, address, err := p.reachRelay(ctx, servers)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client, err := turn.NewClient(&turn.ClientConfig{
		Conn:           conn,
		STUNServerAddr: address,
		TURNServerAddr: address,
		Username:       server.Username,
		Password:       server.Credential,
		Net:            p.machine.Net(),
		LoggerFactory:  endpoint.NewLoggers(p.log, nil),
	})
	if err != nil {
		return fmt.Errorf("TURN client: %w", err)
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		return fmt.Errorf("TURN client: %w", err)
	}
	relayed, err := client.AllocateWithContext(ctx)
	if err != nil {
		return fmt.Errorf("allocation for a permission: %w", err)
	}
	defer func() { _ = relayed.Close() }()
	if err := client.CreatePermission(net.UDPAddrFromAddrPort(netip.AddrPortFrom(peer, askedPort))); err != nil {
		return fmt.Errorf("permission for %s: %w", peer, err)
	}
	return nil
}

// reachRelay opens a way to the first TURN server that there is one to.
func (p *Participant) reachRelay(ctx context.Context, servers []signaling.ICEServer) (net.PacketConn, signaling.ICEServer, string, error) {
	dialer := endpoint.NewDialer(endpoint.Config{
		Machine: p.machine, Servers: servers, RootCAs: p.cfg.RootCAs, Recorder: p.cfg.Recorder, Log: p.log,
	})
	defer dialer.Close()
	failure := fmt.Errorf("no TURN server among the ICE servers")
	for _, s := range servers {
		for _, text := range s.URLs {
			u, err := stun.ParseURI(text)
			if err != nil || u.Scheme != stun.SchemeTypeTURN && u.Scheme != stun.SchemeTypeTURNS {
				continue
			}
			address := net.JoinHostPort(u.Host, fmt.Sprint(u.Port))
			if transportOf(*u) != "udp" {
				conn, err := dialer.DialContext(ctx, "tcp", address)
				if err == nil {
					return turn.NewSTUNConn(conn), s, conn.RemoteAddr().String(), nil
				}
				failure = err
				continue
			}
			addresses, err := p.machine.LookupNetIP(ctx, "ip4", u.Host)
			if err != nil || len(addresses) == 0 {
				failure = fmt.Errorf("look up %s: %w", u.Host, err)
				continue
			}
			conn, err := p.machine.ListenPacket(ctx, "udp4", "0.0.0.0:0")
			if err == nil {
				return conn, s, netip.AddrPortFrom(addresses[0], uint16(u.Port)).String(), nil
			}
			failure = err
		}
	}
	return nil, signaling.ICEServer{}, "", failure
}
