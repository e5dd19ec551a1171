// Package transportv3 offers a host's sockets to libraries on
// pion/transport/v3, of which pion/turn/v3, the older TURN client, is one. What
// is on the newer versions takes the host's own Net.
package transportv3

import (
	"errors"
	"net"

	"github.com/callpath/callpath/topology/sim/host"
	v3 "github.com/pion/transport/v3"
	v5 "github.com/pion/transport/v5"
)

// New returns the sockets of h as a Net of pion/transport/v3.
func New(h *host.Host) v3.Net { return older{h.Net()} }

// older turns the newer Net's own types into those of the older one; their
// sockets have the same methods.
type older struct{ n v5.Net }

func (o older) ListenPacket(network, address string) (net.PacketConn, error) {
	return o.n.ListenPacket(network, address)
}

func (o older) ListenUDP(network string, local *net.UDPAddr) (v3.UDPConn, error) {
	return o.n.ListenUDP(network, local)
}

func (o older) ListenTCP(network string, local *net.TCPAddr) (v3.TCPListener, error) {
	l, err := o.n.ListenTCP(network, local)
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

func (o older) Dial(network, address string) (net.Conn, error) { return o.n.Dial(network, address) }

func (o older) DialUDP(network string, local, remote *net.UDPAddr) (v3.UDPConn, error) {
	return o.n.DialUDP(network, local, remote)
}

func (o older) DialTCP(network string, local, remote *net.TCPAddr) (v3.TCPConn, error) {
	return o.n.DialTCP(network, local, remote)
}

func (o older) ResolveIPAddr(network, address string) (*net.IPAddr, error) {
	return o.n.ResolveIPAddr(network, address)
}

func (o older) ResolveUDPAddr(network, address string) (*net.UDPAddr, error) {
	return o.n.ResolveUDPAddr(network, address)
}

func (o older) ResolveTCPAddr(network, address string) (*net.TCPAddr, error) {
	return o.n.ResolveTCPAddr(network, address)
}

func (o older) Interfaces() ([]*v3.Interface, error) {
	all, err := o.n.Interfaces()
	if err != nil {
		return nil, err
	}
	var converted []*v3.Interface
	for _, i := range all {
		converted = append(converted, convert(i))
	}
	return converted, nil
}

func (o older) InterfaceByIndex(index int) (*v3.Interface, error) {
	return found(o.n.InterfaceByIndex(index))
}

func (o older) InterfaceByName(name string) (*v3.Interface, error) {
	return found(o.n.InterfaceByName(name))
}

func (o older) CreateDialer(d *net.Dialer) v3.Dialer { return o.n.CreateDialer(d) }

// found converts an interface, and the one error that callers look for.
func found(i *v5.Interface, err error) (*v3.Interface, error) {
	switch {
	case errors.Is(err, v5.ErrInterfaceNotFound):
		return nil, v3.ErrInterfaceNotFound
	case err != nil:
		return nil, err
	}
	return convert(i), nil
}

func convert(i *v5.Interface) *v3.Interface {
	c := v3.NewInterface(i.Interface)
	addrs, _ := i.Addrs() // the error says that there are none
	for _, a := range addrs {
		c.AddAddress(a)
	}
	return c
}

type listener struct{ v5.TCPListener }

func (l listener) AcceptTCP() (v3.TCPConn, error) { return l.TCPListener.AcceptTCP() }
