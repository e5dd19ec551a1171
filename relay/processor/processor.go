package processor

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"sync"
	"sync/atomic"

	"github.com/callpath/callpath/relay/processor/description"
)

// Processor is a media processor. Its methods may be called from any goroutine.
type Processor struct {
	cfg         Config
	fingerprint description.Fingerprint
	workers     []*worker
	herald      *herald
	conferences atomic.Int64
	ran         atomic.Bool
}

// New checks cfg and makes a Processor, which does nothing before Run. Run closes the
// sockets; after an error some of them may be closed already, and the caller closes all.
func New(cfg Config) (*Processor, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	p := &Processor{
		cfg:         cfg,
		fingerprint: description.FingerprintOf("sha-256", cfg.Certificate.Certificate[0]),
		herald:      newHerald(cfg),
	}
	var ports []port
	for i, conn := range cfg.Sockets {
		one, err := newPort(conn)
		if err != nil {
			for _, made := range ports {
				_ = made.Close()
			}
			return nil, fmt.Errorf("socket %d: %w", i, err)
		}
		ports = append(ports, one)
	}
	for _, pair := range pairs(cfg.Sockets) {
		public := cfg.Public
		if len(cfg.Sockets) > 1 {
			public = nil
			for _, i := range pair {
				public = append(public, cfg.Public[i])
			}
		}
		socket := ports[pair[0]]
		if len(pair) > 1 {
			socket = newSeveral(ports[pair[0]], ports[pair[1]])
		}
		p.workers = append(p.workers, newWorker(p, socket, public))
	}
	return p, nil
}

// pairs puts sockets together that serve the same conferences, by index: the first of
// IPv4 with the first of IPv6, and so on.
func pairs(sockets []net.PacketConn) (all [][]int) {
	var v4, v6 []int
	for i, s := range sockets {
		if at, err := addrPort(s.LocalAddr()); err == nil && at.Addr().Is4() {
			v4 = append(v4, i)
		} else {
			v6 = append(v6, i)
		}
	}
	for k := range max(len(v4), len(v6)) {
		var pair []int
		if k < len(v4) {
			pair = append(pair, v4[k])
		}
		if k < len(v6) {
			pair = append(pair, v6[k])
		}
		all = append(all, pair)
	}
	return all
}

// Run works until ctx ends. It then closes the sockets, tells clients goodbye, and waits
// for every goroutine. It is called once.
func (p *Processor) Run(ctx context.Context) error {
	if p.ran.Swap(true) {
		return errors.New("the media processor runs, or has run, already")
	}
	var workers, herald sync.WaitGroup
	telling, told := context.WithCancel(context.Background())
	herald.Go(func() { p.herald.run(telling) })
	for _, w := range p.workers {
		workers.Go(func() { w.run(ctx) })
	}
	workers.Wait()
	told()
	herald.Wait()
	var all []error
	for _, w := range p.workers {
		if err := w.port.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// home is the worker of a conference, always the same.
func (p *Processor) home(conference string) *worker {
	h := fnv.New32a()
	_, _ = h.Write([]byte(conference))
	return p.workers[int(h.Sum32()%uint32(len(p.workers)))]
}

// admit counts one more conference, if there may be.
func (p *Processor) admit() bool {
	if p.conferences.Add(1) > int64(p.cfg.Limits.Conferences) {
		p.conferences.Add(-1)
		return false
	}
	return true
}

func (p *Processor) dismiss() { p.conferences.Add(-1) }

func errConferences(most int) error {
	return fmt.Errorf("%w: there are %d conferences", ErrFull, most)
}

// Join answers a participant's offer. For a participant who is present the offer is a new
// one: with other ICE credentials it is an ICE restart, and its media replace those of
// the former; of another session it replaces the former leg. The error says what is
// wrong with the offer, or wraps ErrFull or ErrClosed.
//
// It may be called before Run, and then waits for it.
func (p *Processor) Join(ctx context.Context, join Join) (answer string, err error) {
	if join.Conference == "" || join.Participant == "" {
		return "", fmt.Errorf("conference %q, participant %q: both must have a name", join.Conference, join.Participant)
	}
	offer, err := description.Parse(join.Offer, p.cfg.Limits.Media, join.Latching)
	if err != nil {
		return "", err
	}
	w := p.home(join.Conference)
	if doErr := w.do(ctx, func() { answer, err = w.join(join, offer) }); doErr != nil {
		return "", doErr
	}
	return answer, err
}

// Leave takes a participant away, if it is there. When it returns, nothing is sent to it any
// more, and nothing that comes from it is passed on; what came before may wait in others'
// pacers for a fifth of a second, and be sent again to who has lost it.
func (p *Processor) Leave(conference, participant string) {
	w := p.home(conference)
	_ = w.do(context.Background(), func() {
		if c := w.conferences[conference]; c != nil {
			if l := c.find(participant); l != nil {
				l.on(wasEnded, "")
			}
		}
	})
}

// End takes all of a conference's participants away.
func (p *Processor) End(conference string) {
	w := p.home(conference)
	_ = w.do(context.Background(), func() {
		if c := w.conferences[conference]; c != nil {
			w.endConference(c, "the conference was ended")
		}
	})
}

// Stats returns the figures of all sockets. It waits for Run to begin, and works after
// its end too.
func (p *Processor) Stats() Stats {
	all := Stats{Drops: make(map[Drop]uint64)}
	for _, w := range p.workers {
		var s Stats
		if w.do(context.Background(), func() { s = w.snapshot() }) != nil {
			<-w.ended
			s = w.snapshot()
		}
		all.add(s)
	}
	return all
}
