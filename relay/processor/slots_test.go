package processor

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/callpath/callpath/relay/processor/simulcast"
)

// slotsOf says who is on a client's slots.
func slotsOf(c *client) string {
	var all []string
	for _, s := range c.leg.slots {
		name := "-"
		if s.track != nil {
			name = s.track.leg.name
		}
		all = append(all, name)
	}
	return strings.Join(all, " ")
}

func TestTheLoudestGetSlots(t *testing.T) {
	m := newManual(t, nil, nil)
	listener := m.enter("c", "listener", "AA", addr(1))
	var speakers []*client
	for i, name := range []string{"one", "two", "three", "four"} {
		speakers = append(speakers, m.enter("c", name, "aA", addr(2+i)))
	}
	talk := func(loud int) {
		for range 200 {
			for i, c := range speakers {
				level := byte(100)
				if i == loud {
					level = 20
				}
				c.sends(c.rtp(1000, 111, 0, []byte{0x10, level}, []byte(c.leg.name)))
			}
			m.pass(20 * time.Millisecond)
		}
	}
	talk(3)
	if got := slotsOf(listener); !strings.Contains(got, "four") || strings.Contains(got, "-") {
		t.Errorf("slots: %s, wanted the loudest there", got)
	}
	talk(2)
	if got := slotsOf(listener); !strings.Contains(got, "four") || !strings.Contains(got, "three") {
		t.Errorf("slots: %s, wanted the two who spoke last", got)
	}
	ssrc := listener.leg.slots[0].ssrc
	for _, p := range func() [][]byte { media, _ := listener.got(); return media }() {
		if ssrcOf(p) != ssrc && ssrcOf(p) != listener.leg.slots[1].ssrc {
			t.Fatal("a slot has changed its SSRC")
		}
	}
}

func TestScreensComeFirst(t *testing.T) {
	m := newManual(t, nil, nil)
	plain, separate := m.enter("c", "plain", "V", addr(1)), m.enter("c", "separate", "VS", addr(2))
	camera := m.enter("c", "camera", "v", addr(3))
	screen := m.enter("c", "screen", "s", addr(4))
	camera.shows(1000, 0, true)
	m.pass(100 * time.Millisecond)
	if a, b := slotsOf(plain), slotsOf(separate); a != "camera" || b != "camera -" {
		t.Errorf("without a screen: %s; %s", a, b)
	}
	screen.shows(1000, 0, true)
	m.pass(100 * time.Millisecond)
	if a, b := slotsOf(plain), slotsOf(separate); a != "screen" || b != "camera screen" {
		t.Errorf("with a screen: %s; %s", a, b)
	}
	var last Layout
	for _, what := range m.p.herald.queue {
		if l, ok := what.(Layout); ok && l.Participant == "plain" {
			last = l
		}
	}
	if want := (Slot{Mid: "0", Kind: KindSlides, Participant: "screen"}); len(last.Slots) != 1 || last.Slots[0] != want {
		t.Errorf("told %+v", last)
	}
	screen.leg.on(wasEnded, "")
	m.pass(100 * time.Millisecond)
	if a, b := slotsOf(plain), slotsOf(separate); a != "camera" || b != "camera -" {
		t.Errorf("after the screen: %s; %s", a, b)
	}
}

// Of simulcast a receiver gets the layer that its path can carry.
func TestLayersFollowTheBandwidth(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "V", addr(1)), m.enter("c", "bob", "m", addr(2))
	rates := map[string]int{"q": 1, "h": 4, "f": 16} // packets in 20 ms, of 200 bytes: 80, 320, 1280 kbit/s
	frame := uint32(0)
	watch := func(d time.Duration, remb float32) (counts map[int]int) {
		counts = make(map[int]int)
		for range int(d / (20 * time.Millisecond)) {
			frame++
			for i, rid := range []string{"q", "h", "f"} {
				for range rates[rid] {
					bob.shows(uint32(3000+i), frame*1800, true, 0x30, '0', 0x40, rid[0])
				}
			}
			if frame%10 == 0 {
				alice.control(&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: remb, SSRCs: []uint32{1}})
			}
			m.pass(20 * time.Millisecond)
			media, _ := alice.got()
			n := 0
			for _, p := range media {
				if ssrcOf(p) == alice.leg.slots[0].ssrc {
					n++
				}
			}
			counts[n]++
		}
		return counts
	}
	most := func(counts map[int]int) (best int) {
		for n, times := range counts {
			if times > counts[best] {
				best = n
			}
		}
		return best
	}
	watch(5*time.Second, 200_000)
	if got := watch(2*time.Second, 200_000); most(got) != rates["q"] {
		t.Errorf("at 200 kbit/s: %v", got)
	}
	if m.stats.Drops[DropUnknown] != 0 {
		t.Errorf("drops: %v", m.stats.Drops)
	}
}

