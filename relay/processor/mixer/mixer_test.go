package mixer_test

import (
	"fmt"
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/callpath/callpath/relay/processor/codec"
	"github.com/callpath/callpath/relay/processor/mixer"
)

// Each receiver's mix is the sum of all others, and nothing of its own.
func TestEachHearsTheSumOfAllOthers(t *testing.T) {
	for _, c := range []struct {
		codec string
		least float64 // dB over the rest; 0 is not for waveforms
		own   float64 // dB over full scale, at most
	}{
		{"PCMU", 20, -60}, {"PCMA", 20, -60}, {"G722", 20, -60}, {"opus", 0, -50},
	} {
		t.Run(c.codec, func(t *testing.T) {
			m := mixer.New(mixer.Config{})
			tones := []float64{310, 530, 770, 1130, 1510}
			var people []*person
			for i, hz := range tones {
				people = append(people, join(t, m, fmt.Sprint(i), c.codec, tone(hz, 0.12)))
			}
			talk(t, m, 0, 1000, people...)
			for i, p := range people {
				half := p.heard[len(p.heard)/2:]
				for j, hz := range tones {
					got, want := power(half, p.codec.Rate, hz), 20*math.Log10(0.12)
					if i == j && got > c.own {
						t.Errorf("%d hears itself with %.1f dB", i, got)
					}
					if i != j && math.Abs(got-want) > 1.5 {
						t.Errorf("%d hears %d with %.1f dB, want %.1f", i, j, got, want)
					}
				}
				others := append(append([]*person(nil), people[:i]...), people[i+1:]...)
				got, delay := snr(p.heard, p.codec.Rate/2, others...)
				t.Logf("%d: %.1f dB over the rest, %.1f ms later", i, got, 1000*float64(delay)/float64(p.codec.Rate))
				if c.least > 0 && got < c.least {
					t.Errorf("%d: the mix differs from the sum: %.1f dB, want %v", i, got, c.least)
				}
				if p.marks != 1 {
					t.Errorf("%d: %d markers", i, p.marks)
				}
			}
		})
	}
}

// Everybody hears everybody, whatever codecs their clients have.
func TestCodecsMix(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var people []*person
	tones := []float64{310, 530, 770, 1130}
	for i, c := range codec.All() {
		people = append(people, join(t, m, c.Name, c.Name, tone(tones[i], 0.15)))
	}
	talk(t, m, 0, 2000, people...)
	for i, p := range people {
		for j, hz := range tones {
			got, want := power(p.heard[len(p.heard)/2:], p.codec.Rate, hz), 20*math.Log10(0.15)
			if i == j && got > -50 || i != j && math.Abs(got-want) > 1.5 {
				t.Errorf("%s hears %s with %.1f dB", p.codec.Name, people[j].codec.Name, got)
			}
		}
	}
}

func TestWhatIsTooLoudSaturates(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var people []*person
	for i := range 4 {
		people = append(people, join(t, m, fmt.Sprint(i), "PCMU", tone(400, 0.9)))
	}
	listener := join(t, m, "listener", "PCMU", nil)
	people = append(people, listener)
	talk(t, m, 0, 1000, people...)
	loudest := int16(0)
	for i, s := range listener.heard[4000:] {
		loudest = max(loudest, s)
		if i > 0 && math.Abs(float64(s)-float64(listener.heard[4000+i-1])) > 45000 {
			t.Fatalf("it wraps at sample %d: %d after %d", i, s, listener.heard[4000+i-1])
		}
	}
	if loudest < 30000 {
		t.Errorf("the loudest sample is %d", loudest)
	}
}

// Of many who speak at once the loudest are heard, the same ones as long as nobody is clearly
// louder, and the others get the mix that the silent share.
func TestTheLoudestAreHeard(t *testing.T) {
	m := mixer.New(mixer.Config{Speakers: 3})
	loudness := []float64{0.05, 0.3, 0.06, 0.1, 0.25, 0.08}
	var people []*person
	for i, loud := range loudness {
		people = append(people, join(t, m, fmt.Sprint(i), "PCMU", tone(300+200*float64(i), loud)))
	}
	listener := join(t, m, "listener", "PCMU", nil)
	all := append(people, listener)
	hears := func(who string, from int) {
		t.Helper()
		for i := range people {
			got := power(listener.heard[from:], 8000, 300+200*float64(i))
			if wanted := who[i] == '1'; wanted != (got > -24) || !wanted && got > -40 {
				t.Errorf("%d is heard with %.1f dB", i, got)
			}
		}
	}
	talk(t, m, 0, 2000, all...)
	hears("010110", 8000)
	people[5].sound = tone(1300, 0.11) // a little louder than the third
	talk(t, m, 2000, 2000, all...)
	hears("010110", 24000)
	people[0].sound = tone(300, 0.3)
	talk(t, m, 4000, 2000, all...)
	hears("110010", 40000)
	if people[3].leg.Sounds() || unsafe.SliceData(people[3].frame.Payload) != unsafe.SliceData(listener.frame.Payload) {
		t.Error("who is not heard has a mix of its own")
	}
	if got := power(people[4].heard[40000:], 8000, 1100); got > -55 {
		t.Errorf("one of the loudest hears itself with %.1f dB", got)
	}
	people[1].sound = nil
	talk(t, m, 6000, 2000, all...)
	hears("100011", 56000)
}

