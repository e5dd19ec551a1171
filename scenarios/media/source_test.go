package media

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

func TestSource(t *testing.T) {
	tests := []struct {
		codec    Codec
		duration time.Duration
		silence  int // bytes; 0 for none
	}{
		{Opus, 20 * time.Millisecond, 3},
		{PCMU, 20 * time.Millisecond, 160},
		{VP8, 50 * time.Millisecond, 0},
		{H264, 50 * time.Millisecond, 0},
	}
	for _, test := range tests {
		t.Run(string(test.codec), func(t *testing.T) {
			s, err := NewSource(test.codec, 1)
			if err != nil {
				t.Fatal(err)
			}
			first := s.Next()
			if !first.Key {
				t.Error("the first frame is no key frame")
			}
			total, octets := first.Duration, len(first.Data)
			for total < 20*time.Second { // twice the length of the files
				f := s.Next()
				if f.Duration != test.duration || len(f.Data) == 0 {
					t.Fatalf("a frame of %s with %d bytes, want %s", f.Duration, len(f.Data), test.duration)
				}
				total += f.Duration
				octets += len(f.Data)
			}
			rate := float64(octets) * 8 / total.Seconds()
			if low, high := 20e3, 350e3; rate < low || rate > high {
				t.Errorf("%.0f bit/s, want %.0f to %.0f", rate, low, high)
			}
			silence, ok := s.Silence()
			if ok != (test.silence > 0) || len(silence.Data) != test.silence {
				t.Errorf("silence of %d bytes (%v), want %d", len(silence.Data), ok, test.silence)
			}
			if s.Format().Codec != test.codec {
				t.Errorf("the format is %s's", s.Format().Codec)
			}
		})
	}
}

// TestSourceSeed: neighbouring seeds begin apart, and the same seed at the same
// place.
func TestSourceSeed(t *testing.T) {
	for _, codec := range Codecs() {
		for seed := range uint64(20) {
			begin := func(seed uint64) []byte {
				s, err := NewSource(codec, seed)
				if err != nil {
					t.Fatal(err)
				}
				return append(bytes.Clone(s.Next().Data), s.Next().Data...)
			}
			if bytes.Equal(begin(seed), begin(seed+1)) {
				t.Errorf("%s: seeds %d and %d begin with the same frames", codec, seed, seed+1)
			}
			if !bytes.Equal(begin(seed), begin(seed)) {
				t.Errorf("%s: seed %d begins differently each time", codec, seed)
			}
		}
	}
}

func TestSourceRewind(t *testing.T) {
	s, err := NewSource(VP8, 3)
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		s.Next()
	}
	s.Rewind()
	if f := s.Next(); !f.Key {
		t.Error("after Rewind comes no key frame")
	}
}

func TestUnknownCodec(t *testing.T) {
	if _, err := NewSource("g722", 1); err == nil || !strings.Contains(err.Error(), "opus") {
		t.Errorf("NewSource(g722) gives %v, want an error that names the valid ones", err)
	}
}

// TestBadFiles are refused by the readers.
func TestBadFiles(t *testing.T) {
	for _, data := range []string{"", "no media", "OggS", "DKIF", "\x00\x00\x00\x01"} {
		if frames, err := readOgg(strings.NewReader(data)); err == nil {
			t.Errorf("readOgg(%q) gives %d frames", data, len(frames))
		}
		if frames, err := readIVF(strings.NewReader(data)); err == nil {
			t.Errorf("readIVF(%q) gives %d frames", data, len(frames))
		}
		if frames, err := readAnnexB(strings.NewReader(data)); err == nil {
			t.Errorf("readAnnexB(%q) gives %d frames", data, len(frames))
		}
	}
}

// TestAssetsSize keeps the repository small.
func TestAssetsSize(t *testing.T) {
	entries, err := assets.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 1_500_000 {
		t.Errorf("the files have %d bytes together, at most 1500000 are wanted", total)
	}
}

func TestFormats(t *testing.T) {
	tests := []struct {
		name, mime, rtpmap string
		codec              Codec
	}{
		{"OPUS", "audio/opus", "opus/48000/2", Opus},
		{"audio/pcmu", "audio/PCMU", "PCMU/8000", PCMU},
		{"video/VP8", "video/VP8", "VP8/90000", VP8},
		{"h264", "video/H264", "H264/90000", H264},
	}
	for _, test := range tests {
		f, ok := ByEncoding(test.name)
		if !ok || f.Codec != test.codec || f.MIME() != test.mime || f.RTPMap() != test.rtpmap {
			t.Errorf("ByEncoding(%q) = %s, %s, %s (%v), want %s, %s, %s",
				test.name, f.Codec, f.MIME(), f.RTPMap(), ok, test.codec, test.mime, test.rtpmap)
		}
	}
	if f, ok := ByEncoding("telephone-event"); ok {
		t.Errorf("ByEncoding(telephone-event) = %s, want none", f.Codec)
	}
	if len(Formats()) != len(Codecs()) {
		t.Errorf("%d formats of %d codecs", len(Formats()), len(Codecs()))
	}
}

// TestPacketizer makes packets that a depacketizer puts together to what was sent.
func TestPacketizer(t *testing.T) {
	for _, codec := range Codecs() {
		t.Run(string(codec), func(t *testing.T) {
			s, err := NewSource(codec, 5)
			if err != nil {
				t.Fatal(err)
			}
			f := s.Format()
			p := NewPacketizer(f, 1234, f.PayloadType, 5)
			var last *rtp.Packet
			for n := range 100 {
				frame := s.Next()
				if n == 50 {
					p.Skip(frame)
					continue
				}
				packets := p.Packets(frame)
				for i, packet := range packets {
					if packet.SSRC != 1234 || packet.PayloadType != f.PayloadType || packet.MarshalSize() > PacketSize {
						t.Fatalf("packet %v of %d bytes", packet.Header, packet.MarshalSize())
					}
					if last != nil && packet.SequenceNumber != last.SequenceNumber+1 {
						t.Fatalf("sequence number %d after %d", packet.SequenceNumber, last.SequenceNumber)
					}
					if last != nil && i == 0 {
						frames := uint32(1)
						if n == 51 {
							frames = 2 // one was left out
						}
						if step := packet.Timestamp - last.Timestamp; step != frames*f.Samples(frame.Duration) {
							t.Fatalf("frame %d: the timestamp moves by %d, want %d", n, step, frames*f.Samples(frame.Duration))
						}
					}
					if want := f.Kind == Video && i == len(packets)-1; packet.Marker != want {
						t.Fatalf("packet %d of %d: marker %v, want %v", i+1, len(packets), packet.Marker, want)
					}
					last = packet
				}
				if got := depacketize(t, codec, packets); !bytes.Equal(got, frame.Data) {
					t.Fatalf("frame %d comes out with %d bytes, want %d", n, len(got), len(frame.Data))
				}
			}
		})
	}
}

func depacketize(t *testing.T, codec Codec, packets []*rtp.Packet) []byte {
	t.Helper()
	depacketizer := map[Codec]rtp.Depacketizer{VP8: &codecs.VP8Packet{}, H264: &codecs.H264Packet{}}[codec]
	var out []byte
	for _, packet := range packets {
		data := packet.Payload
		if depacketizer != nil {
			var err error
			if data, err = depacketizer.Unmarshal(packet.Payload); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, data...)
	}
	return out
}
