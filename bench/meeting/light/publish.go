package light

import (
	"encoding/binary"
	"time"

	"github.com/callpath/callpath/bench/meeting/tally"
)

// What is sent: 32 kbit/s of voice, and pictures in packets that fit through any path.
const (
	voiceEvery   = 20 * time.Millisecond
	voiceClock   = 48000
	voiceSize    = 80
	videoClock   = 90000
	pictureSize  = 1100 // of a packet's payload, at most
	descriptor   = 4    // RFC 7741, section 4.2, with a picture id of 15 bits
	keyHeader    = 10   // section 4.3, and the start code and size of a key frame
	largestHead  = descriptor + keyHeader
	keyTimes     = 3 // a key frame is so much larger
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
	c.voiceLast = c.voiceTime + uint32((due-c.voiceBegun)/int64(voiceEvery))*uint32(voiceClock*voiceEvery/time.Second)
	b := c.engine.memory[:rtpHeader+levelElement]
	header(b, typeOpus, c.voiceSeq, c.voiceLast, c.ssrc.audio)
	b[0] |= 0x10
	copy(b[rtpHeader:], []byte{0xbe, 0xde, 0, 1, extensionLevel << 4, c.level(due), 0, 0})
	c.voiceSeq++
	payload := c.engine.memory[len(b) : len(b)+voiceSize]
	tally.Stamp{Due: due, Sender: c.sender}.Put(payload)
	sealed, err := c.sealer.RTP(b, payload)
	if err != nil || c.socket.Send(sealed) != nil {
		c.engine.tally.Unsent++
		return
	}
	c.voicePackets++
	c.voiceBytes += voiceSize
	c.engine.tally.Sending(time.Duration(time.Now().UnixNano()-due), voiceSize)
}

// level is the audio level (RFC 6464): one of eight senders speaks, for three seconds.
func (c *Client) level(now int64) byte {
	const turn = int64(3 * time.Second)
	if (now/turn+int64(c.sender))%8 == 0 {
		return 0x80 | 25 // with the bit for voice, −25 dBov
	}
	return 70
}

// pictureEvery is between two pictures.
func (c *Client) pictureEvery() int64 { return int64(time.Second) / int64(c.engine.cfg.Frames) }

// packets is how many packets a picture has, and pictureBytes how many bytes.
func (c *Client) packets(key bool) int { return (c.pictureBytes(key) + pictureSize - 1) / pictureSize }

func (c *Client) pictureBytes(key bool) int {
	n := c.engine.cfg.Bitrate / 8 / c.engine.cfg.Frames
	if key {
		n *= keyTimes
	}
	return max(n, largestHead+tally.StampSize)
}

// picture sends a picture, all of its packets at once.
func (c *Client) picture(due int64) {
	if c.videoBegun == 0 {
		c.videoBegun = due
		c.past = make([]videoPacket, remembered)
	}
	key := c.wantKey
	c.wantKey = false
	c.videoLast = c.videoTime + uint32(float64(due-c.videoBegun)*videoClock/float64(time.Second))
	count, left := c.packets(key), c.pictureBytes(key)
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

// fill makes the payload of a packet: descriptor, frame header, and what stands for the
// rest.
func (c *Client) fill(payload []byte, p videoPacket) {
	payload[0] = 0x80 // an extension follows
	if p.first {
		payload[0] |= 0x10 // a partition begins
	}
	payload[1] = 0x80 // with a picture id
	payload[2], payload[3] = 0x80|byte(p.picture>>8), byte(p.picture)
	switch {
	case p.first && p.key:
		copy(payload[descriptor:], []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01})
	default:
		payload[descriptor] = 0x11
	}
	tally.Stamp{Due: p.due, Sender: c.sender}.Put(payload)
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
