package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/bench/generator"
	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/process"
	"github.com/callpath/callpath/bench/subject"
)

// peakSetting has TestPeak measure: subjects with commas between them, and after a colon
// how many rounds. Both may be empty. Ratios are to the last subject's.
const peakSetting = "CALLPATH_PEAK"

// peakShort is the part of the frames due from which on the generator is the limit.
const peakShort = 0.02

// TestPeak looks for the most packets per second of each subject, with a generator that
// is not a process with sockets and so can send more than any of them carries.
//
// The relay's host receives on the CPU of the relay, the others send and receive on the
// other: a card's interrupts, so to speak, go where the relay is. All is the same for
// each subject.
func TestPeak(t *testing.T) {
	setting, measure := os.LookupEnv(peakSetting)
	names, rounds, _ := strings.Cut(setting, ":")
	cpus := process.CPUs()
	p := peakTest{load: load.Load{Name: "peak", Flows: 50}, duration: 200 * time.Millisecond, from: 40_000, to: 4_000_000, tries: 14}
	subjects, err := subject.Named("callpath-kernel", "callpath", "pion-v5", "coturn")
	n := 3
	p.measure = measure
	if measure {
		if names != "" {
			subjects, err = subject.Named(strings.Split(names, ",")...)
		}
		if rounds != "" && err == nil {
			n, err = strconv.Atoi(rounds)
		}
		if n < 1 && err == nil {
			err = fmt.Errorf("%s: %d rounds; valid: 1 or more", peakSetting, n)
		}
	} else {
		// That it works, and no more.
		subjects, err = subject.Named("callpath-kernel")
		n, p.load.Flows, p.duration = 1, 5, 20*time.Millisecond
	}
	if err != nil {
		t.Fatal(err)
	}
	subjects = slices.DeleteFunc(subjects, func(s subject.Subject) bool {
		err := s.Available()
		if err != nil {
			t.Logf("%s: %v", s.Name(), err)
		}
		return err != nil
	})
	if len(subjects) == 0 {
		t.Skip("no subject can run here")
	}
	if len(cpus) < 2 {
		t.Skip("needs two CPUs, one for the relay")
	}
	if p.network, err = newNetwork(); err != nil {
		absent(t, err)
		t.Fatal(err)
	}
	defer p.network.close()
	p.relayCPU, p.otherCPU = cpus[0], cpus[1]
	if err := errors.Join(p.network.clients.Do(mountSysfs), p.network.peers.Do(mountSysfs)); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.options = Options{Self: []string{self}, Environment: []string{"CALLPATH_BENCH_TEST_CHILD=1", "GORACE=atexit_sleep_ms=0"}}

	found := make(map[string][]float64)
	for _, direction := range []load.Direction{load.Up, load.Down} {
		p.direction = direction
		for round := range n {
			for _, s := range p.all(subjects) {
				f, err := p.look(t.Context(), s)
				if err != nil {
					absent(t, err)
					t.Fatalf("%s, %s: %v", direction, name(s), err)
				}
				if !measure {
					continue
				}
				if f.Rate == 0 {
					t.Errorf("%s, %s: carried nothing", direction, name(s))
				}
				t.Logf("%-4s round %d  %-16s %9.0f packets/s, limit %s", direction, round+1, name(s), f.Rate, f.Limit)
				of := string(direction) + " " + name(s)
				found[of] = append(found[of], f.Rate)
			}
		}
		if !measure {
			continue
		}
		last := name(subjects[len(subjects)-1])
		for _, s := range p.all(subjects) {
			rate, against := median(found[string(direction)+" "+name(s)]), median(found[string(direction)+" "+last])
			t.Logf("%-4s median   %-16s %9.0f packets/s, %.2f of %s's", direction, name(s), rate, rate/against, last)
		}
	}
}

