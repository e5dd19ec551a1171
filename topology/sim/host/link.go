package host

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// link is an interface's lower end, as the stack sees it: what the stack writes
// goes to send in the same goroutine, without a queue.
type link struct {
	name string
	mtu  atomic.Uint32
	send func(iface string, packet []byte)
	// up is nil until the stack attaches the link, and after it removed it.
	up atomic.Pointer[stack.NetworkDispatcher]
}

func newLink(name string, mtu int, send func(string, []byte)) *link {
	l := &link{name: name, send: send}
	l.mtu.Store(uint32(mtu))
	return l
}

// receive hands the stack a packet from the network.
func (l *link) receive(packet []byte) {
	up := l.up.Load()
	if up == nil || len(packet) == 0 {
		return
	}
	var protocol tcpip.NetworkProtocolNumber
	switch header.IPVersion(packet) {
	case header.IPv4Version:
		protocol = header.IPv4ProtocolNumber
	case header.IPv6Version:
		protocol = header.IPv6ProtocolNumber
	default:
		return
	}
	pb := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	(*up).DeliverNetworkPacket(protocol, pb)
	pb.DecRef()
}

// WritePackets is called by the stack with each packet that leaves.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	packets := list.AsSlice()
	for _, p := range packets {
		b := make([]byte, 0, p.Size())
		for _, part := range p.AsSlices() {
			b = append(b, part...)
		}
		l.send(l.name, b)
	}
	return len(packets), nil
}

// Attach is called with nil when the interface is removed.
func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.up.Store(nil)
		return
	}
	l.up.Store(&d)
}

func (l *link) IsAttached() bool  { return l.up.Load() != nil }
func (l *link) MTU() uint32       { return l.mtu.Load() }
func (l *link) SetMTU(mtu uint32) { l.mtu.Store(mtu) }

// What follows has no meaning on a link that carries bare IP packets.

func (l *link) MaxHeaderLength() uint16                      { return 0 }
func (l *link) LinkAddress() tcpip.LinkAddress               { return "" }
func (l *link) SetLinkAddress(tcpip.LinkAddress)             {}
func (l *link) Capabilities() stack.LinkEndpointCapabilities { return 0 }
func (l *link) Wait()                                        {}
func (l *link) ARPHardwareType() header.ARPHardwareType      { return header.ARPHardwareNone }
func (l *link) AddHeader(*stack.PacketBuffer)                {}
func (l *link) ParseHeader(*stack.PacketBuffer) bool         { return true }
func (l *link) Close()                                       {}
func (l *link) SetOnCloseAction(func())                      {}
