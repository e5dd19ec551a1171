package mixer_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/processor/codec"
	"github.com/callpath/callpath/relay/processor/mixer"
)

// pair are one who speaks over a bad path, and one who listens.
func pair(t testing.TB, codecName string) (m *mixer.Mixer, speaker, listener *person) {
	m = mixer.New(mixer.Config{})
	return m, join(t, m, "speaker", codecName, tone(400, 0.3)), join(t, m, "listener", "PCMU", nil)
}

type arrival struct {
	at        time.Time
	seq       uint16
	timestamp uint32
	payload   []byte
}

// over sends so many packets of 20 ms over a path, which says when a packet arrives that is
// sent at a time, or false; and ticks in time.
func over(t *testing.T, m *mixer.Mixer, speaker, listener *person, packets int, interval time.Duration, path func(sent time.Time, i int) (time.Time, bool)) {
	t.Helper()
	var way []arrival
	for i := range packets {
		sent := begin.Add(time.Duration(i) * interval)
		payload, timestamp, send := speaker.packet()
		if !send {
			continue
		}
		if come, ok := path(sent, i); ok {
			way = append(way, arrival{come, speaker.seq, timestamp, payload})
		}
		speaker.seq++
	}
	slices.SortStableFunc(way, func(a, b arrival) int { return a.at.Compare(b.at) })
	for now := begin; len(way) > 0; now = now.Add(mixer.Interval) {
		for len(way) > 0 && !way[0].at.After(now) {
			a := way[0]
			speaker.leg.Push(payloadType, a.seq, a.timestamp, a.payload, a.at)
			way = way[1:]
		}
		tick(t, m, now, []*person{listener})
	}
}

// holes counts in how many parts of 20 ms the tone is not heard, from a time on.
func holes(p *person, from time.Duration) (n int) {
	const size = 160
	for i := int(from.Seconds() * 8000); i+size <= len(p.heard); i += size {
		if power(p.heard[i:i+size], 8000, 400) < -16 {
			n++
		}
	}
	return n
}

func TestReorderingAndJitterAreNotHeard(t *testing.T) {
	m, speaker, listener := pair(t, "PCMU")
	r := rand.New(rand.NewPCG(1, 1))
	over(t, m, speaker, listener, 1000, mixer.Interval, func(sent time.Time, i int) (time.Time, bool) {
		return sent.Add(time.Duration(r.Int64N(int64(35 * time.Millisecond)))), true
	})
	s := speaker.leg.Stats()
	if n := holes(listener, time.Second); n > 5 || s.Late > 10 || s.Concealed > 48000/4 {
		t.Errorf("%d holes, %+v", n, s)
	}
	if s.Jitter < 5*time.Millisecond || s.Jitter > 20*time.Millisecond || s.Delay <= 40*time.Millisecond || s.Delay > 100*time.Millisecond {
		t.Errorf("%+v", s)
	}
}

func TestLossIsConcealed(t *testing.T) {
	for _, c := range codec.All() {
		m, speaker, listener := pair(t, c.Name)
		lost := 0
		over(t, m, speaker, listener, 300, mixer.Interval, func(sent time.Time, i int) (time.Time, bool) {
			if i%25 == 24 {
				lost++
				return sent, false
			}
			return sent, true
		})
		s := speaker.leg.Stats()
		if n := holes(listener, time.Second); n > 3 {
			t.Errorf("%s: %d holes, %+v", c.Name, n, s)
		}
		if got := int(s.Concealed) / 960; got < lost-1 || got > lost+3 {
			t.Errorf("%s: %d frames concealed, %d lost", c.Name, got, lost)
		}
	}
}

