package participant

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	rtpreception "github.com/callpath/callpath/relay/reception"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/result"
)

// interval is the distance between the samples of a series, and between the looks
// at the checks' round trip.
const interval = 500 * time.Millisecond

// pictureRequest is the shortest time between two requests for a key frame.
const pictureRequest = 500 * time.Millisecond

// reception measures what a session receives.
type reception struct {
	p        *Participant
	comparer *media.Comparer // nil in a conference
	requests chan uint32     // SSRCs whose picture is lost
	done     chan struct{}
	finished sync.Once

	mu       sync.Mutex
	s        *session // the one whose endpoint receives
	expected []string // kinds; nil until the other side has described itself
	streams  []*stream
	end      time.Time // zero until the call has ended
	last     time.Time // arrival of the last packet; zero after a hold began or ended
	gap      time.Duration
	// stunTotal is the sum of stunCount round-trip times of checks.
	stunTotal time.Duration
	stunCount int
	// heard counts the packets of each origin in a conference.
	heard map[media.Origin]uint64
}

func newReception(s *session) *reception {
	r := &reception{
		p: s.p, s: s, requests: make(chan uint32, 8), done: make(chan struct{}), heard: map[media.Origin]uint64{},
	}
	if s.conference == nil {
		r.comparer = s.p.cfg.Ledger.Comparer(s.peer)
	}
	return r
}

// expect says which kinds of media the other side sends; the first time counts.
func (r *reception) expect(kinds []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.expected == nil {
		r.expected = append([]string{}, kinds...)
	}
}

// complete is true when an intact packet of each expected kind has come; missing
// is nil as long as nothing is known of the other side.
func (r *reception) complete() (met bool, missing []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.expected == nil {
		return false, nil
	}
	missing = []string{}
	for _, kind := range r.expected {
		if !slices.ContainsFunc(r.streams, func(s *stream) bool { return s.format.Kind == kind && s.intact > 0 }) {
			missing = append(missing, kind)
		}
	}
	return len(missing) == 0, missing
}

// packet takes one received packet.
func (r *reception) packet(f media.Format, p *rtp.Packet, arrived time.Time) {
	verdict, origins := r.judge(f, p)
	r.mu.Lock()
	s := r.stream(f, p.SSRC)
	if s == nil || !r.end.IsZero() {
		r.mu.Unlock()
		return
	}
	before := s.intact
	s.add(p, verdict, arrived)
	news := r.note(s, origins) || verdict == media.Mixed && s.mixed%wakeEvery == 1
	if !r.last.IsZero() {
		r.gap = max(r.gap, arrived.Sub(r.last))
	}
	r.last = arrived
	first := before == 0 && s.intact == 1 || news
	lost := s.lostPicture(arrived)
	r.mu.Unlock()
	if first {
		r.p.change(func() {})
	}
	if lost {
		select {
		case r.requests <- p.SSRC:
		default: // others are under way
		}
	}
}

// stream is that of an SSRC; mu is held.
func (r *reception) stream(f media.Format, ssrc uint32) *stream {
	for _, s := range r.streams {
		if s.ssrc == ssrc {
			return s
		}
	}
	s, err := newStream(f, ssrc, r.p.cfg.Start)
	if err != nil {
		r.p.log.Error("participant.stream_unmeasured", slog.String("error", err.Error()))
		return nil
	}
	r.streams = append(r.streams, s)
	return s
}

// reports takes the reception reports of an RTCP packet, for what they say of the
// round trip.
func (r *reception) reports(list []rtcp.ReceptionReport, arrived time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, report := range list {
		trip, ok := rtpreception.RoundTrip(arrived, report.LastSenderReport, report.Delay)
		if !ok || !r.end.IsZero() {
			continue
		}
		for _, s := range r.streams {
			s.sampler.RoundTrip(arrived, trip)
		}
	}
}

// pause lets the time until the next packet count as no gap and no freeze: a hold
// begins or ends.
func (r *reception) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = time.Time{}
	for _, s := range r.streams {
		s.pause()
	}
}

// finish ends the measurement; what comes later is not counted.
func (r *reception) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end.IsZero() {
		r.end = time.Now()
		r.gap = max(r.gap, r.openGap(r.end))
	}
}

// openGap is the time since the last packet; mu is held.
func (r *reception) openGap(now time.Time) time.Duration {
	if r.last.IsZero() {
		return 0
	}
	return now.Sub(r.last)
}

func (r *reception) close() { r.finished.Do(func() { close(r.done) }) }

// watch reads the checks' round trip of a session at each interval and asks for key
// frames, until ctx ends or the reception is closed.
func (r *reception) watch(ctx context.Context, s *session) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			stats := s.endpoint.Stats()
			r.mu.Lock()
			if stats.RTT > 0 {
				r.stunTotal += stats.RTT
				r.stunCount++
			}
			r.mu.Unlock()
		case ssrc := <-r.requests:
			// Lost like any packet when there is no path; the next one is sent
			// when its time has come.
			_ = s.endpoint.Control(&rtcp.PictureLossIndication{MediaSSRC: ssrc})
		case <-ctx.Done():
			return
		case <-r.done:
			return
		}
	}
}

// result fills in what was measured; slots are the m-lines of a conference's SSRCs.
func (r *reception) result(out *result.Participant, slots map[uint32]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.end
	gap := r.gap
	if now.IsZero() {
		now = time.Now()
		gap = max(gap, r.openGap(now))
	}
	out.Gap = result.Duration(gap)
	var series [][]result.Sample
	// In the order of their kinds, audio first, whichever came first.
	streams := slices.SortedStableFunc(slices.Values(r.streams), func(a, b *stream) int {
		return strings.Compare(a.format.Kind, b.format.Kind)
	})
	for _, s := range streams {
		// The mean over the call's intervals: while pairs are checked, the
		// agents' own work delays the answers.
		one := result.Stream{STUNRTT: result.Duration(r.stunTotal / time.Duration(max(r.stunCount, 1)))}
		s.fill(&one)
		if sender, _, sent, ok := r.p.cfg.Ledger.Sent(s.ssrc); ok {
			one.From, one.Sent = sender, sent.Packets
		}
		if r.comparer == nil {
			one.From, one.Sent = strings.Join(s.from, ", "), 0
			one.Slot = slots[s.ssrc]
		}
		out.Streams = append(out.Streams, one)
		series = append(series, s.sampler.Samples(now))
	}
	out.Series = combine(series)
	r.others(out)
}
