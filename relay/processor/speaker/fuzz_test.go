package speaker_test

import (
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/callpath/callpath/relay/processor/speaker"
)

// FuzzLevels: the levels are those that another implementation reads, and whatever they
// are, and whenever they come, a Detector stays within its bounds.
func FuzzLevels(f *testing.F) {
	f.Add([]byte{0x80, 0, 30, 20, 127, 255, 0x85, 3})
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := speaker.New(speaker.Config{})
		all := []*speaker.Speaker{d.Add("a"), d.Add("b"), d.Add("c")}
		now := time.Unix(1000, 0)
		for ; len(raw) >= 2; raw = raw[2:] {
			level, voice := speaker.ParseLevel(raw[0])
			var theirs rtp.AudioLevelExtension
			if err := theirs.Unmarshal(raw[:1]); err != nil || theirs.Level != level || theirs.Voice != voice {
				t.Fatalf("%x: %d, %v; pion/rtp: %+v, %v", raw[0], level, voice, theirs, err)
			}
			all[int(raw[1])%3].Level(level, voice, now)
			now = now.Add(time.Duration(int8(raw[1])) * time.Millisecond) // clocks go back, too
			d.Update(now)
			if n := len(d.Recent(nil)); n != 3 || len(d.Loudest(nil, 2)) != 2 {
				t.Fatalf("%d speakers", n)
			}
		}
	})
}

func BenchmarkLevel(b *testing.B) {
	d := speaker.New(speaker.Config{})
	s, now := d.Add("a"), time.Unix(1000, 0)
	b.ReportAllocs()
	for b.Loop() {
		s.Level(30, true, now)
		now = now.Add(20 * time.Millisecond)
	}
}

func BenchmarkUpdate500(b *testing.B) {
	d := speaker.New(speaker.Config{})
	var all []*speaker.Speaker
	for range 500 {
		all = append(all, d.Add(""))
	}
	now := time.Unix(1000, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		all[i%500].Level(30, true, now)
		now = now.Add(100 * time.Millisecond)
		d.Update(now)
	}
}
