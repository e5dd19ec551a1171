package loader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callpath/callpath/bench/account"
	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/udp"
	"github.com/callpath/callpath/relay/forward/kernel/namespace"
	"github.com/callpath/callpath/relay/turn"
)

// Loader has the flows of one load. It is for one goroutine.
type Loader struct {
	cfg     Config
	ready   Ready
	session uint32
	// phase counts the parts of the session, of which each step has two: its
	// warm-up and what is measured.
	phase     uint32
	refreshed time.Time

	flows   []*flow
	peers   []*peer
	sources []source
	poller  *udp.Poller
	inbox   *udp.Inbox
	burst   *udp.Outbox
}

// flow is one allocation, seen from its client.
type flow struct {
	client
	peer netip.AddrPort
	// relay is where the peer sends to.
	relay netip.AddrPort
}

// peer is one socket that the peers of many flows share.
type peer struct {
	socket *udp.Socket
	outbox *udp.Outbox
	// store holds the packets in outbox; used is how much of it.
	store []byte
	used  int
}

// The sizes of what the loader works with. A peer's socket can hold what arrives
// while the generator is not scheduled.
const (
	peers        = 4
	peerBuffer   = 16 << 20
	clientBuffer = 1 << 20
	batch        = 64
)

// New makes the flows, all or none.
func New(ctx context.Context, cfg Config) (*Loader, error) {
	if err := cfg.Load.Check(); err != nil {
		return nil, err
	}
	l := &Loader{
		cfg: cfg, session: rand.Uint32(),
		inbox: udp.NewInbox(batch, udp.MaxMessage), burst: udp.NewOutbox(load.MaxRun, load.MaxRun),
	}
	if err := l.build(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Loader) build(ctx context.Context) error {
	began := time.Now()
	l.ready.Before = l.resident()
	var err error
	if l.poller, err = udp.NewPoller(4 * batch); err != nil {
		return err
	}
	options := udp.Options{Buffer: peerBuffer, Coalesce: l.cfg.Coalesce, Stamp: true}
	for i := range min(peers, l.cfg.Load.Flows) {
		var s *udp.Socket
		err := l.atPeers(func() (err error) {
			s, err = udp.Open(netip.AddrPortFrom(l.cfg.Peer, 0), options)
			return err
		})
		if err != nil {
			return fmt.Errorf("peer: %w", err)
		}
		l.peers = append(l.peers, &peer{socket: s, outbox: udp.NewOutbox(batch, batch), store: make([]byte, batch*(framing+load.MaxPayload)*load.MaxRun)})
		if err := l.poller.Add(s, int32(i)); err != nil {
			return err
		}
	}
	if err := l.each(ctx, l.cfg.Load.Flows, l.open); err != nil {
		return err
	}
	l.ready.Idle = l.resident()
	if l.cfg.Scheme == TURN {
		if err := l.each(ctx, l.cfg.Load.Flows, func(ctx context.Context, i int) error {
			return l.flows[i].connect(ctx, l.flows[i].peer)
		}); err != nil {
			return err
		}
	}
	for i, f := range l.flows {
		if err := l.poller.Add(f.socket, int32(len(l.peers)+i)); err != nil {
			return err
		}
	}
	l.aim()
	l.refreshed = time.Now()
	l.ready.Flows, l.ready.Took, l.ready.After = len(l.flows), time.Since(began), l.resident()
	return nil
}

// atPeers does something where the peers are.
func (l *Loader) atPeers(do func() error) error {
	if l.cfg.PeerNamespace == "" {
		return do()
	}
	return namespace.Within(l.cfg.PeerNamespace, do)
}

// each does one thing for n flows, some at a time.
func (l *Loader) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	if l.flows == nil {
		l.flows = make([]*flow, n)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := do(ctx, i); err != nil {
				return fmt.Errorf("flow %d: %w", i, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// open makes the i-th flow, for TURN as far as its allocation.
func (l *Loader) open(ctx context.Context, i int) error {
	f := &flow{peer: l.peers[i%len(l.peers)].socket.Local()}
	s, err := udp.Open(netip.AddrPortFrom(after(l.cfg.Client, i), 0), udp.Options{Buffer: clientBuffer, Coalesce: l.cfg.Coalesce, Stamp: true})
	if err != nil {
		return err
	}
	f.socket = s
	l.flows[i] = f
	to := l.cfg.Server
	if l.cfg.Scheme == Direct {
		to = f.peer
	}
	if err := s.Connect(to); err != nil {
		return err
	}
	switch l.cfg.Scheme {
	case Direct:
		f.relay = s.Local()
	case Plain:
		f.relay, err = greet(ctx, s, f.peer)
	case TURN:
		f.username, f.password = turn.Credential(l.cfg.Secret, fmt.Sprintf("bench-%d", i), "", time.Now().Add(24*time.Hour))
		f.relay, err = f.allocate(ctx)
	default:
		err = fmt.Errorf("scheme %q; valid: %s, %s, %s", l.cfg.Scheme, TURN, Plain, Direct)
	}
	return err
}

// after is the n-th address after an IPv4 address.
func after(a netip.Addr, n int) netip.Addr {
	if !a.Is4() {
		return a // which cannot be opened
	}
	ip := a.As4()
	binary.BigEndian.PutUint32(ip[:], binary.BigEndian.Uint32(ip[:])+uint32(n))
	return netip.AddrFrom4(ip)
}

// refresh has the allocations live on when they are old. Permissions live for five
// minutes.
func (l *Loader) refresh(ctx context.Context) error {
	if l.cfg.Scheme != TURN || time.Since(l.refreshed) < 2*time.Minute {
		return nil
	}
	err := l.each(ctx, len(l.flows), func(ctx context.Context, i int) error {
		return l.flows[i].refresh(ctx, l.flows[i].peer)
	})
	l.refreshed = time.Now()
	return err
}

// Ready says what was made.
func (l *Loader) Ready() Ready { return l.ready }

// resident is the memory of the server's process, 0 when it is not known.
func (l *Loader) resident() uint64 {
	if l.cfg.ServerProcess == 0 {
		return 0
	}
	bytes, _ := account.Resident(l.cfg.ServerProcess)
	return bytes
}

// processes are those whose time is counted.
func (l *Loader) processes() []int {
	if l.cfg.ServerProcess == 0 {
		return []int{os.Getpid()}
	}
	return []int{l.cfg.ServerProcess, os.Getpid()}
}

// Close closes all sockets. The allocations end with the server.
func (l *Loader) Close() error {
	var errs []error
	for _, f := range l.flows {
		if f != nil {
			errs = append(errs, f.socket.Close())
		}
	}
	for _, p := range l.peers {
		errs = append(errs, p.socket.Close())
	}
	if l.poller != nil {
		errs = append(errs, l.poller.Close())
	}
	return errors.Join(errs...)
}
