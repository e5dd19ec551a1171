package light

import (
	"encoding/binary"
	"time"

	"github.com/callpath/callpath/bench/meeting/filler"
	"github.com/callpath/callpath/bench/meeting/tally"
)

const (
	rtpHeader    = 12
	levelElement = 8 // header extension with one level, padded
	// remembered is how many packets of video can be sent again: several seconds.
	remembered = 1024
)

// publisher is what a client sends.
type publisher struct {
	voiceSeq, videoSeq, rtxSeq uint16
	voiceTime, videoTime       uint32
	pictureID                  uint16
	wantKey                    bool
	// begun is when the first packet of each was due: timestamps follow from it.
	voiceBegun, videoBegun int64
	voiceLast, videoLast   uint32 // timestamps
	voicePackets           uint32
	videoPackets           uint32
	voiceBytes, videoBytes uint32
	// past are the packets of video by number modulo remembered.
	past []videoPacket
}

// videoPacket is what a packet of video is made from.
type videoPacket struct {
	due         int64
	seq         uint16
	picture     uint16
	timestamp   uint32
	size        uint16
	first, last bool
	key, sent   bool
}

// begin draws the numbers that streams begin with. Sequence numbers begin low, so that
// a receiver that misses the first packets knows the rollover counter (RFC 3711, section
// 3.3.1).
func (p *publisher) begin(random []byte) {
	n := binary.BigEndian.Uint32(random)
	p.voiceSeq, p.videoSeq, p.rtxSeq = uint16(n)&0x3fff, uint16(n>>8)&0x3fff, uint16(n>>16)&0x3fff
	p.voiceTime, p.videoTime, p.pictureID = n, n*31, uint16(n)&0x7fff
	p.wantKey = true
}

// voice sends a packet of voice.
func (c *Client) voice(due int64) {
	if c.voiceBegun == 0 {
		c.voiceBegun = due
	}
	c.voiceLast = c.voiceTime + uint32((due-c.voiceBegun)/int64(filler.VoiceEvery))*uint32(filler.VoiceClock*filler.VoiceEvery/time.Second)
	b := c.engine.memory[:rtpHeader+levelElement]
	header(b, typeOpus, c.voiceSeq, c.voiceLast, c.ssrc.audio)
	b[0] |= 0x10
	copy(b[rtpHeader:], []byte{0xbe, 0xde, 0, 1, extensionLevel << 4, filler.Level(due, c.sender), 0, 0})
	c.voiceSeq++
	payload := c.engine.memory[len(b) : len(b)+filler.VoiceSize]
	filler.Voice(payload, tally.Stamp{Due: due, Sender: c.sender})
	sealed, err := c.sealer.RTP(b, payload)
	if err != nil || c.socket.Send(sealed) != nil {
		c.engine.tally.Unsent++
		return
	}
	c.voicePackets++
	c.voiceBytes += filler.VoiceSize
	c.engine.tally.Sending(time.Duration(time.Now().UnixNano()-due), filler.VoiceSize)
}

// pictureEvery is between two pictures.
func (c *Client) pictureEvery() int64 { return int64(time.Second) / int64(c.engine.cfg.Frames) }

// pictureBytes is how many bytes a picture has.
func (c *Client) pictureBytes(key bool) int {
	return filler.Bytes(c.engine.cfg.Bitrate, c.engine.cfg.Frames, key)
}

// picture sends a picture, all of its packets at once.
func (c *Client) picture(due int64) {
	if c.videoBegun == 0 {
		c.videoBegun = due
		c.past = make([]videoPacket, remembered)
	}
	key := c.wantKey
	c.wantKey = false
	c.videoLast = c.videoTime + uint32(float64(due-c.videoBegun)*filler.VideoClock/float64(time.Second))
	left := c.pictureBytes(key)
	count := filler.Packets(left)
	flushed := 0
	for i := range count {
		p := videoPacket{
			due: due, seq: c.videoSeq, picture: c.pictureID, timestamp: c.videoLast, key: key,
			size: uint16(left / (count - i)), first: i == 0, last: i == count-1, sent: true,
		}
		left -= int(p.size)
		c.videoSeq++
		c.past[p.seq%remembered] = p
		c.add(p)
		if !c.engine.outbox.Room(1, 1) || i == count-1 {
			failed := c.engine.outbox.Flush(c.socket)
			c.engine.used = 0
			now := time.Now().UnixNano()
			c.engine.tally.Unsent += uint64(failed)
			for ; flushed <= i-failed; flushed++ {
				c.engine.tally.Sending(time.Duration(now-due), int(p.size))
			}
			flushed = i + 1
		}
		c.videoPackets++
		c.videoBytes += uint32(p.size)
	}
	c.pictureID = (c.pictureID + 1) & 0x7fff
}

// add puts a packet into the outbox.
func (c *Client) add(p videoPacket) {
	e := c.engine
	room := e.memory[e.used:]
	header(room, typeVP8, p.seq, p.timestamp, c.ssrc.video)
	if p.last {
		room[1] |= 0x80
	}
	payload := room[rtpHeader : rtpHeader+int(p.size)]
	c.fill(payload, p)
	sealed, err := c.sealer.RTP(room[:rtpHeader], payload)
	if err != nil {
		e.tally.Unsent++
		return
	}
	e.used += len(sealed)
	e.outbox.Begin(nil, 0)
	e.outbox.Append(sealed)
}

// fill makes the payload of a packet.
func (c *Client) fill(payload []byte, p videoPacket) {
	filler.Picture{Stamp: tally.Stamp{Due: p.due, Sender: c.sender}, ID: p.picture, First: p.first, Key: p.key}.Fill(payload)
}

// again sends a packet of video again, in the stream of retransmissions (RFC 4588).
func (c *Client) again(seq uint16) {
	if c.past == nil {
		return
	}
	p := c.past[seq%remembered]
	if !p.sent || p.seq != seq {
		return
	}
	room := c.engine.memory
	header(room, typeRTX, c.rtxSeq, p.timestamp, c.ssrc.rtx)
	if p.last {
		room[1] |= 0x80
	}
	c.rtxSeq++
	payload := room[rtpHeader : rtpHeader+2+int(p.size)]
	binary.BigEndian.PutUint16(payload, seq)
	c.fill(payload[2:], p)
	if sealed, err := c.sealer.RTP(room[:rtpHeader], payload); err == nil && c.socket.Send(sealed) == nil {
		c.engine.tally.Retransmitted++
	}
}

// header writes an RTP header (RFC 3550, section 5.1).
func header(b []byte, payloadType byte, seq uint16, timestamp, ssrc uint32) {
	b[0], b[1] = 0x80, payloadType
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
}
