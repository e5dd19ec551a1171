//go:build linux

package account

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMachineIsReadFromItsIdleTime(t *testing.T) {
	const stat = `cpu  100 2 300 4000 50 6 7 80 0 0
cpu0 50 1 150 2000 25 3 3 40 0 0
cpu1 50 1 150 2000 25 3 4 40 0 0
intr 12345 0 0
`
	var b Books
	if err := b.machine([]byte(stat)); err != nil {
		t.Fatal(err)
	}
	if b.CPUs != 2 || b.Idle != 40500*time.Millisecond || b.Stolen != 800*time.Millisecond {
		t.Errorf("got %+v", b)
	}
	for _, bad := range []string{"", "cpu 1 2 3", strings.ReplaceAll(stat, "4000", "many")} {
		if err := new(Books).machine([]byte(bad)); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}

func TestSpentIsWhatPassedBetween(t *testing.T) {
	at := time.Unix(100, 0)
	from := Books{At: at, CPUs: 2, Idle: 10 * time.Second, Stolen: time.Second, Processes: []time.Duration{time.Second, 2 * time.Second}}
	to := Books{At: at.Add(10 * time.Second), CPUs: 2, Idle: 22 * time.Second, Stolen: 2 * time.Second, Processes: []time.Duration{3 * time.Second, 5 * time.Second}}
	s := to.Since(from)
	if s.Elapsed != 10*time.Second || s.Machine != 7*time.Second || !slices.Equal(s.Processes, []time.Duration{2 * time.Second, 3 * time.Second}) {
		t.Errorf("got %+v", s)
	}
	if s.Others() != 2*time.Second {
		t.Errorf("others took %v, wanted 2s", s.Others())
	}
	// Idle time comes in hundredths of a second and may run ahead of the clock.
	to.Idle = 40 * time.Second
	if s := to.Since(from); s.Machine != 0 || s.Others() != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestTakeCountsThisProcess(t *testing.T) {
	from, err := Take(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for sum := 0; ; sum++ {
		to, err := Take(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if to.Since(from).Processes[0] > time.Millisecond {
			break
		}
	}
	if memory, err := Resident(os.Getpid()); err != nil || memory < 1<<20 {
		t.Errorf("this process has %d bytes (%v)", memory, err)
	}
}

func TestProcessesThatAreNotThereAreErrors(t *testing.T) {
	const nobody = 1 << 22 // above the system's limit
	if _, err := Take(nobody); err == nil {
		t.Error("took the accounts of nobody")
	}
	if _, err := Resident(nobody); err == nil {
		t.Error("read the memory of nobody")
	}
}
