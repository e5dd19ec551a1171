package forward

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waiter waits for descriptors: with an epoll instance of its own, which says at once
// which of many are ready, and which the runtime's poller watches as one descriptor.
// Whoever waits is then a parked goroutine. A goroutine that blocks in epoll_wait
// instead has the runtime's monitor take away its processor, tens of thousands of times
// a second, which costs more than a third of what forwarding does (doc.go).
//
// watch and unwatch may be called from any goroutine, all else from one.
type waiter struct {
	epoll int
	file  *os.File // of epoll
	raw   syscall.RawConn
	// look is poll as the runtime's poller wants it; found is what it returned last.
	look  func(uintptr) bool
	found int
	// events are what is ready.
	events []unix.EpollEvent
}

// newWaiter makes a waiter that tells of at most so many descriptors at once.
func newWaiter(most int) (*waiter, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	// What is not in this mode the runtime's poller does not take.
	if err := unix.SetNonblock(epoll, true); err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	w := &waiter{epoll: epoll, file: os.NewFile(uintptr(epoll), "epoll"), events: make([]unix.EpollEvent, most)}
	w.look = func(uintptr) bool {
		w.found = w.poll()
		return w.found > 0
	}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		w.close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return w, nil
}

func (w *waiter) watch(fd int) error {
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("watching descriptor %d: %w", fd, err)
	}
	return nil
}

func (w *waiter) unwatch(fd int) { _ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, fd, nil) }

// poll returns how many descriptors are ready now.
func (w *waiter) poll() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.epoll), uintptr(unsafe.Pointer(&w.events[0])), uintptr(len(w.events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// wait returns how many are ready, as soon as one is.
func (w *waiter) wait() int {
	if err := w.raw.Read(w.look); err != nil {
		return 0
	}
	return w.found
}

// waitUntil is wait, but returns 0 when the time has come.
func (w *waiter) waitUntil(t time.Time) int {
	if w.file.SetReadDeadline(t) != nil {
		return 0
	}
	return w.wait()
}

func (w *waiter) close() { w.file.Close() }

// rest lets packets gather. The runtime is not told, as it would take the processor.
func rest(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}
