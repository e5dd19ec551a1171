package fanout_test

import (
	"math/rand/v2"
	"testing"

	"github.com/callpath/callpath/relay/forward/fanout"
)

// step is a packet and what becomes of it, after do.
type step struct {
	do        func(*fanout.Timeline)
	seq       uint16
	timestamp uint32
	wantSeq   uint16
	wantTime  uint32
	withheld  bool
}

func mute(t *fanout.Timeline)   { t.Mute() }
func unmute(t *fanout.Timeline) { t.Unmute() }
func switched(elapsed uint32) func(*fanout.Timeline) {
	return func(t *fanout.Timeline) { t.Switch(elapsed) }
}

func TestTimeline(t *testing.T) {
	for _, c := range []struct {
		name  string
		begin fanout.Timeline
		steps []step
	}{
		{"begins where it is told to", fanout.NewTimeline(100, 5000), []step{
			{seq: 40000, timestamp: 1 << 31, wantSeq: 100, wantTime: 5000},
			{seq: 40001, timestamp: 1<<31 + 960, wantSeq: 101, wantTime: 5960},
		}},
		{"the zero value", fanout.Timeline{}, []step{
			{seq: 9, timestamp: 9, wantSeq: 1, wantTime: 0},
		}},
		{"loss and order stay as they are", fanout.NewTimeline(0, 0), []step{
			{seq: 10, timestamp: 0, wantSeq: 0, wantTime: 0},
			{seq: 15, timestamp: 500, wantSeq: 5, wantTime: 500},
			{seq: 12, timestamp: 200, wantSeq: 2, wantTime: 200},
			{seq: 16, timestamp: 600, wantSeq: 6, wantTime: 600},
		}},
		{"rollover, at the source and at the receiver", fanout.NewTimeline(0xfffe, 0xffffff00), []step{
			{seq: 0xffff, timestamp: 0, wantSeq: 0xfffe, wantTime: 0xffffff00},
			{seq: 0, timestamp: 0x80, wantSeq: 0xffff, wantTime: 0xffffff80},
			{seq: 1, timestamp: 0x100, wantSeq: 0, wantTime: 0},
			{seq: 0, timestamp: 0x80, wantSeq: 0xffff, wantTime: 0xffffff80},
		}},
		{"what is before the first is withheld", fanout.NewTimeline(0, 0), []step{
			{seq: 10, timestamp: 0, wantSeq: 0, wantTime: 0},
			{seq: 9, timestamp: 0, withheld: true},
		}},
		{"a mute leaves no gap in numbers, but in time", fanout.NewTimeline(0, 0), []step{
			{seq: 10, timestamp: 0, wantSeq: 0, wantTime: 0},
			{do: mute, seq: 11, timestamp: 100, withheld: true},
			{seq: 12, timestamp: 200, withheld: true},
			{do: unmute, seq: 13, timestamp: 300, wantSeq: 1, wantTime: 300},
			{seq: 14, timestamp: 400, wantSeq: 2, wantTime: 400},
			{seq: 12, timestamp: 200, withheld: true}, // from the mute
			{seq: 10, timestamp: 0, withheld: true},
		}},
		{"the first packet after a mute is not one from before it", fanout.NewTimeline(0, 0), []step{
			{seq: 10, timestamp: 0, wantSeq: 0, wantTime: 0},
			{seq: 12, timestamp: 200, wantSeq: 2, wantTime: 200},
			{do: mute, seq: 13, timestamp: 300, withheld: true},
			{do: unmute, seq: 11, timestamp: 100, withheld: true},
			{seq: 13, timestamp: 300, withheld: true},
			{seq: 14, timestamp: 400, wantSeq: 3, wantTime: 400},
		}},
		{"muted from the beginning", fanout.NewTimeline(7, 70), []step{
			{do: mute, seq: 10, timestamp: 0, withheld: true},
			{do: unmute, seq: 11, timestamp: 100, wantSeq: 7, wantTime: 70},
		}},
		{"another source goes on with the next number, after the time that has passed", fanout.NewTimeline(0, 0), []step{
			{seq: 10, timestamp: 1000, wantSeq: 0, wantTime: 0},
			{seq: 11, timestamp: 1960, wantSeq: 1, wantTime: 960},
			{do: switched(1920), seq: 60000, timestamp: 7, wantSeq: 2, wantTime: 2880},
			{seq: 60001, timestamp: 967, wantSeq: 3, wantTime: 3840},
			{seq: 59999, timestamp: 5, withheld: true},
		}},
		{"a switch during a mute", fanout.NewTimeline(0, 0), []step{
			{seq: 10, timestamp: 1000, wantSeq: 0, wantTime: 0},
			{do: mute, seq: 11, timestamp: 1100, withheld: true},
			{do: switched(500), seq: 300, timestamp: 77, withheld: true},
			{do: unmute, seq: 301, timestamp: 87, wantSeq: 1, wantTime: 500},
		}},
		{"a mute between a switch and its first packet", fanout.NewTimeline(0, 0), []step{
			{seq: 10, timestamp: 1000, wantSeq: 0, wantTime: 0},
			{do: func(t *fanout.Timeline) { t.Switch(500); t.Mute(); t.Unmute() },
				seq: 300, timestamp: 77, wantSeq: 1, wantTime: 500},
		}},
		{"a switch before the first packet changes nothing", fanout.NewTimeline(5, 50), []step{
			{do: switched(500), seq: 300, timestamp: 77, wantSeq: 5, wantTime: 50},
		}},
		{"a late packet does not become the one to go on from", fanout.NewTimeline(0, 0), []step{
			{seq: 10, timestamp: 1000, wantSeq: 0, wantTime: 0},
			{seq: 12, timestamp: 1200, wantSeq: 2, wantTime: 200},
			{seq: 11, timestamp: 1100, wantSeq: 1, wantTime: 100},
			{do: switched(10), seq: 90, timestamp: 0, wantSeq: 3, wantTime: 210},
		}},
		{"a long outage", fanout.NewTimeline(0, 0), []step{
			{seq: 0, timestamp: 0, wantSeq: 0, wantTime: 0},
			{seq: 30000, timestamp: 1, wantSeq: 30000, wantTime: 1},
			{seq: 60000, timestamp: 2, wantSeq: 60000, wantTime: 2},
			{seq: 24464, timestamp: 3, wantSeq: 24464, wantTime: 3},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := c.begin
			for i, s := range c.steps {
				if s.do != nil {
					s.do(&line)
				}
				seq, timestamp, ok := line.Map(s.seq, s.timestamp)
				if ok == s.withheld || seq != s.wantSeq || timestamp != s.wantTime {
					t.Fatalf("step %d, %d at %d: got %d at %d, %v; want %d at %d, %v",
						i, s.seq, s.timestamp, seq, timestamp, ok, s.wantSeq, s.wantTime, !s.withheld)
				}
			}
		})
	}
}

