package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/callpath/callpath/bench/process"
)

// Host is a server that runs in a process of its own. Its methods may be called from any
// goroutine.
type Host struct {
	Ready
	process *process.Process

	mu      sync.Mutex // guards the talk
	orders  *json.Encoder
	answers *json.Decoder
}

// startTime bounds the start, answerTime each answer.
const (
	startTime  = 30 * time.Second
	answerTime = 30 * time.Second
)

// Start starts a server; command is the program that calls Serve.
func Start(ctx context.Context, command, environment []string, cfg Config) (*Host, error) {
	p, err := process.Start(process.Config{Command: command, Environment: environment})
	if err != nil {
		return nil, err
	}
	h := &Host{process: p, orders: json.NewEncoder(p.In), answers: json.NewDecoder(p.Out)}
	a, err := h.ask(ctx, startTime, cfg)
	if err == nil && a.Ready == nil {
		err = errors.New("it is not ready")
	}
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("start the server: %w (%s) %s", err, p.State(), p.Said())
	}
	h.Ready = *a.Ready
	return h, nil
}

// ask says something to the process and reads its answer. One that does not answer is
// stopped, which ends the reading.
func (h *Host) ask(ctx context.Context, within time.Duration, order any) (answer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	defer context.AfterFunc(ctx, h.process.Stop)()
	var a answer
	err := h.orders.Encode(order)
	if err == nil {
		err = h.answers.Decode(&a)
	}
	switch {
	case errors.Is(err, io.EOF):
		return a, fmt.Errorf("the server has ended (%s) %s", h.process.State(), h.process.Said())
	case err != nil:
		return a, fmt.Errorf("the server: %w", err)
	case a.Error != "":
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Stats asks for the server's figures.
func (h *Host) Stats(ctx context.Context) (Stats, error) {
	a, err := h.ask(ctx, answerTime, order{Stats: true})
	if err != nil {
		return Stats{}, err
	}
	if a.Stats == nil {
		return Stats{}, errors.New("the server's answer has no figures")
	}
	return *a.Stats, nil
}

// PID is the process's number.
func (h *Host) PID() int { return h.process.PID() }

// Ended is closed when the process has ended.
func (h *Host) Ended() <-chan struct{} { return h.process.Ended() }

// Stop ends the process, and waits for that.
func (h *Host) Stop() { h.process.Stop() }
