package link_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/topology/sim/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type handed struct {
	item int
	at   time.Duration
}

// running runs a schedule inside a bubble of fake time, and returns what was
// handed over, and when.
func running(t *testing.T, use func(*link.Schedule[int])) []handed {
	t.Helper()
	var got []handed
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		s := link.NewSchedule(time.Now, func(i int) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, handed{i, time.Since(begin)})
		})
		stop := make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() { s.Run(stop) })
		use(s)
		time.Sleep(3 * time.Hour) // longer than the longest nap
		close(stop)
		wait.Wait()
	})
	return got
}

func TestScheduleHandsOverInTheOrderOfTime(t *testing.T) {
	delays := rand.New(rand.NewPCG(1, 1)).Perm(500)
	got := running(t, func(s *link.Schedule[int]) {
		now := time.Now()
		for _, d := range delays {
			s.Add(now.Add(time.Duration(d)*time.Millisecond), d)
		}
	})
	if len(got) != len(delays) {
		t.Fatalf("%d of %d items", len(got), len(delays))
	}
	for k, h := range got {
		if want := time.Duration(k) * time.Millisecond; h.item != k || h.at != want {
			t.Errorf("item %d at %v, want %d at %v", h.item, h.at, k, want)
		}
	}
}

func TestScheduleKeepsTheOrderOfEqualTimes(t *testing.T) {
	got := running(t, func(s *link.Schedule[int]) {
		at := time.Now().Add(time.Second)
		for k := range 100 {
			s.Add(at, k)
		}
	})
	if !slices.IsSortedFunc(got, func(a, b handed) int { return a.item - b.item }) || len(got) != 100 {
		t.Errorf("order %v", got)
	}
}

func TestScheduleWakesForAnEarlierItem(t *testing.T) {
	got := running(t, func(s *link.Schedule[int]) {
		s.Add(time.Now().Add(2*time.Hour), 2)
		time.Sleep(time.Minute)
		s.Add(time.Now().Add(time.Minute), 1)
		s.Add(time.Now().Add(-time.Minute), 0) // is late already
	})
	want := []handed{{0, time.Minute}, {1, 2 * time.Minute}, {2, 2 * time.Hour}}
	if !slices.Equal(got, want) {
		t.Errorf("handed over %v, want %v", got, want)
	}
}

func TestScheduleForgetsWhatIsHeldWhenItStops(t *testing.T) {
	got := running(t, func(s *link.Schedule[int]) { s.Add(time.Now().Add(100*time.Hour), 1) })
	if len(got) != 0 {
		t.Errorf("handed over %v", got)
	}
}
