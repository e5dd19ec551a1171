package forward

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// worker is one goroutine that waits for its sockets and forwards what comes. All
// fields but the waiter's and sources belong to that goroutine.
type worker struct {
	*waiter
	wake    int // an eventfd, readable when the worker is to end
	sources directory

	in      *inbox
	release func() // of the inbox's memory
	toPeers *outbox
	// dirty are the ends with something in their outbox.
	dirty []*end
	// handled counts what was received since the last wait: datagrams, or runs.
	handled int
	// left is set when something was left to others.
	left   bool
	pace   pace
	ending bool
}

const (
	// pause is how long a worker that has much to do lets packets gather. With what
	// the kernel's timers add it is about a tenth of a millisecond.
	pause = 50 * time.Microsecond
	// gathered is how many are to come in a pause for it to pay, and plenty how many
	// at once show that there is no need for one.
	gathered, plenty = 2, 16
	// paceWindow is over how long the pace is taken: long enough for its figures not to
	// be chance.
	paceWindow = 10 * time.Millisecond
	// A worker has much to do from when it works for so much of its time, until it works,
	// with pauses, for less than so much, in percent. Below, a pause would save what
	// nobody lacks, and cost each packet its time. As pauses save a fifth or more of the
	// work, the two do not touch.
	busy, idle = 55, 46
)

// pace knows how fast packets come, and how much of its time a worker works.
type pace struct {
	since  time.Time
	count  int
	waited time.Duration // since then, pauses included
	hurry  bool
}

// add counts n that came by now.
func (p *pace) add(n int, now time.Time) {
	p.count += n
	window := now.Sub(p.since)
	if window < paceWindow {
		return
	}
	fast := time.Duration(p.count)*pause >= gathered*window
	worked := 100 * (window - p.waited) / window
	p.hurry = fast && (worked >= busy || p.hurry && worked >= idle)
	p.since, p.count, p.waited = now, 0, 0
}

// gather makes a pause, if one pays after n were received at once.
func (p *pace) gather(n int) {
	if !p.hurry || n >= plenty {
		return
	}
	began := time.Now()
	rest(pause)
	p.waited += time.Since(began)
}

func newWorker(whole *atomic.Bool) (*worker, error) {
	memory, release := outside(inboxSize)
	w := &worker{wake: -1, in: newInbox(memory), release: release, toPeers: newOutbox(whole)}
	var err error
	if w.waiter, err = newWaiter(slots); err != nil {
		release()
		return nil, err
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
	if w.wake >= 0 {
		unix.Close(w.wake)
	}
	w.waiter.close()
	w.release()
}

// watch adds a source. It may be called from any goroutine, as unwatch may.
func (w *worker) watch(fd int, s source) error {
	if !w.sources.set(fd, s) {
		return fmt.Errorf("descriptor %d is too high", fd)
	}
	if err := w.waiter.watch(fd); err != nil {
		w.sources.set(fd, nil)
		return err
	}
	return nil
}

func (w *worker) unwatch(fd int) {
	w.waiter.unwatch(fd)
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
		if w.left {
			// Whom it was left to may need this processor, which a worker with enough
			// to do would keep for ten milliseconds.
			w.left = false
			runtime.Gosched()
		}
	}
}

// wait returns how many sources are ready. After work it looks without giving up the
// processor. When it has much to do and packets come one by one, it lets some gather
// first: to be woken for each, and to wake each receiver, costs more than forwarding.
func (w *worker) wait() int {
	if n := w.handled; n > 0 {
		w.handled = 0
		w.pace.add(n, time.Now())
		w.pace.gather(n)
		if n := w.poll(); n > 0 {
			return n
		}
	}
	began := time.Now()
	n := w.waiter.wait()
	w.pace.waited += time.Since(began)
	return n
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
