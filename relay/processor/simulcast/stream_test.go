package simulcast_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/processor/simulcast"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// vp8 is a payload with all numbers.
func vp8(key, first bool, picture uint16, tl0, tid uint8, sync bool, keyIndex uint8) []byte {
	p := []byte{0x80, 0xf0, 0x80 | byte(picture>>8), byte(picture), tl0, tid<<6 | keyIndex, 1, 0, 0}
	if first {
		p[0] |= 0x10
	}
	if sync {
		p[5] |= 0x20
	}
	if key {
		p[6] = 0
	}
	return p
}

// packet makes one of a payload.
func packet(t testing.TB, ssrc uint32, seq uint16, timestamp uint32, payload []byte) *simulcast.Packet {
	t.Helper()
	f, ok := simulcast.VP8.Inspect(payload)
	if !ok {
		t.Fatalf("%x is malformed", payload)
	}
	return &simulcast.Packet{SSRC: ssrc, Seq: seq, Timestamp: timestamp, Frame: f}
}

// out is what a receiver reads in a payload.
type out struct {
	seq       uint16
	timestamp uint32
	picture   uint16
	tl0       uint8
	keyIndex  uint8
}

func patched(t testing.TB, n simulcast.Numbers, payload []byte) out {
	t.Helper()
	payload = bytes.Clone(payload)
	n.Patch(payload)
	d, ok := simulcast.ParseVP8(payload)
	if !ok {
		t.Fatalf("patched into %x", payload)
	}
	return out{n.Seq, n.Timestamp, d.PictureID, d.TL0, d.KeyIndex}
}

