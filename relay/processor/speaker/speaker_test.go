package speaker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/processor/speaker"
)

// room is a conference in which time passes in packets of 20 ms.
type room struct {
	t        *testing.T
	d        *speaker.Detector
	r        *rand.Rand
	now      time.Time
	speakers map[string]*speaker.Speaker
	changes  []string // who became dominant
}

func newRoom(t *testing.T, names ...string) *room {
	r := &room{
		t: t, d: speaker.New(speaker.Config{}), r: rand.New(rand.NewPCG(1, 2)),
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), speakers: map[string]*speaker.Speaker{},
	}
	for _, n := range names {
		r.speakers[n] = r.d.Add(n)
	}
	return r
}

// level is what a client says, as a function of the time.
type level func(r *room, at time.Duration) uint8

// speech has words of 300 ms with 60 ms between them, loud in -dBov.
func speech(loud int) level {
	return func(r *room, at time.Duration) uint8 {
		if at%(360*time.Millisecond) >= 300*time.Millisecond {
			return uint8(68 + r.r.IntN(6))
		}
		return uint8(loud - 5 + r.r.IntN(10))
	}
}

func noise(loud int) level {
	return func(r *room, _ time.Duration) uint8 { return uint8(loud - 2 + r.r.IntN(4)) }
}

// burst is a noise of a length, and then quiet.
func burst(loud int, length time.Duration) level {
	return func(r *room, at time.Duration) uint8 {
		if at < length {
			return uint8(loud)
		}
		return 75
	}
}

// pass lets time pass; who is not in levels sends that it is quiet.
func (r *room) pass(d time.Duration, levels map[string]level) {
	for at := time.Duration(0); at < d; at += 20 * time.Millisecond {
		for name, s := range r.speakers {
			l, ok := levels[name]
			if !ok {
				l = noise(75)
			}
			if l != nil {
				s.Level(l(r, at), false, r.now)
			}
		}
		r.now = r.now.Add(20 * time.Millisecond)
		if at%(100*time.Millisecond) == 0 {
			if s, changed := r.d.Update(r.now); changed {
				r.changes = append(r.changes, s.Name)
			}
		}
	}
}

func (r *room) dominant() string {
	if s := r.d.Dominant(); s != nil {
		return s.Name
	}
	return ""
}

func (r *room) want(dominant string, changes ...string) {
	r.t.Helper()
	if got := r.dominant(); got != dominant || !slices.Equal(r.changes, changes) {
		r.t.Errorf("dominant is %q after %q, want %q after %q", got, r.changes, dominant, changes)
	}
}

func names(speakers []*speaker.Speaker) string {
	s := ""
	for _, sp := range speakers {
		s += sp.Name
	}
	return s
}

func TestNobodyIsDominantWhoIsQuiet(t *testing.T) {
	r := newRoom(t, "a", "b")
	r.pass(3*time.Second, nil)
	r.want("")
}

func TestWhoSpeaksIsDominant(t *testing.T) {
	for _, loud := range []int{15, 25, 35, 45} {
		t.Run(fmt.Sprintf("-%d dBov", loud), func(t *testing.T) {
			r := newRoom(t, "a", "b", "c")
			r.pass(time.Second, nil)
			r.pass(time.Second, map[string]level{"b": speech(loud)})
			r.want("b", "b")
		})
	}
}

func TestAnAnswerMakesAnotherDominantWithinASecond(t *testing.T) {
	r := newRoom(t, "a", "b")
	r.pass(5*time.Second, map[string]level{"a": speech(25)})
	r.pass(1400*time.Millisecond, map[string]level{"b": speech(30)})
	r.want("b", "a", "b")
	r.pass(5*time.Second, map[string]level{"b": speech(30)})
	r.want("b", "a", "b")
}

func TestWhatChangesNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		after func(r *room)
	}{
		{"a pause for breath", func(r *room) { r.pass(800*time.Millisecond, nil) }},
		{"a long silence of all", func(r *room) { r.pass(30*time.Second, nil) }},
		{"a cough while another speaks", func(r *room) {
			r.pass(1500*time.Millisecond, map[string]level{"a": speech(25), "b": burst(10, 200*time.Millisecond)})
		}},
		{"a door in a breath", func(r *room) {
			r.pass(300*time.Millisecond, map[string]level{"b": burst(20, 60*time.Millisecond)})
			r.pass(time.Second, map[string]level{"a": speech(25)})
		}},
		{"a word of assent", func(r *room) {
			r.pass(2*time.Second, map[string]level{"a": speech(25), "b": burst(25, 300*time.Millisecond)})
		}},
		{"a louder one who speaks at the same time", func(r *room) {
			r.pass(3*time.Second, map[string]level{"a": speech(25), "b": speech(15)})
		}},
		{"packets that are lost", func(r *room) {
			for range 20 {
				r.pass(60*time.Millisecond, map[string]level{"a": speech(25)})
				r.pass(40*time.Millisecond, map[string]level{"a": nil})
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t, "a", "b")
			r.pass(5*time.Second, map[string]level{"a": speech(25)})
			c.after(r)
			r.want("a", "a")
		})
	}
}

func TestAFanIsNoSpeaker(t *testing.T) {
	r := newRoom(t, "fan", "b")
	r.pass(15*time.Second, map[string]level{"fan": noise(50)})
	before := len(r.changes)
	r.pass(2*time.Second, map[string]level{"fan": noise(50), "b": speech(30)})
	if got := r.dominant(); got != "b" {
		t.Errorf("dominant is %q", got)
	}
	r.pass(10*time.Second, map[string]level{"fan": noise(50)})
	if got := r.dominant(); got != "b" || len(r.changes) != before+1 {
		t.Errorf("dominant is %q after %q", got, r.changes)
	}
	// Who sits beside the fan is heard over it.
	r.pass(2*time.Second, map[string]level{"fan": speech(20)})
	if got := r.dominant(); got != "fan" {
		t.Errorf("dominant is %q", got)
	}
}