// What does not fit even with its lowest layer is not sent, but for the most important one;
// it comes back when there is room.
func TestWhatDoesNotFitIsNotSent(t *testing.T) {
	m := newManual(t, nil, nil)
	alice := m.enter("c", "alice", "VV", addr(1))
	senders := []*client{m.enter("c", "bob", "m", addr(2)), m.enter("c", "carol", "m", addr(3))}
	frame := uint32(0)
	// watch returns how many packets each slot had in the last second.
	watch := func(d time.Duration, remb float32) (got [2]int) {
		for i := range int(d / (20 * time.Millisecond)) {
			frame++
			for _, c := range senders {
				c.shows(3000, frame*1800, true, 0x30, '0', 0x40, 'q') // 80 kbit/s
			}
			if frame%10 == 0 {
				alice.control(&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: remb, SSRCs: []uint32{1}})
			}
			m.pass(20 * time.Millisecond)
			media, _ := alice.got()
			if i < int((d-time.Second)/(20*time.Millisecond)) {
				continue
			}
			for _, p := range media {
				for k, s := range alice.leg.slots {
					if ssrcOf(p) == s.ssrc {
						got[k]++
					}
				}
			}
		}
		return got
	}
	for _, tt := range []struct {
		remb float32
		want [2]int
	}{{300_000, [2]int{50, 50}}, {100_000, [2]int{50, 0}}, {60_000, [2]int{50, 0}}, {300_000, [2]int{50, 50}}} {
		if got := watch(5*time.Second, tt.remb); got != tt.want {
			t.Errorf("at %.0f bit/s: %v packets a second, wanted %v", tt.remb, got, tt.want)
		}
	}
	// A picture that was off comes back at once: nothing said that the path is narrow.
	m.pass(3 * time.Second)
	if got := watch(time.Second, 300_000); got[0] < 40 || got[1] < 40 {
		t.Errorf("after a pause of the senders: %v packets in a second", got)
	}
}

// Of one stream with temporal layers a receiver gets as many as its path can carry.
func TestTemporalLayersAreThinned(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "V", addr(1)), m.enter("c", "bob", "v", addr(2))
	frame := uint32(0)
	watch := func(remb float32) (got [3]int) {
		for i := range 5 * 50 {
			p := append([]byte{0x90, 0xe0, byte(frame) & 0x7f, byte(frame / 4), [4]byte{0, 2, 1, 2}[frame%4]<<6 | 0x20, 1}, make([]byte, 194)...)
			if frame%100 == 0 {
				p[5] = 0 // a key frame
			}
			bob.sends(bob.rtp(1000, 96, frame*1800, nil, p)) // 80 kbit/s
			frame++
			if i%10 == 0 {
				alice.control(&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: remb, SSRCs: []uint32{1}})
			}
			m.pass(20 * time.Millisecond)
			media, _ := alice.got()
			for _, p := range media {
				if ssrcOf(p) == alice.leg.slots[0].ssrc && i >= 3*50 {
					d, _ := simulcast.ParseVP8(rtpPayload(p))
					got[d.Temporal]++
				}
			}
		}
		return got
	}
	for _, tt := range []struct {
		remb float32
		want [3]int
	}{{300_000, [3]int{25, 25, 50}}, {60_000, [3]int{25, 25, 0}}, {40_000, [3]int{25, 0, 0}}, {300_000, [3]int{25, 25, 50}}} {
		if got := watch(tt.remb); got != tt.want {
			t.Errorf("at %.0f bit/s: %v packets of each layer in two seconds, wanted %v", tt.remb, got, tt.want)
		}
	}
}
