package kernel

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

//go:embed bpf/relay.o
var object []byte

const (
	maxMeters = 1 << 14
	// leaseTime is how long the program forwards without a word from this process,
	// and tick how often there is one.
	leaseTime = 2 * time.Second
	tick      = 250 * time.Millisecond
	// routesAtOnce bounds how many routes are asked for at a tick after a change,
	// and routesInTurn how many when nothing has changed.
	routesAtOnce, routesInTurn = 1000, 16
)

// Path is the way through the kernel. Its methods are safe for concurrent use.
type Path struct {
	clock
	log        *slog.Logger
	collection *ebpf.Collection
	legs       *ebpf.Map
	counts     *array[count]
	meters     *array[meter]
	lease      *array[lease]
	links      []link.Link
	interfaces []string

	stop    chan struct{}
	running sync.WaitGroup
	once    sync.Once

	// mu guards the tables and what is known of routes.
	mu     sync.Mutex
	closed bool
	routes *routes
	flows  []*Flow
	// turn is the flow whose routes are asked for next, stale how many have to be.
	turn, stale int
}

// Open loads the program and attaches it. The error says what is missing: rights
// (CAP_BPF and CAP_NET_ADMIN), Linux 6.6, or an interface.
func Open(cfg Config) (_ *Path, err error) {
	if cfg.Channels < 0 {
		return nil, fmt.Errorf("kernel path: channels is %d; valid: 1 or more, or 0 for %d", cfg.Channels, defaultChannels)
	}
	if cfg.Channels == 0 {
		cfg.Channels = defaultChannels
	}
	p := &Path{log: cfg.Log, stop: make(chan struct{})}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			p.release()
			err = fmt.Errorf("kernel path: %w", err)
		}
	}()
	if p.clock, err = newClock(); err != nil {
		return nil, err
	}
	if p.routes, err = newRoutes(); err != nil {
		return nil, err
	}
	if err := p.load(cfg.Channels); err != nil {
		return nil, err
	}
	p.prolong()
	if err := p.attach(cfg.Interfaces); err != nil {
		return nil, err
	}
	p.running.Go(p.run)
	return p, nil
}

// load makes the tables and loads the program.
func (p *Path) load(channels int) error {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return fmt.Errorf("program: %w", err)
	}
	spec.Maps["legs"].MaxEntries = uint32(2 * channels)
	spec.Maps["counts"].MaxEntries = uint32(2*channels + 1)
	spec.Maps["meters"].MaxEntries = maxMeters
	if p.collection, err = ebpf.NewCollection(spec); err != nil {
		if errors.Is(err, unix.EPERM) { // the verifier's own refusals have other errors
			return fmt.Errorf("the right to load programs (CAP_BPF and CAP_NET_ADMIN) is missing: %w", err)
		}
		return fmt.Errorf("loading the program: %w", err)
	}
	p.legs = p.collection.Maps["legs"]
	if p.legs.KeySize() != uint32(unsafe.Sizeof(key{})) || p.legs.ValueSize() != uint32(unsafe.Sizeof(leg{})) {
		return errors.New("program: its tables are not those of this version")
	}
	if p.counts, err = newArray[count](p.collection.Maps["counts"]); err != nil {
		return err
	}
	if p.meters, err = newArray[meter](p.collection.Maps["meters"]); err != nil {
		return err
	}
	p.lease, err = newArray[lease](p.collection.Maps["lease"])
	return err
}

// attach attaches the program to interfaces. Those that were named must take it; of
// all, some must.
func (p *Path) attach(names []string) error {
	links, err := p.routes.links(names)
	if err != nil {
		return err
	}
	var refused []error
	for _, l := range links {
		at, err := link.AttachTCX(link.TCXOptions{
			Interface: l.Attrs().Index, Program: p.collection.Programs["forward"], Attach: ebpf.AttachTCXIngress,
		})
		if err != nil {
			refused = append(refused, fmt.Errorf("attaching to interface %s (tcx, which Linux 6.6 has): %w", l.Attrs().Name, err))
			continue
		}
		p.links = append(p.links, at)
		p.interfaces = append(p.interfaces, l.Attrs().Name)
	}
	err = errors.Join(refused...)
	if len(p.links) > 0 && len(names) == 0 && err != nil {
		p.log.Info("what comes in by some interfaces goes through the sockets", "error", err)
		return nil
	}
	return err
}

// Interfaces are those that the program is attached to.
func (p *Path) Interfaces() []string { return p.interfaces }

// Close detaches the program, and unbinds all that is bound. It may be called more
// than once.
func (p *Path) Close() error {
	p.once.Do(func() {
		close(p.stop)
		p.running.Wait()
		p.mu.Lock()
		p.closed = true
		flows := append([]*Flow(nil), p.flows...)
		p.mu.Unlock()
		for _, f := range flows {
			f.Unbind()
		}
		p.release()
	})
	return nil
}

func (p *Path) release() {
	for _, l := range p.links {
		l.Close()
	}
	if p.collection != nil {
		p.collection.Close()
	}
	if p.routes != nil {
		p.routes.close()
	}
}

// run prolongs the lease and keeps the routes until Close.
func (p *Path) run() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.prolong()
			p.reroute()
		}
	}
}

func (p *Path) prolong() { p.lease.at(0).Store(p.now() + int64(leaseTime)) }

// reroute asks for routes again: for all, in steps, when something has changed, and
// else for some in turn.
func (p *Path) reroute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.routes.changed() {
		p.routes.mtus = nil
		p.stale = len(p.flows)
	}
	most := routesInTurn
	if p.stale > 0 {
		most = min(p.stale, routesAtOnce)
		p.stale -= most
	}
	for range min(most, len(p.flows)) {
		p.turn = (p.turn + 1) % len(p.flows)
		for _, w := range p.flows[p.turn].ways() {
			p.route(w)
		}
	}
}

// Available returns nil when the kernel takes the program from this process. It
// attaches nothing.
func Available() error {
	p := &Path{}
	defer p.release()
	if err := p.load(1); err != nil {
		return fmt.Errorf("kernel path: %w", err)
	}
	return nil
}
