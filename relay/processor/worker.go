package processor

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/processor/description"
	"github.com/callpath/callpath/relay/processor/icelite"
	"github.com/callpath/callpath/relay/processor/simulcast"
)

// worker is the goroutine of one socket. All fields but those of queue and latches belong
// to it; others reach it by do.
type worker struct {
	p      *Processor
	port   port
	public []netip.AddrPort
	batch  *fanout.Batch
	now    time.Time
	one    simulcast.Packet // what a stream maps, so that it is not allocated
	lastID uint32

	conferences map[string]*conference
	// The legs by the fragments of their credentials, and by the addresses from which
	// valid checks came, or to which they are latched.
	byUfrag map[string]*leg
	byAddr  map[netip.AddrPort]*leg
	// pending are handshakes from addresses that are nobody's yet.
	pending map[netip.AddrPort]*association
	// paced are the legs for which packets wait.
	paced []*leg
	// busy are the layers that have packets in this round.
	busy    []*layer
	stats   Stats
	request icelite.Request
	ticks   uint
	ticked  time.Time
	scratch []byte
	missing []uint16

	latches latches
	running sync.WaitGroup // handshakes

	mu      sync.Mutex // guards what follows
	queue   []func()
	ended   chan struct{}
	closing bool
}

// tick is how often the worker looks at its clocks.
const tick = 10 * time.Millisecond

// paceTick is how often it looks while packets wait to be sent.
const paceTick = 2 * time.Millisecond

func newWorker(p *Processor, port port, public []netip.AddrPort) *worker {
	return &worker{
		p: p, port: port, public: public,
		batch:       fanout.NewBatch(port, 0),
		now:         p.cfg.Now(),
		conferences: make(map[string]*conference),
		byUfrag:     make(map[string]*leg),
		byAddr:      make(map[netip.AddrPort]*leg),
		pending:     make(map[netip.AddrPort]*association),
		stats:       Stats{Drops: make(map[Drop]uint64)},
		scratch:     make([]byte, 0, largest),
		ended:       make(chan struct{}),
	}
}

// post has the worker call f. It says no when the worker has ended.
func (w *worker) post(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return false
	}
	w.queue = append(w.queue, f)
	if len(w.queue) == 1 {
		w.port.Wake()
	}
	return true
}

// do has the worker call f, and waits until it has.
func (w *worker) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	if !w.post(func() {
		if ctx.Err() == nil {
			f()
		}
		close(done)
	}) {
		return ErrClosed
	}
	select {
	case <-done:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ended:
		return ErrClosed
	}
}

// run works until ctx ends.
func (w *worker) run(ctx context.Context) {
	defer close(w.ended)
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.port.Wake()
		close(woken)
	})
	for ctx.Err() == nil {
		wait := tick
		if len(w.paced) > 0 {
			wait = paceTick
		}
		arrived := w.port.Receive(wait)
		w.now = w.p.cfg.Now()
		for i := range arrived {
			w.receive(arrived[i].To, arrived[i].Data)
		}
		w.forward()
		w.pace()
		w.serve()
		if w.now.Sub(w.ticked) >= tick {
			w.ticked = w.now
			w.tick()
		}
		w.batch.Flush()
	}
	w.close()
	if !stop() {
		<-woken
	}
}

// serve calls what others want to be called.
func (w *worker) serve() {
	w.mu.Lock()
	queue := w.queue
	w.queue = nil
	w.mu.Unlock()
	for _, f := range queue {
		f()
	}
}

// close ends all legs, and waits for their handshakes.
func (w *worker) close() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	for _, c := range w.conferences {
		w.endConference(c, "the media processor ends")
	}
	for _, a := range w.pending {
		a.close()
	}
	w.running.Wait()
	w.batch.Flush()
	_, w.stats.Unsent = w.batch.Sent()
}

func (w *worker) drop(why Drop) { w.stats.Drops[why]++ }

// receive takes one datagram to where it belongs (RFC 7983, section 7).
func (w *worker) receive(from netip.AddrPort, datagram []byte) {
	if len(datagram) == 0 {
		w.drop(DropGarbage)
		return
	}
	switch first := datagram[0]; {
	case first < 4:
		w.check(from, datagram)
	case first >= 20 && first < 64:
		w.record(from, datagram)
	case first >= 128 && first < 192 && len(datagram) >= 12:
		w.media(from, datagram)
	default:
		w.drop(DropGarbage)
	}
}

