package mixer_test

import (
	"math"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/processor/codec"
	"github.com/callpath/callpath/relay/processor/mixer"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }

func find(t testing.TB, name string) codec.Codec {
	t.Helper()
	for _, c := range codec.All() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no codec %s", name)
	return codec.Codec{}
}

// person is a participant: a client that sends what sound says, and hears its mix.
type person struct {
	t       testing.TB
	leg     *mixer.Leg
	codec   codec.Codec
	encoder codec.Encoder
	decoder codec.Decoder
	// sound is what is said at a sample, of 1; nil is nothing, and mute sends no packets.
	sound func(seconds float64) float64
	mute  bool

	sent  int // samples
	seq   uint16
	heard []int16
	marks int
	stamp uint32
	frame mixer.Frame
	said  []float64
}

const payloadType = 96

// join adds a person whose client has a codec.
func join(t testing.TB, m *mixer.Mixer, name, codecName string, sound func(float64) float64) *person {
	t.Helper()
	c := find(t, codecName)
	leg, err := m.Add(mixer.LegConfig{
		Name: name, Receive: map[uint8]codec.Codec{payloadType: c}, Send: c, PayloadType: payloadType,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, leg: leg, codec: c, sound: sound, seq: 65500}
	if p.encoder, err = c.NewEncoder(); err != nil {
		t.Fatal(err)
	}
	if p.decoder, err = c.NewDecoder(); err != nil {
		t.Fatal(err)
	}
	return p
}

// packet is the next 20 ms that the person says; send is whether it sends them.
func (p *person) packet() (payload []byte, timestamp uint32, send bool) {
	p.t.Helper()
	pcm := make([]int16, p.codec.Rate/50)
	timestamp = uint32(p.sent/len(pcm)) * uint32(p.codec.ClockRate/50)
	for i := range pcm {
		if p.sound != nil && !p.mute {
			v := p.sound(float64(p.sent+i) / float64(p.codec.Rate))
			p.said = append(p.said, v)
			pcm[i] = int16(math.Round(v * 32767))
		} else {
			p.said = append(p.said, 0)
		}
	}
	p.sent += len(pcm)
	if p.mute {
		return nil, timestamp, false
	}
	payload, err := p.encoder.Encode(nil, pcm)
	if err != nil {
		p.t.Fatal(err)
	}
	return payload, timestamp + 1<<31, true
}

// speak sends the next 20 ms.
func (p *person) speak(now time.Time) {
	if payload, timestamp, send := p.packet(); send {
		p.leg.Push(payloadType, p.seq, timestamp, payload, now)
		p.seq++
	}
}

// hear decodes a frame of the person's mix.
func (p *person) hear(f mixer.Frame) {
	p.t.Helper()
	pcm := make([]int16, p.codec.Rate*codec.Longest/1000)
	n, err := p.decoder.Decode(pcm, f.Payload)
	if err != nil {
		p.t.Fatal(err)
	}
	if f.Marker {
		p.marks++
	} else if len(p.heard) > 0 && f.Timestamp != p.stamp+uint32(p.codec.ClockRate/50) {
		p.t.Fatalf("%s: timestamp %d after %d", p.leg.Name(), f.Timestamp, p.stamp)
	}
	p.stamp, p.frame = f.Timestamp, f
	p.heard = append(p.heard, pcm[:n]...)
}

// talk lets everybody send and hear for some time, from a time on.
func talk(t testing.TB, m *mixer.Mixer, from, ms int, people ...*person) {
	t.Helper()
	for now := from; now < from+ms; now += 20 {
		for _, p := range people {
			p.speak(at(now))
		}
		tick(t, m, at(now), people)
	}
}

func tick(t testing.TB, m *mixer.Mixer, now time.Time, people []*person) {
	t.Helper()
	frames, ok := m.Tick(now)
	if !ok {
		t.Fatalf("no frame is due at %v; next is %v", now, m.Next())
	}
	for _, f := range frames {
		for _, p := range people {
			if p.leg == f.Leg {
				p.hear(f)
			}
		}
	}
}

func tone(hz, loud float64) func(float64) float64 {
	return func(s float64) float64 { return loud * math.Sin(2*math.Pi*hz*s) }
}

// power is that of one frequency in dB over full scale, by Goertzel's algorithm.
func power(pcm []int16, rate int, hz float64) float64 {
	coefficient := 2 * math.Cos(2*math.Pi*hz/float64(rate))
	var s1, s2 float64
	for i, v := range pcm {
		window := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(pcm)))
		s1, s2 = float64(v)/32768*window+coefficient*s1-s2, s1
	}
	n := float64(len(pcm)) / 4
	return 10 * math.Log10(max((s1*s1+s2*s2-coefficient*s1*s2)/(n*n), 1e-15))
}

// snr is how much stronger the sum of what people said is than what heard has else, in dB,
// at the delay at which that is most; delay is in samples.
func snr(heard []int16, skip int, others ...*person) (best float64, delay int) {
	want := make([]float64, len(others[0].said))
	for _, o := range others {
		for i, v := range o.said {
			want[i] += v * 32767
		}
	}
	at := func(d, from, to int) float64 {
		var signal, noise float64
		for i := max(from, d); i < min(to, len(heard), len(want)+d); i++ {
			w := want[i-d]
			signal += w * w
			noise += (float64(heard[i]) - w) * (float64(heard[i]) - w)
		}
		if signal == 0 {
			return math.Inf(-1)
		}
		return 10 * math.Log10(signal/max(noise, 1e-9))
	}
	// The delay shows in a part.
	best = math.Inf(-1)
	for d := range 3200 {
		if db := at(d, skip, skip+600); db > best {
			best, delay = db, d
		}
	}
	best = at(delay, skip, len(heard))
	return best, delay
}
