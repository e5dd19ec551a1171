package processor

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/processor/cache"
	"github.com/callpath/callpath/relay/processor/description"
	"github.com/callpath/callpath/relay/processor/simulcast"
	"github.com/callpath/callpath/relay/processor/speaker"
)

// track is what a participant sends on one m-line.
type track struct {
	leg   *leg
	media *description.Media
	kind  string
	// layers are its streams: one, or those of simulcast, the lowest bitrate first.
	layers []*layer
	slots  []*slot // that show it
	// begun is true once something has come, heard is when something last did.
	begun   bool
	heard   time.Time
	speaker *speaker.Speaker // of audio
	rank    int              // as of the last assignment
}

// layer is one stream of a track.
type layer struct {
	// id is a number of its own for streams to tell sources apart: SSRCs are the
	// participants' choice, and two may choose the same.
	id       uint32
	track    *track
	rid      string
	ssrc     uint32
	codec    *description.Codec
	kind     simulcast.Codec
	packets  []packet // of this round
	received reception
	clock    simulcast.Clock
	report   senderReport
	meter    simulcast.Meter
	requests simulcast.Requests
	firs     uint8
	// memory and missing are there for video with retransmissions.
	memory  *cache.Cache
	missing *cache.Missing
}

// packet is an opened packet, in the memory in which it came.
type packet struct {
	payload   []byte
	frame     simulcast.Frame
	timestamp uint32
	seq       uint16
	// flags are the padding bit in the first byte, and the marker bit in the second.
	padding, marker byte
	level           byte // audio level, with V
	leveled         bool
}

// rtp takes an SRTP packet.
func (l *leg) rtp(datagram []byte) {
	sealed := l.sampling(datagram)
	header, payload, err := l.opener.RTP(datagram)
	switch err {
	case nil:
		if sealed != nil {
			l.sample(false, sealed)
		}
	case srtp.ErrReplayed:
		l.w.drop(DropReplayed)
		return
	default:
		l.w.drop(DropUnauthentic)
		return
	}
	w := l.w
	w.stats.PacketsIn++
	w.stats.BytesIn += uint64(len(datagram))
	if l.latching {
		l.heard = w.now
	}
	ssrc, payloadType := binary.BigEndian.Uint32(header[8:]), header[1]&0x7f
	e := scan(header, &l.extensions)
	if e.has&(1<<description.TransportCC) != 0 {
		l.arrivals.Record(ssrc, e.transport, w.now)
	}
	p := packet{
		payload: payload, seq: binary.BigEndian.Uint16(header[2:]), timestamp: binary.BigEndian.Uint32(header[4:]),
		padding: header[0] & 0x20, marker: header[1] & 0x80, level: e.level, leveled: e.has&(1<<description.AudioLevel) != 0,
	}
	y := l.streams[ssrc]
	if y == nil {
		if y = l.repairs[ssrc]; y == nil {
			y = l.bind(ssrc, payloadType, &e)
		}
		if y == nil {
			w.drop(DropUnknown)
			return
		}
		if y.ssrc != ssrc { // retransmissions (RFC 4588)
			if payload = p.media(); len(payload) < 2 {
				return // padding that probes
			}
			p.seq, p.payload, p.padding = binary.BigEndian.Uint16(payload), payload[2:], 0
			y.take(&p, y.codec)
			return
		}
	}
	y.received.packet(p.seq, p.timestamp, y.clockRate(), w.now)
	codec := y.codec
	if codec == nil || codec.PayloadType != payloadType {
		if codec = y.track.codec(payloadType); codec == nil {
			w.drop(DropUnknown)
			return
		}
	}
	y.take(&p, codec)
}

// media is the payload without padding.
func (p *packet) media() []byte {
	if n := len(p.payload); p.padding != 0 && n > 0 {
		return p.payload[:n-min(n, int(p.payload[n-1]))]
	}
	return p.payload
}

// take takes a packet of the stream, which came now or again.
func (y *layer) take(p *packet, codec *description.Codec) {
	w, t := y.track.leg.w, y.track
	if codec == nil {
		return
	}
	if codec != y.codec {
		y.codec, y.kind = codec, simulcast.CodecOf(codec.Name)
		t.leg.conference.changed = true
		y.equip()
	}
	if !t.begun || w.now.Sub(t.heard) > asleep {
		t.begun = true
		t.leg.conference.changed = true
	}
	t.heard = w.now
	if y.missing != nil && y.missing.Received(p.seq, w.now) == cache.Repeat {
		return // a retransmission of what has come: some clients probe with those
	}
	media := p.media()
	if len(media) > 0 {
		var ok bool
		if p.frame, ok = y.kind.Inspect(media); !ok {
			w.drop(DropGarbage)
			return
		}
	}
	y.meter.Add(len(p.payload), w.now)
	if y.memory != nil {
		var head [6]byte
		head[0], head[1] = p.padding, p.marker
		binary.BigEndian.PutUint32(head[2:], p.timestamp)
		y.memory.Put(p.seq, head[:], p.payload)
	}
	if y.kind != simulcast.Opaque && p.frame.Key {
		y.requests.Came()
	}
	if t.kind == KindAudio {
		if p.leveled {
			level, voice := speaker.ParseLevel(p.level)
			t.speaker.Level(level, voice, w.now)
		}
		t.leg.conference.mixing.take(y, p)
	}
	if len(y.packets) == 0 {
		w.busy = append(w.busy, y)
	}
	y.packets = append(y.packets, *p)
}

