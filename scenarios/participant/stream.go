package participant

import (
	"cmp"
	"time"

	"github.com/pion/rtp"

	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/quality"
	"github.com/callpath/callpath/scenarios/result"
)

// stream is one received stream: what comparison says of its packets, and its
// figures. It is guarded by its reception.
type stream struct {
	format  media.Format
	ssrc    uint32
	sampler *quality.Sampler
	intact  uint64
	corrupt uint64
	mixed   uint64
	from    []string // in a conference, those whose packets it brought
	kind    string   // in a conference, that of the last one

	pictures  *pictures // video only
	requested time.Time // of the last request for a key frame
}

func newStream(f media.Format, ssrc uint32, start time.Time) (*stream, error) {
	sampler, err := quality.NewSampler(quality.Config{
		Kind: f.Kind, Codec: string(f.Codec), ClockRate: f.ClockRate, Start: start, Interval: interval,
	})
	s := &stream{format: f, ssrc: ssrc, sampler: sampler}
	if f.Kind == media.Video {
		s.pictures = newPictures(f, sampler)
	}
	return s, err
}

// add counts one packet; SRTP lets no copies through.
func (s *stream) add(p *rtp.Packet, verdict media.Verdict, arrived time.Time) {
	switch verdict {
	case media.Intact:
		s.intact++
	case media.Corrupt, media.Misdirected, media.Unknown:
		s.corrupt++
	case media.Mixed:
		s.mixed++ // there is nothing to compare with
	}
	s.sampler.Packet(arrived, &p.Header, len(p.Payload))
	if s.pictures != nil {
		s.pictures.add(p, arrived)
	}
}

// pause says that the sender pauses, or goes on after a pause.
func (s *stream) pause() { s.sampler.Pause() }

// lostPicture is true when a key frame is to be asked for now.
func (s *stream) lostPicture(now time.Time) bool {
	if s.pictures == nil || !s.pictures.broken || now.Sub(s.requested) < pictureRequest {
		return false
	}
	s.requested = now
	return true
}

// fill writes the stream's figures.
func (s *stream) fill(out *result.Stream) {
	s.sampler.Fill(out)
	out.Kind, out.Codec, out.SSRC = cmp.Or(s.kind, s.format.Kind), string(s.format.Codec), s.ssrc
	out.Intact, out.Corrupt = s.intact, s.corrupt
}

// combine makes one series of the streams' samples: the worst loss and jitter, the
// sum of the bit rates, and the MOS of the audio. What came before the first packet
// is left out.
func combine(all [][]result.Sample) []result.Sample {
	var out []result.Sample
	for _, samples := range all {
		for i, s := range samples {
			if i == len(out) {
				out = append(out, result.Sample{At: s.At})
			}
			o := &out[i]
			o.Loss = max(o.Loss, s.Loss)
			o.Jitter = max(o.Jitter, s.Jitter)
			o.RTT = max(o.RTT, s.RTT)
			o.MOS = max(o.MOS, s.MOS)
			o.Bitrate += s.Bitrate
		}
	}
	for i, s := range out {
		if s.Bitrate > 0 {
			return out[i:]
		}
	}
	return nil
}
