package processor

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/processor/codec"
)

const (
	toneRate  = 8000
	amplitude = 5000
)

// singer sends a tone in PCMU.
type singer struct {
	*client
	frequency float64
	encoder   codec.Encoder
	decoder   codec.Decoder
	n         int
	heard     []int16
	numbers   []uint16
	stamps    []uint32
}

func (m *manual) singer(name string, frequency float64, mix bool, n int) *singer {
	m.t.Helper()
	pcmu, _ := codec.Find("PCMU", toneRate)
	s := &singer{client: m.enterAs(Join{Conference: "c", Participant: name, Mix: mix}, "pPP", addr(n)), frequency: frequency}
	var err error
	s.encoder, err = pcmu.NewEncoder()
	must(m.t, err)
	s.decoder, err = pcmu.NewDecoder()
	must(m.t, err)
	return s
}

// sing sends 20 ms.
func (s *singer) sing() {
	pcm := make([]int16, toneRate/50)
	for i := range pcm {
		pcm[i] = int16(amplitude * math.Sin(2*math.Pi*s.frequency*float64(s.n*len(pcm)+i)/toneRate))
	}
	payload, err := s.encoder.Encode(nil, pcm)
	must(s.m.t, err)
	s.sends(s.rtp(1000, 0, uint32(s.n*len(pcm)), nil, payload))
	s.n++
}

// listen decodes what has come on the first slot.
func (s *singer) listen() {
	media, _ := s.got()
	for _, p := range media {
		if ssrcOf(p) != s.leg.slots[0].ssrc {
			continue
		}
		pcm := make([]int16, toneRate*codec.Longest/1000)
		n, err := s.decoder.Decode(pcm, rtpPayload(p))
		must(s.m.t, err)
		s.heard = append(s.heard, pcm[:n]...)
		s.numbers = append(s.numbers, seqOf(p))
		s.stamps = append(s.stamps, uint32(p[4])<<24|uint32(p[5])<<16|uint32(p[6])<<8|uint32(p[7]))
	}
}

// level is the amplitude of a frequency, and part is its part of the samples.
func level(pcm []int16, frequency float64) (amplitude float64, part []float64) {
	var a, b float64
	for i, x := range pcm {
		at := 2 * math.Pi * frequency * float64(i) / toneRate
		a += float64(x) * math.Cos(at)
		b += float64(x) * math.Sin(at)
	}
	a, b = 2*a/float64(len(pcm)), 2*b/float64(len(pcm))
	part = make([]float64, len(pcm))
	for i := range part {
		at := 2 * math.Pi * frequency * float64(i) / toneRate
		part[i] = a*math.Cos(at) + b*math.Sin(at)
	}
	return math.Hypot(a, b), part
}

// Each gets the sum of the others and nothing of its own voice; who has not asked for the
// mix gets the others one by one.
func TestTheMixIsAllOthers(t *testing.T) {
	m := newManual(t, nil, nil)
	singers := []*singer{m.singer("one", 400, true, 1), m.singer("two", 750, true, 2), m.singer("three", 1200, true, 3), m.singer("four", 1900, false, 4)}
	for range 150 {
		for _, s := range singers {
			s.sing()
		}
		m.pass(20 * time.Millisecond)
		for _, s := range singers {
			s.listen()
		}
	}
	for _, s := range singers[:3] {
		t.Run(s.leg.name, func(t *testing.T) {
			// One second in the middle: whole periods of all tones.
			if len(s.heard) < 5*toneRate/2 {
				t.Fatalf("%d samples came in three seconds", len(s.heard))
			}
			pcm := s.heard[toneRate : 2*toneRate]
			rest := make([]float64, len(pcm))
			var signal, noise float64
			for i, x := range pcm {
				rest[i] = float64(x)
				signal += rest[i] * rest[i]
			}
			for _, other := range singers {
				got, part := level(pcm, other.frequency)
				if other == s {
					if got > amplitude/100 {
						t.Errorf("its own voice is there, with %.0f of %d", got, amplitude)
					}
					continue
				}
				if got < 0.89*amplitude || got > 1.12*amplitude {
					t.Errorf("%s has %.0f, wanted %d within 1 dB", other.leg.name, got, amplitude)
				}
				for i := range rest {
					rest[i] -= part[i]
				}
			}
			for _, x := range rest {
				noise += x * x
			}
			if ratio := 10 * math.Log10(signal/noise); ratio < 20 {
				t.Errorf("the sum of the others is %.1f dB over all else, wanted 20", ratio)
			}
			for i := 1; i < len(s.numbers); i++ {
				if s.numbers[i] != s.numbers[i-1]+1 || s.stamps[i] != s.stamps[i-1]+toneRate/50 {
					t.Fatalf("packet %d at %d after %d at %d", s.numbers[i], s.stamps[i], s.numbers[i-1], s.stamps[i-1])
				}
			}
		})
	}
	if got := slotsOf(singers[3].client); got != "one two" {
		t.Errorf("without the mix: %s", got)
	}
	if l := singers[0].leg.layout; l[0].Participant != Mixed || l[1].Participant != "" {
		t.Errorf("layout %+v", l)
	}
}

