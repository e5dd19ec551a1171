package forward

import (
	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/kernel"
)

// This file joins the core and the way through the kernel. What is bound here is
// bound there too, where it can be, and its figures are added up. Whatever the kernel
// leaves comes to the sockets, as without it.

// enterKernel has the kernel's path forward a flow that nobody can see here yet. Where
// it cannot, the core forwards all of it.
func (r *Relay) enterKernel(f *flow) {
	path := r.end.listener.core.kernel
	if path == nil || r.spend != nil && len(r.meters) == 0 {
		return
	}
	bound, err := path.Bind(kernel.Channel{
		Number: f.channel, Client: r.client, Server: r.end.listener.local, Relay: r.socket.local, Peer: f.peer.addrPort(),
		// What may become unreachable is an allocation of this relay.
		Within: f.reachable != nil,
		ToPeer: !f.permitted.Load(),
		Meters: r.meters,
	})
	if err == nil {
		f.kernel = bound
	}
}

// permit says whether the peer has a permission. Its caller holds Relay.mu.
func (f *flow) permit(permitted bool) {
	f.permitted.Store(permitted)
	if f.kernel != nil {
		f.kernel.Permit(permitted)
	}
}

// leaveKernel ends what enterKernel began; the figures remain.
func (f *flow) leaveKernel() {
	if f.kernel != nil {
		f.kernel.Unbind()
	}
}

// separate has the system give datagrams one by one, where the kernel's path is in
// front of the socket: those of a network card would be merged before they come there,
// and the program cannot take them apart. On loopback nothing is merged but what a
// sender has sent as one, which is cheaper for the sockets so.
func (c *Core) separate(s *socket) {
	if c.kernel != nil && !s.local.Addr().IsLoopback() {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_GRO, 0)
	}
}
