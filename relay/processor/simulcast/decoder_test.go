package simulcast_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/processor/simulcast"
)

// What a real encoder makes goes through Stream, and a real decoder must find no fault in
// what comes out: that of ffmpeg (libvpx, libx264).

func ffmpeg(t *testing.T, args ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ffmpeg is not installed; it is in Debian's package of that name")
		}
		t.Skip("ffmpeg is not installed (Debian: ffmpeg)")
	}
	cmd := exec.CommandContext(t.Context(), program, append([]string{"-hide_banner", "-nostdin", "-v", "error", "-y"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg %v: %v: %s", args, err, stderr.String())
	}
	return out
}

// encode encodes a moving picture of so many frames, at 30 a second, in some sizes.
func encode(t *testing.T, frames int, sizes []string, args ...string) (files [][]byte) {
	t.Helper()
	dir := t.TempDir()
	all := []string{"-f", "lavfi", "-i", "testsrc2=size=256x192:rate=30"}
	for _, size := range sizes {
		all = append(all, "-frames:v", fmt.Sprint(frames), "-pix_fmt", "yuv420p", "-s", size)
		all = append(append(all, args...), filepath.Join(dir, size))
	}
	ffmpeg(t, all...)
	for _, size := range sizes {
		file, err := os.ReadFile(filepath.Join(dir, size))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

var sizes = []string{"64x48", "128x96", "256x192"}

// ivf returns the frames of an IVF file.
func ivf(t *testing.T, file []byte) (frames [][]byte) {
	t.Helper()
	if len(file) < 32 {
		t.Fatal("no IVF file")
	}
	for rest := file[32:]; len(rest) >= 12; {
		size := int(binary.LittleEndian.Uint32(rest))
		frames = append(frames, rest[12:12+size])
		rest = rest[12+size:]
	}
	return frames
}

// toIVF makes an IVF file of VP8 frames.
func toIVF(frames [][]byte) []byte {
	file := make([]byte, 32)
	copy(file, "DKIF")
	binary.LittleEndian.PutUint16(file[6:], 32)
	copy(file[8:], "VP80")
	binary.LittleEndian.PutUint16(file[12:], 320)
	binary.LittleEndian.PutUint16(file[14:], 240)
	binary.LittleEndian.PutUint32(file[16:], 30)
	binary.LittleEndian.PutUint32(file[20:], 1)
	binary.LittleEndian.PutUint32(file[24:], uint32(len(frames)))
	for i, f := range frames {
		file = binary.LittleEndian.AppendUint32(file, uint32(len(f)))
		file = binary.LittleEndian.AppendUint64(file, uint64(i))
		file = append(file, f...)
	}
	return file
}

// sent is a packet of a source.
type sent struct {
	seq       uint16
	timestamp uint32
	marker    bool
	payload   []byte
}

// layer packetizes frames: frame i gets its packets at index i.
func layer(payloader rtp.Payloader, seq uint16, timestamp uint32, frames [][]byte) [][]sent {
	all := make([][]sent, len(frames))
	for i, f := range frames {
		for _, p := range payloader.Payload(300, f) {
			all[i] = append(all[i], sent{seq: seq, timestamp: timestamp + 3000*uint32(i), payload: p})
			seq++
		}
		if n := len(all[i]); n > 0 {
			all[i][n-1].marker = true
		}
	}
	return all
}

// through sends layers, frame by frame, and changes the selected one at each of the
// frames in selects. It fails unless what comes out is one stream.
func through(t *testing.T, codec simulcast.Codec, layers [][][]sent, selects map[int]int) (packets []sent, stats simulcast.StreamStats) {
	t.Helper()
	s := simulcast.NewStream(simulcast.StreamConfig{Codec: codec, Timeline: fanout.NewTimeline(65500, 1<<32-90000)})
	for i := range layers[0] {
		if to, ok := selects[i]; ok {
			s.Select(uint32(to+1), false)
		}
		for l := range layers {
			for _, p := range layers[l][i] {
				f, ok := codec.Inspect(p.payload)
				if !ok {
					t.Fatalf("layer %d, frame %d: malformed %x", l, i, p.payload[:min(len(p.payload), 20)])
				}
				in := simulcast.Packet{SSRC: uint32(l + 1), Seq: p.seq, Timestamp: p.timestamp, Frame: f}
				n, ok := s.Map(&in, start.Add(time.Duration(i)*time.Second/30))
				if !ok {
					continue
				}
				payload := bytes.Clone(p.payload)
				n.Patch(payload)
				if k := len(packets); k > 0 {
					last := packets[k-1]
					if n.Seq != last.seq+1 || int32(n.Timestamp-last.timestamp) < 0 || last.marker == (n.Timestamp == last.timestamp) {
						t.Fatalf("layer %d, frame %d: number %d at %d after %d at %d", l, i, n.Seq, n.Timestamp, last.seq, last.timestamp)
					}
				}
				packets = append(packets, sent{n.Seq, n.Timestamp, p.marker, payload})
			}
		}
	}
	return packets, s.Stats()
}

// decode has ffmpeg decode a file strictly, and returns one line for each frame.
func decode(t *testing.T, name string, file []byte, filters ...string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-err_detect", "explode", "-xerror", "-i", path}, filters...)
	out := ffmpeg(t, append(args, "-fps_mode", "passthrough", "-f", "framemd5", "-")...)
	var lines []string
	for l := range strings.Lines(string(out)) {
		if !strings.HasPrefix(l, "#") {
			lines = append(lines, l[strings.LastIndex(l, ",")+1:])
		}
	}
	return lines
}

// tenSwitches go up and down and up again between three layers, each some frames before a
// key frame. Six of them go up: then the picture of that frame comes twice, since its
// lower layer has been forwarded when the key frame of the higher one comes.
const up = 6

var tenSwitches = map[int]int{0: 0, 12: 1, 26: 2, 41: 0, 55: 2, 73: 1, 88: 2, 101: 1, 117: 0, 131: 1, 143: 2}

func TestTenSwitchesOfVP8Decode(t *testing.T) {
	t.Parallel()
	const frames = 160
	var layers [][][]sent
	for i, file := range encode(t, frames, sizes, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k", "-g", "10", "-f", "ivf") {
		payloader := &codecs.VP8Payloader{EnablePictureID: true}
		layers = append(layers, layer(payloader, uint16(i*30000), uint32(i)*1<<31, ivf(t, file)))
	}
	packets, stats := through(t, simulcast.VP8, layers, tenSwitches)
	if stats.Switches != 10 {
		t.Errorf("%d switches", stats.Switches)
	}
	var out [][]byte
	var frame []byte
	last := -1
	for _, p := range packets {
		d, _ := simulcast.ParseVP8(p.payload)
		frame = append(frame, p.payload[d.Size:]...)
		if p.marker {
			if last >= 0 && int(d.PictureID) != (last+1)&0x7fff {
				t.Fatalf("picture id %d after %d", d.PictureID, last)
			}
			last = int(d.PictureID)
			out = append(out, frame)
			frame = nil
		}
	}
	if len(out) != frames+up {
		t.Errorf("%d frames came out of %d", len(out), frames)
	}
	if got := decode(t, "switched.ivf", toIVF(out), "-vf", "scale=256:192"); len(got) != len(out) {
		t.Errorf("%d of %d frames decode", len(got), len(out))
	}
}

func TestTenSwitchesOfH264Decode(t *testing.T) {
	t.Parallel()
	const frames = 160
	var layers [][][]sent
	for i, file := range encode(t, frames, sizes, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline",
		"-b:v", "200k", "-g", "10", "-x264-params", "aud=1:repeat-headers=1", "-f", "h264") {
		// Access unit delimiters divide the frames.
		units := bytes.Split(file, []byte{0, 0, 0, 1, 9})
		var accessUnits [][]byte
		for _, u := range units[1:] {
			_, rest, ok := bytes.Cut(u, []byte{0, 0}) // behind the delimiter
			if !ok {
				t.Fatal("an access unit of nothing")
			}
			accessUnits = append(accessUnits, append([]byte{0, 0}, rest...))
		}
		if len(accessUnits) != frames {
			t.Fatalf("%d access units", len(accessUnits))
		}
		layers = append(layers, layer(&codecs.H264Payloader{}, uint16(i*30000), uint32(i)*1<<31, accessUnits))
	}
	packets, stats := through(t, simulcast.H264, layers, tenSwitches)
	if stats.Switches != 10 {
		t.Errorf("%d switches", stats.Switches)
	}
	var depacketizer codecs.H264Packet
	var file []byte
	count := 0
	for _, p := range packets {
		part, err := depacketizer.Unmarshal(p.payload)
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, part...)
		if p.marker {
			count++
		}
	}
	if got := decode(t, "switched.h264", file, "-vf", "scale=256:192"); len(got) != count || count != frames+up {
		t.Errorf("%d of %d frames decode, of %d", len(got), count, frames)
	}
}

// The frames of the lower temporal layers are the same pictures whether the higher ones
// come or not.
func TestDroppedTemporalLayersChangeNoPicture(t *testing.T) {
	t.Parallel()
	const frames = 64
	encoded := ivf(t, encode(t, frames, []string{"160x120"}, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k", "-g", "1000",
		"-error-resilient", "1", "-ts-parameters",
		"ts_number_layers=3:ts_target_bitrate=120,210,300:ts_rate_decimator=4,2,1:ts_periodicity=4:ts_layer_id=0,2,1,2:ts_layering_mode=3",
		"-f", "ivf")[0])
	all := decode(t, "all.ivf", toIVF(encoded))
	tids := []uint8{0, 2, 1, 2}
	payloader := &codecs.VP8Payloader{EnablePictureID: true}
	packets := layer(payloader, 65000, 1<<31, encoded)
	for limit := range uint8(3) {
		s := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8})
		s.Select(1, false)
		s.Limit(limit)
		var out [][]byte
		var want []string
		for i, frame := range packets {
			if tids[i%4] <= limit {
				want = append(want, all[i])
			}
			var got []byte
			for _, p := range frame {
				f, _ := simulcast.VP8.Inspect(p.payload)
				f.VP8.HasTemporal, f.VP8.Temporal = true, tids[i%4]
				in := simulcast.Packet{SSRC: 1, Seq: p.seq, Timestamp: p.timestamp, Frame: f}
				if _, ok := s.Map(&in, start); ok {
					got = append(got, p.payload[f.VP8.Size:]...)
				}
			}
			if got != nil {
				out = append(out, got)
			}
		}
		if got := decode(t, "dropped.ivf", toIVF(out)); strings.Join(got, "") != strings.Join(want, "") {
			t.Errorf("up to temporal layer %d: %d pictures, want %d, or they differ", limit, len(got), len(want))
		}
	}
}
