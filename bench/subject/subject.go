// Package subject has what the benchmark measures: relays, and bare forwarders as
// the floor below which no relay of the same kind can come. Each runs as a process
// of its own, so that the system counts its time apart.
//
// Those that are built in are this program again, with a hidden command (Serve);
// coturn is its own program. Start reading at Subject and All.
package subject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/bench/process"
)

// Realm is the authentication realm of every relay that is measured.
const Realm = "bench.callpath.test"

// Place is where a subject runs.
type Place struct {
	// Self is the command that is this program, to which a built-in subject adds
	// "bench-subject NAME".
	Self        []string
	Environment []string
	// Server is where clients reach the subject. Relayed addresses are on the same
	// IP address.
	Server netip.AddrPort
	Secret []byte
	// CPUs are those that the subject may use; none means any.
	CPUs []int
	// Within is that of process.Config: where the subject's network is.
	Within func(func() error) error
}

// Subject is one thing to measure.
type Subject interface {
	Name() string
	// Summary says in a few words what it is, with its version where that is known.
	Summary() string
	Scheme() loader.Scheme
	// Available returns nil when the subject can run on this machine.
	Available() error
	// Start starts it and waits until it serves.
	Start(ctx context.Context, at Place) (*process.Process, error)
}

// All is every subject, ours first.
func All() []Subject {
	var all []Subject
	for _, b := range builtins {
		all = append(all, b)
	}
	return append(all, coturn{})
}

// Named finds subjects by name.
func Named(names ...string) ([]Subject, error) {
	var found []Subject
	for _, name := range names {
		i := slices.IndexFunc(All(), func(s Subject) bool { return s.Name() == name })
		if i < 0 {
			var valid []string
			for _, s := range All() {
				valid = append(valid, s.Name())
			}
			return nil, fmt.Errorf("no subject %q; valid: %s", name, strings.Join(valid, ", "))
		}
		found = append(found, All()[i])
	}
	return found, nil
}

// settings are what a built-in subject is told, on its standard input.
type settings struct {
	Server netip.AddrPort `json:"server"`
	Secret []byte         `json:"secret"`
}

// ready is what it says when it serves, or why it cannot.
type ready struct {
	Error string `json:"error,omitempty"`
}

// builtin is a subject within this program.
type builtin struct {
	name, summary string
	scheme        loader.Scheme
	// open begins to serve, in goroutines of its own, until what it returns is
	// closed.
	open func(settings) (io.Closer, error)
	// available, when not nil, is Available.
	available func() error
}

// Name implements Subject.
func (b builtin) Name() string { return b.name }

// Summary implements Subject.
func (b builtin) Summary() string { return b.summary }

// Scheme implements Subject.
func (b builtin) Scheme() loader.Scheme { return b.scheme }

// Available implements Subject.
func (b builtin) Available() error {
	if b.available == nil {
		return nil
	}
	return b.available()
}

// Start implements Subject.
func (b builtin) Start(ctx context.Context, at Place) (*process.Process, error) {
	p, err := process.Start(process.Config{
		Command: append(slices.Clone(at.Self), "bench-subject", b.name), Environment: at.Environment, CPUs: at.CPUs, Within: at.Within,
	})
	if err != nil {
		return nil, err
	}
	// A process that does not answer is stopped, which ends the reading.
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	defer context.AfterFunc(ctx, p.Stop)()
	var answer ready
	err = json.NewEncoder(p.In).Encode(settings{at.Server, at.Secret})
	if err == nil {
		err = json.NewDecoder(p.Out).Decode(&answer)
	}
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("start %s: %w (%s) %s", b.name, err, p.State(), p.Said())
	}
	return p, nil
}

// startTime bounds the start of a subject.
const startTime = 10 * time.Second

// Serve is the process of the built-in subject of a name. It reads its settings from
// in, answers on out, and ends when in does or ctx is done.
func Serve(ctx context.Context, name string, in io.Reader, out io.Writer) error {
	i := slices.IndexFunc(builtins, func(b builtin) bool { return b.name == name })
	if i < 0 {
		return fmt.Errorf("no built-in subject %q", name)
	}
	var s settings
	orders := json.NewDecoder(in)
	if err := orders.Decode(&s); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	served, err := builtins[i].open(s)
	if err != nil {
		return errors.Join(err, json.NewEncoder(out).Encode(ready{err.Error()}))
	}
	if err := json.NewEncoder(out).Encode(ready{}); err != nil {
		return errors.Join(err, served.Close())
	}
	ended := make(chan struct{})
	go func() {
		// Ends with the process at the latest, when ctx is done first.
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return served.Close()
}
