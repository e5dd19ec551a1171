//go:build linux

package process_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/bench/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, c process.Config) *process.Process {
	t.Helper()
	p, err := process.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func TestProcessEndsWithItsInput(t *testing.T) {
	ended := make(chan struct{})
	p := start(t, process.Config{
		Command: []string{"sh", "-c", `echo "$GREETING" >&2; cat`}, Environment: []string{"GREETING=good day"},
		Ended: func() { close(ended) },
	})
	if _, err := fmt.Fprintln(p.In, "hello"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(p.Out).ReadString('\n')
	if err != nil || line != "hello\n" {
		t.Fatalf("got %q (%v)", line, err)
	}
	if p.State() != "running" {
		t.Errorf("state %q", p.State())
	}
	p.Stop()
	<-ended
	if p.State() != "exit status 0" || p.Said() != "good day" {
		t.Errorf("ended with %q, said %q", p.State(), p.Said())
	}
}

func TestProcessThatDoesNotEndIsMadeTo(t *testing.T) {
	for _, c := range []struct{ name, script, state string }{
		{"by SIGTERM", `echo ready; exec sleep 1000`, "signal: terminated"},
		{"by SIGKILL", `trap "" TERM; echo ready; exec sleep 1000`, "signal: killed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, process.Config{Command: []string{"sh", "-c", c.script}, Patience: 100 * time.Millisecond})
			// Signals are what the script says from here on.
			if _, err := bufio.NewReader(p.Out).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			p.Stop()
			p.Stop() // again is nothing
			if p.State() != c.state {
				t.Errorf("ended with %q, wanted %q", p.State(), c.state)
			}
		})
	}
}

func TestProcessRunsWhereItIsPut(t *testing.T) {
	cpus := process.CPUs()
	if len(cpus) == 0 {
		t.Fatal("no CPUs")
	}
	last := cpus[len(cpus)-1]
	p := start(t, process.Config{Command: []string{"grep", "Cpus_allowed_list", "/proc/self/status"}, CPUs: []int{last}})
	text, err := io.ReadAll(p.Out)
	if err != nil {
		t.Fatal(err)
	}
	if _, list, _ := strings.Cut(strings.TrimSpace(string(text)), ":\t"); list != fmt.Sprint(last) {
		t.Errorf("runs on %q, wanted %d", list, last)
	}
	if got := process.CPUs(); len(got) != len(cpus) {
		t.Errorf("this process is left with %v of %v", got, cpus)
	}
}

func TestWhatCannotBeStartedIsAnError(t *testing.T) {
	if _, err := process.Start(process.Config{Command: []string{"/no/such/program"}}); err == nil {
		t.Error("started nothing")
	}
	if _, err := process.Start(process.Config{Command: []string{"true"}, CPUs: []int{1000}}); err == nil {
		t.Error("started on no CPU")
	}
}

func TestOnlyTheEndOfWhatWasSaidIsKept(t *testing.T) {
	p := start(t, process.Config{Command: []string{"sh", "-c", "for i in $(seq 3000); do echo line $i >&2; done"}})
	<-p.Ended()
	if said := p.Said(); len(said) > 4096 || !strings.HasSuffix(said, "line 3000") {
		t.Errorf("%d bytes, ending in %q", len(said), said[max(0, len(said)-20):])
	}
}
