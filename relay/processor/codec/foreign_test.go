package codec_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media/oggwriter"

	"github.com/callpath/callpath/relay/processor/codec"
)

// ffmpeg runs it with in as its input file, and returns what it writes.
func ffmpeg(t *testing.T, in []byte, before []string, after ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ffmpeg is not installed; it is in Debian's package of that name")
		}
		t.Skip("ffmpeg is not installed (Debian: ffmpeg)")
	}
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, in, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-hide_banner", "-nostdin", "-v", "error"}, before...)
	args = append(append(args, "-i", path), after...)
	cmd := exec.CommandContext(t.Context(), program, append(args, "-")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg %v: %v: %s", args, err, stderr.String())
	}
	return out
}

func toBytes(pcm []int16) []byte {
	var b []byte
	for _, s := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}

func toPCM(b []byte) (pcm []int16) {
	for ; len(b) >= 2; b = b[2:] {
		pcm = append(pcm, int16(binary.LittleEndian.Uint16(b)))
	}
	return pcm
}

func decodeAll(t *testing.T, c codec.Codec, payloads [][]byte) (pcm []int16) {
	t.Helper()
	decoder, err := c.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]int16, c.Rate*codec.Longest/1000)
	for _, p := range payloads {
		n, err := decoder.Decode(buffer, p)
		if err != nil {
			t.Fatal(err)
		}
		pcm = append(pcm, buffer[:n]...)
	}
	return pcm
}

// What is encoded here, ffmpeg decodes to the same samples, bit by bit, and what it encodes
// is decoded here to the same ones as there.
func TestFFmpegDecodesTheSame(t *testing.T) {
	for _, c := range []struct{ name, format, encoder string }{
		{"G722", "g722", "g722"}, {"PCMU", "mulaw", "pcm_mulaw"}, {"PCMA", "alaw", "pcm_alaw"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := find(t, c.name)
			rate := strconv.Itoa(f.Rate)
			in := append(voice(f.Rate, f.Rate*2), tone(f.Rate, 900, 0.99, f.Rate/5)...)
			payloads, ours := through(t, f, in)
			encoded := bytes.Join(payloads, nil)
			raw := []string{"-f", c.format}
			if c.name != "G722" {
				raw = append(raw, "-ar", rate, "-ac", "1")
			}
			if theirs := toPCM(ffmpeg(t, encoded, raw, "-f", "s16le")); !slices.Equal(ours, theirs) {
				t.Errorf("of %d samples encoded here, theirs differ: %.1f dB", len(ours), snr(theirs, ours, 0))
			}
			foreign := ffmpeg(t, toBytes(in), []string{"-f", "s16le", "-ar", rate, "-ac", "1"}, "-c:a", c.encoder, "-f", c.format)
			theirs := toPCM(ffmpeg(t, foreign, raw, "-f", "s16le"))
			ours = decodeAll(t, f, slices.Collect(slices.Chunk(foreign, 160)))
			if !slices.Equal(ours, theirs) {
				t.Errorf("of %d samples encoded there, ours differ: %.1f dB", len(theirs), snr(ours, theirs, 0))
			}
			// G.711 leaves open how what lies between two values is rounded.
			if c.name == "G722" && !bytes.Equal(encoded, foreign) {
				t.Error("the encoded bytes differ")
			}
		})
	}
}

func TestFFmpegHearsOurOpus(t *testing.T) {
	c := find(t, "opus")
	const hz = 700
	payloads, ours := through(t, c, tone(c.Rate, hz, 0.3, 2*c.Rate))
	var file bytes.Buffer
	w, err := oggwriter.NewWith(&file, 48000, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range payloads {
		if err := w.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(960 * i)}, Payload: p}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	theirs := toPCM(ffmpeg(t, file.Bytes(), []string{"-c:a", "libopus"}, "-f", "s16le", "-ac", "1", "-ar", "48000"))
	if len(theirs) < len(ours)-4800 {
		t.Fatalf("%d samples, want about %d", len(theirs), len(ours))
	}
	end := theirs[len(theirs)-c.Rate:]
	if got := power(end, c.Rate, hz); got < -11.5 || got > -9.5 {
		t.Errorf("the tone has %.1f dB, want -10.5", got)
	}
}

// oggPackets returns the packets of an Ogg file (RFC 3533, section 6).
func oggPackets(t *testing.T, file []byte) (packets [][]byte) {
	t.Helper()
	var packet []byte
	for len(file) >= 27 {
		segments := file[27 : 27+int(file[26])]
		file = file[27+len(segments):]
		for _, size := range segments {
			packet = append(packet, file[:size]...)
			file = file[size:]
			if size < 255 {
				packets = append(packets, packet)
				packet = nil
			}
		}
	}
	if len(packets) < 3 {
		t.Fatalf("an Ogg file of %d packets", len(packets))
	}
	return packets
}

func TestWeHearFFmpegsOpus(t *testing.T) {
	c := find(t, "opus")
	for _, encoded := range []struct{ bitrate, channels, length string }{
		{"12k", "1", "60"}, {"12k", "2", "20"}, {"24k", "1", "20"}, {"64k", "1", "10"}, {"64k", "2", "20"},
	} { // SILK, hybrid, CELT
		file := ffmpeg(t, toBytes(voice(48000, 96000)), []string{"-f", "s16le", "-ar", "48000", "-ac", "1"},
			"-ac", encoded.channels, "-c:a", "libopus", "-application", "voip", "-b:a", encoded.bitrate, "-frame_duration", encoded.length, "-f", "ogg")
		theirs := toPCM(ffmpeg(t, file, []string{"-c:a", "libopus"}, "-f", "s16le", "-ac", "1", "-ar", "48000"))
		packets := oggPackets(t, file)
		skip := int(binary.LittleEndian.Uint16(packets[0][10:])) // of the identification header
		ours := decodeAll(t, c, packets[2:])
		if len(ours) <= skip {
			t.Fatalf("%+v: %d samples", encoded, len(ours))
		}
		ours = ours[skip:]
		if got := snr(ours[:min(len(ours), len(theirs))], theirs, 0); got < 25 {
			t.Errorf("%+v: %.1f dB between the decoders (%d and %d samples)", encoded, got, len(ours), len(theirs))
		}
	}
}
