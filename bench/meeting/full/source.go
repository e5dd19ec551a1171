package full

import (
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/bench/meeting/filler"
	"github.com/callpath/callpath/bench/meeting/tally"
)

// source is what a client sends on one m-line. All but wantKey belongs to run.
type source struct {
	client  *Client
	track   *webrtc.TrackLocalStaticRTP
	sender  *webrtc.RTPSender
	ssrc    uint32
	wantKey atomic.Bool

	level   uint8 // id of the header extension
	seq     uint16
	picture uint16
}

func newSource(c *Client, track *webrtc.TrackLocalStaticRTP, sender *webrtc.RTPSender) *source {
	s := &source{client: c, track: track, sender: sender}
	if e := sender.GetParameters().Encodings; len(e) > 0 {
		s.ssrc = uint32(e[0].SSRC)
	}
	s.wantKey.Store(true)
	return s
}

// abandon is how late something may be sent; what is later is passed over.
const abandon = time.Second

// run sends by the clock until the client is closed.
func (s *source) run() {
	s.level = levelID(s.sender)
	every, send := filler.VoiceEvery, s.voice
	if s.track.Kind() == webrtc.RTPCodecTypeVideo {
		every, send = time.Second/time.Duration(s.client.group.cfg.Frames), s.pictures
	}
	// Where in its period it sends is a matter of when it joined.
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := begun.Add(time.Duration(n) * every)
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-s.client.done:
			return
		}
		if time.Since(due) > abandon {
			s.count(due, 0, 1)
			continue
		}
		send(due, due.Sub(begun))
	}
}

// voice sends a packet of voice.
func (s *source) voice(due time.Time, since time.Duration) {
	p := &rtp.Packet{
		Header:  rtp.Header{Version: 2, SequenceNumber: s.seq, Timestamp: uint32(since * filler.VoiceClock / time.Second)},
		Payload: make([]byte, filler.VoiceSize),
	}
	s.seq++
	if s.level != 0 {
		_ = p.SetExtension(s.level, []byte{filler.Level(due.UnixNano(), s.client.sender)}) // a valid id and size
	}
	filler.Voice(p.Payload, s.stamp(due))
	if s.track.WriteRTP(p) != nil {
		s.count(due, 0, 1)
		return
	}
	s.count(due, len(p.Payload), 0)
}

// pictures sends the packets of a picture, all at once.
func (s *source) pictures(due time.Time, since time.Duration) {
	cfg := s.client.group.cfg
	key := s.wantKey.Swap(false)
	left := filler.Bytes(cfg.Bitrate, cfg.Frames, key)
	count := filler.Packets(left)
	for i := range count {
		p := &rtp.Packet{
			Header: rtp.Header{
				Version: 2, SequenceNumber: s.seq, Timestamp: uint32(since * filler.VideoClock / time.Second), Marker: i == count-1,
			},
			Payload: make([]byte, left/(count-i)),
		}
		s.seq++
		left -= len(p.Payload)
		filler.Picture{Stamp: s.stamp(due), ID: s.picture, First: i == 0, Key: key}.Fill(p.Payload)
		if s.track.WriteRTP(p) != nil {
			s.count(due, 0, 1)
			continue
		}
		s.count(due, len(p.Payload), 0)
	}
	s.picture = (s.picture + 1) & 0x7fff
}

func (s *source) stamp(due time.Time) tally.Stamp {
	return tally.Stamp{Due: due.UnixNano(), Sender: s.client.sender}
}

// count counts a packet that was sent with so many bytes, or that was not.
func (s *source) count(due time.Time, payload int, unsent uint64) {
	g := s.client.group
	late := time.Since(due)
	g.mu.Lock()
	defer g.mu.Unlock()
	if unsent > 0 {
		g.tally.Unsent += unsent
		return
	}
	g.tally.Sending(late, payload)
}
