package processor

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"

	"github.com/callpath/callpath/relay/processor/cache"
	"github.com/callpath/callpath/relay/processor/estimate"
	"github.com/callpath/callpath/relay/processor/simulcast"
)

func ffmpeg(t *testing.T, args ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ffmpeg is not installed, and CI must have it")
		}
		t.Skip("ffmpeg is not installed, so there is no real encoder and decoder")
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

// framesPerSecond of the encoded layers; each second begins with a key frame.
const framesPerSecond = 30

// encodedLayer is three seconds of VP8 of about a bitrate, frame by frame.
func encodedLayer(t *testing.T, size, bitrate string) (frames [][]byte) {
	t.Helper()
	file := ffmpeg(t, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%s:rate=%d", size, framesPerSecond), "-frames:v", "90",
		"-pix_fmt", "yuv420p", "-vf", "noise=alls=20:allf=t", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "-8",
		"-b:v", bitrate, "-minrate", bitrate, "-maxrate", bitrate, "-bufsize", bitrate, "-g", fmt.Sprint(framesPerSecond), "-f", "ivf", "-")
	for rest := file[32:]; len(rest) >= 12; {
		n := int(binary.LittleEndian.Uint32(rest))
		frames = append(frames, rest[12:12+n])
		rest = rest[12+n:]
	}
	return frames
}

// link is the narrow way to a receiver: a queue in front of a bitrate.
type link struct {
	bitrate float64 // bit/s
	free    time.Time
	onWay   []arriving
}

type arriving struct {
	at     time.Time
	packet []byte
}

// The longest queue, and the time that the way takes beside it.
const (
	queue = 400 * time.Millisecond
	way   = 20 * time.Millisecond
)

func (l *link) send(packet []byte, now time.Time) (sent bool) {
	if l.free.Before(now) {
		l.free = now
	}
	if l.free.Sub(now) > queue {
		return false
	}
	l.free = l.free.Add(time.Duration(float64(8*(len(packet)+28)) / l.bitrate * float64(time.Second)))
	l.onWay = append(l.onWay, arriving{l.free.Add(way), packet})
	return true
}

// watcher is a receiver behind a link: it reports what has come, asks for what has not, and
// keeps the pictures.
type watcher struct {
	*client
	link     *link
	recorder *estimate.Recorder
	missing  *cache.Missing
	packets  map[uint16][]byte // by sequence number, of the slot's stream
	order    []uint16
	lost     int
}

// step takes what was sent, and what has arrived by now.
func (w *watcher) step() {
	m := w.m
	for _, b := range m.port.sent[w.at] {
		if !w.link.send(b, m.at) {
			w.lost++
		}
	}
	delete(m.port.sent, w.at)
	for len(w.link.onWay) > 0 && !w.link.onWay[0].at.After(m.at) {
		one := w.link.onWay[0]
		w.link.onWay = w.link.onWay[1:]
		if one.packet[0] >= 128 && (one.packet[1] < 192 || one.packet[1] >= 224) {
			w.take(one)
		}
	}
	if m.ticks%5 == 0 {
		if feedback := w.recorder.Build(nil); len(feedback) > 0 {
			w.control(feedback...)
		}
	}
	if ask, _ := w.missing.Due(nil, m.at, 2*way); len(ask) > 0 {
		w.control(&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: w.leg.slots[0].ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(ask)})
	}
}

func (w *watcher) take(one arriving) {
	header, payload, err := w.opener.RTP(one.packet)
	must(w.m.t, err)
	x := scan(header, &w.leg.slots[0].media.Extensions)
	w.recorder.Record(ssrcOf(header), x.transport, one.at)
	p := append(bytes.Clone(header), payload...)
	seq := seqOf(p)
	if ssrcOf(p) == w.leg.slots[0].rtx {
		if p[0]&0x20 != 0 {
			return // padding
		}
		seq = binary.BigEndian.Uint16(payload)
		p = append(bytes.Clone(header), payload[2:]...)
	}
	if w.missing.Received(seq, one.at) != cache.Repeat {
		w.packets[seq] = p
		w.order = append(w.order, seq)
	}
}

