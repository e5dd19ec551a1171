package processor

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/processor/cache"
	"github.com/callpath/callpath/relay/processor/description"
	"github.com/callpath/callpath/relay/processor/simulcast"
)

// slot is one of the streams that a participant receives: an m-line with one SSRC, on
// which now this track is and now that.
type slot struct {
	leg   *leg
	media *description.Media
	mid   string
	kind  string // what it is for
	mixed bool   // it has the mix of all others
	ssrc  uint32
	rtx   uint32 // the SSRC of retransmissions

	track *track
	// The stream is of one codec, whose name is of; codec is as the receiver has it, nil
	// after an offer until it is needed.
	codec  *description.Codec
	of     string
	stream *simulcast.Stream
	ladder *simulcast.Ladder
	// temporal is the highest temporal layer that it gets.
	temporal uint8
	// history is what was sent, for retransmissions.
	history *cache.History[sent]
	rtxSeq  uint16
	// What was sent last, and how much.
	seq             uint16
	timestamp       uint32
	last            time.Time
	packets, octets uint32
	level           byte
}

// sent says how a packet can be made again.
type sent struct {
	memory  *cache.Cache
	seq     uint16 // there
	numbers simulcast.Numbers
}

// takes says whether the receiver has the codec of a track.
func (s *slot) takes(t *track) bool {
	for _, y := range t.layers {
		if y.codec != nil {
			return s.find(y.codec.Name) != nil
		}
	}
	return false
}

func (s *slot) find(name string) *description.Codec {
	for i := range s.media.Codecs {
		if s.media.Codecs[i].Name == name {
			return &s.media.Codecs[i]
		}
	}
	return nil
}

// show puts a track on the slot, or none.
func (s *slot) show(t *track) {
	if s.track == t {
		return
	}
	if s.track != nil {
		s.track.slots = slices.DeleteFunc(s.track.slots, func(one *slot) bool { return one == s })
	}
	s.track, s.ladder = t, nil
	if t == nil {
		if s.stream != nil {
			s.stream.Select(0, true)
		}
		return
	}
	t.slots = append(t.slots, s)
	s.choose()
}

// choose selects the layer of the track: the only one, or what the ladder says.
func (s *slot) choose() {
	if s.track == nil || len(s.track.layers) == 0 {
		return
	}
	if len(s.track.media.Layers) > 0 {
		if s.ladder == nil {
			s.ladder = simulcast.NewLadder(simulcast.LadderConfig{})
			s.leg.allocated = time.Time{} // decide at once
		}
		return
	}
	s.selects(s.track.layers[0])
}

// selects takes a layer of the track.
func (s *slot) selects(y *layer) {
	if y.codec == nil || !s.adopt(y) {
		return
	}
	same := slices.ContainsFunc(s.track.layers, func(one *layer) bool { return one.id == s.stream.Current() })
	s.stream.Select(y.id, !same)
}

// adopt makes the stream one of the layer's codec, going on where the former was.
func (s *slot) adopt(y *layer) bool {
	c := s.find(y.codec.Name)
	if c == nil {
		return false
	}
	if s.stream != nil && s.of == c.Name {
		s.codec = c
		return true
	}
	timestamp := s.timestamp
	if !s.last.IsZero() {
		timestamp += uint32(s.leg.w.now.Sub(s.last).Seconds() * float64(c.ClockRate))
	}
	s.codec, s.of = c, c.Name
	s.stream = simulcast.NewStream(simulcast.StreamConfig{
		Codec: simulcast.CodecOf(c.Name), ClockRate: c.ClockRate, Timeline: fanout.NewTimeline(s.seq+1, timestamp),
	})
	s.stream.Limit(s.temporal)
	if c.RTX != 0 && s.history == nil {
		s.history = cache.NewHistory[sent](0, cache.Limits{})
	}
	return true
}

// put sends a packet of the track, if it is one for the slot.
func (s *slot) put(y *layer, p *packet) {
	l := s.leg
	if l.state != connected {
		return
	}
	if s.codec == nil || s.of != y.codec.Name || s.stream.Selected() == 0 {
		if s.choose(); s.codec == nil || s.of != y.codec.Name {
			if s.find(y.codec.Name) == nil {
				l.w.drop(DropCodec)
			}
			return
		}
	}
	w := l.w
	w.one = simulcast.Packet{SSRC: y.id, Seq: p.seq, Timestamp: p.timestamp, Frame: p.frame, Clock: &y.clock}
	n, ok := s.stream.Map(&w.one, w.now)
	if !ok {
		return
	}
	n.Patch(p.payload)
	s.level = p.level
	if s.kind != KindAudio && !l.pacer.passes(len(p.payload)+l.overhead+mostHeader, w.now) {
		l.hold(s, p, n)
	} else if !s.send(s.ssrc, s.codec.PayloadType, p.padding, p.marker, n.Seq, n.Timestamp, p.payload, p.leveled, false) {
		return
	}
	if s.history != nil && y.memory != nil {
		s.history.Put(n.Seq, sent{memory: y.memory, seq: p.seq, numbers: n})
	}
	s.count(n.Seq, n.Timestamp, len(p.payload))
}

