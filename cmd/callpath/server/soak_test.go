package server_test

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// CALLPATH_SOAK=1000x10m holds so many allocations for so long. Without it the test
// is short, so that every run of the tests has it.
func soak(t *testing.T) (allocations int, hold time.Duration) {
	allocations, hold = 100, 5*time.Second
	if os.Getenv("CI") != "" {
		allocations, hold = 300, 30*time.Second
	}
	if s := os.Getenv("CALLPATH_SOAK"); s != "" {
		n, d, _ := strings.Cut(s, "x")
		var err error
		if allocations, err = strconv.Atoi(n); err == nil {
			hold, err = time.ParseDuration(d)
		}
		if err != nil {
			t.Fatalf("CALLPATH_SOAK=%s, wanted a number and a duration such as 1000x10m: %v", s, err)
		}
	}
	return allocations, hold
}

// Allocations that are held under load: memory and goroutines are flat after the
// rise, and everything is back when they end.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	allocations, hold := soak(t)
	limit := strconv.Itoa(2*allocations + 10)
	p := startProcess(t, "--relay-peers-allow=127.0.0.0/8", "--relay-quota-allocations-per-user="+limit, "--relay-quota-bandwidth-per-user=10Gbit",
		"--relay-limits-requests=100000", "--relay-limits-requests-at-once=100000")
	echo := echoPeer(t)
	user, password := p.credential("alice")
	number := func(metric string) float64 {
		v, err := strconv.ParseFloat(p.metric(metric), 64)
		ok(t, err)
		return v
	}
	// A first round fills what is kept for ever: pools, tables, stacks.
	round := func(during func(sessions []*session)) {
		sessions := make([]*session, allocations)
		for i := range sessions {
			sessions[i] = p.session("udp", user, password)
			sessions[i].mustAllocate()
			if code := codeOf(sessions[i].channel(0x4000, echo)); code != 0 {
				t.Fatalf("channel refused with %d", code)
			}
		}
		during(sessions)
		for _, s := range sessions {
			s.free()
			s.conn.Close()
		}
	}
	round(func(sessions []*session) {
		for _, s := range sessions {
			ok(t, s.ping(0x4000, 1))
		}
	})
	atRest := number("go_goroutines")

	var held []float64  // resident memory
	var alive []float64 // goroutines
	round(func(sessions []*session) {
		end := time.Now().Add(hold)
		var streaming sync.WaitGroup
		for _, s := range sessions {
			streaming.Go(func() {
				for n := uint32(0); time.Now().Before(end); n++ {
					// About every two minutes, of the ten that they last.
					if n%600 == 599 && (codeOf(s.request(stun.MethodRefresh)) != 0 || codeOf(s.channel(0x4000, echo)) != 0) {
						t.Error("allocation or channel not refreshed")
						return
					}
					if err := s.ping(0x4000, n); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(200 * time.Millisecond)
				}
			})
		}
		every := max(hold/50, 100*time.Millisecond)
		for time.Now().Before(end) {
			held = append(held, number("process_resident_memory_bytes"))
			alive = append(alive, number("go_goroutines"))
			time.Sleep(every)
		}
		streaming.Wait()
		if n := number("callpath_relay_allocations"); n != float64(allocations) {
			t.Errorf("%v allocations live, wanted %d", n, allocations)
		}
	})
	const slack = 16 << 20 // of the garbage collector
	half := len(held) / 2
	if early, late := largest(held[:half]), largest(held[half:]); late > 1.2*early+slack {
		t.Errorf("resident memory rose from %.0f to %.0f MB while nothing was added", early/1e6, late/1e6)
	}
	if early, late := largest(alive[:half]), largest(alive[half:]); late > early+10 {
		t.Errorf("goroutines rose from %.0f to %.0f while nothing was added", early, late)
	}
	for _, metric := range []string{"callpath_relay_allocations", "callpath_relay_permissions", "callpath_relay_channels"} {
		if n := number(metric); n != 0 {
			t.Errorf("%s is %v at the end", metric, n)
		}
	}
	back := func() bool { return number("go_goroutines") <= atRest+10 }
	for deadline := time.Now().Add(patience); !back(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v goroutines at the end, %v before", number("go_goroutines"), atRest)
		}
	}
	t.Logf("%d allocations for %v: %.0f MB at most, %.0f goroutines, %v at the end", allocations, hold, largest(held)/1e6, largest(alive), number("go_goroutines"))
}

func largest(all []float64) float64 {
	most := 0.0
	for _, v := range all {
		most = max(most, v)
	}
	return most
}
