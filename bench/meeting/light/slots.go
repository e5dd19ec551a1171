package light

import (
	"encoding/binary"
	"time"

	"github.com/callpath/callpath/bench/meeting/filler"
	"github.com/callpath/callpath/bench/meeting/tally"
)

// subscriber is what a client receives.
type subscriber struct {
	slots  []*slot
	bySSRC map[uint32]*slot
	last   *slot // that something came on, most often also the next
	rtt    time.Duration
	// nextReport is when the next RTCP is due.
	nextReport int64
	dropped    uint64 // by the socket, when it was asked last
	heard      bool   // the first media packet was noted
}

// slot is a received stream.
type slot struct {
	ssrc   uint32
	stream *tally.Stream // nil of a stream of retransmissions, which nobody asks for
	// The last sender report: the middle of its NTP time, and when it came.
	report   uint32
	reported int64
}

// expect makes the slots of an answer.
func (s *subscriber) expect(lines []slotLine) {
	s.bySSRC = make(map[uint32]*slot)
	for _, l := range lines {
		one := &slot{ssrc: l.ssrc, stream: tally.NewStream(l.audio, clockOf(l.audio))}
		s.slots = append(s.slots, one)
		s.bySSRC[l.ssrc] = one
		if l.rtx != 0 {
			s.bySSRC[l.rtx] = &slot{ssrc: l.rtx}
		}
	}
	s.last = &slot{}
}

func clockOf(audio bool) uint32 {
	if audio {
		return filler.VoiceClock
	}
	return filler.VideoClock
}

// rtp takes an SRTP packet.
func (c *Client) rtp(datagram []byte, at int64) {
	head, payload, err := c.opener.RTP(datagram)
	if err != nil {
		c.engine.tally.Stray++
		return
	}
	ssrc := binary.BigEndian.Uint32(head[8:])
	s := c.last
	if s.ssrc != ssrc {
		if s = c.bySSRC[ssrc]; s == nil {
			c.engine.tally.Stray++
			return
		}
		c.last = s
	}
	if s.stream == nil {
		return
	}
	if !c.heard {
		c.heard = true
		c.at(&c.times.FirstMedia, at)
	}
	s.stream.Packet(c.engine.tally, time.Unix(0, at), binary.BigEndian.Uint16(head[2:]), binary.BigEndian.Uint32(head[4:]), payload)
}

// interval ends an interval of all slots.
func (c *Client) interval() {
	for _, s := range c.slots {
		s.stream.Interval(c.engine.tally, c.rtt)
	}
}

// counted adds what is counted for a whole cut.
func (c *Client) counted(t *tally.Tally) {
	for _, s := range c.slots {
		if s.stream.Heard() {
			t.Streams++
		}
	}
	dropped := c.socket.Dropped()
	t.Unread += dropped - c.dropped
	c.dropped = dropped
}