// Who is silent shares one mix, and one encoding of it for each codec.
func TestTheSilentShareAMix(t *testing.T) {
	m := mixer.New(mixer.Config{})
	speaker := join(t, m, "speaker", "PCMU", tone(500, 0.3))
	a, b := join(t, m, "a", "G722", nil), join(t, m, "b", "G722", nil)
	other := join(t, m, "other", "PCMA", nil)
	b.mute = true
	people := []*person{speaker, a, b, other}
	talk(t, m, 0, 1000, people...)
	data := func(p *person) *byte { return unsafe.SliceData(p.frame.Payload) }
	if data(a) != data(b) || data(a) == data(other) || data(speaker) == data(other) {
		t.Error("who is silent has a mix of its own, or shares another's")
	}
	if speaker.leg.Sounds() != true || a.leg.Sounds() || b.leg.Sounds() {
		t.Error("who sounds is not who speaks")
	}
	if got := power(speaker.heard[4000:], 8000, 500); got > -70 {
		t.Errorf("the speaker hears itself with %.1f dB", got)
	}
}

// To begin to speak, and to end, changes nothing in what one hears of the others: not when
// one's mix is shared, when it is one's own, nor where it changes.
func TestTheSeamBetweenMixesIsNotHeard(t *testing.T) {
	for _, c := range []struct {
		codec string
		least float64
	}{{"PCMU", 25}, {"PCMA", 25}, {"G722", 24}, {"opus", 0}} {
		t.Run(c.codec, func(t *testing.T) {
			m := mixer.New(mixer.Config{})
			hz := 400.0
			speaker := join(t, m, "speaker", "PCMU", tone(hz, 0.3))
			listener := join(t, m, "listener", c.codec, nil)
			all := []*person{speaker, listener}
			says := func(s float64) float64 { return 0.2 * math.Sin(2*math.Pi*1100*s) }
			talk(t, m, 0, 1000, all...)
			listener.sound = says
			talk(t, m, 1000, 400, all...)
			listener.sound = nil
			talk(t, m, 1400, 1600, all...)
			if c.least > 0 {
				saidAt48 := *speaker
				saidAt48.said = nil
				for i := range len(listener.heard) {
					saidAt48.said = append(saidAt48.said, speaker.sound(float64(i)/float64(listener.codec.Rate)))
				}
				if got, _ := snr(listener.heard, listener.codec.Rate/2, &saidAt48); got < c.least {
					t.Errorf("%.1f dB, want %v", got, c.least)
				}
			}
			// In no 50 ms is there anything but the tone.
			size, want := listener.codec.Rate/20, 20*math.Log10(0.3)
			for i := listener.codec.Rate / 2; i+size <= len(listener.heard); i += size / 2 {
				part := listener.heard[i : i+size]
				if got := power(part, listener.codec.Rate, hz); math.Abs(got-want) > 2 {
					t.Errorf("at %v ms the tone has %.1f dB", 1000*i/listener.codec.Rate, got)
				}
				if got := power(part, listener.codec.Rate, 1100); got > want-25 {
					t.Errorf("at %v ms it has %.1f dB of something else", 1000*i/listener.codec.Rate, got)
				}
			}
		})
	}
}

// When nobody is silent for a time, the shared mix begins where the first one who falls
// silent is.
func TestASharedMixThatNobodyHeard(t *testing.T) {
	m := mixer.New(mixer.Config{})
	a, b := join(t, m, "a", "G722", tone(400, 0.3)), join(t, m, "b", "G722", tone(1100, 0.2))
	talk(t, m, 0, 1000, a, b)
	b.sound = nil
	talk(t, m, 1000, 2000, a, b)
	for i := 8000; i+800 <= len(b.heard); i += 400 {
		if got := power(b.heard[i:i+800], 16000, 400); math.Abs(got+10.5) > 1.5 {
			t.Errorf("at %d ms the tone has %.1f dB", i/16, got)
		}
	}
}