func TestStream(t *testing.T) {
	type step struct {
		do      func(*simulcast.Stream)
		at      int
		ssrc    uint32
		seq     uint16
		ts      uint32
		payload []byte
		want    *out // nil: withheld
		waiting bool // afterwards
	}
	sel := func(ssrc uint32, cut bool) func(*simulcast.Stream) {
		return func(s *simulcast.Stream) { s.Select(ssrc, cut) }
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"begins at a key frame, with the source's own picture ids", []step{
			{do: sel(1, false), ssrc: 1, seq: 10, ts: 1000, payload: vp8(false, true, 500, 200, 0, false, 3), waiting: true},
			{ssrc: 1, seq: 11, ts: 4000, payload: vp8(true, true, 501, 201, 0, false, 4), want: &out{100, 0, 501, 201, 4}},
			{ssrc: 1, seq: 12, ts: 4000, payload: vp8(false, false, 501, 201, 0, false, 4), want: &out{101, 0, 501, 201, 4}},
			{ssrc: 1, seq: 10, ts: 1000, payload: vp8(false, true, 500, 200, 0, false, 3)}, // late, from before
			{ssrc: 2, seq: 10, ts: 1000, payload: vp8(true, true, 7, 7, 0, false, 3)},      // of nobody who was selected
		}},
		{"changes layers at a key frame only, and goes on with the former until then", []step{
			{do: sel(1, false), at: 0, ssrc: 1, seq: 10, ts: 1000, payload: vp8(true, true, 500, 200, 0, false, 31), want: &out{100, 0, 500, 200, 31}},
			{do: sel(2, false), at: 33, ssrc: 2, seq: 9000, ts: 0, payload: vp8(false, true, 7, 9, 0, false, 1), waiting: true},
			{at: 33, ssrc: 1, seq: 11, ts: 4000, payload: vp8(false, true, 501, 201, 0, false, 31), want: &out{101, 3000, 501, 201, 31}, waiting: true},
			{at: 73, ssrc: 2, seq: 9001, ts: 3600, payload: vp8(true, true, 8, 10, 0, false, 2), want: &out{102, 6600, 502, 202, 0}},
			{at: 73, ssrc: 1, seq: 12, ts: 7000, payload: vp8(false, true, 502, 202, 0, false, 31)},
			{at: 106, ssrc: 2, seq: 9002, ts: 6600, payload: vp8(false, true, 9, 11, 0, false, 2), want: &out{103, 9600, 503, 203, 0}},
			{at: 110, ssrc: 2, seq: 9000, ts: 0, payload: vp8(false, true, 7, 9, 0, false, 1)}, // late, from before the switch
		}},
		{"does not begin with a key frame that comes late", []step{
			{do: sel(1, false), ssrc: 1, seq: 11, ts: 1000, payload: vp8(false, false, 500, 200, 0, false, 3), waiting: true},
			{ssrc: 1, seq: 10, ts: 1000, payload: vp8(true, true, 500, 200, 0, false, 3), waiting: true},
			{ssrc: 1, seq: 20, ts: 4000, payload: vp8(true, true, 501, 201, 0, false, 4), want: &out{100, 0, 501, 201, 4}},
		}},
		{"a cut ends the former source at once", []step{
			{do: sel(1, false), ssrc: 1, seq: 10, ts: 0, payload: vp8(true, true, 500, 200, 0, false, 3), want: &out{100, 0, 500, 200, 3}},
			{do: sel(2, true), ssrc: 1, seq: 11, ts: 3000, payload: vp8(false, true, 501, 201, 0, false, 3), waiting: true},
			{do: sel(0, false), ssrc: 1, seq: 11, ts: 3000, payload: vp8(true, true, 501, 201, 0, false, 3)},
		}},
		{"what was selected in vain changes nothing", []step{
			{do: sel(1, false), ssrc: 1, seq: 10, ts: 0, payload: vp8(true, true, 500, 200, 0, false, 3), want: &out{100, 0, 500, 200, 3}},
			{do: func(s *simulcast.Stream) { s.Select(2, false); s.Select(1, false) },
				ssrc: 1, seq: 11, ts: 3000, payload: vp8(false, true, 501, 201, 0, false, 3), want: &out{101, 3000, 501, 201, 3}},
		}},
		{"a mute ends at a key frame, and leaves no gap in any numbers", []step{
			{do: sel(1, false), ssrc: 1, seq: 10, ts: 0, payload: vp8(true, true, 500, 200, 0, false, 3), want: &out{100, 0, 500, 200, 3}},
			{do: (*simulcast.Stream).Mute, ssrc: 1, seq: 11, ts: 3000, payload: vp8(false, true, 501, 201, 0, false, 3)},
			{ssrc: 1, seq: 12, ts: 6000, payload: vp8(true, true, 502, 202, 0, false, 4)},
			{do: (*simulcast.Stream).Unmute, ssrc: 1, seq: 13, ts: 9000, payload: vp8(false, true, 503, 203, 0, false, 4), waiting: true},
			{ssrc: 1, seq: 14, ts: 12000, payload: vp8(true, true, 504, 204, 0, false, 5), want: &out{101, 12000, 501, 201, 4}},
			{ssrc: 1, seq: 13, ts: 9000, payload: vp8(false, true, 503, 203, 0, false, 4)},
			{ssrc: 1, seq: 15, ts: 15000, payload: vp8(false, true, 505, 205, 0, false, 5), want: &out{102, 15000, 502, 202, 4}},
		}},
		{"another source during a mute", []step{
			{do: sel(1, false), ssrc: 1, seq: 10, ts: 0, payload: vp8(true, true, 500, 200, 0, false, 3), want: &out{100, 0, 500, 200, 3}},
			{do: (*simulcast.Stream).Mute, ssrc: 1, seq: 11, ts: 3000, payload: vp8(false, true, 501, 201, 0, false, 3)},
			{do: sel(2, true), at: 500, ssrc: 2, seq: 77, ts: 0, payload: vp8(true, true, 1, 1, 0, false, 1)},
			{do: (*simulcast.Stream).Unmute, at: 1000, ssrc: 2, seq: 78, ts: 3000, payload: vp8(true, true, 2, 2, 0, false, 2), want: &out{101, 90000, 501, 201, 4}},
			{at: 1033, ssrc: 2, seq: 79, ts: 6000, payload: vp8(false, true, 3, 3, 0, false, 2), want: &out{102, 93000, 502, 202, 4}},
		}},
		{"dropped temporal layers leave no gap", []step{
			{do: func(s *simulcast.Stream) { s.Select(1, false); s.Limit(1) },
				ssrc: 1, seq: 65534, ts: 0, payload: vp8(true, true, 0x7fff, 255, 0, true, 3), want: &out{100, 0, 0x7fff, 255, 3}},
			{ssrc: 1, seq: 65535, ts: 3000, payload: vp8(false, true, 0, 255, 2, true, 3)},
			{ssrc: 1, seq: 0, ts: 3000, payload: vp8(false, false, 0, 255, 2, true, 3)},
			{ssrc: 1, seq: 1, ts: 6000, payload: vp8(false, true, 1, 255, 1, true, 3), want: &out{101, 6000, 0, 255, 3}},
			{ssrc: 1, seq: 2, ts: 9000, payload: vp8(false, true, 2, 255, 2, false, 3)},
			{ssrc: 1, seq: 4, ts: 12000, payload: vp8(false, false, 3, 0, 0, false, 3), want: &out{103, 12000, 1, 0, 3}},
			{ssrc: 1, seq: 3, ts: 12000, payload: vp8(false, true, 3, 0, 0, false, 3), want: &out{102, 12000, 1, 0, 3}}, // overtaken
			{ssrc: 1, seq: 0, ts: 3000, payload: vp8(false, false, 0, 255, 2, true, 3)},                                 // late, of a dropped frame
		}},
		{"temporal layers come back where the decoder can follow", []step{
			{do: func(s *simulcast.Stream) { s.Select(1, false); s.Limit(0) },
				ssrc: 1, seq: 10, ts: 0, payload: vp8(true, true, 5, 1, 0, true, 3), want: &out{100, 0, 5, 1, 3}},
			{ssrc: 1, seq: 11, ts: 3000, payload: vp8(false, true, 6, 1, 2, true, 3)},
			{do: func(s *simulcast.Stream) { s.Limit(simulcast.AllTemporal) },
				ssrc: 1, seq: 12, ts: 3000, payload: vp8(false, false, 6, 1, 2, true, 3)}, // the same frame still
			{ssrc: 1, seq: 13, ts: 6000, payload: vp8(false, true, 7, 1, 2, false, 3)}, // needs what was dropped
			{ssrc: 1, seq: 14, ts: 9000, payload: vp8(false, true, 8, 1, 1, true, 3), want: &out{101, 9000, 6, 1, 3}},
			{ssrc: 1, seq: 15, ts: 12000, payload: vp8(false, true, 9, 1, 2, false, 3)},
			{ssrc: 1, seq: 16, ts: 15000, payload: vp8(true, true, 10, 2, 0, true, 4), want: &out{102, 15000, 7, 2, 4}},
			{ssrc: 1, seq: 17, ts: 18000, payload: vp8(false, true, 11, 2, 2, false, 4), want: &out{103, 18000, 8, 2, 4}},
		}},
		{"payloads without numbers", []step{
			{do: sel(1, false), ssrc: 1, seq: 10, ts: 0, payload: []byte{0x10, 0, 1}, want: &out{100, 0, 0, 0, 0}},
			{ssrc: 1, seq: 11, ts: 3000, payload: []byte{0x10, 1, 1}, want: &out{101, 3000, 0, 0, 0}},
		}},
		{"picture ids of seven bits", []step{
			{do: sel(1, false), ssrc: 1, seq: 10, ts: 0, payload: []byte{0x90, 0x80, 0x7e, 0}, want: &out{100, 0, 0x7e, 0, 0}},
			{ssrc: 1, seq: 11, ts: 3000, payload: []byte{0x90, 0x80, 0x7f, 1}, want: &out{101, 3000, 0x7f, 0, 0}},
			{ssrc: 1, seq: 12, ts: 6000, payload: []byte{0x90, 0x80, 0x00, 1}, want: &out{102, 6000, 0, 0, 0}},
			{do: sel(2, false), at: 100, ssrc: 2, seq: 12, ts: 0, payload: []byte{0x90, 0x80, 0x40, 0}, want: &out{103, 15000, 1, 0, 0}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8, Timeline: fanout.NewTimeline(100, 0)})
			for i, step := range c.steps {
				if step.do != nil {
					step.do(s)
				}
				n, ok := s.Map(packet(t, step.ssrc, step.seq, step.ts, step.payload), at(step.at))
				if ok != (step.want != nil) {
					t.Fatalf("step %d: forwarded is %v", i, ok)
				}
				if ok {
					if got := patched(t, n, step.payload); got != *step.want {
						t.Fatalf("step %d: got %+v, want %+v", i, got, *step.want)
					}
				}
				if s.Waiting() != step.waiting {
					t.Fatalf("step %d: waiting is %v", i, s.Waiting())
				}
			}
		})
	}
}

