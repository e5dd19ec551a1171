package participant

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
)

const (
	// spread bounds the distance between the packets of one picture, which real
	// clients do not send as a burst.
	spread = 5 * time.Millisecond
	// hopeless is how late a frame may be before the clock is set anew: a
	// client that was stopped does not catch up by sending all at once.
	hopeless = 300 * time.Millisecond
)

// transmission sends a session's media, each stream in a goroutine of its own.
type transmission struct {
	s       *session
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	started bool
	closed  bool
	rewinds map[uint32]bool // by SSRC: a key frame has been asked for
}

func newTransmission(s *session) *transmission {
	t := &transmission{s: s, rewinds: map[uint32]bool{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// start begins to send; calling it again does nothing.
func (t *transmission) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started || t.closed {
		return
	}
	t.started = true
	t.running.Go(func() {
		for _, sender := range t.s.endpoint.Senders() {
			if sender.Negotiated() {
				t.running.Go(func() { t.send(sender) })
			}
		}
	})
	t.running.Go(func() { t.s.reception.watch(t.ctx, t.s) })
}

// beside runs something that ends with the call.
func (t *transmission) beside(do func(context.Context)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.running.Go(func() { do(t.ctx) })
	}
}

// stop ends sending without waiting for it.
func (t *transmission) stop() { t.cancel() }

func (t *transmission) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.running.Wait()
}

// rewind has a stream's next picture be a key frame.
func (t *transmission) rewind(ssrc uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rewinds[ssrc] = true
}

func (t *transmission) takeRewind(ssrc uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	asked := t.rewinds[ssrc]
	delete(t.rewinds, ssrc)
	return asked
}

// send paces one stream by deadlines that do not drift.
func (t *transmission) send(sender endpoint.Sender) {
	format := sender.Format()
	seed := t.s.p.cfg.Seed
	source, err := media.NewSource(format.Codec, seed)
	if err == nil {
		var stream *media.Stream
		if stream, err = t.open(sender, source); err == nil {
			packetizer := media.NewPacketizer(format, sender.SSRC(), sender.PayloadType(), seed)
			t.pace(&pacer{t: t, sender: sender, source: source, stream: stream, packetizer: packetizer})
			return
		}
	}
	t.s.p.log.Error("participant.send_failed", slog.String("codec", string(format.Codec)), slog.String("error", err.Error()))
	t.s.p.cfg.Recorder.Failure("srtp", err.Error())
}

// open enters a stream in the ledger; in a conference its frames are marked, because
// its packets reach the others under another number.
func (t *transmission) open(sender endpoint.Sender, source *media.Source) (*media.Stream, error) {
	ledger, user, format, ssrc := t.s.p.cfg.Ledger, t.s.p.cfg.User, sender.Format(), sender.SSRC()
	if t.s.conference == nil {
		return ledger.Open(user, format.Codec, ssrc)
	}
	source.Mark(ssrc)
	return ledger.OpenMarked(user, format.Kind, format.Codec, ssrc)
}

// pacer is one stream that is sent.
type pacer struct {
	t          *transmission
	sender     endpoint.Sender
	source     *media.Source
	stream     *media.Stream
	packetizer *media.Packetizer
	away       bool // frames were left out
}

func (t *transmission) pace(p *pacer) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Now()
	for t.sleep(timer, next) {
		if late := time.Since(next); late > hopeless {
			next = next.Add(late)
		}
		if t.takeRewind(p.sender.SSRC()) {
			p.source.Rewind()
		}
		frame, silent := p.next()
		if silent {
			p.packetizer.Skip(frame)
		} else if !p.send(timer, next, frame) {
			return
		}
		next = next.Add(frame.Duration)
	}
}

// next is the next frame to send: of the source, or silence; or one to leave out,
// while the other side holds the call or this side shows no picture. A picture
// that comes back begins with a key frame.
func (p *pacer) next() (frame media.Frame, leaveOut bool) {
	s := p.t.s
	s.p.mu.Lock()
	held, quiet := s.held, s.p.muted || s.holding
	s.p.mu.Unlock()
	if !held && !quiet {
		if p.away {
			p.source.Rewind()
			p.away = false
		}
		return p.source.Next(), false
	}
	frame = p.source.Next()
	if silence, ok := p.source.Silence(); ok && !held {
		return silence, false
	}
	p.away = true
	return frame, true
}

// send sends a frame's packets over the first half of its time. It is false when
// the call has ended.
func (p *pacer) send(timer *time.Timer, at time.Time, frame media.Frame) bool {
	packets := p.packetizer.Packets(frame)
	gap := min(spread, frame.Duration/2/time.Duration(max(len(packets), 1)))
	for i, packet := range packets {
		if i > 0 && !p.t.sleep(timer, at.Add(time.Duration(i)*gap)) {
			return false
		}
		p.stream.Send(packet)
		if err := p.sender.Send(packet); err != nil {
			// Without a path there is nowhere to send: the packet is lost, and
			// counts as such.
			p.t.s.p.log.Debug("participant.packet_not_sent", slog.String("error", err.Error()))
		}
	}
	return true
}

// sleep waits until a time. It is false when the call has ended.
func (t *transmission) sleep(timer *time.Timer, until time.Time) bool {
	wait := time.Until(until)
	if wait <= 0 {
		return t.ctx.Err() == nil
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
		return true
	case <-t.ctx.Done():
		return false
	}
}
