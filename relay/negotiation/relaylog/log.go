package relaylog

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
)

// Config configures a Log. Only Handler is required.
type Config struct {
	// Handler writes the records. One goroutine calls it, so that a slow disk makes
	// the log lose records, and no media wait.
	Handler slog.Handler
	// Run begins the names of allocations, to tell the runs of one server apart.
	Run string
	// Sample is how long media is read once it flows both ways; default 10 s.
	Sample time.Duration
	// Stall is after how long without progress a leg gets its verdict; default 30 s,
	// which leaves DTLS five retransmissions (RFC 6347, section 4.2.4.1).
	Stall time.Duration
	// Most is how long a leg is read at most; default 2 min.
	Most time.Duration
	// Legs bounds the legs that are read at the same time; default 1024. Others are
	// counted and not read. A leg in which everything is full has about 300 KB, that
	// of a call about 30.
	Legs int
	// Now is the clock of the rules above; time.Now when nil. It must not go back.
	Now func() time.Time
}

const (
	// waiting is how many records may wait for the Handler.
	waiting = 4096
	// tick is between two looks at the legs.
	tick = 250 * time.Millisecond
	// maxSessions is of how many ICE sessions it is known which leg carries them.
	maxSessions = 4096
)

// Log is the negotiation log of one relay. Its methods may be called from several
// goroutines at once, and do not wait for what is written.
type Log struct {
	cfg     Config
	records chan slog.Record
	dropped atomic.Uint64
	wake    chan struct{}
	stop    chan struct{}
	running sync.WaitGroup

	// made numbers the allocations.
	made atomic.Uint64

	mu          sync.RWMutex
	closed      bool
	allocations map[netip.AddrPort]*allocation
	live        map[*leg]struct{}
	skipped     uint64

	// sessions belong to the goroutine.
	sessions sessions
}

// allocation is a live one, by its relayed address. Log.mu guards legs.
type allocation struct {
	name, transport string
	legs            map[netip.AddrPort]*leg
}

// New starts a log. Close ends it.
func New(cfg Config) *Log {
	cfg.Sample = cmp.Or(cfg.Sample, 10*time.Second)
	cfg.Stall = cmp.Or(cfg.Stall, 30*time.Second)
	cfg.Most = cmp.Or(cfg.Most, 2*time.Minute)
	cfg.Legs = cmp.Or(cfg.Legs, 1024)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Run != "" {
		cfg.Run += "-"
	}
	l := &Log{
		cfg:         cfg,
		records:     make(chan slog.Record, waiting),
		wake:        make(chan struct{}, 1),
		stop:        make(chan struct{}),
		allocations: map[netip.AddrPort]*allocation{},
		live:        map[*leg]struct{}{},
	}
	l.running.Go(l.run)
	return l
}

// Allocated takes a new allocation, before any of its payloads; transport is "udp",
// "tcp", "tls" or "dtls".
func (l *Log) Allocated(relay netip.AddrPort, transport string) {
	a := &allocation{
		name:      l.cfg.Run + strconv.FormatUint(l.made.Add(1), 10),
		transport: transport,
		legs:      map[netip.AddrPort]*leg{},
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.end(l.allocations[relay])
		l.allocations[relay] = a
	}
}

