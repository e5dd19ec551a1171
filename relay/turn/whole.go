package turn

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/callpath/callpath/relay/forward"
	"github.com/pion/stun/v4"
)

// This file is DONT-FRAGMENT (RFC 8656, sections 7.2 and 13 to 15): with it in an
// Allocate request, a client asks whether the relay can keep datagrams from being cut,
// and with it in a Send indication it asks for that for one. The engine has no part in
// it: of Allocate requests it does not see the attribute, in indications it passes over
// it, and the allocation, which the engine calls within the front's turn, finds it in
// the front's request. ICMP errors about such datagrams are not passed on (section 11.5).

// takesOn says whether the relay does itself what an attribute of the request asks for.
// Where no socket can, the engine answers 420.
func (f *front) takesOn(t stun.AttrType) bool {
	return t == stun.AttrDontFragment && runtime.GOOS == "linux" && f.request.message.Type.Method == stun.MethodAllocate
}

// canSendWhole is true for the machine's own sockets on Linux.
func canSendWhole(pc net.PacketConn) bool {
	_, ok := pc.(*net.UDPConn)
	return ok && runtime.GOOS == "linux"
}

// refuseWhole gives a relay socket back that cannot do what was asked for.
func (g relaySockets) refuseWhole(pc net.PacketConn, at netip.AddrPort) error {
	pc.Close()
	g.front.server.ports.release(at)
	e := g.front.event(AllocationRefused)
	e.Rule, e.Reason = RuleAttribute, "relay sockets of this kind cannot keep datagrams from being cut (DONT-FRAGMENT)"
	g.front.refuse(e, stun.CodeUnknownAttribute)
	return fmt.Errorf("relay socket %v: %s", at, e.Reason)
}

// whole says whether the datagram that is being sent is to stay whole. From UDP over IPv6
// or to a peer on it the attribute must be ignored (section 13).
func (a *allocation) whole() bool {
	datagrams := a.front.transport == UDP || a.front.transport == DTLS
	return a.front.request.whole && (!datagrams || a.client.Addr().Unmap().Is4() && a.relay.Addr().Is4())
}

// send sends a payload to a peer, whole if that is asked for. An indication that asks
// for what cannot be is discarded, as its attribute is then unknown (RFC 8489, section
// 6.3.2). It runs in the front's goroutine, and in no other.
func (a *allocation) send(p []byte, to net.Addr) (int, error) {
	if !a.whole() {
		return a.PacketConn.WriteTo(p, to)
	}
	var err error
	if conn, ok := a.PacketConn.(*net.UDPConn); ok {
		err = forward.WriteWhole(conn, p, addrPort(to))
	} else if a.core != nil {
		err = a.core.WriteWhole(p, addrPort(to))
	} else {
		err = fmt.Errorf("a datagram to %v cannot be kept whole", to)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}
