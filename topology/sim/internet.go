package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/host"
	"github.com/callpath/callpath/topology/sim/link"
)

// Config says what to run.
type Config struct {
	// Network is the topology, complete (see topology.Network.Complete). The
	// Internet works on a copy.
	Network *topology.Network
	// Seed makes a run repeatable: losses, delays and port choices come from it.
	Seed uint64
	// Observer is told about packets; nil is allowed.
	Observer Observer
	// Log is for what goes wrong; nil is silent.
	Log *slog.Logger
}

// Internet is a running network. Its methods are safe for concurrent use.
type Internet struct {
	seeding  uint64
	observer Observer // nil when nobody looks
	log      *slog.Logger
	now      func() time.Time

	// The places. None of these maps changes after New.
	core          *router
	edges         map[string]*edge   // by site
	subnets       map[string]*subnet // by "site/subnet"
	ports         map[string]*port   // by host
	concentrators map[string]*concentrator

	schedules []*link.Schedule[task]
	pipes     int // how many there are; for New and Move
	stop      chan struct{}
	running   sync.WaitGroup // the schedules

	services context.Context // ends with the network; the servers run under it
	endAll   context.CancelFunc
	probes   sync.WaitGroup // STUN servers

	mu      sync.Mutex // makes changes one after the other
	network *topology.Network
	names   struct {
		end     context.CancelFunc
		servers sync.WaitGroup
	} // the DNS servers; Move replaces them
	closed bool

	closing  sync.Once
	closeErr error
}

// New starts the network: its links, routers, hosts and their servers. Close stops
// it.
func New(cfg Config) (*Internet, error) {
	if cfg.Network == nil {
		return nil, errors.New("no network to run")
	}
	i := &Internet{
		seeding:       cfg.Seed,
		observer:      cfg.Observer,
		log:           cfg.Log,
		now:           time.Now,
		edges:         make(map[string]*edge),
		subnets:       make(map[string]*subnet),
		ports:         make(map[string]*port),
		concentrators: make(map[string]*concentrator),
		stop:          make(chan struct{}),
		network:       cfg.Network.Clone(),
	}
	if i.log == nil {
		i.log = slog.New(slog.DiscardHandler)
	}
	i.services, i.endAll = context.WithCancel(context.Background())
	// Each schedule is a goroutine on which packets come out of links, and run
	// through the receiving host's stack.
	for range min(runtime.GOMAXPROCS(0), 4) {
		i.schedules = append(i.schedules, link.NewSchedule(i.now, func(t task) { t.run(t.f) }))
	}
	if err := i.build(); err != nil {
		i.endAll()
		return nil, err
	}
	for _, s := range i.schedules {
		i.running.Go(func() { s.Run(i.stop) })
	}
	if err := i.start(); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// seed derives a seed from the run's for something that has a name.
func (i *Internet) seed(name string) uint64 {
	h := fnv.New64a()
	var s [8]byte
	binary.BigEndian.PutUint64(s[:], i.seeding)
	h.Write(s[:])
	h.Write([]byte(name))
	return h.Sum64()
}

// Host returns a running host, or nil when the network has none of that name.
func (i *Internet) Host(name string) *host.Host {
	if p := i.ports[name]; p != nil {
		return p.host.Load()
	}
	return nil
}

// Network returns a copy of the topology as it stands now.
func (i *Internet) Network() *topology.Network {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.network.Clone()
}

// Close stops the hosts and links, and waits until nothing runs. Packets that are
// still under way are forgotten. Calling it again does nothing.
func (i *Internet) Close() error {
	i.closing.Do(func() { i.closeErr = i.close() })
	return i.closeErr
}

func (i *Internet) close() error {
	i.mu.Lock()
	i.closed = true // no change begins any more
	i.mu.Unlock()
	i.endAll()
	var errs []error
	for name, p := range i.ports {
		if h := p.host.Load(); h != nil {
			if err := h.Close(); err != nil {
				errs = append(errs, fmt.Errorf("host %s: %w", name, err))
			}
		}
	}
	i.probes.Wait()
	i.names.servers.Wait()
	close(i.stop)
	i.running.Wait()
	return errors.Join(errs...)
}
