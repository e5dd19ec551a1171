package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket is a UDP socket that never blocks. One goroutine at a time may use it.
type Socket struct {
	fd    int
	local netip.AddrPort
}

// Open binds a socket; port 0 takes a free one.
func Open(local netip.AddrPort, o Options) (*Socket, error) {
	if !local.Addr().Unmap().Is4() {
		return nil, fmt.Errorf("open socket on %v: wanted an IPv4 address", local)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	s := &Socket{fd: fd}
	if err := s.prepare(local, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open socket on %v: %w", local, err), s.Close())
	}
	return s, nil
}

func (s *Socket) prepare(local netip.AddrPort, o Options) error {
	if o.Buffer > 0 {
		// With the right to do so, beyond the system's limit.
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, o.Buffer) != nil {
			if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, o.Buffer); err != nil {
				return fmt.Errorf("receive buffer of %d bytes: %w", o.Buffer, err)
			}
		}
	}
	if o.Coalesce {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_GRO, 1); err != nil {
			return fmt.Errorf("UDP_GRO: %w", err)
		}
	}
	if o.Stamp {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return fmt.Errorf("SO_TIMESTAMPNS: %w", err)
		}
	}
	if err := unix.Bind(s.fd, &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().Unmap().As4()}); err != nil {
		return err
	}
	return s.learn()
}

// learn asks which address the socket has.
func (s *Socket) learn() error {
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	if at, ok := name.(*unix.SockaddrInet4); ok {
		s.local = netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port))
	}
	return nil
}

// Connect has the socket send to, and receive from, one address only.
func (s *Socket) Connect(to netip.AddrPort) error {
	if err := unix.Connect(s.fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().Unmap().As4()}); err != nil {
		return fmt.Errorf("connect to %v: %w", to, err)
	}
	return s.learn()
}

// Local is the socket's own address.
func (s *Socket) Local() netip.AddrPort { return s.local }

// Dropped is how many packets the kernel has dropped because nobody read them in
// time, since the socket was opened.
func (s *Socket) Dropped() uint64 {
	var info [16]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size <= unix.SK_MEMINFO_DROPS*4 {
		return 0
	}
	return uint64(info[unix.SK_MEMINFO_DROPS])
}

// Send sends one packet on a connected socket.
func (s *Socket) Send(p []byte) error { return s.send(p, nil) }

// SendTo sends one packet to an address.
func (s *Socket) SendTo(p []byte, to *Address) error { return s.send(p, to) }

func (s *Socket) send(p []byte, to *Address) error {
	size := uintptr(0)
	if to != nil {
		size = unsafe.Sizeof(*to)
	}
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
			uintptr(len(p)), unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(to)), size)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// Receive takes one packet that has arrived, and says from where. When there is
// none, the error is one that Empty knows.
func (s *Socket) Receive(p []byte) (n int, from Address, err error) {
	size := uint32(unsafe.Sizeof(from))
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
			uintptr(len(p)), unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
		switch errno {
		case 0:
			return int(r), from, nil
		case unix.EINTR:
		default:
			return 0, from, errno
		}
	}
}

// Wait blocks until the socket has something to read or timeout milliseconds have
// passed, and says whether it has.
func (s *Socket) Wait(timeout int) (bool, error) {
	ask := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(ask, timeout)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0, err
	}
}

// Empty is true of the error of a socket that has nothing to read, or no room for
// what is to be sent, now.
func Empty(err error) bool { return errors.Is(err, syscall.EAGAIN) }

// Refused is true of the error by which a connected socket tells that nobody
// listens at the other end.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// Close closes the socket.
func (s *Socket) Close() error { return unix.Close(s.fd) }
