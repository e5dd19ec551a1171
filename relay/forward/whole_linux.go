package forward

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// WriteWhole sends one datagram that nobody may cut on its way: with the DF bit of IPv4,
// or without a fragment header of IPv6. One that is longer than the interface takes is
// an error. It may be called from any goroutine.
//
// For IPv4 that is a mode of the socket and not of the datagram, so the socket is held
// for as long: what others send meanwhile may be cut as ever.
func (r *Relay) WriteWhole(p []byte, to netip.AddrPort) error {
	s := r.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return net.ErrClosed
	}
	return writeWhole(s.fd, s.v6, p, to)
}

// WriteWhole does the same with a socket that is no Relay. Nobody else may send on it
// meanwhile.
func WriteWhole(conn *net.UDPConn, p []byte, to netip.AddrPort) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		var family int
		if family, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); failed == nil {
			failed = writeWhole(int(fd), family == unix.AF_INET6, p, to)
		}
	}); err != nil {
		return err
	}
	return failed
}

func writeWhole(fd int, v6 bool, p []byte, to netip.AddrPort) error {
	name, err := sockaddrOf(to, v6)
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	// What is known of the path does not count: whoever asks for this wants to know it.
	level, option, probe := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE
	if v6 {
		level, option, probe = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE
	}
	before, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if err := unix.SetsockoptInt(fd, level, option, probe); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	defer func() { _ = unix.SetsockoptInt(fd, level, option, before) }()
	iov := unix.Iovec{}
	if len(p) > 0 {
		iov.Base = &p[0]
		iov.SetLen(len(p))
	}
	m := unix.Mmsghdr{Hdr: unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name.raw)), Namelen: name.size, Iov: &iov}}
	m.Hdr.SetIovlen(1)
	for {
		switch _, errno := sendmmsg(fd, &m, 1); errno {
		case 0:
			return nil
		case unix.EINTR:
		default: // no waiting for room: the socket is held
			return &net.OpError{Op: "write", Net: "udp", Addr: net.UDPAddrFromAddrPort(to), Err: os.NewSyscallError("sendmmsg", errno)}
		}
	}
}