func TestEmptyPacketsLeaveNoGap(t *testing.T) {
	s := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8, Timeline: fanout.NewTimeline(100, 0)})
	s.Select(1, false)
	empty := func(seq uint16) *simulcast.Packet {
		return &simulcast.Packet{SSRC: 1, Seq: seq, Frame: simulcast.Frame{Empty: true}}
	}
	s.Map(packet(t, 1, 10, 0, vp8(true, true, 1, 1, 0, true, 1)), start)
	s.Map(empty(11), start)
	n, _ := s.Map(packet(t, 1, 13, 3000, vp8(false, true, 2, 2, 0, true, 1)), start)
	if n.Seq != 102 {
		t.Errorf("got %d, want 102", n.Seq)
	}
	if _, ok := s.Map(empty(12), start); ok {
		t.Error("forwarded an empty packet")
	}
	want := simulcast.StreamStats{Forwarded: 2, Dropped: 1, Late: 1}
	if got := s.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAudioChangesSpeakersAtAnyPacket(t *testing.T) {
	s := simulcast.NewStream(simulcast.StreamConfig{ClockRate: 48000, Timeline: fanout.NewTimeline(100, 0)})
	voice := func(ssrc uint32, seq uint16, ts uint32, ms int) (simulcast.Numbers, bool) {
		f, _ := simulcast.Opaque.Inspect([]byte{1})
		return s.Map(&simulcast.Packet{SSRC: ssrc, Seq: seq, Timestamp: ts, Frame: f}, at(ms))
	}
	s.Select(1, true)
	voice(1, 10, 0, 0)
	s.Select(2, true)
	if n, ok := voice(2, 7, 555, 40); !ok || n.Seq != 101 || n.Timestamp != 1920 {
		t.Errorf("got %+v, %v", n, ok)
	}
	s.Mute()
	if !s.Muted() || s.Waiting() {
		t.Error("not muted, or waiting")
	}
	if _, ok := voice(2, 8, 1515, 60); ok {
		t.Error("forwarded while muted")
	}
	s.Unmute()
	s.Unmute()
	if n, ok := voice(2, 9, 2475, 80); !ok || n.Seq != 102 || n.Timestamp != 3840 {
		t.Errorf("got %+v, %v", n, ok)
	}
	if got, ok := s.Time(2, 2475+960); !ok || got != 4800 {
		t.Errorf("time: got %d, %v", got, ok)
	}
	if _, ok := s.Time(1, 0); ok {
		t.Error("the time of another source is known")
	}
}