// memoryHead is what is kept of a packet beside its payload: padding, marker, timestamp.
const memoryHead = 6

// mostMemories bounds the layers of one participant that have a memory, which is half a
// megabyte: a camera and a screen in simulcast have six.
const mostMemories = 16

// equip gives a layer of video what retransmissions need.
func (y *layer) equip() {
	if y.codec.RTX == 0 || y.missing != nil {
		return
	}
	memories := 0
	for _, other := range y.track.leg.streams {
		if other.memory != nil {
			memories++
		}
	}
	if memories < mostMemories {
		y.memory, y.missing = cache.New(cache.Config{}), cache.NewMissing(cache.MissingConfig{})
	}
}

func (y *layer) clockRate() uint32 {
	if y.codec != nil {
		return y.codec.ClockRate
	}
	return 90000
}

// codec finds a codec by its payload type.
func (t *track) codec(payloadType uint8) *description.Codec {
	for i := range t.media.Codecs {
		if t.media.Codecs[i].PayloadType == payloadType {
			return &t.media.Codecs[i]
		}
	}
	return nil
}

// bind finds out what an SSRC is that came for the first time: by what the offer says of
// it, by the packet's mid and rid (RFC 9143, section 9.2), or by a payload type that is
// only one m-line's.
func (l *leg) bind(ssrc uint32, payloadType uint8, e *elements) *layer {
	var t *track
	rid := string(e.rid)
	for _, one := range l.tracks {
		for i, s := range one.media.Streams {
			if s.SSRC == ssrc || s.RTX == ssrc {
				t = one
				if rid == "" && len(e.repaired) == 0 && i < len(one.media.Layers) {
					rid = one.media.Layers[i]
				}
				if s.RTX == ssrc {
					return l.bindRepair(t, ssrc, func(y *layer) bool { return y.ssrc == s.SSRC })
				}
			}
		}
	}
	for _, one := range l.tracks {
		if t == nil && len(e.mid) > 0 && string(e.mid) == one.media.Mid {
			t = one
		}
	}
	if t == nil && len(e.mid) == 0 {
		t = l.only(payloadType)
	}
	if t == nil {
		return nil
	}
	if len(e.repaired) > 0 {
		return l.bindRepair(t, ssrc, func(y *layer) bool { return y.rid == string(e.repaired) })
	}
	if t.codec(payloadType) == nil {
		for i := range t.media.Codecs {
			if t.media.Codecs[i].RTX == payloadType && len(t.media.Layers) == 0 {
				return l.bindRepair(t, ssrc, func(*layer) bool { return true })
			}
		}
		return nil
	}
	if len(t.media.Layers) > 0 && !slices.Contains(t.media.Layers, rid) {
		return nil
	}
	return t.newLayer(ssrc, rid)
}

// bindRepair takes an SSRC for retransmissions of a layer that is known.
func (l *leg) bindRepair(t *track, ssrc uint32, of func(*layer) bool) *layer {
	i := slices.IndexFunc(t.layers, of)
	if i < 0 {
		return nil
	}
	l.repairs[ssrc] = t.layers[i]
	return t.layers[i]
}

// only returns the one track that has a payload type.
func (l *leg) only(payloadType uint8) (found *track) {
	for _, t := range l.tracks {
		for _, c := range t.media.Codecs {
			if c.PayloadType == payloadType || c.RTX == payloadType && c.RTX != 0 {
				if found != nil {
					return nil
				}
				found = t
			}
		}
	}
	return found
}

// newLayer begins a stream, in the place of a former one of the same rid.
func (t *track) newLayer(ssrc uint32, rid string) *layer {
	w := t.leg.w
	for _, old := range t.layers {
		if old.rid == rid {
			t.drop(old)
			break
		}
	}
	w.lastID++
	y := &layer{id: w.lastID, track: t, rid: rid, ssrc: ssrc}
	at := len(t.layers)
	// Clients name the layers from low to high; what comes of them decides later.
	for i, other := range t.layers {
		if slices.Index(t.media.Layers, rid) < slices.Index(t.media.Layers, other.rid) {
			at = i
			break
		}
	}
	t.layers = slices.Insert(t.layers, at, y)
	t.leg.streams[ssrc] = y
	for _, s := range t.slots {
		s.choose()
	}
	return y
}

// drop ends a stream.
func (t *track) drop(y *layer) {
	delete(t.leg.streams, y.ssrc)
	for ssrc, of := range t.leg.repairs {
		if of == y {
			delete(t.leg.repairs, ssrc)
		}
	}
	t.layers = slices.DeleteFunc(t.layers, func(one *layer) bool { return one == y })
	w := t.leg.w
	w.busy = slices.DeleteFunc(w.busy, func(one *layer) bool { return one == y })
}

// end takes the track away from everybody.
func (t *track) end() {
	for len(t.slots) > 0 {
		t.slots[0].show(nil)
	}
	for len(t.layers) > 0 {
		t.drop(t.layers[0])
	}
	c := t.leg.conference
	if t.speaker != nil {
		c.detector.Remove(t.speaker)
		delete(c.speakers, t.speaker)
	}
	c.changed = true
}

// forward passes on what has come in this round: each receiver gets its packets side by
// side, so that they can go out as one message.
func (w *worker) forward() {
	for _, y := range w.busy {
		for _, s := range y.track.slots {
			for i := range y.packets {
				s.put(y, &y.packets[i])
			}
		}
		clear(y.packets)
		y.packets = y.packets[:0]
	}
	w.busy = w.busy[:0]
}
