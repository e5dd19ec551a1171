package forward

import (
	"fmt"
	"sync/atomic"
	"time"
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
	release func() // of the inbox's memory
	toPeers *outbox
	// dirty are the ends with something in their outbox.
	dirty  []*end
	events [slots]unix.EpollEvent
	// handled counts what was received since the last wait: datagrams, or runs.
	handled int
	pace    pace
	ending  bool
}

const (
	// pause is how long a worker lets packets gather when they come fast. With what
	// the kernel's timers add it is about a tenth of a millisecond.
	pause = 50 * time.Microsecond
	// gathered is how many are to come in a pause for it to pay, and plenty how many
	// at once show that there is no need for one.
	gathered, plenty = 2, 16
	// paceWindow is over how long the pace is taken.
	paceWindow = 2 * time.Millisecond
)

// pace knows how fast packets come.
type pace struct {
	since time.Time
	count int
	fast  bool
}

// add counts n that came by now.
func (p *pace) add(n int, now time.Time) {
	p.count += n
	if window := now.Sub(p.since); window >= paceWindow {
		p.fast = time.Duration(p.count)*pause >= gathered*window
		p.since, p.count = now, 0
	}
}

func newWorker(whole *atomic.Bool) (*worker, error) {
	memory, release := outside(inboxSize)
	w := &worker{epoll: -1, wake: -1, in: newInbox(memory), release: release, toPeers: newOutbox(whole)}
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
	w.release()
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

// wait returns how many sources are ready. After work it looks without giving up the
// processor. When packets come fast but one by one, it lets some gather first: to be
// woken for each, and to wake each receiver, costs more than forwarding.
func (w *worker) wait() int {
	if n := w.handled; n > 0 {
		w.handled = 0
		w.pace.add(n, time.Now())
		if w.pace.fast && n < plenty {
			_ = unix.Nanosleep(&unix.Timespec{Nsec: int64(pause)}, nil)
		}
		if n := w.poll(); n > 0 {
			return n
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

// poll returns how many sources are ready now.
func (w *worker) poll() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.epoll), uintptr(unsafe.Pointer(&w.events[0])), uintptr(len(w.events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
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