// A source whose numbers jump moves no receiver's: one that loses a packet between two such
// jumps would guess a wrong rollover counter for the slot, for good.
func TestJumpsOfASourceAreNotPassedOn(t *testing.T) {
	audio := simulcast.NewStream(simulcast.StreamConfig{ClockRate: 48000, Timeline: fanout.NewTimeline(100, 0)})
	audio.Select(1, true)
	seq, last := uint16(10), uint32(0)
	for i := range 10 {
		n, ok := audio.Map(&simulcast.Packet{SSRC: 1, Seq: seq, Timestamp: uint32(i) * 960, Frame: simulcast.Frame{Key: true}}, at(20*i))
		if !ok || n.Seq != 100+uint16(i) || i > 0 && n.Timestamp <= last {
			t.Fatalf("packet %d: got %+v, %v after the timestamp %d", i, n, ok, last)
		}
		last = n.Timestamp
		seq += 0x7fff
	}
	// Pictures go on with a key frame.
	video := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8, Timeline: fanout.NewTimeline(100, 0)})
	video.Select(1, true)
	for _, step := range []struct {
		seq     uint16
		key, ok bool
		want    uint16
	}{{10, true, true, 100}, {1033, false, true, 1123}, {2057, false, false, 0}, {2058, true, true, 1124}, {2059, false, true, 1125}} {
		n, ok := video.Map(packet(t, 1, step.seq, uint32(step.seq)*90, vp8(step.key, true, step.seq, 1, 0, true, 1)), at(int(step.seq)))
		if ok != step.ok || ok && n.Seq != step.want {
			t.Errorf("packet %d: got %+v, %v; wanted %d, %v", step.seq, n, ok, step.want, step.ok)
		}
		if !ok && !video.Waiting() {
			t.Errorf("packet %d: no key frame is waited for", step.seq)
		}
	}
}