// check takes a STUN message. Indications are keepalives of the peer's NAT (RFC 8445,
// section 11), and say nothing.
func (w *worker) check(from netip.AddrPort, datagram []byte) {
	if len(datagram) > 1 && datagram[0] == 0 && datagram[1] == 0x11 && w.byAddr[from] != nil {
		return
	}
	if err := w.request.Read(datagram); err != nil {
		w.drop(DropSTUN)
		return
	}
	l := w.byUfrag[string(w.request.Local)]
	if l == nil {
		w.drop(DropSTUN)
		return
	}
	l.tape(false, from, datagram)
	pwd := l.passwords[string(w.request.Local)]
	answer, err := []byte(nil), error(nil)
	if code := w.request.Check(pwd); code != 0 {
		w.drop(DropSTUN)
		answer, err = w.request.Failure(code, pwd)
	} else if other := w.byAddr[from]; other != nil && other.defends(from, l) {
		w.drop(DropSTUN)
		return
	} else {
		l.checked(from, string(w.request.Local), w.request.UseCandidate)
		answer, err = w.request.Success(from, pwd)
	}
	if err == nil {
		l.tape(true, from, answer)
		_ = w.port.WriteTo(answer, from)
	}
}

// record takes DTLS records.
func (w *worker) record(from netip.AddrPort, datagram []byte) {
	if !whole(datagram) {
		w.drop(DropGarbage)
		return
	}
	if l := w.byAddr[from]; l != nil {
		l.tape(false, from, datagram)
		if l.association == nil {
			l.association = w.handshake(l, from, l.offer.Fingerprints)
			l.on(heardHello, "")
		}
		l.association.put(datagram)
		return
	}
	a := w.pending[from]
	if a == nil {
		switch {
		case !hello(datagram) || w.latches.empty():
			w.drop(DropStranger)
			return
		case len(w.pending) >= w.p.cfg.Limits.Handshakes:
			w.drop(DropHandshakes)
			return
		}
		a = w.handshake(nil, from, nil)
		w.pending[from] = a
	}
	a.put(datagram)
}

// whole is true for a datagram of whole DTLS records.
func whole(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 13 || b[0] < 20 || b[0] > 63 || b[1] != 0xfe {
			return false
		}
		size := 13 + int(b[11])<<8 + int(b[12])
		if size > len(b) {
			return false
		}
		b = b[size:]
	}
	return true
}

// hello is true for a DTLS record that begins a handshake (RFC 6347, section 4.1, 4.3.2).
func hello(b []byte) bool { return len(b) > 13 && b[0] == 22 && b[1] == 0xfe && b[13] == 1 }

// media takes SRTP or SRTCP (RFC 5761, section 4).
func (w *worker) media(from netip.AddrPort, datagram []byte) {
	l := w.byAddr[from]
	switch {
	case l == nil:
		w.drop(DropStranger)
	case l.state != connected:
		w.drop(DropKeyless)
	case datagram[1] >= 192 && datagram[1] < 224:
		l.control(datagram)
	default:
		l.rtp(datagram)
	}
}

// join answers an offer.
func (w *worker) join(j Join, offer *description.Offer) (string, error) {
	c := w.conferences[j.Conference]
	if c == nil {
		if !w.p.admit() {
			return "", errConferences(w.p.cfg.Limits.Conferences)
		}
		c = newConference(w, j.Conference)
		w.conferences[j.Conference] = c
	}
	answer, err := c.join(j, offer)
	w.sweep(c)
	return answer, err
}

// sweep takes a conference away in which nobody is.
func (w *worker) sweep(c *conference) {
	if len(c.legs) == 0 && w.conferences[c.name] == c {
		delete(w.conferences, c.name)
		w.p.dismiss()
		w.event(Event{Kind: EventEnded, Conference: c.name})
	}
}

func (w *worker) endConference(c *conference, reason string) {
	for len(c.legs) > 0 {
		c.legs[0].on(wasEnded, reason)
	}
	w.sweep(c)
}

// event tells of something.
func (w *worker) event(e Event) {
	e.Time, e.Region = w.now, w.p.cfg.Region
	w.p.herald.event(e)
}

// snapshot returns the figures of now.
func (w *worker) snapshot() Stats {
	s := w.stats.clone()
	s.Conferences = len(w.conferences)
	for _, c := range w.conferences {
		s.Participants += len(c.legs)
		for _, l := range c.legs {
			if l.state == connected {
				s.Connected++
			}
			s.Drops[DropOverflow] += l.association.lost()
		}
	}
	if s.Drops[DropOverflow] == 0 {
		delete(s.Drops, DropOverflow)
	}
	_, s.Unsent = w.batch.Sent()
	return s
}
