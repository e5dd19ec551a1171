package meeting

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"runtime"
	"sync"

	"github.com/callpath/callpath/bench/meeting/full"
	"github.com/callpath/callpath/bench/meeting/light"
	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/signaling"
)

// peer is the media of one participant.
type peer interface {
	Offer() string
	// Connect takes the answer, and returns when media can flow.
	Connect(ctx context.Context, answer string) error
	Times() tally.Times
	// Failed is closed when the peer is over without having been closed; Err says why.
	Failed() <-chan struct{}
	Err() error
	Close() error
}

// crew makes the peers of one kind, and counts what they send and receive.
type crew interface {
	open(ctx context.Context, number int, m light.Media, r relay) (peer, error)
	cut(ctx context.Context) (*tally.Tally, error)
	close() error
}

// newCrew makes the crew of the options' kind, with sockets at an address.
func newCrew(o Options, local netip.Addr) (crew, error) {
	if o.Kind == Full {
		return newPeers(o, local)
	}
	return newEngines(o, local)
}

// relay is the way to a transport relay; empty without one.
type relay struct {
	servers []signaling.ICEServer
	roots   *x509.CertPool
}

// engines are the crew of light peers.
type engines struct {
	all     []*light.Engine
	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

// perEngine is how many peers one thread has.
const perEngine = 500

func newEngines(o Options, local netip.Addr) (crew, error) {
	e := &engines{}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	n := max(1, min((o.MaxParticipants+perEngine-1)/perEngine, runtime.GOMAXPROCS(0)-1))
	for i := range n {
		one, err := light.NewEngine(light.Config{
			Local: local, Bitrate: o.VideoBitrate, Frames: o.Frames, Share: o.GeneratorShare, Seed: o.Seed + uint64(i),
		})
		if err != nil {
			return nil, errors.Join(err, e.close())
		}
		e.all = append(e.all, one)
		e.running.Go(func() {
			if err := one.Run(ctx); err != nil {
				e.mu.Lock()
				e.errs = append(e.errs, err)
				e.mu.Unlock()
			}
		})
	}
	return e, nil
}

func (e *engines) open(ctx context.Context, number int, m light.Media, _ relay) (peer, error) {
	c, err := e.all[number%len(e.all)].Open(ctx, uint32(number), m)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (e *engines) cut(ctx context.Context) (*tally.Tally, error) {
	sum := tally.New()
	for _, one := range e.all {
		cut, err := one.Cut(ctx)
		if err != nil {
			return nil, err
		}
		sum.AddBeside(cut)
	}
	return sum, nil
}

func (e *engines) close() error {
	e.stop()
	e.running.Wait()
	return errors.Join(e.errs...)
}

// peers are the crew of full ones.
type peers struct{ group *full.Group }

func newPeers(o Options, local netip.Addr) (crew, error) {
	g, err := full.NewGroup(full.Config{
		Loopback: local.IsLoopback(), Bitrate: o.VideoBitrate, Frames: o.Frames, Transport: relayed[o.Transport],
	})
	if err != nil {
		return nil, err
	}
	return &peers{g}, nil
}

// relayed are the transports to the relay, by those of the options.
var relayed = map[Transport]string{RelayUDP: "udp", RelayTCP: "tcp", RelayTLS: "tls"}

func (p *peers) open(ctx context.Context, number int, m light.Media, r relay) (peer, error) {
	c, err := p.group.Open(ctx, uint32(number), full.Media(m), r.servers, r.roots)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p *peers) cut(context.Context) (*tally.Tally, error) { return p.group.Cut(), nil }
func (p *peers) close() error                              { return p.group.Close() }