// At 300 kbit/s the receiver gets the low layer, at 3 Mbit/s the high one, and back and
// forth for ten switches; a real decoder finds nothing wrong in what it got. The encoder is
// real too; time and the link are simulated, with the estimate of the bandwidth made from
// transport-wide feedback as a client sends it.
func TestLayersFollowTheLinkAndDecode(t *testing.T) {
	t.Parallel()
	layers := [][][]byte{encodedLayer(t, "160x90", "80k"), encodedLayer(t, "320x180", "400k"), encodedLayer(t, "640x360", "1500k")}
	rids, payloaders := "qhf", [3]codecs.VP8Payloader{{EnablePictureID: true}, {EnablePictureID: true}, {EnablePictureID: true}}
	m := newManual(t, nil, nil)
	bob := m.enter("c", "bob", "m", addr(2))
	alice := m.enter("c", "alice", "V", addr(1))
	w := &watcher{client: alice, link: &link{bitrate: 300e3}, recorder: estimate.NewRecorder(1), missing: cache.NewMissing(cache.MissingConfig{GiveUp: 5 * time.Second, Tries: 100}), packets: make(map[uint16][]byte)}
	slot := alice.leg.slots[0]
	layerOf := func() int {
		if slot.track == nil || slot.stream == nil {
			return -1
		}
		for _, y := range slot.track.layers {
			if y.id == slot.stream.Current() {
				return slices.Index([]string{"q", "h", "f"}, y.rid)
			}
		}
		return -1
	}
	frame, begun := 0, m.at
	// Senders pace what they send, at 2.5 times of the bitrate.
	var paced [3][][]byte
	bitrates := [3]int{80e3, 400e3, 1500e3}
	second := func() {
		for end := m.at.Add(time.Second); m.at.Before(end); {
			for ; m.at.Sub(begun) >= time.Duration(frame)*time.Second/framesPerSecond; frame++ {
				for i, l := range layers {
					packets := payloaders[i].Payload(1100, l[frame%len(l)])
					for k, p := range packets {
						marker := byte(0)
						if k == len(packets)-1 {
							marker = 0x80
						}
						paced[i] = append(paced[i], bob.rtp(uint32(3000+i), 96|marker, uint32(frame)*90000/framesPerSecond, []byte{0x30, '0', 0x40, rids[i]}, p))
					}
				}
			}
			for i := range paced {
				for budget := bitrates[i] * 5 / 2 / 800; budget > 0 && len(paced[i]) > 0; paced[i] = paced[i][1:] {
					bob.sends(paced[i][0])
					budget -= len(paced[i][0])
				}
			}
			m.pass(tick)
			w.step()
		}
		for _, c := range []*client{alice, bob} {
			m.receive(c.at, c.stunCheck(c.leg.ufrag, c.leg.passwords[c.leg.ufrag]))
		}
		delete(m.port.sent, bob.at)
	}
	const patience = 60 // seconds of the simulation
	for phase := 0; slot.stream == nil || slot.stream.Stats().Switches < 10; phase++ {
		want, bitrate := 0, 300e3
		if phase%2 == 1 {
			want, bitrate = 2, 3e6
		}
		w.link.bitrate = bitrate
		held := 0
		for s := 0; held < 3; s++ {
			second()
			if held++; layerOf() != want {
				held = 0
			}
			if s == patience {
				for _, y := range slot.track.layers {
					t.Logf("%s: %d bit/s", y.rid, y.meter.Rate(m.at))
				}
				t.Fatalf("at %.0f bit/s layer %d after %d s, wanted %d; estimate %d, %+v", bitrate, layerOf(), patience, want, alice.leg.estimate.Bitrate(m.at), alice.leg.estimate.Stats())
			}
		}
	}
	t.Logf("%d switches in %v, %d packets lost on the link, %d sent again; %+v", slot.stream.Stats().Switches, m.at.Sub(begun), w.lost, m.stats.Retransmitted, alice.leg.estimate.Stats())
	for range 3 {
		second() // repairs arrive
	}
	decodes(t, w)
}

// frame is the packets of one picture.
type frame struct {
	picture  int
	data     []byte
	key      bool
	complete bool // from its first packet on
	// ended is true with the last packet. A picture on which the layer was changed in the
	// middle has none: a receiver leaves it out, as the next one is a key frame.
	ended bool
}

// frames puts packets together.
func (w *watcher) frames(t *testing.T) (all []*frame) {
	t.Helper()
	first := w.order[0]
	newest := first
	for _, seq := range w.order {
		if int16(seq-newest) > 0 {
			newest = seq
		}
	}
	whole := true // up to here
	var now *frame
	for seq := first; seq != newest+1; seq++ {
		p, ok := w.packets[seq]
		if !ok {
			whole, now = false, nil
			continue
		}
		payload := rtpPayload(p)
		d, ok := simulcast.ParseVP8(payload)
		if !ok {
			t.Fatalf("packet %d is no VP8: % x", seq, payload[:min(16, len(payload))])
		}
		if now == nil || now.picture != int(d.PictureID) {
			now = &frame{picture: int(d.PictureID), complete: whole || d.Start && d.Partition == 0}
			now.key = now.complete && payload[d.Size]&1 == 0
			all = append(all, now)
		}
		whole = true
		now.data = append(now.data, payload[d.Size:]...)
		if p[1]&0x80 != 0 {
			now.ended, now = true, nil
		}
	}
	return all
}

// decodes has ffmpeg decode what a watcher got, strictly. As every receiver does, it waits
// for a key frame where something never came.
func decodes(t *testing.T, w *watcher) {
	t.Helper()
	file := make([]byte, 32)
	copy(file, "DKIF")
	binary.LittleEndian.PutUint16(file[6:], 32)
	copy(file[8:], "VP80")
	binary.LittleEndian.PutUint16(file[12:], 640)
	binary.LittleEndian.PutUint16(file[14:], 360)
	binary.LittleEndian.PutUint32(file[16:], framesPerSecond)
	binary.LittleEndian.PutUint32(file[20:], 1)
	frames, keys, skipped, last := 0, 0, 0, -1
	for _, f := range w.frames(t) {
		if !f.complete || !f.ended || last < 0 && !f.key || last >= 0 && f.picture != (last+1)&0x7fff && !f.key {
			skipped, last = skipped+1, -1
			continue
		}
		if last = f.picture; f.key {
			keys++
		}
		file = binary.LittleEndian.AppendUint32(file, uint32(len(f.data)))
		file = binary.LittleEndian.AppendUint64(file, uint64(frames))
		file = append(file, f.data...)
		frames++
	}
	path := filepath.Join(t.TempDir(), "got.ivf")
	must(t, os.WriteFile(path, file, 0o600))
	out := ffmpeg(t, "-err_detect", "explode", "-xerror", "-i", path, "-vf", "scale=160:90", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	decoded := 0
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			decoded++
		}
	}
	if decoded != frames || frames < 4*skipped || keys < 10 {
		t.Errorf("%d of %d frames decode, %d are key frames, %d were skipped for what was lost", decoded, frames, keys, skipped)
	}
	t.Logf("%d of %d frames decode, %d are key frames, %d were skipped for what was lost", decoded, frames, keys, skipped)
}
