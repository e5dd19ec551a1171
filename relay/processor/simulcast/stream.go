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
	// the two packets' arrivals is used.
	Clock *Clock
}

// Numbers are what a packet has for the receiver.
type Numbers struct {
	Seq       uint16
	Timestamp uint32
	// What is in the payload.
	vp8       bool
	picture   uint16
	tl0, key  uint8
	bits      uint8
	pictureAt uint8
	tl0At     uint8
	layerAt   uint8
}

// Patch writes the numbers that are inside of the payload (VP8's) in their places. It
// does not change its length. One payload can be patched for one receiver after the
// other, since what it writes replaces what was written before; with the Numbers
// of a receiver it can be done later again, for a retransmission.
func (n *Numbers) Patch(payload []byte) {}

// StreamConfig is what a Stream is for.
type StreamConfig struct {
	Codec Codec
	// ClockRate is the RTP clock's, in Hz: 90000 by default.
	ClockRate uint32
	// Timeline is where the stream begins; see fanout.NewTimeline.
	Timeline fanout.Timeline
}

// Stream is what a receiver gets on one slot: one stream, from one source (an SSRC) at a
// time. It starts with no source.
type Stream struct {
	cfg StreamConfig
}

// NewStream makes a Stream.
func NewStream(cfg StreamConfig) *Stream { return &Stream{cfg: cfg} }

// Select says which source the stream should have; 0 is none. The change happens at the
// source's next key frame. Until then the former source goes on, which is right for
// another layer of the same picture; with cut it ends at once, which is right for another
// person. To select what is selected changes nothing, unless it cuts what is
// left of the former source.
func (s *Stream) Select(ssrc uint32, cut bool) {}

// Selected returns the source that the stream should have, and Current the one that it
// has; 0 is none.
func (s *Stream) Selected() uint32 { return 0 }

// Current returns the source that the stream has; 0 is none.
func (s *Stream) Current() uint32 { return 0 }

// Waiting says whether the selected source must send a key frame before it can be seen.
func (s *Stream) Waiting() bool { return false }

// Refresh says that the receiver has lost its picture (it sent a PLI or FIR), and nothing
// of the current source but a key frame is of use. It does not stop the stream.
//
// Limit says which temporal layer is the highest that the receiver gets, of VP8 with
// temporal layers; 255 (as at the beginning) is all. Down it takes effect with the next
// frame, up with the next frame that a decoder can go up with.
func (s *Stream) Limit(temporal uint8) {}

// Mute withholds everything, and Unmute lets it through again; after a mute of video
// Waiting is true until a key frame has come.
func (s *Stream) Mute() {}

// Unmute ends what Mute began.
func (s *Stream) Unmute() {}

// Map returns the numbers that a packet has for the receiver. ok is false when the packet
// is not for it: of another source, of a layer that is dropped, from before a switch,
// muted.
func (s *Stream) Map(p *Packet, now time.Time) (n Numbers, ok bool) { return Numbers{}, false }

// Time returns what a timestamp of the current source is in the stream: for the sender
// reports that the receiver gets, which have the source's NTP time and this. ok is false
// when ssrc is not the current source, or nothing of it was sent yet.
func (s *Stream) Time(ssrc, timestamp uint32) (out uint32, ok bool) { return 0, false }

// StreamStats count what became of packets.
type StreamStats struct {
	Forwarded uint64
	// Dropped were of temporal layers above the limit.
	Dropped uint64
	// Late were from before a switch or a mute, or came after their gap was closed.
	Late uint64
	// Switches are changes of source, the first one not counted.
	Switches uint64
}

// Stats returns what was counted so far.
func (s *Stream) Stats() StreamStats { return StreamStats{} }

// Clock relates a source's RTP timestamps to the sender's wall clock, by its sender
// reports (RFC 3550, section 6.4.1). The zero value knows nothing.
type Clock struct {
	ntp   uint64
	rtp   uint32
	rate  uint32
	known bool
}

// Report takes in a sender report: its NTP timestamp (32.32 bits) and RTP timestamp. rate
// is the stream's clock rate in Hz.
func (c *Clock) Report(ntp uint64, rtp, rate uint32) {}
