package simulcast

import (
	"time"

	"github.com/callpath/callpath/relay/forward/fanout"
)

// Packet is a received packet, as far as a Stream has to know it.
type Packet struct {
	SSRC      uint32
	Seq       uint16
	Timestamp uint32
	// Frame is what Codec.Inspect found in the payload.
	Frame Frame
	// Clock is what the source's sender reports have said, so that the timestamps of
	// two layers can be compared; nil when there were none. Without it the time between
	// the two packets' arrivals is used. It must stay the same value for a source.
	Clock *Clock
}

// AllTemporal is the limit of a Stream that has all temporal layers.
const AllTemporal = 255

// defaultClockRate is that of video (RFC 3551, section 5).
const defaultClockRate = 90000

// apart is by how much the senders' clocks may differ from arrivals before they are taken
// to be clocks of two hosts, which cannot be compared.
const apart = 500 * time.Millisecond

// StreamConfig is what a Stream is for.
type StreamConfig struct {
	Codec Codec
	// ClockRate is the RTP clock's, in Hz: 90000 by default.
	ClockRate uint32
	// Timeline is where the stream begins; see fanout.NewTimeline.
	Timeline fanout.Timeline
}

// StreamStats count what became of packets.
type StreamStats struct {
	Forwarded uint64
	// Dropped were of temporal layers above the limit, or empty.
	Dropped uint64
	// Late were from before a switch or a mute, or came after their gap was closed.
	Late uint64
	// Switches are changes of source, the first one not counted.
	Switches uint64
}

// Stream is what a receiver gets on one slot: one stream, from one source (an SSRC) at a
// time. It starts with no source.
type Stream struct {
	cfg  StreamConfig
	line fanout.Timeline
	// selected is the source that the stream should have, and current the one that it
	// has; 0 is none. awaited is the newest number of selected while it is not current.
	selected, current uint32
	awaited           newest
	// resuming: after a mute, until a key frame comes.
	muted, resuming bool
	// The newest packet that was forwarded: of which time at its source, by which
	// clock, and when.
	started   bool
	timestamp uint32
	clock     *Clock
	at        time.Time
	// limit is the highest temporal layer that there should be, and level the one that
	// there is. frame is the timestamp of the newest frame of the source.
	limit, level uint8
	frame        uint32
	framed       bool
	// seqs closes the gaps that dropped packets leave, pictures those of picture ids.
	seqs, pictures gaps
	numbering      numbering
	stats          StreamStats
}

// newest is the newest sequence number of a source.
type newest struct {
	seq  uint16
	some bool
}

// NewStream makes a Stream.
func NewStream(cfg StreamConfig) *Stream {
	if cfg.ClockRate == 0 {
		cfg.ClockRate = defaultClockRate
	}
	return &Stream{cfg: cfg, line: cfg.Timeline, limit: AllTemporal, level: AllTemporal}
}

// Select says which source the stream should have; 0 is none. The change happens at the
// source's next key frame. Until then the former source goes on, which is right for
// another layer of the same picture; with cut, or 0, it ends at once, which is right for
// another person.
func (s *Stream) Select(ssrc uint32, cut bool) {
	if s.selected != ssrc {
		s.selected, s.awaited = ssrc, newest{}
	}
	if s.current != ssrc && (cut || ssrc == 0) {
		s.current = 0
	}
}

// Selected returns the source that the stream should have; 0 is none.
func (s *Stream) Selected() uint32 { return s.selected }

// Current returns the source that the stream has; 0 is none.
func (s *Stream) Current() uint32 { return s.current }

// Waiting says whether the selected source must send a key frame before it can be seen:
// as long as that is so it should be asked for one (Requests).
func (s *Stream) Waiting() bool {
	return !s.muted && s.selected != 0 && (s.current != s.selected || s.resuming)
}

// Limit says which temporal layer is the highest that the receiver gets, of VP8 with
// temporal layers; AllTemporal, as at the beginning, is all. Down it takes effect with the
// next frame, up with the next frame that a decoder can go up with.
func (s *Stream) Limit(temporal uint8) { s.limit = temporal }

// Mute withholds everything until Unmute.
func (s *Stream) Mute() {
	s.muted = true
	s.line.Mute()
}

// Unmute lets the stream through again: of video from the next key frame on, until when
// Waiting is true.
func (s *Stream) Unmute() {
	if !s.muted {
		return
	}
	s.muted = false
	if s.cfg.Codec == Opaque {
		s.line.Unmute()
		return
	}
	s.resuming = true
}

// Muted says whether everything is withheld.
func (s *Stream) Muted() bool { return s.muted }

