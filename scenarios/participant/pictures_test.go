package participant

import (
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/quality"
	"github.com/callpath/callpath/scenarios/result"
)

// film is a video stream as packets, 20 pictures a second.
func film(t *testing.T, codec media.Codec, pictures int) (f media.Format, packets [][]*rtp.Packet) {
	t.Helper()
	source, err := media.NewSource(codec, 0)
	if err != nil {
		t.Fatal(err)
	}
	packetizer := media.NewPacketizer(source.Format(), 1, source.Format().PayloadType, 65000)
	for range pictures {
		packets = append(packets, packetizer.Packets(source.Next()))
	}
	return source.Format(), packets
}

func sampler(t *testing.T, f media.Format, start time.Time) *quality.Sampler {
	t.Helper()
	s, err := quality.NewSampler(quality.Config{Kind: f.Kind, Codec: string(f.Codec), ClockRate: f.ClockRate, Start: start})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func freezes(s *quality.Sampler) int {
	var out result.Stream
	s.Fill(&out)
	return out.Freezes
}

// TestPictures shows a film under what may happen to it on its way.
func TestPictures(t *testing.T) {
	const picture = 50 * time.Millisecond
	tests := []struct {
		name string
		// deliver says when a packet arrives, after its picture's time; less
		// than zero is never.
		deliver func(picture, packet int) time.Duration
		freezes int
		broken  bool
	}{
		{"all arrives", func(int, int) time.Duration { return 0 }, 0, false},
		{"a packet comes late, as a NACK brings it", func(p, i int) time.Duration {
			if p == 45 && i == 0 {
				return 120 * time.Millisecond
			}
			return 0
		}, 0, false},
		{"a packet is lost: frozen until the next key frame", func(p, i int) time.Duration {
			if p == 45 && i == 0 {
				return -1
			}
			return 0
		}, 1, false},
		{"a packet is lost in the last second", func(p, i int) time.Duration {
			if p == 82 && i == 0 {
				return -1
			}
			return 0
		}, 0, true},
		{"nothing comes for a second", func(p, _ int) time.Duration {
			if p >= 41 && p < 61 {
				return -1
			}
			return 0
		}, 1, false},
	}
	for _, codec := range []media.Codec{media.VP8, media.H264} {
		f, packets := film(t, codec, 97)
		for _, test := range tests {
			t.Run(string(codec)+" "+test.name, func(t *testing.T) {
				start := time.Unix(1000, 0)
				s := sampler(t, f, start)
				p := newPictures(f, s)
				type arrival struct {
					at     time.Duration
					packet *rtp.Packet
				}
				var queue []arrival
				for n, list := range packets {
					for i, packet := range list {
						if late := test.deliver(n, i); late >= 0 {
							queue = append(queue, arrival{time.Duration(n)*picture + late, packet})
						}
					}
				}
				for at := time.Duration(0); at < 100*picture; at += 10 * time.Millisecond {
					for _, a := range queue {
						if a.at == at {
							p.add(a.packet, start.Add(at))
						}
					}
				}
				if got := freezes(s); got != test.freezes {
					t.Errorf("%d freezes, want %d", got, test.freezes)
				}
				if p.broken != test.broken {
					t.Errorf("the picture is lost: %v, want %v", p.broken, test.broken)
				}
			})
		}
	}
}

// TestPicturesPause: a sender that is mute is not frozen.
func TestPicturesPause(t *testing.T) {
	source, err := media.NewSource(media.VP8, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := source.Format()
	packetizer := media.NewPacketizer(f, 1, 96, 1)
	start := time.Unix(1000, 0)
	s := sampler(t, f, start)
	p := newPictures(f, s)
	for n := range 100 {
		frame := source.Next()
		if n > 30 && n < 60 {
			packetizer.Skip(frame)
			continue
		}
		for _, packet := range packetizer.Packets(frame) {
			p.add(packet, start.Add(time.Duration(n)*50*time.Millisecond))
		}
	}
	if got := freezes(s); got != 0 {
		t.Errorf("%d freezes, want none", got)
	}
}

// FuzzPictures: whatever a payload holds, nothing fails, and little is kept.
func FuzzPictures(f *testing.F) {
	f.Add([]byte{0x10, 0x00}, uint16(1), true)
	f.Add([]byte{24, 0, 3, 0x67, 1, 2}, uint16(65535), false)
	f.Add([]byte{28, 0x85}, uint16(40000), true)
	f.Add([]byte{}, uint16(0), false)
	f.Fuzz(func(t *testing.T, payload []byte, step uint16, marker bool) {
		start := time.Unix(1000, 0)
		for _, codec := range []media.Codec{media.VP8, media.H264} {
			format, err := media.FormatOf(codec)
			if err != nil {
				t.Fatal(err)
			}
			p := newPictures(format, sampler(t, format, start))
			number := uint16(0)
			for n := range 50 {
				packet := &rtp.Packet{Header: rtp.Header{SequenceNumber: number, Marker: marker}, Payload: payload}
				p.add(packet, start.Add(time.Duration(n)*100*time.Millisecond))
				number += step
			}
			if len(p.waiting) > 50 {
				t.Errorf("%d packets are kept", len(p.waiting))
			}
		}
	})
}
