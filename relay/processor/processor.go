package processor

import (
	"context"
	"errors"
)

// Processor is a media processor. Its methods may be called from any goroutine.
type Processor struct {
	cfg Config
}

// New checks cfg and makes a Processor, which does nothing before Run.
func New(cfg Config) (*Processor, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Processor{cfg: cfg}, nil
}

// Run works until ctx ends. It then closes the sockets and waits for every goroutine.
// It is called once.
func (p *Processor) Run(ctx context.Context) error { return errors.New("not built yet") }

// Join answers a participant's offer. For a participant who is present the offer is a new
// one: with other ICE credentials it is an ICE restart, and its media replace those of
// the former; of another session it replaces the former leg. The error says what is
// wrong with the offer, or wraps ErrFull or ErrClosed.
func (p *Processor) Join(ctx context.Context, join Join) (answer string, err error) {
	return "", errors.New("not built yet")
}

// Leave takes a participant away, if it is there. When it returns, no media of it or
// for it is passed on any more.
func (p *Processor) Leave(conference, participant string) {}

// End takes all of a conference's participants away.
func (p *Processor) End(conference string) {}

// Stats returns the figures of all sockets.
func (p *Processor) Stats() Stats { return Stats{} }
