package udp

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poller says which of many sockets have something to read. It belongs to one
// goroutine.
type Poller struct {
	fd     int
	events []unix.EpollEvent
}

// NewPoller makes a poller that tells of up to ready sockets at a time.
func NewPoller(ready int) (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make poller: %w", err)
	}
	return &Poller{fd: fd, events: make([]unix.EpollEvent, ready)}, nil
}

// Add adds a socket under a number of the caller's.
func (p *Poller) Add(s *Socket, number int32) error { return p.AddFile(s.fd, number) }

// AddFile adds any file descriptor, for example a pipe that ends the waiting.
func (p *Poller) AddFile(fd int, number int32) error {
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: number}); err != nil {
		return fmt.Errorf("add to poller: %w", err)
	}
	return nil
}

// Wait waits for up to timeout, 0 not at all, below 0 without end, and returns how
// many sockets are ready.
func (p *Poller) Wait(timeout time.Duration) (int, error) {
	for {
		var r uintptr
		var errno unix.Errno
		switch {
		case timeout == 0:
			r, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
				uintptr(len(p.events)), 0, 0, 0)
		case timeout < 0:
			r, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
				uintptr(len(p.events)), 0, 0, 0)
		default:
			limit := unix.NsecToTimespec(timeout.Nanoseconds())
			r, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
				uintptr(len(p.events)), uintptr(unsafe.Pointer(&limit)), 0, 0)
		}
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR:
		default:
			return 0, fmt.Errorf("wait for sockets: %w", errno)
		}
	}
}

// Ready is the number of the i-th socket that Wait told of.
func (p *Poller) Ready(i int) int32 { return p.events[i].Fd }

// Close closes the poller, not its sockets.
func (p *Poller) Close() error { return unix.Close(p.fd) }

// Precise has the waits of the calling thread end when they should, and not up to
// 50 µs later as the system otherwise lets them.
func Precise() error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("precise timers: %w", err)
	}
	return nil
}
