package estimate

import "time"

// Config bounds an estimate. Rates are in bit/s. A field that is 0 has its default.
type Config struct {
	Initial uint64 // 300 kbit/s
	Min     uint64 // 30 kbit/s
	Max     uint64 // 50 Mbit/s
}

// remembered is how many packets back feedback may speak of: 8 s at 500 packets a second.
const remembered = 4096

const (
	// rembHolds is for how long a REMB holds.
	rembHolds = 5 * time.Second
	// feedbackHolds is for how long transport-wide feedback counts as coming.
	feedbackHolds = 5 * time.Second
)

// Sender estimates the path to one receiver.
type Sender struct {
	cfg   Config
	begun time.Time
	some  bool
	// next is the number of the next packet, unwrapped; packets has the last ones.
	next    int64
	packets [remembered]packetSent
	// covered is the newest that feedback has spoken of.
	covered int64
	// The receiver's clock: the last reference time, and its unwrapped value.
	reference uint32
	remote    time.Duration
	heard     bool
	heardAt   time.Duration
	rtt       time.Duration

	detector        delayDetector
	delay           rateControl
	loss            lossControl
	prober          prober
	out, arrived    window
	arrivedAt       time.Duration // by the receiver's clock
	want            uint64
	congested       time.Duration // when it was last
	remb            uint64
	rembAt          time.Duration
	malformed       uint64
	unknown, probes uint64
	probed          uint64
}

// packetSent is a packet that was sent.
type packetSent struct {
	at    time.Duration
	bytes int32
	// judged: it is known whether it arrived; arrived: it did.
	judged, arrived bool
}

