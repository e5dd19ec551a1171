package participant

import (
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/quality"
)

const (
	// patience is how long a picture waits for a packet that a NACK may bring.
	patience = 300 * time.Millisecond
	// standstill is how long a sender may take to its next picture without
	// having paused.
	standstill = 150 * time.Millisecond
)

// pictures puts the packets of a video stream together to pictures, and tells the
// sampler when a decoder could show one: when it is whole, and every one since the
// last key frame was. Nothing is decoded.
type pictures struct {
	sampler *quality.Sampler
	key     func(payload []byte) bool // begins a key frame
	clock   time.Duration             // hertz

	waiting map[uint16]piece
	next    uint16    // the sequence number that is wanted
	begun   bool      // next is valid
	hole    time.Time // since when next is missing; zero when it is not
	broken  bool      // a picture is lost, and no key frame has come since

	stamp   uint32 // of the picture that is shown
	shown   bool   // stamp is valid
	gapless bool   // nothing was lost since that picture
}

// piece is what matters of a packet.
type piece struct {
	stamp       uint32
	marker, key bool
}

func newPictures(f media.Format, sampler *quality.Sampler) *pictures {
	p := &pictures{sampler: sampler, key: vp8Key, clock: time.Duration(f.ClockRate), waiting: map[uint16]piece{}}
	if f.Codec == media.H264 {
		p.key = h264Key
	}
	return p
}

// add takes a packet.
func (p *pictures) add(packet *rtp.Packet, arrived time.Time) {
	number := packet.SequenceNumber
	if len(packet.Payload) == 0 {
		return
	}
	if !p.begun {
		p.begun, p.next, p.broken = true, number, true
	}
	if number-p.next >= 1<<15 {
		return // too late
	}
	p.waiting[number] = piece{packet.Timestamp, packet.Marker, p.key(packet.Payload)}
	p.proceed(arrived)
	switch {
	case len(p.waiting) == 0:
		p.hole = time.Time{}
	case p.hole.IsZero():
		p.hole = arrived
	case arrived.Sub(p.hole) > patience:
		p.skip()
		p.proceed(arrived)
	}
}

// proceed takes packets in order as far as they have come.
func (p *pictures) proceed(now time.Time) {
	for {
		piece, ok := p.waiting[p.next]
		if !ok {
			return
		}
		delete(p.waiting, p.next)
		p.next++
		p.hole = time.Time{}
		if piece.key {
			p.broken = false
		}
		if piece.marker && !p.broken {
			p.show(piece.stamp, now)
		}
	}
}

// skip gives up what is missing and goes on with the oldest packet that is there.
func (p *pictures) skip() {
	distance := ^uint16(0)
	for number := range p.waiting {
		distance = min(distance, number-p.next)
	}
	p.next += distance
	p.broken, p.gapless, p.hole = true, false, time.Time{}
}

// show has a picture shown. A sender that paused, for example because it is mute,
// has its timestamps run on and loses nothing: that is no freeze.
func (p *pictures) show(stamp uint32, now time.Time) {
	sent := time.Duration(int32(stamp-p.stamp)) * time.Second / p.clock
	if p.shown && p.gapless && sent > standstill {
		p.sampler.Pause()
	}
	p.sampler.Frame(now)
	p.stamp, p.shown, p.gapless = stamp, true, true
}

// vp8Key is RFC 7741, section 4.3: the first packet of a picture whose P bit is
// zero.
func vp8Key(payload []byte) bool {
	var packet codecs.VP8Packet
	data, err := packet.Unmarshal(payload)
	return err == nil && packet.S == 1 && packet.PID == 0 && len(data) > 0 && data[0]&1 == 0
}

// h264Key is RFC 6184, section 5.2: parameter sets or an IDR slice, alone, in an
// aggregate, or as the first fragment.
func h264Key(payload []byte) bool {
	const (
		idr, sps   = 5, 7
		stapA, fuA = 24, 28
	)
	switch kind := payload[0] & 0x1f; {
	case kind == stapA && len(payload) > 3:
		return payload[3]&0x1f == sps
	case kind == fuA && len(payload) > 1:
		return payload[1]&0x80 != 0 && payload[1]&0x1f == idr
	default:
		return kind == idr || kind == sps
	}
}