// With sender reports the time between the last frame of one layer and the first of
// another is the one between their samplings, however jittery they arrive.
func TestSenderReportsMakeSwitchesExact(t *testing.T) {
	const ntp = 0xee000000 << 32
	for _, c := range []struct {
		name     string
		low      func(*simulcast.Clock)
		high     func(*simulcast.Clock)
		arrives  int
		wantTime uint32
	}{
		{"both known", func(c *simulcast.Clock) { c.Report(ntp, 50_000, 90000) },
			func(c *simulcast.Clock) { c.Report(ntp+1<<31, 7_000_000, 90000) }, 80, 3000},
		{"one unknown", func(c *simulcast.Clock) { c.Report(ntp, 50_000, 90000) },
			func(*simulcast.Clock) {}, 80, 7200},
		{"a report without time", func(c *simulcast.Clock) { c.Report(ntp, 50_000, 90000) },
			func(c *simulcast.Clock) { c.Report(0, 7_000_000, 90000) }, 80, 7200},
		{"of two hosts whose clocks differ", func(c *simulcast.Clock) { c.Report(ntp, 50_000, 90000) },
			func(c *simulcast.Clock) { c.Report(ntp+50<<32, 7_000_000, 90000) }, 80, 7200},
		{"the same frame of two layers", func(c *simulcast.Clock) { c.Report(ntp, 50_000, 90000) },
			func(c *simulcast.Clock) { c.Report(ntp+1<<31, 7_003_000, 90000) }, 5, 90},
	} {
		t.Run(c.name, func(t *testing.T) {
			var low, high simulcast.Clock
			c.low(&low)
			c.high(&high)
			s := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8, Timeline: fanout.NewTimeline(100, 0)})
			s.Select(1, false)
			p := packet(t, 1, 10, 50_000, vp8(true, true, 1, 1, 0, true, 1))
			p.Clock = &low
			s.Map(p, at(0))
			s.Select(2, false)
			// Half a second before its report, and one frame after the other.
			p = packet(t, 2, 90, 7_000_000-45_000+3000, vp8(true, true, 1, 1, 0, true, 1))
			p.Clock = &high
			if n, ok := s.Map(p, at(c.arrives)); !ok || n.Timestamp != c.wantTime {
				t.Errorf("got %d, %v; want %d", n.Timestamp, ok, c.wantTime)
			}
			if got := s.Stats().Switches; got != 1 {
				t.Errorf("%d switches", got)
			}
		})
	}
}

