// Package olderturn allocates on the transport relay with pion/turn/v3, an older
// TURN client: its allocation becomes the one candidate of an endpoint.
//
// ICE agents make allocations with the client that they are built on. So the
// relayed socket of the older client is given to the agent as a multiplexed local
// socket, which makes a host candidate of it, and Allocation.Relabel says in every
// candidate that leaves the endpoint what it is: a relay candidate. An agent that
// has it needs no servers, and has no other candidates.
//
// Start reading at Allocate.
package olderturn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v3"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/topology/sim/host"
	"github.com/callpath/callpath/topology/sim/host/transportv3"
)

// attempt bounds the allocation on one server over one transport.
const attempt = 3 * time.Second

// Allocation is an allocation and the agent's socket on it.
type Allocation struct {
	// Mux is for the ICE agent.
	Mux ice.UDPMux
	// Protocol is how the relay is reached: udp, tcp or tls.
	Protocol string

	relayed netip.AddrPort
	local   netip.AddrPort
	conn    net.PacketConn
	client  *turn.Client
	relay   net.PacketConn
	reading sync.WaitGroup
}

// Allocate makes an allocation on the first server, in order, that grants one. Its
// error has the refusals of all.
func Allocate(ctx context.Context, cfg endpoint.Config, dialer *endpoint.Dialer) (*Allocation, error) {
	machine, ok := cfg.Machine.(*host.Host)
	if !ok {
		return nil, errors.New("turn/v3 runs on simulated hosts only")
	}
	failures := []error{errors.New("no TURN server gave an allocation")}
	for _, server := range cfg.Servers {
		for _, text := range server.URLs {
			u, err := stun.ParseURI(text)
			if err != nil || u.Scheme != stun.SchemeTypeTURN && u.Scheme != stun.SchemeTypeTURNS {
				continue
			}
			u.Username, u.Password = server.Username, server.Credential
			a := &Allocation{}
			err = a.allocate(ctx, cfg, dialer, machine, *u)
			if err == nil {
				return a, nil
			}
			failures = append(failures, fmt.Errorf("%s: %w", text, err))
			if err := a.Close(); err != nil {
				failures = append(failures, err)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	return nil, errors.Join(failures...)
}

func (a *Allocation) allocate(ctx context.Context, cfg endpoint.Config, dialer *endpoint.Dialer, machine *host.Host, u stun.URI) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	server, err := a.reach(ctx, dialer, machine, u)
	if err != nil {
		return err
	}
	a.local, _ = netip.ParseAddrPort(a.conn.LocalAddr().String())
	loggers := endpoint.NewLoggers(cfg.Log, nil)
	a.client, err = turn.NewClient(&turn.ClientConfig{
		Conn:           a.conn,
		STUNServerAddr: server,
		TURNServerAddr: server,
		Username:       u.Username,
		Password:       u.Password,
		Net:            transportv3.New(machine),
		LoggerFactory:  loggers,
	})
	if err != nil {
		return err
	}
	a.reading.Go(a.read)
	// The client knows no context: closing it ends the wait.
	stop := context.AfterFunc(ctx, a.client.Close)
	defer stop()
	if a.relay, err = a.client.Allocate(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	if a.relayed, err = netip.ParseAddrPort(a.relay.LocalAddr().String()); err != nil {
		return fmt.Errorf("relayed address: %w", err)
	}
	a.Mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{Logger: loggers.NewLogger("ice"), UDPConn: a.relay, Net: machine.Net()})
	return nil
}

// read gives what the relay sends to the client, until the socket is closed.
func (a *Allocation) read() {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := a.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		// What the client does not understand is none of its business, and none
		// of ours.
		_, _ = a.client.HandleInbound(buffer[:n], from)
	}
}

// reach opens the way to a server and returns the server's address.
func (a *Allocation) reach(ctx context.Context, dialer *endpoint.Dialer, machine *host.Host, u stun.URI) (string, error) {
	if u.Proto == stun.ProtoTypeUDP && u.Scheme == stun.SchemeTypeTURN {
		a.Protocol = "udp"
		addresses, err := machine.LookupNetIP(ctx, "ip4", u.Host)
		if err != nil {
			return "", err
		}
		if len(addresses) == 0 {
			return "", fmt.Errorf("%s has no IPv4 address, which turn/v3 needs", u.Host)
		}
		if a.conn, err = machine.ListenPacket(ctx, "udp4", "0.0.0.0:0"); err != nil {
			return "", err
		}
		return netip.AddrPortFrom(addresses[0], uint16(u.Port)).String(), nil
	}
	a.Protocol = "tcp"
	if u.Scheme == stun.SchemeTypeTURNS {
		a.Protocol = "tls"
	}
	conn, err := dialer.DialContext(ctx, "tcp4", net.JoinHostPort(u.Host, fmt.Sprint(u.Port)))
	if err != nil {
		return "", err
	}
	a.conn = turn.NewSTUNConn(conn)
	return conn.RemoteAddr().String(), nil
}

// Relabel rewrites the allocation's candidates in a candidate line or a
// description: the agent takes them for host candidates (RFC 8839, section 5.1).
func (a *Allocation) Relabel(text string) string {
	if a == nil {
		return text
	}
	host := fmt.Sprintf(" %s %d typ host", a.relayed.Addr(), a.relayed.Port())
	relay := fmt.Sprintf(" %s %d typ relay raddr %s rport %d",
		a.relayed.Addr(), a.relayed.Port(), a.local.Addr(), a.local.Port())
	return strings.ReplaceAll(text, host, relay)
}

// Candidate corrects the agent's view of a local candidate in the same way.
func (a *Allocation) Candidate(c negotiation.Candidate) negotiation.Candidate {
	if a != nil && c.Address == a.relayed {
		c.Type, c.Related, c.RelayProtocol = "relay", a.local, a.Protocol
	}
	return c
}

// Close deletes the allocation.
func (a *Allocation) Close() error {
	if a == nil {
		return nil
	}
	var errs []error
	if a.Mux != nil {
		errs = append(errs, a.Mux.Close())
	} else if a.relay != nil {
		errs = append(errs, a.relay.Close())
	}
	if a.client != nil {
		a.client.Close()
	}
	if a.conn != nil {
		if err := a.conn.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	a.reading.Wait()
	return errors.Join(errs...)
}