// NewSender makes a Sender.
func NewSender(cfg Config) *Sender {
	for _, d := range []struct {
		field *uint64
		value uint64
	}{{&cfg.Initial, 300_000}, {&cfg.Min, 30_000}, {&cfg.Max, 50_000_000}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	cfg.Max = max(cfg.Max, cfg.Min)
	cfg.Initial = min(max(cfg.Initial, cfg.Min), cfg.Max)
	s := &Sender{cfg: cfg, detector: newDelayDetector(), covered: -1}
	s.delay.rate, s.loss.rate = float64(cfg.Initial), float64(cfg.Initial)
	return s
}

// since returns a time as one since the first, and a bit: never 0, which means never.
func (s *Sender) since(now time.Time) time.Duration {
	if !s.some {
		s.begun, s.some = now.Add(-time.Millisecond), true
	}
	return now.Sub(s.begun)
}

// Next returns the transport-wide sequence number for a packet of so many bytes (as
// sealed) that is sent now. probe says that it is sent because of Probe.
func (s *Sender) Next(bytes int, probe bool, now time.Time) uint16 {
	at := s.since(now)
	if probe {
		s.probed += uint64(bytes)
	}
	seq := s.next
	s.next++
	s.packets[seq%remembered] = packetSent{at: at, bytes: int32(bytes)}
	s.out.add(bytes, at)
	s.prober.packetSent(seq, bytes, at)
	return uint16(seq)
}

// Feedback takes in a transport-wide congestion control packet: one RTCP packet with its
// header, opened. The error says what is malformed; then nothing of it is taken in.
func (s *Sender) Feedback(packet []byte, now time.Time) error {
	f, err := parse(packet)
	if err != nil {
		s.malformed++
		return err
	}
	at := s.since(now)
	come := s.unwrapReference(f.reference)
	newest := int64(-1)
	for range f.count {
		status, err := f.next()
		if err != nil {
			return err // parse has seen to it that there is none
		}
		come += status.delta
		seq := s.next + int64(int16(status.seq-uint16(s.next)))
		if seq < 0 || seq >= s.next || seq <= s.next-remembered {
			s.unknown++
			continue
		}
		s.covered = max(s.covered, seq)
		p := &s.packets[seq%remembered]
		if p.arrived || p.judged && !status.received {
			continue // it has been spoken of before
		}
		if !p.judged {
			s.loss.packet(status.received)
		}
		p.judged = true
		if !status.received {
			continue
		}
		p.arrived = true
		newest = max(newest, seq)
		s.arrivedAt = max(s.arrivedAt, come)
		s.arrived.add(int(p.bytes), s.arrivedAt)
		s.detector.add(p.at, come)
		s.prober.packetArrived(seq, int(p.bytes), come)
	}
	s.heard, s.heardAt = true, at
	if newest >= 0 {
		s.measure(at - s.packets[newest%remembered].at)
	}
	s.control(at)
	return nil
}

// unwrapReference returns a reference time of 24 bits on a clock that does not wrap.
func (s *Sender) unwrapReference(reference uint32) time.Duration {
	if !s.heard {
		s.remote = time.Hour // so that what is before it is not negative
	} else {
		s.remote += time.Duration(int32((reference-s.reference)<<8)>>8) * referenceUnit
	}
	s.reference = reference
	return s.remote
}

func (s *Sender) measure(rtt time.Duration) {
	if s.rtt == 0 {
		s.rtt = rtt
	}
	s.rtt += (rtt - s.rtt) / 8
}

// control adjusts the estimates after feedback.
func (s *Sender) control(at time.Duration) {
	delivered, ok := s.arrived.rate(s.arrivedAt)
	if !ok {
		delivered = 0
	}
	if s.detector.usage == usageOver || s.loss.part > lossMuch {
		s.congested = at
	}
	s.delay.update(s.detector.usage, delivered, s.rtt, at)
	s.loss.update(at)
	if found, over := s.prober.finish(s.covered, at); over {
		better := found > s.rate()
		if better && s.congested != at {
			s.delay.rate = max(s.delay.rate, found)
			s.loss.rate = max(s.loss.rate, found)
		}
		s.prober.rest(better, at)
	}
	s.clamp()
}

// clamp keeps the estimates within bounds. The one of loss need not be much higher than the
// other: it would only come down later.
func (s *Sender) clamp() {
	least, most := float64(s.cfg.Min), float64(s.cfg.Max)
	s.delay.rate = min(max(s.delay.rate, least), most)
	s.loss.rate = min(max(s.loss.rate, least), most)
	if s.heard {
		s.loss.rate = min(s.loss.rate, max(2*s.delay.rate, float64(s.cfg.Initial)))
	}
}

// rate is the estimate by feedback, in bit/s.
func (s *Sender) rate() float64 { return min(s.delay.rate, s.loss.rate) }

// REMB takes in a receiver's estimated maximum bitrate, in bit/s. It holds for 5 s.
func (s *Sender) REMB(bitrate uint64, now time.Time) {
	s.remb, s.rembAt = bitrate, s.since(now)
}

// Loss takes in the fraction lost of a receiver report's block (RFC 3550, section 6.4.1;
// in 1/256). It counts only while no transport-wide feedback comes.
func (s *Sender) Loss(fraction uint8, now time.Time) {
	at := s.since(now)
	if s.hears(at) {
		return
	}
	if s.loss.adjusted == 0 {
		s.loss.adjusted = at
	}
	s.loss.adjust(float64(fraction)/256, at)
	if s.loss.part > lossMuch {
		s.congested = at
	}
	s.clamp()
	if s.want > 0 {
		s.loss.rate = min(s.loss.rate, max(probeBeyond*float64(s.want), float64(s.cfg.Initial)))
	}
}

func (s *Sender) hears(at time.Duration) bool { return s.heard && at-s.heardAt < feedbackHolds }

// Want says how much the receiver could use, in bit/s: the sum of the best layers of all
// its slots. Nothing is probed for beyond it.
func (s *Sender) Want(bitrate uint64) { s.want = bitrate }

// Probe says whether to send more for a moment, and what. It is called every 10 ms or so.
// All packets that are sent in the time of the probe, media too, are a part of it.
func (s *Sender) Probe(now time.Time) (p Probe, ok bool) {
	at := s.since(now)
	if !s.hears(at) || s.prober.running {
		return Probe{}, false
	}
	if s.prober.next == 0 {
		s.prober.next = at + probeFirst
	}
	have, most := s.rate(), probeBeyond*float64(s.want)
	if at < s.prober.next || have >= float64(s.want) || have >= float64(s.cfg.Max) ||
		s.congested != 0 && at-s.congested < probeCalm || s.detector.usage == usageOver || s.loss.part > lossLittle {
		return Probe{}, false
	}
	sends, _ := s.out.rate(at)
	if s.delay.full > 0 && sends > probeUsed*have {
		return Probe{}, false // the media are a probe themselves
	}
	target := min(probeFactor*have, most, float64(s.cfg.Max))
	s.prober.start(s.next, at)
	s.probes++
	bytes := int(max(target-sends, 0) * probeLength.Seconds() / 8)
	return Probe{Rate: uint64(target), Bytes: max(bytes, probeLeast*200), Duration: probeLength}, true
}

// Bitrate returns the estimate in bit/s, as of now.
func (s *Sender) Bitrate(now time.Time) uint64 {
	at := s.since(now)
	rate := s.loss.rate
	if s.hears(at) {
		rate = s.rate()
	}
	if s.rembAt != 0 && at-s.rembAt < rembHolds {
		if !s.hears(at) {
			// The receiver knows the delay; it is no news that nothing was lost.
			rate = float64(s.remb)
			if s.loss.part > lossMuch {
				rate = min(rate, s.loss.rate)
			}
		}
		rate = min(rate, float64(s.remb))
	}
	return uint64(min(max(rate, float64(s.cfg.Min)), float64(s.cfg.Max)))
}

// RTT returns the round-trip time as feedback shows it, which includes how long the
// receiver gathers feedback; 0 when it is not known.
func (s *Sender) RTT() time.Duration { return s.rtt }

// Stats are for humans and tests.
type Stats struct {
	// Delay and Loss are the two estimates, in bit/s.
	Delay, Loss uint64
	// Delivered is what arrived in the last half second of feedback, in bit/s.
	Delivered uint64
	// Lost is the part of the packets that did not arrive, from 0 to 1, smoothed.
	Lost float64
	// Overuses counts how often the rate went down because a queue grew.
	Overuses uint64
	// Probes were begun, and ProbeBytes sent for them.
	Probes, ProbeBytes uint64
	// Malformed counts feedback packets; Unknown counts sequence numbers in feedback
	// that are too old or were never sent.
	Malformed, Unknown uint64
}

// Stats returns the figures.
func (s *Sender) Stats() Stats {
	delivered, _ := s.arrived.rate(s.arrivedAt)
	return Stats{
		Delay: uint64(s.delay.rate), Loss: uint64(s.loss.rate), Delivered: uint64(delivered), Lost: s.loss.part,
		Overuses: s.delay.overuses, Probes: s.probes, ProbeBytes: s.probed, Malformed: s.malformed, Unknown: s.unknown,
	}
}
