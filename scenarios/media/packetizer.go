package media

import (
	"math/rand/v2"

	"github.com/pion/rtp"
)

// PacketSize is the largest RTP packet in bytes, header included. With the
// overhead of SRTP, TURN, TLS and IPv6 it stays below 1280, which every IPv6
// network takes (RFC 8200, section 5).
const PacketSize = 1180

// Packetizer makes RTP packets of frames. It belongs to one goroutine.
type Packetizer struct {
	format Format
	rtp    rtp.Packetizer
}

// NewPacketizer begins a stream at a sequence number and a timestamp that follow
// from seed.
func NewPacketizer(f Format, ssrc uint32, payloadType uint8, seed uint64) *Packetizer {
	chance := rand.New(rand.NewPCG(seed, uint64(ssrc)))
	// A first sequence number in the lower half keeps the rollover counter of
	// RFC 3711 unambiguous when the first packets are lost.
	first := uint16(chance.UintN(1 << 15))
	return &Packetizer{format: f, rtp: rtp.NewPacketizerWithOptions(PacketSize, f.payloader(),
		rtp.NewFixedSequencer(first), f.ClockRate,
		rtp.WithSSRC(ssrc), rtp.WithPayloadType(payloadType), rtp.WithTimestamp(chance.Uint32()))}
}

// Packets returns the packets of one frame, in order; the marker bit is set as the
// codec's RFC says.
func (p *Packetizer) Packets(frame Frame) []*rtp.Packet {
	packets := p.rtp.Packetize(frame.Data, p.format.Samples(frame.Duration))
	if p.format.Kind == Audio {
		// RFC 3551, section 4.1: the marker begins a talkspurt; ours never end.
		for _, packet := range packets {
			packet.Marker = false
		}
	}
	return packets
}

// Skip lets the RTP clock run on over a frame that is not sent.
func (p *Packetizer) Skip(frame Frame) {
	p.rtp.SkipSamples(p.format.Samples(frame.Duration))
}