func TestRepeatsAndLatecomersAreCounted(t *testing.T) {
	m, speaker, listener := pair(t, "PCMU")
	payload, timestamp, _ := speaker.packet()
	for range 2 {
		speaker.leg.Push(payloadType, 10, timestamp, payload, at(0))
	}
	speaker.leg.Push(payloadType, 9, timestamp-160, payload, at(1)) // overtaken at the beginning
	speaker.leg.Push(payloadType, 12, timestamp+320, payload, at(1))
	for ms := 0; ms < 160; ms += 20 {
		tick(t, m, at(ms), []*person{listener})
	}
	speaker.leg.Push(payloadType, 11, timestamp+160, payload, at(200)) // given up
	speaker.leg.Push(payloadType, 9, timestamp-160, payload, at(200))
	speaker.leg.Push(99, 13, 0, payload, at(200))
	speaker.leg.Push(payloadType, 14, 0, make([]byte, 1600), at(200))
	speaker.leg.Push(payloadType, 15, timestamp+480, nil, at(200))
	want := mixer.LegStats{Packets: 9, Repeats: 1, Late: 2, Ignored: 2}
	got := speaker.leg.Stats()
	got.Delay, got.Jitter, got.Concealed = 0, 0, 0
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What is not heard leaves no hole where it was: telephone-events share the numbers.
func TestTelephoneEventsAreSilence(t *testing.T) {
	m, speaker, listener := pair(t, "PCMU")
	for i := range 100 {
		payload, timestamp, _ := speaker.packet()
		pt := uint8(payloadType)
		if i >= 50 && i < 60 {
			pt = 101
		}
		speaker.leg.Push(pt, uint16(i), timestamp, payload, at(20*i))
		tick(t, m, at(20*i), []*person{listener})
	}
	s := speaker.leg.Stats()
	if s.Ignored != 10 || s.Concealed > 3*960 {
		t.Errorf("%+v", s)
	}
	if n := holes(listener, 200*time.Millisecond); n < 5 || n > 14 {
		t.Errorf("%d holes", n)
	}
}

// A pause of the sender (discontinuous transmission) is silence, not loss.
func TestPausesAreSilence(t *testing.T) {
	for _, pause := range []int{3, 20, 500} {
		m, speaker, listener := pair(t, "PCMU")
		over(t, m, speaker, listener, 100, mixer.Interval, func(sent time.Time, i int) (time.Time, bool) { return sent, true })
		from := len(listener.heard)
		for i := range pause {
			speaker.mute = true
			speaker.packet()
			tick(t, m, at(2000+20*i), []*person{listener})
		}
		speaker.mute = false
		talk(t, m, 2000+20*pause, 2000, speaker, listener)
		s := speaker.leg.Stats()
		if s.Concealed > 4*960 || s.Late > 0 {
			t.Errorf("%d frames: %+v", pause, s)
		}
		if got := power(listener.heard[from+160*(pause+20):], 8000, 400); math.Abs(got+10.5) > 1 {
			t.Errorf("%d frames: the tone goes on with %.1f dB", pause, got)
		}
	}
}

// Clocks of sender and mixer differ a little: the delay neither grows nor runs out.
func TestClocksThatDrift(t *testing.T) {
	for _, interval := range []time.Duration{19700 * time.Microsecond, 20300 * time.Microsecond} {
		m, speaker, listener := pair(t, "PCMU")
		over(t, m, speaker, listener, 1000, interval, func(sent time.Time, i int) (time.Time, bool) { return sent, true })
		s := speaker.leg.Stats()
		// In the end they differ by 0.3 s.
		sent, ticked := 1000*interval, time.Duration(len(listener.heard))*time.Second/8000
		behind := ticked - sent
		t.Logf("%v: %+v, %v behind", interval, s, behind)
		if n := holes(listener, time.Second); n > 20 || behind > 200*time.Millisecond || s.Late > 0 {
			t.Errorf("%v: %d holes, %v behind, %+v", interval, n, behind, s)
		}
		if faster := interval < mixer.Interval; faster != (s.LeftOut > 0) || faster == (s.Concealed > 3*960) {
			t.Errorf("%v: %+v", interval, s)
		}
	}
}

// After a delay that ended, the buffer gets short again.
func TestTheDelayShrinks(t *testing.T) {
	m, speaker, listener := pair(t, "PCMU")
	over(t, m, speaker, listener, 700, mixer.Interval, func(sent time.Time, i int) (time.Time, bool) {
		if i >= 200 && i < 230 {
			return begin.Add(230 * mixer.Interval), true // all at once
		}
		return sent, true
	})
	s := speaker.leg.Stats()
	if s.LeftOut == 0 || holes(listener, 9*time.Second) > 10 {
		t.Errorf("%+v, %d holes", s, holes(listener, 9*time.Second))
	}
	// What was said last is heard within the delay that it should have.
	if got := float64(s.LeftOut) / 48000; got < 0.2 {
		t.Errorf("%.2f s were left out", got)
	}
}

// Another stream, and another codec, begin anew.
func TestRestarts(t *testing.T) {
	for name, again := range map[string]func(*person){
		"another stream, as said":   func(p *person) { p.leg.Restart(); p.seq, p.sent = 40, 0 },
		"numbers that jump ahead":   func(p *person) { p.seq += 20000 },
		"numbers that jump back":    func(p *person) { p.seq -= 20000 },
		"a timestamp that jumps":    func(p *person) { p.sent += 8000 * 100 },
		"a timestamp from before":   func(p *person) { p.sent = 0 },
		"nothing but a short break": func(p *person) { p.seq += 3; p.sent += 480 },
	} {
		t.Run(name, func(t *testing.T) {
			m, speaker, listener := pair(t, "PCMU")
			talk(t, m, 0, 1000, speaker, listener)
			again(speaker)
			talk(t, m, 1000, 1000, speaker, listener)
			if got := power(listener.heard[12000:], 8000, 400); math.Abs(got+10.5) > 1 {
				t.Errorf("the tone has %.1f dB; %+v", got, speaker.leg.Stats())
			}
		})
	}
	m := mixer.New(mixer.Config{})
	listener := join(t, m, "listener", "PCMU", nil)
	a, b := find(t, "PCMU"), find(t, "opus")
	leg, err := m.Add(mixer.LegConfig{Receive: map[uint8]codec.Codec{0: a, 111: b}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		c, pt := a, uint8(0)
		if i >= 50 {
			c, pt = b, 111
		}
		encoder, _ := c.NewEncoder()
		pcm := make([]int16, c.Rate/50)
		for j := range pcm {
			pcm[j] = int16(9830 * math.Sin(2*math.Pi*400*float64(j+i*len(pcm))/float64(c.Rate)))
		}
		payload, _ := encoder.Encode(nil, pcm)
		leg.Push(pt, uint16(i), uint32(i*c.ClockRate/50), payload, at(20*i))
		tick(t, m, at(20*i), []*person{listener})
	}
	if got := power(listener.heard[12000:], 8000, 400); got < -20 {
		t.Errorf("after a change of codec the tone has %.1f dB; %+v", got, leg.Stats())
	}
}

func TestMalformedPacketsAreConcealed(t *testing.T) {
	m, speaker, listener := pair(t, "opus")
	for i := range 100 {
		payload, timestamp, _ := speaker.packet()
		if i%20 == 19 {
			payload = []byte{0xff, 0xff, 0xff}
		}
		speaker.leg.Push(payloadType, uint16(i), timestamp, payload, at(20*i))
		tick(t, m, at(20*i), []*person{listener})
	}
	if s := speaker.leg.Stats(); s.Malformed < 4 || s.Concealed < 4*960 {
		t.Errorf("%+v", s)
	}
	if n := holes(listener, 500*time.Millisecond); n > 5 {
		t.Errorf("%d holes", n)
	}
}

// FuzzBuffer: whatever comes, whenever, the mixer makes its frames.
func FuzzBuffer(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 1, 2, 3, 0, 9, 9, 9, 9, 0, 2, 0, 0, 1, 2, 4, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := mixer.New(mixer.Config{})
		receive := map[uint8]codec.Codec{}
		for i, c := range codec.All() {
			receive[uint8(i)] = c
		}
		pcmu := find(t, "PCMU")
		leg, err := m.Add(mixer.LegConfig{Receive: receive, Send: pcmu})
		if err != nil {
			t.Fatal(err)
		}
		now, n := begin, uint32(0)
		for ; len(raw) >= 8; raw = raw[8:] {
			payload := raw[8:min(len(raw), 8+int(raw[7]))]
			leg.Push(raw[0]%5, uint16(raw[1])<<8|uint16(raw[2]), uint32(raw[3])<<24|uint32(raw[4])<<12|uint32(raw[5]), payload, now)
			now = now.Add(time.Duration(raw[6]) * time.Millisecond)
			for {
				frames, ok := m.Tick(now)
				if !ok {
					break
				}
				if len(frames) != 1 || len(frames[0].Payload) != 160 || n > 0 && frames[0].Timestamp <= n {
					t.Fatalf("%+v", frames)
				}
				n = frames[0].Timestamp
			}
		}
	})
}
