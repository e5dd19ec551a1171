// Package process runs the benchmark's own child processes: on given CPUs, with a
// pipe in and a pipe out, and so that none outlives the benchmark.
//
// It is not a supervisor: a child that ends is not started again. Start reading at
// Start.
package process

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Config is what to start.
type Config struct {
	// Command is the program and its arguments.
	Command []string
	// Environment is added to this process's own, as NAME=VALUE.
	Environment []string
	// CPUs are those that the process may run on; none means any.
	CPUs []int
	// Within, when not nil, calls what it is given on a thread of which the process
	// inherits, as its network namespace. The thread must outlive the process.
	Within func(func() error) error
	// Patience is how long each way of ending the process is given before the next;
	// 0 means two seconds.
	Patience time.Duration
	// Ended is called once the process has ended, if it was started.
	Ended func()
}

// Process is a child process.
type Process struct {
	// In is its standard input, Out its standard output.
	In  io.WriteCloser
	Out io.ReadCloser

	cmd   *exec.Cmd
	said  *tail
	ended chan struct{}
	// patience is the config's.
	patience time.Duration
	stop     sync.Once
}

// Start starts a process, in a process group of its own, so that an interrupt from
// the terminal reaches the benchmark alone, which then ends its children.
func Start(cfg Config) (*Process, error) {
	cmd := exec.Command(cfg.Command[0], cfg.Command[1:]...)
	cmd.Env = append(cmd.Environ(), cfg.Environment...)
	p := &Process{cmd: cmd, said: &tail{}, ended: make(chan struct{}), patience: cmp.Or(cfg.Patience, 2*time.Second)}
	cmd.Stderr = p.said
	cmd.WaitDelay = time.Second
	var err error
	if p.In, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Command[0], err)
	}
	// A pipe of our own: what was said last can be read when the process has ended.
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Command[0], err)
	}
	p.Out, cmd.Stdout = out, in
	if cfg.Within == nil {
		cfg.Within = func(do func() error) error { return do() }
	}
	err = cfg.Within(func() error { return start(cmd, cfg.CPUs) })
	_ = in.Close() // the child has its own
	if err != nil {
		_ = out.Close()
		return nil, fmt.Errorf("start %s: %w", cfg.Command[0], err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in the state
		if cfg.Ended != nil {
			cfg.Ended()
		}
		close(p.ended)
	}()
	return p, nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// State says how the process ended, "running" before it has.
func (p *Process) State() string {
	select {
	case <-p.ended:
		return p.cmd.ProcessState.String()
	default:
		return "running"
	}
}

// Said is the end of what the process wrote to its standard error.
func (p *Process) Said() string { return p.said.String() }

// Stop ends the process: by the end of its input, if it does not see that by SIGTERM,
// and if that does not help by SIGKILL. It returns when the process has ended.
func (p *Process) Stop() {
	p.stop.Do(func() {
		_ = p.In.Close()
		for _, insist := range []func(){func() {}, func() { terminate(p.cmd.Process) }, func() { _ = p.cmd.Process.Kill() }} {
			insist()
			select {
			case <-p.ended:
			case <-time.After(p.patience):
				continue
			}
			break
		}
		<-p.ended
		_ = p.Out.Close()
	})
}

// tail keeps the end of what is written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - tailSize; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

// String is what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