// Map returns the numbers that a packet has for the receiver. ok is false when the packet
// is not for it: of another source, of a layer that is dropped, from before a switch,
// muted.
func (s *Stream) Map(p *Packet, now time.Time) (n Numbers, ok bool) {
	if p.SSRC == s.current && s.jumps(p) {
		s.current, s.awaited = 0, newest{} // it begins anew
	}
	if p.SSRC != s.current && !s.enter(p, now) {
		return Numbers{}, false
	}
	if s.resuming && p.Frame.Key && s.ahead(p) {
		s.resuming = false
		s.line.Unmute()
		s.rebase()
	}
	late := !s.ahead(p)
	if p.Frame.Empty || s.drops(p) {
		if s.seqs.leave(p.Seq) {
			s.stats.Dropped++
		} else {
			s.stats.Late++
		}
		return Numbers{}, false
	}
	n.Seq, n.Timestamp, ok = s.line.Map(s.seqs.pass(p.Seq), p.Timestamp)
	if !ok {
		if !s.line.Muted() {
			s.stats.Late++
		}
		return Numbers{}, false
	}
	if p.Frame.VP8.Size > 0 {
		s.numbering.put(&n, &p.Frame.VP8, &s.pictures)
	}
	if !late {
		s.started, s.timestamp, s.clock, s.at = true, p.Timestamp, p.Clock, now
	}
	s.stats.Forwarded++
	return n, true
}

// enter changes to the selected source, if a packet is where one can.
func (s *Stream) enter(p *Packet, now time.Time) bool {
	if p.SSRC != s.selected || p.SSRC == 0 || s.muted {
		return false
	}
	// What comes after others that it belongs in front of is no beginning: those have
	// been left out already.
	if late := s.awaited.some && int16(p.Seq-s.awaited.seq) <= 0; late {
		return false
	}
	s.awaited = newest{p.Seq, true}
	if !p.Frame.Key || p.Frame.Empty {
		return false
	}
	s.line.Switch(s.elapsed(p, now))
	if s.resuming {
		s.resuming = false
		s.line.Unmute()
	}
	if s.started {
		s.stats.Switches++
	}
	s.current, s.framed = p.SSRC, false
	s.seqs, s.pictures = gaps{}, gaps{}
	s.rebase()
	return true
}

// rebase says that the next packet is the first one of a new stretch, whose numbers go on
// from those before whatever they are.
func (s *Stream) rebase() {
	s.pictures = gaps{}
	s.numbering.rebase(s.started)
}

// ahead says whether a packet of the current source is newer than all before.
func (s *Stream) ahead(p *Packet) bool {
	return !s.seqs.begun || int16(p.Seq-s.seqs.newest) > 0
}

// jumps says whether a packet is so far ahead of all others of its source that what is
// between them cannot come any more. Such a gap is not passed on: a receiver that misses
// one packet between two of them guesses a wrong rollover counter (RFC 3711, section
// 3.3.1), and could not read this stream any more, whoever is on it.
func (s *Stream) jumps(p *Packet) bool {
	return s.seqs.begun && int16(p.Seq-s.seqs.newest) >= memory
}

// elapsed returns how long after the last packet that was forwarded the packet of
// another source is, in ticks: never nothing, since it is another frame.
func (s *Stream) elapsed(p *Packet, now time.Time) uint32 {
	if !s.started {
		return 0
	}
	d := now.Sub(s.at)
	if sampled, ok := p.Clock.since(p.Timestamp, s.clock, s.timestamp); ok && (sampled-d).Abs() < apart {
		d = sampled
	}
	d = max(d, time.Millisecond)
	return uint32(d.Seconds() * float64(s.cfg.ClockRate))
}

// drops says whether a packet belongs to a temporal layer above the level, after having
// moved the level to the limit if the frame is one where that can be.
func (s *Stream) drops(p *Packet) bool {
	d := &p.Frame.VP8
	if !d.HasTemporal {
		return false
	}
	if begins := !s.framed || int32(p.Timestamp-s.frame) > 0; begins {
		s.framed, s.frame = true, p.Timestamp
		switch {
		case s.limit < s.level, p.Frame.Key:
			s.level = s.limit
		case d.Temporal > s.level && d.Temporal <= s.limit && d.Sync:
			s.level = d.Temporal
		}
	} else if d.PictureBits > 0 && s.pictures.left(s.numbering.unwrap(d, &s.pictures)) {
		return true // the rest of its frame was dropped
	}
	if d.Temporal <= s.level {
		return false
	}
	if d.PictureBits > 0 {
		s.pictures.leave(s.numbering.unwrap(d, &s.pictures))
	}
	return true
}

// Time returns what a timestamp of the current source is in the stream: for the sender
// reports that the receiver gets, which have the source's NTP time and this. ok is false
// when ssrc is not the current source, or nothing of it was sent yet.
func (s *Stream) Time(ssrc, timestamp uint32) (out uint32, ok bool) {
	if ssrc == 0 || ssrc != s.current {
		return 0, false
	}
	return s.line.Time(timestamp)
}

// Stats returns what was counted so far.
func (s *Stream) Stats() StreamStats { return s.stats }
