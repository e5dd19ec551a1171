package processor

import (
	"encoding/binary"
	"testing"
	"time"
)

// A key frame of many packets goes out at the pace of the receiver's path, in its order,
// and audio does not wait behind it.
func TestBurstsAreSpread(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "VA", addr(1)), m.enter("c", "bob", "va", addr(2))
	bob.shows(1000, 0, true)
	bob.sends(bob.rtp(1001, 111, 0, []byte{0x10, 30}, []byte("voice")))
	m.pass(300 * time.Millisecond)
	alice.got()
	alice.leg.pacer.set(800_000, 0) // 125,000 bytes a second
	video, audio := alice.leg.slots[0].ssrc, alice.leg.slots[1].ssrc
	const burst = 30
	for range burst {
		p := picture(1000)
		bob.sends(bob.rtp(1000, 96, 3000, nil, p))
	}
	bob.sends(bob.rtp(1001, 111, 960, []byte{0x10, 30}, []byte("voice")))
	media, _ := alice.got()
	atOnce, heard := 0, false
	var last uint16
	for _, p := range media {
		if ssrcOf(p) == video {
			atOnce, last = atOnce+1, seqOf(p)
		}
		heard = heard || ssrcOf(p) == audio
	}
	if atOnce == 0 || atOnce > 5 || !heard {
		t.Errorf("%d of %d packets went at once, audio: %v", atOnce, burst, heard)
	}
	all, slowest := atOnce, time.Duration(0)
	for begun := m.at; all < burst && m.at.Sub(begun) < time.Second; slowest = m.at.Sub(begun) {
		m.pass(tick)
		media, _ := alice.got()
		n := 0
		for _, p := range media {
			if ssrcOf(p) != video {
				continue
			}
			if n++; seqOf(p) != last+1 || binary.BigEndian.Uint32(p[4:]) == 0 {
				t.Fatalf("packet %d after %d", seqOf(p), last)
			}
			last = seqOf(p)
		}
		if all += n; n > 5 {
			t.Errorf("%d packets in one tick", n)
		}
	}
	if all != burst || slowest < 100*time.Millisecond || slowest > 300*time.Millisecond {
		t.Errorf("%d of %d packets in %v", all, burst, slowest)
	}
	if len(m.paced) != 0 {
		t.Error("the leg is waited for still")
	}
	// What waits for one who leaves is for nobody.
	for range burst {
		bob.sends(bob.rtp(1000, 96, 6000, nil, picture(1000)))
	}
	m.forward()
	alice.leg.on(wasEnded, "")
	delete(m.port.sent, alice.at)
	m.pass(100 * time.Millisecond)
	if n := len(m.port.sent[alice.at]); n > 0 || len(m.paced) != 0 {
		t.Errorf("%d packets to one who has left", n)
	}
}
