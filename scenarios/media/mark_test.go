package media

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media/h264writer"
	"github.com/pion/webrtc/v4/pkg/media/ivfwriter"
	"github.com/pion/webrtc/v4/pkg/media/oggwriter"
)

// A real decoder does not see the marks: it decodes marked frames without an error.
func TestADecoderDoesNotSeeTheMarks(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	type writer interface {
		WriteRTP(*rtp.Packet) error
		Close() error
	}
	for codec, open := range map[Codec]func(file string) (writer, error){
		VP8:  func(file string) (writer, error) { return ivfwriter.New(file) },
		H264: func(file string) (writer, error) { return h264writer.New(file) },
		Opus: func(file string) (writer, error) { return oggwriter.New(file, 48000, 2) },
	} {
		t.Run(string(codec), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "marked."+map[Codec]string{VP8: "ivf", H264: "h264", Opus: "ogg"}[codec])
			w, err := open(file)
			if err != nil {
				t.Fatal(err)
			}
			f, err := FormatOf(codec)
			if err != nil {
				t.Fatal(err)
			}
			source, err := NewSource(codec, 0)
			if err != nil {
				t.Fatal(err)
			}
			source.Mark(0x01020304)
			packetizer := NewPacketizer(f, 0x01020304, f.PayloadType, 1)
			frames := 100
			for range frames {
				for _, p := range packetizer.Packets(source.Next()) {
					if err := w.WriteRTP(p); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(ffmpeg, "-v", "error", "-xerror", "-err_detect", "explode", "-i", file, "-f", "null", "-").CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "" {
				t.Errorf("ffmpeg: %v\n%s", err, out)
			}
		})
	}
}
