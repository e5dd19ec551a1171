package processor

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"

	"github.com/callpath/callpath/relay/processor/estimate"
)

// RTCP ends here on both sides (RFC 3550, section 6): what receivers report is about the
// processor's own streams, and what publishers are told is about what came here.

// The packet types and formats that are read.
const (
	typeSR  = 200
	typeRR  = 201
	typeRTP = 205 // transport layer feedback, RFC 4585
	typePS  = 206 // payload-specific feedback

	formatNACK = 1
	formatTCC  = 15
	formatPLI  = 1
	formatFIR  = 4
	formatAFB  = 15
)

// control takes an SRTCP packet.
func (l *leg) control(datagram []byte) {
	b, err := l.opener.RTCP(datagram)
	if err != nil {
		l.w.drop(DropUnauthentic)
		return
	}
	if l.latching {
		l.heard = l.w.now
	}
	for len(b) >= 4 {
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if b[0]>>6 != 2 || size > len(b) {
			l.w.drop(DropGarbage)
			return
		}
		l.one(b[:size:size], b[1], b[0]&0x1f)
		b = b[size:]
	}
}

// one takes one packet of a compound one.
func (l *leg) one(b []byte, kind, format byte) {
	ok := true
	switch {
	case kind == typeSR:
		ok = len(b) >= 28
		if ok {
			l.senderReport(b)
			l.blocks(b[28:], int(format))
		}
	case kind == typeRR:
		ok = len(b) >= 8
		if ok {
			l.blocks(b[8:], int(format))
		}
	case kind == typeRTP && format == formatTCC:
		l.measured = true
		ok = l.estimate.Feedback(b, l.w.now) == nil
	case kind == typeRTP && format == formatNACK:
		ok = len(b) >= 12
		if ok {
			l.nack(b)
		}
	case kind == typePS && format == formatPLI:
		ok = len(b) >= 12
		if ok {
			l.keyFrame(binary.BigEndian.Uint32(b[8:]))
		}
	case kind == typePS && format == formatFIR:
		for b = b[min(12, len(b)):]; len(b) >= 8; b = b[8:] {
			l.keyFrame(binary.BigEndian.Uint32(b))
		}
	case kind == typePS && format == formatAFB:
		var rate uint64
		if rate, ok = estimate.ParseREMB(b); ok {
			l.measured = true
			l.estimate.REMB(rate, l.w.now)
		} else {
			ok = true // another application's
		}
	}
	if !ok {
		l.w.drop(DropGarbage)
	}
}

// senderReport takes what a publisher says of its clock.
func (l *leg) senderReport(b []byte) {
	y := l.streams[binary.BigEndian.Uint32(b[4:])]
	if y == nil {
		return
	}
	ntp, timestamp := binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:])
	y.report = senderReport{ntp: ntp, timestamp: timestamp, arrived: l.w.now, known: true}
	y.clock.Report(ntp, timestamp, y.clockRate())
	l.clock.report(ntp, l.w.now)
}

// blocks takes report blocks about the processor's streams.
func (l *leg) blocks(b []byte, count int) {
	for ; count > 0 && len(b) >= 24; b, count = b[24:], count-1 {
		s := l.bySSRC[binary.BigEndian.Uint32(b)]
		if s == nil {
			continue
		}
		l.estimate.Loss(b[4], l.w.now)
		if lsr, dlsr := binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:]); lsr != 0 {
			// RFC 3550, section 6.4.1; in units of 1/65536 s.
			if rtt := int32(uint32(ntpOf(l.w.now)>>16) - lsr - dlsr); rtt >= 0 {
				l.rtt = time.Duration(rtt) * time.Second >> 16
			}
		}
	}
}

// nack sends what a receiver asks for.
func (l *leg) nack(b []byte) {
	s := l.bySSRC[binary.BigEndian.Uint32(b[8:])]
	if s == nil {
		return
	}
	for b = b[12:]; len(b) >= 4; b = b[4:] {
		seq := binary.BigEndian.Uint16(b)
		s.again(seq)
		for bits := binary.BigEndian.Uint16(b[2:]); bits != 0; bits >>= 1 {
			seq++
			if bits&1 != 0 {
				s.again(seq)
			}
		}
	}
}

// keyFrame notes that a receiver cannot go on without a key frame.
func (l *leg) keyFrame(ssrc uint32) {
	s := l.bySSRC[ssrc]
	if s == nil || s.track == nil || s.stream == nil {
		return
	}
	l.w.stats.PLIReceived++
	for _, y := range s.track.layers {
		if y.id == s.stream.Current() {
			y.requests.Want()
		}
	}
}