func TestSilenceWithoutPacketsIsNoNoise(t *testing.T) {
	r := newRoom(t, "a")
	r.pass(time.Minute, map[string]level{"a": nil})
	r.pass(400*time.Millisecond, map[string]level{"a": speech(40)})
	r.want("a", "a")
}

func TestTheVoiceFlagTellsNoiseFromVoice(t *testing.T) {
	d := speaker.New(speaker.Config{})
	s, now := d.Add("a"), time.Unix(1000, 0)
	s.Level(75, true, now)
	for range 100 {
		s.Level(40, false, now)
		now = now.Add(20 * time.Millisecond)
		d.Update(now)
	}
	if d.Dominant() != nil {
		t.Error("noise is dominant")
	}
	for range 100 {
		s.Level(40, true, now)
		now = now.Add(20 * time.Millisecond)
		d.Update(now)
	}
	if d.Dominant() != s {
		t.Error("voice is not dominant")
	}
}

func TestWhoLeavesOrIsMutedIsNotDominantAnyMore(t *testing.T) {
	r := newRoom(t, "a", "b")
	r.pass(3*time.Second, map[string]level{"a": speech(25), "b": speech(35)})
	first, other := r.dominant(), map[string]string{"a": "b", "b": "a"}[r.dominant()]
	r.d.Remove(r.speakers[first])
	delete(r.speakers, first)
	if r.d.Dominant() != nil {
		t.Fatal("who left is dominant")
	}
	r.pass(400*time.Millisecond, map[string]level{other: speech(35)})
	if got := r.dominant(); got != other {
		t.Fatalf("dominant is %q, want %q", got, other)
	}
	r.speakers["c"] = r.d.Add("c")
	r.pass(time.Second, map[string]level{other: speech(25)})
	r.speakers[other].Silent()
	r.pass(800*time.Millisecond, map[string]level{other: nil, "c": speech(25)})
	if got := r.dominant(); got != "c" {
		t.Errorf("dominant is %q, want c", got)
	}
	if got := names(r.d.Recent(nil)); got != "c"+other {
		t.Errorf("recent are %q", got)
	}
}

func TestRecentIsTheOrderOfDominance(t *testing.T) {
	r := newRoom(t)
	for _, n := range []string{"a", "b", "c", "d"} {
		r.speakers[n] = r.d.Add(n)
	}
	for _, n := range []string{"c", "a", "d"} {
		r.pass(4*time.Second, map[string]level{n: speech(25)})
	}
	if got := names(r.d.Recent(nil)); got != "dacb" {
		t.Errorf("got %q", got)
	}
}

func TestLoudest(t *testing.T) {
	r := newRoom(t)
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		r.speakers[n] = r.d.Add(n)
	}
	set := func(n int) string {
		l := names(r.d.Loudest(nil, n))
		s := []byte(l)
		slices.Sort(s)
		return string(s)
	}
	r.pass(2*time.Second, map[string]level{"d": speech(25), "e": speech(30)})
	if got := set(2); got != "de" {
		t.Errorf("the two loudest are %q", got)
	}
	// A little louder is not enough, silence is, and the silent keep their order.
	r.pass(2*time.Second, map[string]level{"d": speech(30), "e": speech(30), "a": speech(28)})
	if got := set(2); got != "de" {
		t.Errorf("a little louder: %q", got)
	}
	r.pass(2*time.Second, map[string]level{"a": speech(28), "e": speech(30)})
	if got := set(2); got != "ae" {
		t.Errorf("when d is silent: %q", got)
	}
	r.pass(10*time.Second, nil)
	if got := set(2); got != "ae" {
		t.Errorf("after a silence: %q", got)
	}
	for n, want := range map[int]int{-1: 0, 0: 0, 3: 3, 9: 5} {
		if got := len(r.d.Loudest(nil, n)); got != want {
			t.Errorf("%d loudest: got %d", n, got)
		}
	}
}

func TestAStreamThatComesBackAfterALongTimeBeginsInSilence(t *testing.T) {
	r := newRoom(t, "a")
	r.pass(2*time.Second, map[string]level{"a": speech(25)})
	r.now = r.now.Add(time.Minute)
	r.speakers["a"].Level(75, false, r.now)
	r.speakers["b"] = r.d.Add("b")
	r.pass(time.Second, map[string]level{"b": speech(25)})
	r.want("b", "a", "b")
}

func TestLevelAllocatesNothing(t *testing.T) {
	d := speaker.New(speaker.Config{})
	now, to := time.Unix(1000, 0), make([]*speaker.Speaker, 0, 16)
	var all []*speaker.Speaker
	for i := range 16 {
		all = append(all, d.Add(fmt.Sprint(i)))
	}
	i := 0
	if n := testing.AllocsPerRun(3000, func() {
		i++
		level, voice := speaker.ParseLevel(byte(i * 31))
		all[i%16].Level(level, voice, now)
		now = now.Add(time.Millisecond)
		if i%100 == 0 {
			d.Update(now)
			to = d.Loudest(to[:0], 3)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseLevel(t *testing.T) {
	for _, c := range []struct {
		b     byte
		level uint8
		voice bool
	}{{0x00, 0, false}, {0xff, 127, true}, {0x9e, 30, true}, {0x1e, 30, false}} {
		if level, voice := speaker.ParseLevel(c.b); level != c.level || voice != c.voice {
			t.Errorf("%x: %d, %v", c.b, level, voice)
		}
	}
}
