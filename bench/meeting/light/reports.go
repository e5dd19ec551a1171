package light

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/pion/rtcp"

	"github.com/callpath/callpath/bench/meeting/filler"
	"github.com/callpath/callpath/relay/reception"
)

// reportEvery is between two reports, and how long an interval is.
const reportEvery = time.Second

// mostBlocks is what RFC 3550 allows in one report.
const mostBlocks = 31

// report sends sender and receiver reports (RFC 3550, section 6.4).
func (c *Client) report(now time.Time) {
	var blocks []rtcp.ReceptionReport
	for _, s := range c.slots {
		if s.stream.Begun() {
			blocks = append(blocks, s.block(now))
		}
	}
	take := func() []rtcp.ReceptionReport {
		n := min(len(blocks), mostBlocks)
		taken := blocks[:n]
		blocks = blocks[n:]
		return taken
	}
	if c.voicePackets > 0 {
		c.tell(c.ssrc.audio, &rtcp.SenderReport{
			SSRC: c.ssrc.audio, NTPTime: reception.NTP(now), RTPTime: timestamp(c.voiceTime, c.voiceBegun, now, filler.VoiceClock),
			PacketCount: c.voicePackets, OctetCount: c.voiceBytes, Reports: take(),
		})
	}
	if c.videoPackets > 0 {
		c.tell(c.ssrc.video, &rtcp.SenderReport{
			SSRC: c.ssrc.video, NTPTime: reception.NTP(now), RTPTime: timestamp(c.videoTime, c.videoBegun, now, filler.VideoClock),
			PacketCount: c.videoPackets, OctetCount: c.videoBytes, Reports: take(),
		})
	}
	for len(blocks) > 0 {
		c.tell(c.ssrc.audio, &rtcp.ReceiverReport{SSRC: c.ssrc.audio, Reports: take()})
	}
}

// timestamp is a stream's at a time.
func timestamp(first uint32, begun int64, now time.Time, clock float64) uint32 {
	return first + uint32(int64(float64(now.UnixNano()-begun)*clock/float64(time.Second)))
}

// tell sends a report with the canonical name that each compound packet has.
func (c *Client) tell(source uint32, p rtcp.Packet) {
	names := &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: source, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: cname}},
	}}}
	b, err := rtcp.Marshal([]rtcp.Packet{p, names})
	if err != nil {
		return
	}
	sealed, err := c.sealer.RTCP(slices.Grow(b, c.overhead+4))
	if err == nil {
		_ = c.socket.Send(sealed) // as on any network, it may be lost
	}
}

// block makes the report block of a slot.
func (s *slot) block(now time.Time) rtcp.ReceptionReport {
	r, jitter := s.stream.Report()
	b := rtcp.ReceptionReport{
		SSRC: s.ssrc, FractionLost: r.Fraction, TotalLost: uint32(max(r.Lost, 0)), LastSequenceNumber: r.Highest, Jitter: jitter,
	}
	if s.report != 0 {
		b.LastSenderReport = s.report
		b.Delay = uint32((now.UnixNano() - s.reported) << 16 / int64(time.Second))
	}
	return b
}

// The packet types and formats that are read (RFC 3550, RFC 4585, RFC 5104).
const (
	typeSR     = 200
	typeRR     = 201
	typeRTPFB  = 205
	typePSFB   = 206
	formatNACK = 1
	formatPLI  = 1
	formatFIR  = 4
)

// reported takes an SRTCP packet.
func (c *Client) reported(datagram []byte) {
	b, err := c.opener.RTCP(datagram)
	if err != nil {
		c.engine.tally.Stray++
		return
	}
	for len(b) >= 8 {
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if b[0]>>6 != 2 || size > len(b) || size < 8 {
			return
		}
		c.feedback(b[:size], b[1], b[0]&0x1f)
		b = b[size:]
	}
}

// feedback takes one packet of a compound one.
func (c *Client) feedback(b []byte, kind, format byte) {
	switch {
	case kind == typeSR && len(b) >= 28:
		if s := c.bySSRC[binary.BigEndian.Uint32(b[4:])]; s != nil {
			s.report, s.reported = reception.Middle(binary.BigEndian.Uint64(b[8:])), c.engine.now
		}
		c.blocks(b[28:], int(format))
	case kind == typeRR:
		c.blocks(b[8:], int(format))
	case kind == typeRTPFB && format == formatNACK && len(b) >= 12:
		if binary.BigEndian.Uint32(b[8:]) != c.ssrc.video {
			return
		}
		for b = b[12:]; len(b) >= 4; b = b[4:] {
			seq := binary.BigEndian.Uint16(b)
			c.again(seq)
			for bits := binary.BigEndian.Uint16(b[2:]); bits != 0; bits >>= 1 {
				seq++
				if bits&1 != 0 {
					c.again(seq)
				}
			}
		}
	case kind == typePSFB && (format == formatPLI || format == formatFIR):
		c.wantKey = true
		c.engine.tally.KeyFrames++
	}
}

// blocks takes report blocks about what the client sends, for the round trip.
func (c *Client) blocks(b []byte, count int) {
	for ; count > 0 && len(b) >= 24; b, count = b[24:], count-1 {
		lsr, dlsr := binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])
		if rtt, ok := reception.RoundTrip(time.Unix(0, c.engine.now), lsr, dlsr); ok {
			c.rtt = rtt
			c.engine.tally.RTT.Add(int64(rtt))
		}
	}
}