// A trunk has PCMU only, a browser Opus: they hear each other in the mix, and the mix ends
// when it is not wanted any more.
func TestTheMixIsBetweenCodecs(t *testing.T) {
	m := newManual(t, nil, nil)
	trunk := m.singer("trunk", 440, true, 1)
	browser := m.enterAs(Join{Conference: "c", Participant: "browser", Mix: true}, "aA", addr(2))
	opus, _ := codec.Find("opus", 48000)
	encoder, err := opus.NewEncoder()
	must(t, err)
	frames := 0
	talk := func(rounds int) {
		for k := range rounds {
			pcm := make([]int16, 960)
			for i := range pcm {
				pcm[i] = int16(amplitude * math.Sin(2*math.Pi*1000*float64(k*960+i)/48000))
			}
			payload, err := encoder.Encode(nil, pcm)
			must(t, err)
			browser.sends(browser.rtp(1000, 111, uint32(k*960), nil, payload))
			trunk.sing()
			m.pass(20 * time.Millisecond)
			trunk.listen()
			media, _ := browser.got()
			frames += len(media)
		}
	}
	talk(100)
	if frames < 80 {
		t.Errorf("the browser got %d frames", frames)
	}
	if got, _ := level(trunk.heard[toneRate:3*toneRate/2], 1000); got < amplitude/2 {
		t.Errorf("the trunk hears the browser with %.0f", got)
	}
	for _, c := range []*client{browser, trunk.client} {
		c.leg.on(wasEnded, "")
	}
	if len(m.conferences) != 0 {
		t.Error("the conference is there still")
	}
	kinds := m.events()
	if kinds[len(kinds)-1] != EventEnded || !slices.Contains(kinds, EventLeft) {
		t.Errorf("%v", kinds)
	}
}

// A mix that is not wanted any more makes room for streams of single participants.
func TestAMixEnds(t *testing.T) {
	m := newManual(t, nil, nil)
	one, two := m.singer("one", 400, true, 1), m.singer("two", 750, false, 2)
	talk := func() {
		for range 25 {
			one.sing()
			two.sing()
			m.pass(20 * time.Millisecond)
			one.listen()
		}
	}
	talk()
	if len(one.heard) == 0 || m.conferences["c"].mixing.mixer == nil {
		t.Fatal("there is no mix")
	}
	_, err := m.join(Join{Conference: "c", Participant: "one"}, one.leg.offer)
	must(t, err)
	talk()
	if m.conferences["c"].mixing.mixer != nil || slotsOf(one.client) != "two -" {
		t.Errorf("slots: %s", slotsOf(one.client))
	}
	for i := 1; i < len(one.numbers); i++ {
		if one.numbers[i] != one.numbers[i-1]+1 {
			t.Fatalf("packet %d after %d: %s", one.numbers[i], one.numbers[i-1], fmt.Sprint(one.numbers))
		}
	}
}