// count keeps what sender reports say.
func (s *slot) count(seq uint16, timestamp uint32, size int) {
	if int16(seq-s.seq) > 0 || s.packets == 0 {
		s.seq, s.timestamp, s.last = seq, timestamp, s.leg.w.now
	}
	s.packets++
	s.octets += uint32(size)
}

// mostHeader is the longest header that send makes.
const mostHeader = 12 + 4 + 12

// send seals a packet into the batch, with the header extensions that the receiver knows.
func (s *slot) send(ssrc uint32, payloadType, padding, marker byte, seq uint16, timestamp uint32, payload []byte, leveled, probe bool) bool {
	l := s.leg
	w := l.w
	buf := w.batch.Room(mostHeader + len(payload) + l.overhead)
	buf[0], buf[1] = 0x80|padding, marker|payloadType
	binary.BigEndian.PutUint16(buf[2:], seq)
	binary.BigEndian.PutUint32(buf[4:], timestamp)
	binary.BigEndian.PutUint32(buf[8:], ssrc)
	at := 16
	x := &s.media.Extensions
	if id := x[description.AbsSendTime]; id != 0 {
		// 6.18 fixed point seconds of the time of day, good for 64 s.
		t := uint64(w.now.UnixNano()) / 1000 << 18 / 1000000
		buf[at], buf[at+1], buf[at+2], buf[at+3] = id<<4|2, byte(t>>16), byte(t>>8), byte(t)
		at += 4
	}
	if id := x[description.AudioLevel]; id != 0 && leveled {
		buf[at], buf[at+1] = id<<4, s.level
		at += 2
	}
	if id := x[description.TransportCC]; id != 0 {
		words := (at + 3 - 16 + 3) / 4
		number := l.estimate.Next(16+4*words+len(payload)+l.overhead, probe, w.now)
		buf[at], buf[at+1], buf[at+2] = id<<4|1, byte(number>>8), byte(number)
		at += 3
	}
	if at == 16 {
		at = 12
	} else {
		for ; at%4 != 0; at++ {
			buf[at] = 0
		}
		buf[0] |= 0x10
		binary.BigEndian.PutUint16(buf[12:], 0xbede)
		binary.BigEndian.PutUint16(buf[14:], uint16((at-16)/4))
	}
	sealed, err := l.sealer.RTP(buf[:at:cap(buf)], payload)
	if err != nil {
		return false
	}
	l.sample(true, sealed)
	w.batch.Add(l.remote, sealed)
	w.stats.PacketsOut++
	w.stats.BytesOut += uint64(len(sealed))
	return true
}

// again answers a NACK in the stream of retransmissions (RFC 4588).
func (s *slot) again(seq uint16) {
	if s.history == nil || s.codec == nil || s.codec.RTX == 0 {
		return
	}
	w := s.leg.w
	what, verdict := s.history.Again(seq, w.now, s.leg.rtt)
	if verdict != cache.Again {
		return
	}
	kept := what.memory.Get(what.seq)
	if len(kept) < memoryHead {
		return
	}
	payload := append(w.scratch[:0], byte(seq>>8), byte(seq))
	payload = append(payload, kept[memoryHead:]...)
	what.numbers.Patch(payload[2:])
	s.rtxSeq++
	if s.send(s.rtx, s.codec.RTX, kept[0], kept[1], s.rtxSeq, what.numbers.Timestamp, payload, false, false) {
		w.stats.Retransmitted++
		s.leg.pacer.spend(len(payload) + mostHeader)
	}
}

// pad sends padding in the stream of retransmissions, of so many bytes at most 255. It
// says whether there is such a stream.
func (s *slot) pad(size int) bool {
	if s.codec == nil || s.codec.RTX == 0 || s.packets == 0 {
		return false
	}
	payload := s.leg.w.scratch[:size]
	clear(payload)
	payload[size-1] = byte(size)
	s.rtxSeq++
	return s.send(s.rtx, s.codec.RTX, 0x20, 0, s.rtxSeq, s.timestamp, payload, false, true)
}