// Deleted takes the end of an allocation.
func (l *Log) Deleted(relay netip.AddrPort) {
	l.mu.Lock()
	l.end(l.allocations[relay])
	delete(l.allocations, relay)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// end marks the legs of an allocation as ended; nil is fine. Its caller holds mu.
func (l *Log) end(a *allocation) {
	if a == nil {
		return
	}
	for _, g := range a.legs {
		g.ended.Store(true)
	}
}

// Payload takes a payload that goes between a relayed address and a peer, at time t.
// It returns false once no more of them are wanted, and when the allocation is not
// known. It keeps no reference to payload.
func (l *Log) Payload(t time.Time, relay, peer netip.AddrPort, toPeer bool, payload []byte) (more bool) {
	l.mu.RLock()
	a := l.allocations[relay]
	var g *leg
	if a != nil {
		g = a.legs[peer]
	}
	l.mu.RUnlock()
	if g == nil {
		if g = l.begin(t, relay, peer); g == nil {
			return false
		}
	}
	return g.payload(t, toPeer, payload)
}

// begin finds or begins a leg; nil when it is not read.
func (l *Log) begin(t time.Time, relay, peer netip.AddrPort) *leg {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.allocations[relay]
	if a == nil || l.closed {
		return nil
	}
	if g := a.legs[peer]; g != nil {
		return g
	}
	if len(l.live) >= l.cfg.Legs {
		l.skipped++
		return nil
	}
	g := newLeg(l, a, relay, peer, l.cfg.Now())
	a.legs[peer] = g
	l.live[g] = struct{}{}
	l.write(g.entry(t, slog.LevelInfo, negotiation.EventBegin))
	return g
}

// write hands a record to the goroutine, or drops it.
func (l *Log) write(r slog.Record) {
	if !l.cfg.Handler.Enabled(context.Background(), r.Level) {
		return
	}
	select {
	case l.records <- r:
	default:
		l.dropped.Add(1)
	}
}

// Close gives all legs their last record and returns when everything is written. It
// may be called more than once.
func (l *Log) Close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	clear(l.allocations)
	l.mu.Unlock()
	if first {
		close(l.stop)
	}
	l.running.Wait()
}

// run is the goroutine: it writes, and looks after the legs.
func (l *Log) run() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case r := <-l.records:
			l.handle(r)
			continue
		case <-l.wake:
			l.review(false)
		case <-ticker.C:
			l.review(false)
		case <-l.stop:
			l.review(true)
			return
		}
	}
}

func (l *Log) handle(r slog.Record) {
	// What can't be written is lost: there is nowhere to say so.
	_ = l.cfg.Handler.Handle(context.Background(), r)
}

// flush writes what waits.
func (l *Log) flush() {
	for {
		select {
		case r := <-l.records:
			l.handle(r)
		default:
			return
		}
	}
}

// review looks at all legs; last is true at the end of the log.
func (l *Log) review(last bool) {
	now := l.cfg.Now()
	l.mu.Lock()
	all := make([]*leg, 0, len(l.live))
	for g := range l.live {
		all = append(all, g)
	}
	skipped := l.skipped
	l.skipped = 0
	l.mu.Unlock()
	for _, g := range all {
		if over := g.review(now, last); over {
			l.mu.Lock()
			delete(l.live, g)
			l.mu.Unlock()
		}
	}
	l.flush()
	for _, c := range []struct {
		what string
		n    uint64
	}{{"legs.skipped", skipped}, {"records.dropped", l.dropped.Swap(0)}} {
		if c.n > 0 {
			r := slog.NewRecord(now, slog.LevelWarn, c.what, 0)
			r.AddAttrs(slog.Uint64("count", c.n))
			l.emit(r)
		}
	}
}

// emit writes a record of the goroutine's own, after those that wait.
func (l *Log) emit(r slog.Record) {
	l.flush()
	if l.cfg.Handler.Enabled(context.Background(), r.Level) {
		l.handle(r)
	}
}

// sessions say which leg carries an ICE session, by both user name fragments.
type sessions struct {
	carrier map[[2]string]string
	order   [][2]string
}

func session(own, peer string) [2]string { return [2]string{min(own, peer), max(own, peer)} }

// carry notes that a leg carries a session. The oldest are forgotten.
func (s *sessions) carry(key [2]string, leg string) {
	if key[0] == "" || s.carrier[key] != "" {
		return
	}
	if s.carrier == nil {
		s.carrier = map[[2]string]string{}
	}
	if len(s.order) == maxSessions {
		delete(s.carrier, s.order[0])
		s.order = append(s.order[:0], s.order[1:]...)
	}
	s.carrier[key] = leg
	s.order = append(s.order, key)
}
