// Package filler makes what stands for media in a load: payloads of the right size, with
// the payload header that a media processor reads and a stamp (package tally), and nothing
// that could be decoded.
package filler

import (
	"time"

	"github.com/callpath/callpath/bench/meeting/tally"
)

// Voice is 32 kbit/s of Opus; pictures go in packets that fit through any path.
const (
	VoiceEvery  = 20 * time.Millisecond
	VoiceClock  = 48000
	VoiceSize   = 80
	VideoClock  = 90000
	PictureSize = 1100 // of a packet's payload, at most

	descriptor = 4  // RFC 7741, section 4.2, with a picture id of 15 bits
	keyHeader  = 10 // section 4.3, and the start code and size of a key frame
	// Least is the least that a packet of a picture has.
	Least = descriptor + keyHeader + tally.StampSize
	// keyTimes is how much larger a key frame is.
	keyTimes = 3
)

// Voice makes the payload of a packet of voice.
func Voice(payload []byte, s tally.Stamp) {
	clear(payload)
	s.Put(payload)
}

// Level is the audio level of a sender (RFC 6464): one of eight speaks, for three seconds.
func Level(now int64, sender uint32) byte {
	const turn = int64(3 * time.Second)
	if (now/turn+int64(sender))%8 == 0 {
		return 0x80 | 25 // with the bit for voice, −25 dBov
	}
	return 70
}

// Bytes is how many bytes a picture has, and Packets in how many packets they go, at a
// bitrate in bits per second and so many pictures a second.
func Bytes(bitrate, frames int, key bool) int {
	n := bitrate / 8 / frames
	if key {
		n *= keyTimes
	}
	return max(n, Least)
}

// Packets is in how many packets so many bytes go.
func Packets(bytes int) int { return (bytes + PictureSize - 1) / PictureSize }

// Picture is one packet of a picture.
type Picture struct {
	tally.Stamp
	ID    uint16 // of the picture, 15 bits
	First bool
	Key   bool
}

// Fill makes the payload: descriptor, frame header, and what stands for the rest. The same
// picture is filled the same way again.
func (p Picture) Fill(payload []byte) {
	clear(payload)
	payload[0] = 0x80 // an extension follows
	if p.First {
		payload[0] |= 0x10 // a partition begins
	}
	payload[1] = 0x80 // with a picture id
	payload[2], payload[3] = 0x80|byte(p.ID>>8), byte(p.ID)
	if p.First && p.Key {
		copy(payload[descriptor:], []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01})
	} else {
		payload[descriptor] = 0x11
	}
	p.Put(payload)
}
