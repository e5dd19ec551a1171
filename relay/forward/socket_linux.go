package forward

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is an address in the kernel's form; the structure for IPv6 is large
// enough for both families.
type sockaddr struct {
	raw  unix.RawSockaddrInet6
	size uint32
}

// sockaddrOf writes a for a socket of IPv6, which takes IPv4 addresses in their
// mapped form, or of IPv4.
func sockaddrOf(a netip.AddrPort, v6 bool) (sockaddr, error) {
	var s sockaddr
	b := (*[unix.SizeofSockaddrInet6]byte)(unsafe.Pointer(&s.raw))
	binary.BigEndian.PutUint16(b[2:], a.Port())
	addr := a.Addr()
	switch {
	case !addr.IsValid():
		return s, errors.New("no address")
	case v6:
		s.raw.Family, s.size = unix.AF_INET6, unix.SizeofSockaddrInet6
		s.raw.Addr = addr.As16()
		s.raw.Scope_id = zoneIndex(addr.Zone())
	case addr.Unmap().Is4():
		s.raw.Family, s.size = unix.AF_INET, unix.SizeofSockaddrInet4
		ip := addr.Unmap().As4()
		copy(b[4:], ip[:])
	default:
		return s, fmt.Errorf("%v on an IPv4 socket", a)
	}
	return s, nil
}

// endpointOfRaw is the address as a key.
func endpointOfRaw(raw *unix.RawSockaddrInet6) endpoint {
	b := (*[unix.SizeofSockaddrInet6]byte)(unsafe.Pointer(raw))
	port := binary.BigEndian.Uint16(b[2:])
	if raw.Family == unix.AF_INET {
		return endpoint{lo: mappedIPv4 | uint64(binary.BigEndian.Uint32(b[4:])), port: port}
	}
	return endpoint{
		hi:   binary.BigEndian.Uint64(b[8:]),
		lo:   binary.BigEndian.Uint64(b[16:]),
		zone: raw.Scope_id,
		port: port,
	}
}

// socket is a UDP socket that the runtime's poller does not know: each datagram
// would wake it, for a goroutine that does not wait.
type socket struct {
	local netip.AddrPort
	v6    bool

	// mu is held for reading while the descriptor is in use, so that its number
	// cannot mean another socket in the middle of a system call.
	mu sync.RWMutex
	fd int // -1 when closed
}

// takeSocket takes a socket out of the net package. It closes conn, whose local
// address lives on in the socket.
func takeSocket(conn *net.UDPConn) (*socket, error) {
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), fd: -1}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		if s.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); failed != nil {
			return
		}
		var family int
		if family, failed = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_DOMAIN); failed == nil {
			s.v6 = family == unix.AF_INET6
		}
	}); err != nil {
		return nil, err
	}
	if failed != nil {
		s.close()
		return nil, fmt.Errorf("socket %v: %w", local, failed)
	}
	if err := conn.Close(); err != nil {
		s.close()
		return nil, err
	}
	s.coalesce()
	return s, nil
}

// coalesce lets the kernel give runs of datagrams of one sender as one. Where it
// cannot, they come one by one.
func (s *socket) coalesce() { _ = unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_GRO, 1) }

// grow asks for room for bytes in both of the socket's buffers: as much as the
// system's limit allows, or more when the process may pass over it.
func (s *socket) grow(bytes int) {
	for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[0], bytes) != nil {
			_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[1], bytes)
		}
	}
}

func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

// writeTo sends one datagram for the engine, and waits when the buffer is full.
func (s *socket) writeTo(p []byte, to net.Addr) (int, error) {
	at, err := addrPort(to)
	if err != nil {
		return 0, err
	}
	name, err := sockaddrOf(at, s.v6)
	if err != nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: to, Err: err}
	}
	iov := unix.Iovec{}
	if len(p) > 0 {
		iov.Base = &p[0]
		iov.SetLen(len(p))
	}
	m := unix.Mmsghdr{Hdr: unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name.raw)), Namelen: name.size, Iov: &iov}}
	m.Hdr.SetIovlen(1)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for {
		if s.fd < 0 {
			return 0, net.ErrClosed
		}
		_, errno := sendmmsg(s.fd, &m, 1)
		switch errno {
		case 0:
			return len(p), nil
		case unix.EAGAIN:
			s.awaitRoom(time.Second)
		case unix.EINTR:
		default:
			return 0, &net.OpError{Op: "write", Net: "udp", Addr: to, Err: os.NewSyscallError("sendmmsg", errno)}
		}
	}
}

// awaitRoom waits until the socket can take another datagram.
func (s *socket) awaitRoom(most time.Duration) {
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, int(most.Milliseconds()))
}

// The calls do not tell the runtime's scheduler: they never wait, and telling it costs
// more than the calls' own overhead (doc.go).

func recvmmsg(fd int, msgs *unix.Mmsghdr, n int) (int, syscall.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(msgs)), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	return int(r), errno
}

func sendmmsg(fd int, msgs *unix.Mmsghdr, n int) (int, syscall.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(msgs)), uintptr(n), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(r), errno
}

func addrPort(a net.Addr) (netip.AddrPort, error) {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort(), nil
	}
	if a == nil {
		return netip.AddrPort{}, errors.New("no address")
	}
	return netip.ParseAddrPort(a.String())
}
