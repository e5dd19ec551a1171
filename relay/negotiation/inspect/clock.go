package inspect

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// Jitter needs the clock rate of a stream, which stands only in the SDP. Without
// one it is read from the stream itself: how far its timestamps advance in the time
// of the capture.

// maxStreams bounds the streams whose clocks are measured.
const maxStreams = 2048

// streams are the streams of a capture, at each place where they were seen.
type streams map[streamKey]*stream

// streamKey is a stream at one place: at an interface of a host, in one direction,
// or between two addresses.
type streamKey struct {
	ssrc     uint32
	host     string
	outbound bool
	from, to netip.AddrPort
}

// stream is what is measured of one.
type stream struct {
	from, to    *end
	payloadType uint8
	began, last time.Time
	timestamp   uint32
	ticks       int64
}

// add takes a packet of RTP of at least 12 bytes.
func (s streams) add(v *visit, k known, b []byte) {
	key := streamKey{ssrc: binary.BigEndian.Uint32(b[8:])}
	if v.ours {
		key.host, key.outbound = v.host, v.outbound
	} else {
		key.from, key.to = v.segment.Source, v.segment.Destination
	}
	timestamp, payloadType := binary.BigEndian.Uint32(b[4:]), b[1]&0x7f
	found := s[key]
	if found == nil {
		if len(s) < maxStreams && !v.time.IsZero() {
			from, to := v.ends(k)
			s[key] = &stream{from: from, to: to, payloadType: payloadType, began: v.time, last: v.time, timestamp: timestamp}
		}
		return
	}
	if found.payloadType == payloadType {
		found.ticks += int64(int32(timestamp - found.timestamp))
		found.timestamp, found.last = timestamp, v.time
	}
}

// clocks are the rates of audio and video in Hz (RFC 3551, RFC 7587).
var clocks = []float64{8000, 16000, 32000, 44100, 48000, 90000}

// rate is the clock that the stream keeps, 0 when it is too short to say or fits
// none.
func (s *stream) rate() uint32 {
	const shortest, tolerance = 0.5, 0.03
	elapsed := s.last.Sub(s.began).Seconds()
	if elapsed < shortest {
		return 0
	}
	measured := float64(s.ticks) / elapsed
	for _, c := range clocks {
		if math.Abs(measured-c) < tolerance*c {
			return uint32(c)
		}
	}
	return 0
}
