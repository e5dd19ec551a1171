package kernel

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hop is where the packets of a leg leave: by the neighbour addr on an interface, or
// by lo when the destination is this machine, in which case there is no addr.
type hop struct {
	addr    netip.Addr
	ifindex int
	mtu     int
}

// routes knows the system's routes, in the network namespace in which it was made.
type routes struct {
	handle *netlink.Handle
	// changes is a socket that is told of changes.
	changes int
	mtus    map[int]int // of interfaces
}

func newRoutes() (*routes, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	r := &routes{handle: h, changes: -1}
	if r.changes, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE); err == nil {
		err = unix.Bind(r.changes, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK |
			unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV6_ROUTE})
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return r, nil
}

func (r *routes) close() {
	if r.changes >= 0 {
		unix.Close(r.changes)
	}
	r.handle.Close()
}

// changed is true when something has changed since the last call.
func (r *routes) changed() (changed bool) {
	var buf [8192]byte
	for range 1000 {
		_, _, err := unix.Recvfrom(r.changes, buf[:], 0)
		switch {
		case err == nil || errors.Is(err, unix.ENOBUFS):
			changed = true
		case !errors.Is(err, unix.EINTR):
			return changed
		}
	}
	return changed
}

// links returns the interfaces that can be attached to: all that are up, or those
// that are named.
func (r *routes) links(names []string) ([]netlink.Link, error) {
	all, err := r.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("interfaces: %w", err)
	}
	var chosen []netlink.Link
	byName := make(map[string]netlink.Link)
	for _, l := range all {
		a := l.Attrs()
		byName[a.Name] = l
		// What belongs to a bridge or bond comes in by that.
		if framed(l) && a.Flags&1 != 0 && a.MasterIndex == 0 {
			chosen = append(chosen, l)
		}
	}
	if len(names) == 0 {
		if len(chosen) == 0 {
			return nil, errors.New("no interface is up")
		}
		return chosen, nil
	}
	chosen = nil
	for _, name := range names {
		l := byName[name]
		switch {
		case l == nil:
			return nil, fmt.Errorf("there is no interface %q", name)
		case !framed(l):
			return nil, fmt.Errorf("interface %q has frames of kind %q; supported: ether, loopback", name, l.Attrs().EncapType)
		}
		chosen = append(chosen, l)
	}
	return chosen, nil
}

// framed is true when packets have an Ethernet header.
func framed(l netlink.Link) bool {
	kind := l.Attrs().EncapType
	return kind == "ether" || kind == "loopback"
}

// find returns the hop on the way from an address of this machine to another.
func (r *routes) find(from, to netip.Addr) (hop, error) {
	found, err := r.handle.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{SrcAddr: from.AsSlice()})
	if err != nil {
		return hop{}, fmt.Errorf("route from %v to %v: %w", from, to, err)
	}
	if len(found) != 1 {
		return hop{}, fmt.Errorf("route from %v to %v: found %d", from, to, len(found))
	}
	route := found[0]
	h := hop{ifindex: route.LinkIndex, mtu: route.MTU}
	if h.mtu == 0 {
		if h.mtu, err = r.mtu(h.ifindex); err != nil {
			return hop{}, err
		}
	}
	switch {
	case route.Encap != nil || route.MPLSDst != nil:
		return hop{}, fmt.Errorf("route from %v to %v is through a tunnel", from, to)
	case route.Type == unix.RTN_LOCAL:
		return h, nil
	case route.Type != unix.RTN_UNICAST:
		return hop{}, fmt.Errorf("route from %v to %v is of type %d; supported: unicast, local", from, to, route.Type)
	}
	h.addr = to
	gateway := route.Gw
	if via, ok := route.Via.(*netlink.Via); ok {
		gateway = via.Addr
	}
	if gateway != nil {
		addr, ok := netip.AddrFromSlice(gateway)
		if !ok {
			return hop{}, fmt.Errorf("route from %v to %v has the gateway %v", from, to, gateway)
		}
		h.addr = addr.Unmap()
	}
	return h, nil
}

func (r *routes) mtu(ifindex int) (int, error) {
	if mtu, ok := r.mtus[ifindex]; ok {
		return mtu, nil
	}
	l, err := r.handle.LinkByIndex(ifindex)
	if err != nil {
		return 0, fmt.Errorf("interface %d: %w", ifindex, err)
	}
	if r.mtus == nil {
		r.mtus = make(map[int]int)
	}
	r.mtus[ifindex] = l.Attrs().MTU
	return l.Attrs().MTU, nil
}
