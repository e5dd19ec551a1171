package participant

import (
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/callpath/callpath/scenarios/media"
)

const (
	// patience is how long a picture waits for a packet that a NACK may bring.
	patience = 300 * time.Millisecond
	// window is how many pictures the mean time of a picture is taken over
	// (W3C webrtc-stats, freezeCount).
	window = 30
	// freeze is how much longer than the mean a picture must stand to be
	// frozen.
	freeze = 150 * time.Millisecond
)

// pictures puts the packets of a video stream together to pictures and finds the
// freezes, as a decoder would show them: a picture is shown when it is whole and
// every one since the last key frame was. Nothing is decoded.
type pictures struct {
	key     func(payload []byte) bool // begins a key frame
	waiting map[uint64]piece
	next    uint64    // extended sequence number that is wanted
	begun   bool      // next is valid
	hole    time.Time // since when next is missing; zero when it is not
	broken  bool      // a picture is lost, and no key frame has come since

	shown     time.Time
	stamp     uint32 // of the picture that is shown
	durations []time.Duration
	freezes   int
	gapless   bool // nothing was lost since the picture that is shown
}

// piece is what matters of a packet.
type piece struct {
	stamp       uint32
	marker, key bool
}

func newPictures(f media.Format) *pictures {
	p := &pictures{waiting: map[uint64]piece{}, key: vp8Key, gapless: true}
	if f.Codec == media.H264 {
		p.key = h264Key
	}
	return p
}

// lost is true when only a key frame brings the picture back.
func (p *pictures) lost() bool { return p.broken }

// pause lets the time until the next picture count as no freeze.
func (p *pictures) pause() { p.shown = time.Time{} }

// add takes a packet; copies have been sorted out.
func (p *pictures) add(number uint64, packet *rtp.Packet, arrived time.Time) {
	if len(packet.Payload) == 0 {
		return
	}
	if !p.begun {
		p.begun, p.next, p.broken = true, number, true
	}
	if number < p.next {
		return // too late
	}
	p.waiting[number] = piece{packet.Timestamp, packet.Marker, p.key(packet.Payload)}
	p.proceed(arrived)
	if len(p.waiting) == 0 {
		p.hole = time.Time{}
		return
	}
	if p.hole.IsZero() {
		p.hole = arrived
	}
	if arrived.Sub(p.hole) > patience {
		p.skip()
		p.proceed(arrived)
		p.hole = time.Time{}
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
	oldest := ^uint64(0)
	for number := range p.waiting {
		oldest = min(oldest, number)
	}
	p.next = oldest
	p.broken, p.gapless = true, false
}

// show notes that a picture is shown, and whether the one before it was frozen. A
// sender that paused has its timestamps run on, and loses nothing.
func (p *pictures) show(stamp uint32, now time.Time) {
	defer func() { p.shown, p.stamp, p.gapless = now, stamp, true }()
	if p.shown.IsZero() {
		return
	}
	d := now.Sub(p.shown)
	if len(p.durations) > 0 {
		var sum time.Duration
		for _, one := range p.durations {
			sum += one
		}
		average := sum / time.Duration(len(p.durations))
		sent := time.Duration(int32(stamp-p.stamp)) * time.Second / 90000
		if paused := p.gapless && sent > d/2; d > max(3*average, average+freeze) && !paused {
			p.freezes++
		} else if paused && sent > average+freeze {
			return // a pause says nothing of the mean
		}
	}
	p.durations = append(p.durations, d)
	if len(p.durations) > window {
		p.durations = p.durations[1:]
	}
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
