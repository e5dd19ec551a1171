package forward

import (
	"testing"
	"time"
)

// A worker lets packets gather when they come fast and it works most of its time, and
// goes on until it has little to do.
func TestPacketsGatherOnlyWhenThereIsMuchToDo(t *testing.T) {
	const fast, slow = 500, 100 // packets in a window of 10 ms
	for _, c := range []struct {
		name   string
		came   int
		waited time.Duration // in the window
		before bool
		want   bool
	}{
		{"much to do", fast, 4 * time.Millisecond, false, true},
		{"half of the time", fast, 5 * time.Millisecond, false, false},
		{"pauses save work", fast, 5 * time.Millisecond, true, true},
		{"little to do", fast, 6 * time.Millisecond, true, false},
		{"few packets that cost much", slow, 0, true, false},
		{"nothing", 0, paceWindow, true, false},
	} {
		began := time.Unix(0, 0)
		p := pace{since: began, hurry: c.before, waited: c.waited}
		p.add(c.came/2, began.Add(paceWindow/2))
		if p.hurry != c.before {
			t.Errorf("%s: changed within a window", c.name)
		}
		p.add(c.came-c.came/2, began.Add(paceWindow))
		if p.hurry != c.want {
			t.Errorf("%s: gathering is %t, wanted %t", c.name, p.hurry, c.want)
		}
		if p.count != 0 || p.waited != 0 {
			t.Errorf("%s: the next window begins with %d packets and %v", c.name, p.count, p.waited)
		}
	}
}

func TestPausesCountAsWaiting(t *testing.T) {
	p := pace{hurry: true}
	if p.gather(plenty); p.waited != 0 {
		t.Errorf("paused for %v though plenty had come", p.waited)
	}
	if p.gather(1); p.waited < pause {
		t.Errorf("paused for %v, wanted at least %v", p.waited, pause)
	}
	p = pace{}
	if p.gather(1); p.waited != 0 {
		t.Errorf("paused for %v without much to do", p.waited)
	}
}

func TestMailboxIsBoundedAndEndsItsCarrier(t *testing.T) {
	var m mailbox
	for i := range relayQueue {
		if taken, start := m.put(&packet{size: i}); !taken || start != (i == 0) {
			t.Fatalf("packet %d: taken %t, start %t", i, taken, start)
		}
	}
	if taken, _ := m.put(&packet{}); taken {
		t.Errorf("took more than %d", relayQueue)
	}
	all := m.take()
	for i, p := range all {
		if p.size != i {
			t.Fatalf("packet %d came as %d", p.size, i)
		}
	}
	if _, start := m.put(&packet{}); start || len(all) != relayQueue {
		t.Errorf("%d packets; a second carrier %t", len(all), start)
	}
	if len(m.take()) != 1 || len(m.take()) != 0 {
		t.Error("what waited is not what was put")
	}
	if taken, start := m.put(&packet{}); !taken || !start {
		t.Error("no new carrier after the last has ended")
	}
	m.close()
	if taken, _ := m.put(&packet{}); taken || len(m.take()) != 0 {
		t.Error("delivered after the end")
	}
}