// Numbers wrap during a long mute, and more than once in a long stream.
func TestTimelineOverManyRollovers(t *testing.T) {
	line := fanout.NewTimeline(0, 0)
	seq, want := uint16(123), uint16(0)
	next := func() {
		t.Helper()
		got, _, ok := line.Map(seq, 0)
		if !ok || got != want {
			t.Fatalf("packet %d: got %d, %v; want %d", seq, got, ok, want)
		}
		seq++
		want++
	}
	for range 200_000 {
		next()
	}
	line.Mute()
	if !line.Muted() {
		t.Error("not muted")
	}
	for range 100_000 {
		if _, _, ok := line.Map(seq, 0); ok {
			t.Fatal("not withheld")
		}
		seq++
	}
	line.Unmute()
	for range 200_000 {
		next()
	}
}

// Whatever happens, no two packets get the same number, and packets that come in order
// get numbers in order.
func TestTimelineGivesEachNumberOnce(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 8))
		line := fanout.NewTimeline(uint16(r.Uint32()), 0)
		seq := uint16(r.Uint32()) // the source's next
		var late []uint16         // packets on a longer way
		highest := int64(1 << 40) // of the numbers given, unwrapped
		given := map[int64]bool{}
		passed := 0
		deliver := func(seq uint16, inOrder bool) {
			out, _, ok := line.Map(seq, 0)
			if !ok {
				return
			}
			passed++
			number := highest + int64(int16(out-uint16(highest)))
			if len(given) == 0 {
				number = highest&^0xffff | int64(out)
				highest = number - 1
			}
			if given[number] {
				t.Fatalf("seed %d: number %d twice", seed, out)
			}
			if inOrder && number <= highest {
				t.Fatalf("seed %d: number %d after %d", seed, out, uint16(highest))
			}
			given[number] = true
			highest = max(highest, number)
		}
		for range 20_000 {
			switch r.IntN(60) {
			case 0:
				line.Mute()
			case 1, 2, 3:
				line.Unmute()
			case 4:
				line.Switch(r.Uint32N(9000))
				seq, late = uint16(r.Uint32()), nil
			case 5:
				seq += uint16(r.IntN(2000)) // lost
				late = nil
			case 6, 7, 8:
				late = append(late, seq)
				seq++
			case 9, 10:
				for _, l := range late {
					deliver(l, false)
				}
				late = nil
			}
			deliver(seq, true)
			seq++
		}
		if passed < 4_000 {
			t.Errorf("seed %d: only %d packets passed", seed, passed)
		}
	}
}

// Reports speak of the time of packets that were not sent, too; what they say is what a
// packet would have had.
func TestTimelineTime(t *testing.T) {
	line := fanout.NewTimeline(1, 5000)
	want := func(timestamp, want uint32, wantOK bool) {
		t.Helper()
		if got, ok := line.Time(timestamp); got != want || ok != wantOK {
			t.Errorf("%d: got %d, %v; want %d, %v", timestamp, got, ok, want, wantOK)
		}
	}
	want(0, 0, false)
	line.Map(10, 1000)
	want(1960, 5960, true)
	line.Mute()
	want(2920, 6920, true)
	line.Unmute()
	want(2920, 6920, true)
	line.Switch(960)
	want(2920, 0, false)
	line.Map(99, 0xffffff00)
	want(0xffffff00, 5960, true)
	want(0, 6216, true)
}
