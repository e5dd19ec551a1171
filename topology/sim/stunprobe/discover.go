package stunprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/topology"
)

// waits is how long to wait for an answer to each transmission of a request. That
// no answer comes is a result, so that there is no point in RFC 5389's 39 s.
var waits = []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 400 * time.Millisecond}

// errNoAnswer means that all transmissions of a request went unanswered.
var errNoAnswer = errors.New("no answer")

// Discover finds the mapping and filtering behaviour of what stands between a host
// and a server's primary address and port (RFC 5780, sections 4.3 and 4.4). A host
// without a NAT finds both endpoint-independent.
func Discover(ctx context.Context, listen ListenPacket, server netip.AddrPort) (mapping, filtering topology.Behavior, err error) {
	if mapping, err = discoverMapping(ctx, listen, server); err != nil {
		return "", "", fmt.Errorf("discover mapping: %w", err)
	}
	// From another socket: the mapping tests have opened the filter.
	if filtering, err = discoverFiltering(ctx, listen, server); err != nil {
		return "", "", fmt.Errorf("discover filtering: %w", err)
	}
	return mapping, filtering, nil
}

func discoverMapping(ctx context.Context, listen ListenPacket, server netip.AddrPort) (topology.Behavior, error) {
	c, err := open(ctx, listen, server.Addr())
	if err != nil {
		return "", err
	}
	defer c.close()
	first, other, err := c.ask(ctx, server, 0) // test I
	if err != nil {
		return "", err
	}
	second, _, err := c.ask(ctx, netip.AddrPortFrom(other.Addr(), server.Port()), 0) // test II
	if err != nil {
		return "", err
	}
	if first == second {
		return topology.EndpointIndependent, nil
	}
	third, _, err := c.ask(ctx, other, 0) // test III
	if err != nil {
		return "", err
	}
	if second == third {
		return topology.AddressDependent, nil
	}
	return topology.AddressAndPortDependent, nil
}

func discoverFiltering(ctx context.Context, listen ListenPacket, server netip.AddrPort) (topology.Behavior, error) {
	c, err := open(ctx, listen, server.Addr())
	if err != nil {
		return "", err
	}
	defer c.close()
	if _, _, err = c.ask(ctx, server, 0); err != nil { // test I
		return "", err
	}
	for _, test := range []struct {
		change  uint32
		answers topology.Behavior
	}{
		{changeIP | changePort, topology.EndpointIndependent}, // test II
		{changePort, topology.AddressDependent},               // test III
	} {
		_, _, err := c.ask(ctx, server, test.change)
		if err == nil {
			return test.answers, nil
		}
		if !errors.Is(err, errNoAnswer) {
			return "", err
		}
	}
	return topology.AddressAndPortDependent, nil
}

// client is one socket from which tests are made.
type client struct {
	pc   net.PacketConn
	stop func() bool
}

func open(ctx context.Context, listen ListenPacket, server netip.Addr) (*client, error) {
	address := "0.0.0.0:0"
	if server.Is6() {
		address = "[::]:0"
	}
	pc, err := listen(ctx, network(server), address)
	if err != nil {
		return nil, err
	}
	// The end of ctx ends reading.
	stop := context.AfterFunc(ctx, func() { _ = pc.SetReadDeadline(time.Unix(1, 0)) })
	return &client{pc, stop}, nil
}

func (c *client) close() {
	c.stop()
	_ = c.pc.Close()
}

// ask sends a binding request and returns the client's address as the server saw
// it, and the server's other address.
func (c *client) ask(ctx context.Context, to netip.AddrPort, change uint32) (mapped, other netip.AddrPort, err error) {
	setters := []stun.Setter{stun.TransactionID, stun.BindingRequest}
	if change != 0 {
		setters = append(setters, stun.RawAttribute{Type: stun.AttrChangeRequest, Value: []byte{0, 0, 0, byte(change)}})
	}
	request, err := stun.Build(append(setters, stun.Fingerprint)...)
	if err != nil {
		return mapped, other, err
	}
	buf := make([]byte, 1500)
	for _, wait := range waits {
		if _, err := c.pc.WriteTo(request.Raw, net.UDPAddrFromAddrPort(to)); err != nil {
			return mapped, other, fmt.Errorf("ask %v: %w", to, err)
		}
		if err := c.pc.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return mapped, other, err
		}
		for {
			if err := ctx.Err(); err != nil {
				return mapped, other, err
			}
			n, _, err := c.pc.ReadFrom(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return mapped, other, fmt.Errorf("ask %v: %w", to, err)
			}
			if mapped, other, ok := read(buf[:n], request.TransactionID); ok {
				return mapped, other, nil
			}
		}
	}
	return mapped, other, fmt.Errorf("ask %v: %w", to, errNoAnswer)
}

// read reads the answer to a request.
func read(data []byte, id [stun.TransactionIDSize]byte) (mapped, other netip.AddrPort, ok bool) {
	m := &stun.Message{Raw: data}
	var x stun.XORMappedAddress
	var o stun.OtherAddress
	if !stun.IsMessage(data) || m.Decode() != nil || m.TransactionID != id || m.Type != stun.BindingSuccess ||
		x.GetFrom(m) != nil || o.GetFrom(m) != nil {
		return mapped, other, false
	}
	return endpoint(x.IP, x.Port), endpoint(o.IP, o.Port), true
}

func endpoint(ip net.IP, port int) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), uint16(port))
}