// Whatever layers are selected and dropped, over loss and reordering: no number is given
// to two packets, one frame has one picture id and two frames have two, in their order;
// and when nothing is lost, nothing is missing.
func TestStreamGivesEachNumberOnce(t *testing.T) {
	tids := []uint8{0, 2, 1, 2}
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 9))
		lossless := seed%2 == 0
		s := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8, Timeline: fanout.NewTimeline(uint16(r.Uint32()), r.Uint32())})
		type source struct {
			seq, picture uint16
			tl0          uint8
			frame        int
			late         []func()
		}
		sources := [3]source{}
		for i := range sources {
			sources[i] = source{seq: uint16(r.Uint32()), picture: uint16(r.Uint32()) & 0x7fff, tl0: uint8(r.Uint32())}
		}
		type frameID struct{ source, frame int }
		given := map[uint16]bool{} // of the last 20000, far from a rollover
		var order []uint16
		pictures := map[uint16]frameID{}
		var lastSeq, lastPicture uint16
		begun, holes, forwarded := false, 0, 0
		for now := 0; now < 20_000; now += 10 {
			switch r.IntN(30) {
			case 0:
				s.Select(uint32(1+r.IntN(3)), r.IntN(4) == 0)
			case 1:
				s.Limit([]uint8{0, 1, 2, simulcast.AllTemporal}[r.IntN(4)])
			case 2:
				s.Mute()
			case 3, 4:
				s.Unmute()
			}
			for i := range sources {
				src := &sources[i]
				key := src.frame == 0 || r.IntN(20) == 0
				if key {
					src.frame = (src.frame + 3) &^ 3
				}
				tid := tids[src.frame%4]
				if tid == 0 {
					src.tl0++
				}
				id := frameID{i, src.frame}
				for part := range 1 + r.IntN(3) {
					payload := vp8(key && part == 0, part == 0, src.picture, src.tl0, tid, src.frame%4 != 3, 1)
					p := packet(t, uint32(1+i), src.seq, uint32(src.frame)*900, payload)
					deliver := func(late bool) {
						n, ok := s.Map(p, at(now))
						if !ok {
							return
						}
						forwarded++
						o := patched(t, n, payload)
						if given[o.seq] {
							t.Fatalf("seed %d: number %d twice", seed, o.seq)
						}
						given[o.seq] = true
						if order = append(order, o.seq); len(order) > 20_000 {
							delete(given, order[0])
							order = order[1:]
						}
						if was, ok := pictures[o.picture]; ok && was != id && lastPicture-o.picture&0x7fff < 5000 {
							t.Fatalf("seed %d: picture id %d of frames %v and %v", seed, o.picture, was, id)
						}
						pictures[o.picture] = id
						if begun && !late {
							if int16(o.seq-lastSeq) <= 0 || int16((o.picture-lastPicture)<<1) < 0 {
								t.Fatalf("seed %d: %+v after number %d, picture %d", seed, o, lastSeq, lastPicture)
							}
							if lossless && (o.seq != lastSeq+1 || (o.picture-lastPicture)&0x7fff > 1) {
								t.Fatalf("seed %d: a gap: %+v after number %d, picture %d", seed, o, lastSeq, lastPicture)
							}
							holes += int(o.seq - lastSeq - 1)
						}
						if !begun || !late {
							lastSeq, lastPicture = o.seq, o.picture
						}
						begun = true
					}
					src.seq++
					switch x := r.IntN(20); {
					case !lossless && x == 0:
						// lost
					case !lossless && x == 1:
						src.late = append(src.late, func() { deliver(true) })
					default:
						deliver(false)
					}
					if r.IntN(10) == 0 {
						for _, l := range src.late {
							l()
						}
						src.late = nil
					}
				}
				src.picture = (src.picture + 1) & 0x7fff
				src.frame++
			}
		}
		if forwarded < 300 || !lossless && holes == 0 {
			t.Errorf("seed %d: %d packets, %d holes", seed, forwarded, holes)
		}
	}
}

func TestMapAllocatesNothing(t *testing.T) {
	s := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8})
	s.Select(1, false)
	s.Limit(1)
	payloads := [][]byte{vp8(true, true, 0, 0, 0, true, 1), vp8(false, true, 0, 0, 2, true, 1), vp8(false, true, 0, 0, 1, true, 1)}
	i, meter := 0, &simulcast.Meter{}
	if n := testing.AllocsPerRun(3000, func() {
		payload := payloads[i%3]
		binary.BigEndian.PutUint16(payload[2:], 0x8000|uint16(i)&0x7fff)
		f, _ := simulcast.VP8.Inspect(payload)
		p := simulcast.Packet{SSRC: 1, Seq: uint16(i), Timestamp: uint32(i) * 3000, Frame: f}
		if n, ok := s.Map(&p, start); ok {
			n.Patch(payload)
		}
		meter.Add(1200, at(i))
		i++
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	if s.Stats().Dropped < 900 || s.Stats().Forwarded < 1900 {
		t.Errorf("%+v", s.Stats())
	}
}

func TestPatchLeavesAnotherPayloadAlone(t *testing.T) {
	s := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8})
	s.Select(1, false)
	n, _ := s.Map(packet(t, 1, 1, 1, vp8(true, true, 1, 1, 1, true, 1)), start)
	short := []byte{1, 2, 3}
	n.Patch(short)
	if !slices.Equal(short, []byte{1, 2, 3}) {
		t.Errorf("got %x", short)
	}
}

func BenchmarkMap(b *testing.B) {
	s := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8})
	s.Select(1, false)
	s.Limit(1)
	payload := vp8(true, true, 0, 0, 0, true, 1)
	f, _ := simulcast.VP8.Inspect(payload)
	p := simulcast.Packet{SSRC: 1, Frame: f}
	b.ReportAllocs()
	for b.Loop() {
		if n, ok := s.Map(&p, start); ok {
			n.Patch(payload)
		}
		p.Seq++
		p.Timestamp += 3000
		p.Frame.VP8.PictureID = (p.Frame.VP8.PictureID + 1) & 0x7fff
	}
}