// timers sends the RTCP that is due: each 10 ms it is looked.
func (l *leg) timers() {
	if l.state != connected {
		return
	}
	w := l.w
	const feedback, shares = uint(50 * time.Millisecond / tick), uint(250 * time.Millisecond / tick)
	var out []rtcp.Packet
	for _, s := range l.slots {
		if s.stream != nil && s.track != nil && s.stream.Waiting() {
			for _, y := range s.track.layers {
				if y.id == s.stream.Selected() && y.kind != 0 {
					y.requests.Want()
				}
			}
		}
	}
	for _, t := range l.tracks {
		for _, y := range t.layers {
			out = y.requested(out)
		}
	}
	if w.ticks%feedback == 0 && l.extensions[transportCC] != 0 {
		out = l.arrivals.Build(out)
	}
	if len(out) > 0 {
		l.tell(out)
	}
	if l.allocated.IsZero() || w.ticks%shares == 0 {
		l.allocated = w.now
		l.share()
	}
	l.probing.tick(l)
	if w.now.Sub(l.reported) >= time.Second {
		l.reported = w.now
		l.reports()
	}
}

// requested adds what a publisher is asked for: missing packets and key frames.
func (y *layer) requested(out []rtcp.Packet) []rtcp.Packet {
	l := y.track.leg
	w := l.w
	if y.missing != nil && y.codec != nil && y.codec.Has("nack") {
		w.missing, _ = y.missing.Due(w.missing[:0], w.now, l.rtt)
		if len(w.missing) > 0 {
			w.stats.Nacked += uint64(len(w.missing))
			out = append(out, &rtcp.TransportLayerNack{SenderSSRC: l.ssrc, MediaSSRC: y.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(w.missing)})
		}
	}
	if y.codec == nil || y.kind == 0 || !y.requests.Due(w.now) {
		return out
	}
	w.stats.PLISent++
	if !y.codec.Has("nack pli") && y.codec.Has("ccm fir") {
		y.firs++
		return append(out, &rtcp.FullIntraRequest{SenderSSRC: l.ssrc, MediaSSRC: y.ssrc, FIR: []rtcp.FIREntry{{SSRC: y.ssrc, SequenceNumber: y.firs}}})
	}
	return append(out, &rtcp.PictureLossIndication{SenderSSRC: l.ssrc, MediaSSRC: y.ssrc})
}

// reports sends sender and receiver reports (RFC 3550, section 6.4), which is due each
// second: that is more often than section 6.2 has it, as RFC 4585 section 3.4 allows.
func (l *leg) reports() {
	var blocks []rtcp.ReceptionReport
	for _, t := range l.tracks {
		for _, y := range t.layers {
			if y.received.begun {
				blocks = append(blocks, y.received.block(y.ssrc, y.report, l.w.now))
			}
		}
	}
	var out []rtcp.Packet
	for _, s := range l.slots {
		if r, ok := s.report(); ok {
			n := min(len(blocks), mostBlocks)
			r.Reports, blocks = blocks[:n], blocks[n:]
			out = append(out, r, l.names(s.ssrc))
		}
	}
	for len(blocks) > 0 {
		n := min(len(blocks), mostBlocks)
		out = append(out, &rtcp.ReceiverReport{SSRC: l.ssrc, Reports: blocks[:n]}, l.names(l.ssrc))
		blocks = blocks[n:]
	}
	l.tell(out)
}

// mostBlocks is what RFC 3550 allows in one report.
const mostBlocks = 31

func (l *leg) names(ssrc uint32) *rtcp.SourceDescription {
	return &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: l.cname}},
	}}}
}

// report makes the sender report of a slot. Its two times are those of the processor's
// clock: audio and video of one participant have the same offset to the participant's, so
// that they stay together.
func (s *slot) report() (*rtcp.SenderReport, bool) {
	l := s.leg
	if s.packets == 0 || s.codec == nil {
		return nil, false
	}
	now, rate := l.w.now, float64(s.codec.ClockRate)
	timestamp := s.timestamp + uint32(int64(now.Sub(s.last).Seconds()*rate))
	if s.track != nil {
		for _, y := range s.track.layers {
			if y.id != s.stream.Current() || !y.report.known {
				continue
			}
			if out, ok := s.stream.Time(y.id, y.report.timestamp); ok {
				since := now.Sub(s.track.leg.clock.local(y.report.ntp)).Seconds()
				timestamp = out + uint32(int64(since*rate))
			}
		}
	}
	return &rtcp.SenderReport{SSRC: s.ssrc, NTPTime: ntpOf(now), RTPTime: timestamp, PacketCount: s.packets, OctetCount: s.octets}, true
}

// tell sends RTCP packets, as many in a datagram as fit.
func (l *leg) tell(packets []rtcp.Packet) {
	var compound []byte
	for _, p := range packets {
		b, err := p.Marshal()
		if err != nil {
			continue
		}
		if len(compound)+len(b) > mtu {
			l.sendControl(compound)
			compound = nil
		}
		compound = append(compound, b...)
	}
	l.sendControl(compound)
}

func (l *leg) sendControl(b []byte) {
	if len(b) == 0 {
		return
	}
	room := l.w.batch.Room(len(b) + l.overhead + 4)
	if sealed, err := l.sealer.RTCP(room[:copy(room, b)]); err == nil {
		l.w.batch.Add(l.remote, sealed)
	}
}
