package participant

import (
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/result"
)

// interval is the distance between the samples of a series.
const interval = 500 * time.Millisecond

// pictureRequest is the shortest time between two requests for a key frame.
const pictureRequest = 500 * time.Millisecond

// reception measures what a session receives.
type reception struct {
	s        *session
	comparer *media.Comparer
	requests chan uint32 // SSRCs whose picture is lost
	done     chan struct{}
	finished sync.Once

	mu       sync.Mutex
	expected []string // kinds; nil until the other side has described itself
	streams  []*stream
	series   []result.Sample
	end      time.Time // zero until the call has ended
	paused   bool      // nothing has come since a hold began or ended
	last     time.Time // arrival of the last packet; zero when paused
	gap      time.Duration
	rtt      mean // RTCP's
	stun     endpoint.Stats
}

func newReception(s *session) *reception {
	return &reception{
		s: s, comparer: s.p.cfg.Ledger.Comparer(s.peer),
		requests: make(chan uint32, 8), done: make(chan struct{}), paused: true,
	}
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
	verdict := r.comparer.Compare(p)
	r.mu.Lock()
	if !r.end.IsZero() {
		r.mu.Unlock()
		return
	}
	s := r.stream(f, p.SSRC)
	before := s.intact
	s.add(p, verdict, arrived)
	if !r.last.IsZero() {
		r.gap = max(r.gap, arrived.Sub(r.last))
	}
	r.last, r.paused = arrived, false
	first := before == 0 && s.intact == 1
	lost := s.pictures != nil && s.pictures.lost() && arrived.Sub(s.requested) > pictureRequest
	if lost {
		s.requested = arrived
	}
	r.mu.Unlock()
	if first {
		r.s.p.change(func() {})
	}
	if lost {
		select {
		case r.requests <- p.SSRC:
		default: // one is under way
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
	s := newStream(f, ssrc)
	r.streams = append(r.streams, s)
	return s
}

// reports takes the reception reports of an RTCP packet. What they say of the
// round trip is RFC 3550's, section 6.4.1: arrival less LSR less DLSR.
func (r *reception) reports(list []rtcp.ReceptionReport, arrived time.Time) {
	for _, report := range list {
		if report.LastSenderReport == 0 {
			continue
		}
		trip := int32(middle(arrived) - report.LastSenderReport - report.Delay)
		if trip <= 0 {
			continue // clocks that are coarser than the trip
		}
		r.mu.Lock()
		r.rtt.add(time.Duration(trip) * time.Second / (1 << 16))
		r.mu.Unlock()
	}
}

// middle is the middle 32 bits of an NTP timestamp (RFC 3550, section 4).
func middle(t time.Time) uint32 {
	const since1900 = 2208988800
	seconds := uint64(t.Unix()) + since1900
	fraction := uint64(t.Nanosecond()) << 16 / uint64(time.Second)
	return uint32(seconds<<16 | fraction)
}

// pause lets the time until the next packet count as no gap: a hold begins or
// ends.
func (r *reception) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.paused = time.Time{}, true
	for _, s := range r.streams {
		if s.pictures != nil {
			s.pictures.pause()
		}
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

// sample takes a sample at each interval, and asks for key frames, until the
// reception is closed.
func (r *reception) sample() {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			stats := r.s.endpoint.Stats()
			r.take(now, stats)
		case ssrc := <-r.requests:
			// Lost like any packet when there is no path; the next one is sent
			// when its time has come.
			_ = r.s.endpoint.Control(&rtcp.PictureLossIndication{MediaSSRC: ssrc})
		case <-r.done:
			return
		}
	}
}

// take is one sample over all streams: loss of all packets, the jitter and the MOS
// of audio, where there is audio.
func (r *reception) take(now time.Time, stats endpoint.Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stats.MeanRTT > 0 {
		r.stun = stats
	}
	if !r.end.IsZero() || len(r.streams) == 0 {
		return
	}
	var expected, received, bits float64
	sample := result.Sample{At: r.s.p.since(now), RTT: result.Duration(r.tripTime())}
	for _, s := range r.streams {
		i := s.interval()
		expected += i.expected
		received += i.received
		bits += i.bytes * 8
		if i.silent && !r.paused && s.format.Kind == media.Audio {
			i.loss = 1
			s.resume()
		}
		if s.format.Kind == media.Audio && (i.expected > 0 || i.loss == 1) {
			s.score(i.loss, r.tripTime())
			sample.MOS = s.mos.last
		}
		if s.format.Kind == media.Audio || sample.Jitter == 0 {
			sample.Jitter = result.Duration(s.jitter())
		}
	}
	switch {
	case expected > 0:
		sample.Loss = max(0, 1-received/expected)
	case !r.paused:
		sample.Loss = 1
	}
	sample.Bitrate = bits / interval.Seconds()
	r.series = append(r.series, sample)
}

// tripTime is the last round-trip time of RTCP, or else of the checks; mu is held.
func (r *reception) tripTime() time.Duration {
	if r.rtt.count > 0 {
		return time.Duration(r.rtt.last)
	}
	return r.stun.RTT
}

// mean is that of durations or other figures, with the last one.
type mean struct {
	sum, last float64
	count     int
}

func (m *mean) add(value time.Duration) { m.put(float64(value)) }

func (m *mean) put(value float64) {
	m.sum += value
	m.last = value
	m.count++
}

func (m *mean) value() float64 {
	if m.count == 0 {
		return 0
	}
	return m.sum / float64(m.count)
}