// all is the subjects and, from the clients to the peers, the way without a relay, nil:
// what the generator and its sink do themselves.
func (p *peakTest) all(subjects []subject.Subject) []subject.Subject {
	if p.direction == load.Up {
		return append([]subject.Subject{nil}, subjects...)
	}
	return subjects
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

// absent skips a test on a system that does not let it work: without root's rights, or
// without what the generator needs of the kernel.
func absent(t *testing.T, err error) {
	for _, reason := range []error{unix.EPERM, ebpf.ErrNotSupported} {
		if errors.Is(err, reason) {
			t.Skipf("needs root, and Linux 6.6 or later: %v", err)
		}
	}
}

// peakTest is what TestPeak measures with.
type peakTest struct {
	measure            bool
	options            Options
	network            *network
	load               load.Load
	direction          load.Direction
	relayCPU, otherCPU int
	duration           time.Duration
	from, to           float64
	tries              int
}

// look makes the flows of a subject by TURN, has the generator take them over, and
// searches.
func (p *peakTest) look(ctx context.Context, s subject.Subject) (found, error) {
	l := p.load
	l.Streams = []load.Stream{{Payload: 160, Rate: 1000, Direction: p.direction}}
	run, err := p.options.open(ctx, newPlace([]int{p.relayCPU}, []int{p.otherCPU}).in(p.network), s, l)
	if err != nil {
		return found{}, err
	}
	defer run.close()
	if s != nil {
		if err := generator.Urge(run.server.PID()); err != nil {
			return found{}, err
		}
	}
	cfg := generator.Config{
		From: generator.Place{Namespace: p.network.clients, Interface: "relay"},
		To:   generator.Place{Namespace: p.network.peers, Interface: "relay"}, CPU: p.otherCPU,
	}
	server, wanted := relayHost, p.load.Flows
	if s == nil {
		wanted = 1 // to the sink, clients with the same port are one
		cfg.From.Interface, cfg.To.Interface, server = "peers", "clients", peerHost
	}
	if p.direction == load.Down {
		cfg.From, cfg.To, cfg.AtClients = cfg.To, cfg.From, true
	}
	if cfg.Frames, err = p.capture(ctx, run, cfg.From, server); err != nil {
		return found{}, err
	}
	receivers := []struct {
		at  generator.Place
		cpu int
	}{
		{generator.Place{Namespace: p.network.relay, Interface: "clients"}, p.relayCPU},
		{generator.Place{Namespace: p.network.relay, Interface: "peers"}, p.relayCPU},
		{cfg.To, p.otherCPU},
	}
	for _, r := range receivers {
		if err := r.at.Do(func() error { return generator.Receive(r.at.Interface, r.cpu) }); err != nil {
			return found{}, err
		}
	}
	g, err := generator.Open(cfg)
	if err != nil {
		return found{}, err
	}
	defer g.Close()
	if !p.measure {
		return found{}, p.works(g, wanted)
	}
	return search{from: p.from, to: p.to, tries: p.tries, close: peakClose}.run(func(rate float64) (outcome, error) {
		return p.try(g, wanted, rate)
	})
}

// works waits until something of the wanted flows has arrived.
func (p *peakTest) works(g *generator.Generator, wanted int) error {
	for deadline := time.Now().Add(answerTime); ; {
		r, err := g.Send(1000, p.duration)
		if err != nil || r.Flows >= wanted {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("something of %d flows has arrived; wanted %d", r.Flows, wanted)
		}
	}
}

// peakHeld is how often a rate is tried that the generator does not reach, for which on a
// busy machine others are the reason.
const peakHeld = 6

// try sends at a rate, of which something of the wanted flows has to arrive. One stall of
// a shared machine is neither the relay's limit nor the generator's.
func (p *peakTest) try(g *generator.Generator, wanted int, rate float64) (outcome, error) {
	var losses, helds int
	for {
		r, err := g.Send(rate, p.duration)
		if err != nil {
			return lost, err
		}
		switch {
		case r.Loss() > peakLoss:
			if losses++; losses > peakAgain {
				return lost, nil
			}
		case r.Short() > peakShort:
			if helds++; helds == peakHeld {
				return held, nil
			}
		case r.Flows < wanted:
			return lost, fmt.Errorf("something of %d flows has arrived; wanted %d", r.Flows, wanted)
		default:
			return carried, nil
		}
	}
}

// capture has the loader send a few packets of each flow.
func (p *peakTest) capture(ctx context.Context, run *session, from generator.Place, server netip.Addr) ([]generator.Frame, error) {
	var c *generator.Capture
	err := from.Do(func() (err error) {
		c, err = generator.NewCapture(from.Interface)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := run.step(ctx, (&runner{}).step(40*float64(p.load.Flows), 100*time.Millisecond)); err != nil {
		return nil, err
	}
	return c.Frames(server, p.load.Flows, time.Now().Add(answerTime))
}
