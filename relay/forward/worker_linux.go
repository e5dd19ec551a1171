package forward

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// worker is one goroutine that waits for its sockets and forwards what comes. All
// fields but epoll and sources belong to that goroutine.
type worker struct {
	epoll   int
	wake    int // an eventfd, readable when the worker is to end
	sources directory

	in      *inbox
	toPeers *outbox
	// dirty are the ends with something in their outbox.
	dirty  []*end
	events [slots]unix.EpollEvent
	// handled counts datagrams since the last wait.
	handled int
	ending  bool
}

func newWorker(whole *atomic.Bool) (*worker, error) {
	w := &worker{epoll: -1, wake: -1, in: newInbox(), toPeers: newOutbox(whole)}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		w.close()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if err := w.watch(w.wake, stopper{}); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// stopper is the source that ends a worker.
type stopper struct{}

func (stopper) ready(w *worker) { w.ending = true }

// stop makes run return.
func (w *worker) stop() { _, _ = unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// close closes what run used, which has returned.
func (w *worker) close() {
	for _, fd := range []int{w.wake, w.epoll} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// watch adds a source. It may be called from any goroutine, as unwatch may.
func (w *worker) watch(fd int, s source) error {
	if !w.sources.set(fd, s) {
		return fmt.Errorf("descriptor %d is too high", fd)
	}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		w.sources.set(fd, nil)
		return fmt.Errorf("watching descriptor %d: %w", fd, err)
	}
	return nil
}

func (w *worker) unwatch(fd int) {
	_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	w.sources.set(fd, nil)
}

// run forwards until stop.
func (w *worker) run() {
	for !w.ending {
		n := w.wait()
		for i := range n {
			if s := w.sources.get(int(w.events[i].Fd)); s != nil {
				s.ready(w)
			}
		}
		w.flush()
	}
}

// wait returns how many sources are ready. After work there is often more by the
// time it is done, so the first look does not give up the processor.
func (w *worker) wait() int {
	if w.handled > 0 {
		w.handled = 0
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.epoll), uintptr(unsafe.Pointer(&w.events[0])), uintptr(len(w.events)), 0, 0, 0)
		if errno == 0 && n > 0 {
			return int(n)
		}
	}
	for {
		n, err := unix.EpollWait(w.epoll, w.events[:], -1)
		if err == unix.EINTR {
			continue
		}
		return max(n, 0)
	}
}

// room makes sure that n datagrams can be received.
func (w *worker) room(n int) {
	if w.in.used+n > slots {
		w.flush()
	}
}

// flush sends all that was gathered; the inbox is free then.
func (w *worker) flush() {
	w.toPeers.flush()
	for _, e := range w.dirty {
		e.out.flush()
	}
	w.dirty = w.dirty[:0]
	w.in.used = 0
}
