package participant

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/signaling"
)

// relayPatience is how long an invite or an answer waits for an allocation on the
// relay, so that its candidates begin with a usable set. Later ones trickle.
const relayPatience = 2 * time.Second

// outbox holds gathered candidates until they may be sent: what belongs to a
// description goes with it, or after it.
type outbox struct {
	mu      sync.Mutex
	queue   []signaling.Candidate
	relay   string // the name of the relay that was asked; empty for none
	relayed bool   // a relay candidate has come, at any time in the call
	enough  chan struct{}
	open    bool
	wake    chan struct{}
	stop    context.CancelFunc
	sending sync.WaitGroup
}

func newOutbox() *outbox {
	return &outbox{enough: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// gathering begins a generation of candidates: those of the last one are dropped,
// and sending stops until release. relay is the relay's name.
func (o *outbox) gathering(relay string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue, o.open, o.relay = nil, false, relay
	o.enough = make(chan struct{})
}

// add takes a candidate; allocated is true for the call's first from the relay.
func (o *outbox) add(c signaling.Candidate) (allocated bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, c)
	relay := strings.Contains(c.Candidate, " typ relay")
	allocated = relay && !o.relayed
	o.relayed = o.relayed || relay
	if relay || c.Candidate == "" {
		select {
		case <-o.enough:
		default:
			close(o.enough)
		}
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return allocated
}

func (o *outbox) relayName() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.relay
}

// take returns what has been gathered, once there is a candidate from the relay,
// or none will come, or patience is over.
func (o *outbox) take(ctx context.Context) ([]signaling.Candidate, error) {
	o.mu.Lock()
	enough, relay := o.enough, o.relay
	o.mu.Unlock()
	if relay != "" {
		timer := time.NewTimer(relayPatience)
		defer timer.Stop()
		select {
		case <-enough:
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return o.drain(), nil
}

func (o *outbox) drain() []signaling.Candidate {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.queue
	o.queue = nil
	return out
}

// release sends what is gathered from now on, in batches: what comes while one is
// under way makes the next.
func (o *outbox) release(send func(context.Context, []signaling.Candidate)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = true
	select {
	case o.wake <- struct{}{}:
	default:
	}
	if o.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	o.sending.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-o.wake:
			}
			o.mu.Lock()
			var batch []signaling.Candidate
			if o.open {
				batch, o.queue = o.queue, nil
			}
			o.mu.Unlock()
			if len(batch) > 0 {
				send(ctx, batch)
			}
		}
	})
}

func (o *outbox) close() {
	o.mu.Lock()
	stop := o.stop
	if stop == nil {
		o.stop = func() {} // release starts nothing any more
	}
	o.mu.Unlock()
	if stop != nil {
		stop()
	}
	o.sending.Wait()
}

// inbox holds the other side's candidates while its description is not applied:
// before the first, and while a re-offer of this side waits for its answer. It is
// safe for concurrent use.
type inbox struct {
	mu      sync.Mutex
	open    endpoint.Endpoint // nil while candidates have to wait
	waiting []signaling.Candidate
}

// add passes candidates on, or keeps them.
func (i *inbox) add(candidates ...signaling.Candidate) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.open == nil {
		i.waiting = append(i.waiting, candidates...)
		return nil
	}
	return pass(i.open, candidates)
}

// release passes on what waited, and from now on whatever comes.
func (i *inbox) release(e endpoint.Endpoint) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open = e
	waiting := i.waiting
	i.waiting = nil
	return pass(e, waiting)
}

// hold keeps what comes from now on.
func (i *inbox) hold() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open = nil
}

// pass gives every candidate to the stack, whatever it says to the others.
func pass(e endpoint.Endpoint, candidates []signaling.Candidate) error {
	var errs []error
	for _, c := range candidates {
		errs = append(errs, e.Add(c))
	}
	return errors.Join(errs...)
}

// candidateAddress is the address and port of a candidate line.
func candidateAddress(line string) string {
	f := strings.Fields(line)
	if len(f) < 6 {
		return line
	}
	return f[4] + " port " + f[5]
}
