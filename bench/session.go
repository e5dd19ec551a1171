package bench

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/bench/process"
	"github.com/callpath/callpath/bench/subject"
)

// place is the addresses and CPUs of one session. Addresses are within
// 127.0.0.0/8, all of which is this machine, so that ports never run out and nothing
// else is met.
type place struct {
	server               netip.AddrPort
	client, peer         netip.Addr
	serverCPUs, loadCPUs []int
	// network is nil on loopback.
	network *network
}

// newPlace chooses addresses by chance, so that two benchmarks on one machine
// disturb only each other's figures: a block of 64 times 256, of which the clients
// have all but the first 256.
func newPlace(serverCPUs, loadCPUs []int) place {
	second, third := byte(64+rand.IntN(128)), byte(64*rand.IntN(4))
	at := func(third, host byte) netip.Addr { return netip.AddrFrom4([4]byte{127, second, third, host}) }
	return place{
		server: netip.AddrPortFrom(at(third, 1), 3478), peer: at(third, 2), client: at(third+1, 0),
		serverCPUs: serverCPUs, loadCPUs: loadCPUs,
	}
}

// in is the place in a network of its own.
func (p place) in(n *network) place {
	p.network, p.peer, p.client = n, peerHost, firstClient
	p.server = netip.AddrPortFrom(relayHost, 3478)
	return p
}

// session is a subject and a loader with its flows, both running. A nil subject is
// the load sent straight to the sink.
type session struct {
	server  *process.Process // nil without a subject
	loader  *process.Process
	orders  *json.Encoder
	answers *json.Decoder
	Ready   loader.Ready
}

// open starts both and makes the flows.
func (o Options) open(ctx context.Context, at place, s subject.Subject, l load.Load) (*session, error) {
	secret := []byte(crand.Text())
	cfg := loader.Config{
		Scheme: loader.Direct, Server: at.server, Secret: secret, Client: at.client, Peer: at.peer,
		Load: l, Seed: o.Seed, Coalesce: !o.Loose,
	}
	var atRelay, atClients func(func() error) error // this process's own network
	if at.network != nil {
		atRelay, atClients = at.network.relay.Do, at.network.clients.Do
		cfg.PeerNamespace = at.network.peers.Path()
	}
	var run session
	var err error
	if s != nil {
		run.server, err = s.Start(ctx, subject.Place{
			Self: o.Self, Environment: o.Environment, Server: at.server, Secret: secret, CPUs: at.serverCPUs, Within: atRelay,
		})
		if err != nil {
			return nil, err
		}
		cfg.Scheme, cfg.ServerProcess = s.Scheme(), run.server.PID()
	}
	run.loader, err = process.Start(process.Config{
		Command: append(slices.Clone(o.Self), "bench-loader"), Environment: o.Environment, CPUs: at.loadCPUs, Within: atClients,
	})
	if err != nil {
		run.close()
		return nil, err
	}
	run.orders, run.answers = json.NewEncoder(run.loader.In), json.NewDecoder(run.loader.Out)
	answer, err := run.ask(ctx, setUpTime, cfg)
	if err == nil && answer.Ready == nil {
		err = errors.New("loader answered something else than that it is ready")
	}
	if err != nil {
		run.close()
		return nil, fmt.Errorf("make %d flows: %w", l.Flows, err)
	}
	run.Ready = *answer.Ready
	return &run, nil
}

// step measures once.
func (r *session) step(ctx context.Context, s loader.Step) (loader.Result, error) {
	answer, err := r.ask(ctx, s.WarmUp+s.Duration+answerTime, s)
	if err == nil && answer.Result == nil {
		err = errors.New("loader answered something else than a result")
	}
	if err != nil {
		return loader.Result{}, err
	}
	return *answer.Result, nil
}

// What making the flows may take, and a step beyond its own duration.
const (
	setUpTime  = 2 * time.Minute
	answerTime = 20 * time.Second
)

// ask gives the loader an order and reads its answer. When ctx ends, or the limit has
// passed, the loader is stopped, which ends the reading.
func (r *session) ask(ctx context.Context, limit time.Duration, order any) (loader.Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("loader: no answer within %v", limit))
	defer cancel()
	defer context.AfterFunc(ctx, r.loader.Stop)()
	var answer loader.Answer
	err := r.orders.Encode(order)
	if err == nil {
		err = r.answers.Decode(&answer)
	}
	if ctx.Err() != nil {
		return answer, context.Cause(ctx)
	}
	// A server that has ended is what is wrong, whatever the loader says of it.
	if r.server != nil {
		select {
		case <-r.server.Ended():
			return answer, fmt.Errorf("the server ended: %s %s", r.server.State(), r.server.Said())
		default:
		}
	}
	switch {
	case err != nil:
		return answer, fmt.Errorf("loader: %w (%s) %s", err, r.loader.State(), r.loader.Said())
	case answer.Error != "":
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// close ends both processes and waits for them.
func (r *session) close() {
	if r.loader != nil {
		r.loader.Stop()
	}
	if r.server != nil {
		r.server.Stop()
	}
}