func TestTicks(t *testing.T) {
	m := mixer.New(mixer.Config{})
	if !m.Next().IsZero() {
		t.Error("something is due before the first call")
	}
	p := join(t, m, "p", "PCMU", nil)
	timestamps := func(ms int) (all []uint32) {
		for {
			frames, ok := m.Tick(at(ms))
			if !ok {
				return all
			}
			for _, f := range frames {
				all = append(all, f.Timestamp)
			}
		}
	}
	for _, c := range []struct {
		ms   int
		want []uint32
	}{
		{0, []uint32{0}}, {19, nil}, {20, []uint32{160}}, {85, []uint32{320, 480, 640}},
		{95, nil}, {100, []uint32{800}},
		// After a pause the time goes on, without its frames.
		{1105, []uint32{8800}}, {1120, []uint32{8960}},
	} {
		if got := timestamps(c.ms); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("at %d ms: got %v, want %v", c.ms, got, c.want)
		}
	}
	m.Remove(p.leg)
	if got := timestamps(2000); got != nil {
		t.Errorf("frames for who has left: %v", got)
	}
}

func TestWhoOnlySpeaksGetsNothing(t *testing.T) {
	m := mixer.New(mixer.Config{})
	if _, err := m.Add(mixer.LegConfig{Receive: map[uint8]codec.Codec{0: find(t, "PCMU")}}); err != nil {
		t.Fatal(err)
	}
	if frames, ok := m.Tick(begin); !ok || len(frames) != 0 {
		t.Errorf("%v, %v", frames, ok)
	}
	if _, err := m.Add(mixer.LegConfig{Receive: map[uint8]codec.Codec{0: {Name: "CD", Rate: 44100, ClockRate: 44100}}}); err == nil {
		t.Error("a codec of 44100 Hz is taken")
	}
	if _, err := m.Add(mixer.LegConfig{Receive: map[uint8]codec.Codec{0: {Name: "none"}}}); err == nil {
		t.Error("a codec of no rate is taken")
	}
}

func TestNothingIsAllocatedForAFrame(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var people []*person
	for i, c := range codec.All() {
		people = append(people, join(t, m, c.Name, c.Name, tone(300*float64(i+1), 0.2)), join(t, m, "silent", c.Name, nil))
	}
	type pushed struct {
		leg       *mixer.Leg
		seq       uint16
		timestamp uint32
		payload   []byte
	}
	var packets [][]pushed
	for range 160 {
		var now []pushed
		for _, p := range people {
			payload, timestamp, _ := p.packet()
			now = append(now, pushed{p.leg, p.seq, timestamp, payload})
			p.seq++
		}
		packets = append(packets, now)
	}
	i := 0
	step := func() {
		now := begin.Add(time.Duration(i) * mixer.Interval)
		for _, p := range packets[i] {
			p.leg.Push(payloadType, p.seq, p.timestamp, p.payload, now)
		}
		if _, ok := m.Tick(now); !ok {
			t.Fatal("nothing is due")
		}
		i++
	}
	for range 60 {
		step()
	}
	if n := testing.AllocsPerRun(90, step); n != 0 {
		t.Errorf("%v allocations a frame of 8 legs", n)
	}
}

func BenchmarkTick(b *testing.B) {
	for _, name := range []string{"PCMU", "G722", "opus"} {
		for _, speakers := range []int{3, 50} {
			b.Run(fmt.Sprintf("%s/legs=50/speakers=%d", name, speakers), func(b *testing.B) {
				m := mixer.New(mixer.Config{Speakers: speakers})
				var people []*person
				for i := range 50 {
					p := join(b, m, fmt.Sprint(i), name, nil)
					if i < speakers {
						p.sound = tone(200+30*float64(i), 0.02)
					}
					people = append(people, p)
				}
				payloads := make([][]byte, 50)
				for i, p := range people {
					payloads[i], _, _ = p.packet()
				}
				clock := uint32(people[0].codec.ClockRate / 50)
				now, seq := begin, uint16(0)
				b.ReportAllocs()
				for b.Loop() {
					for i, p := range people[:speakers] {
						p.leg.Push(payloadType, seq, uint32(seq)*clock, payloads[i], now)
					}
					m.Tick(now)
					now = now.Add(mixer.Interval)
					seq++
				}
			})
		}
	}
}
