package participant

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/authority"
	"github.com/callpath/callpath/topology/sim/dns"
	"github.com/callpath/callpath/topology/sim/host"
)

// The machines of a rig. The first octets are those of no real relay, and not
// private: the relay's safe defaults let them through.
var machines = map[string]netip.Addr{
	"provider": netip.MustParseAddr("20.202.0.10"),
	"relay":    netip.MustParseAddr("20.202.0.20"),
	"alice":    netip.MustParseAddr("20.202.0.30"),
	"bob":      netip.MustParseAddr("20.202.0.40"),
}

// rig is a provider with relay, signaling and DNS, and two clients, on one switch.
type rig struct {
	t         *testing.T
	network   *network
	hosts     map[string]*host.Host
	authority *authority.Authority
	secret    []byte
	ledger    *media.Ledger
	events    chan signaling.Event
	start     time.Time

	mu      sync.Mutex
	steps   []result.Step
	relayed int
	view    *negotiation.RelayView
	refused []string
}

// network is a switch between hosts that may lose packets.
type network struct {
	mu    sync.RWMutex
	ports map[netip.Addr]port
	drop  func(from, to netip.Addr, packet []byte) bool
	wg    sync.WaitGroup
	done  chan struct{}
}

type port struct {
	host  *host.Host
	queue chan []byte
}

// join attaches a host at an address.
func (n *network) join(addr netip.Addr, h *host.Host) {
	p := port{h, make(chan []byte, 4096)}
	n.mu.Lock()
	n.ports[addr] = p
	n.mu.Unlock()
	n.wg.Go(func() {
		for {
			select {
			case packet := <-p.queue:
				p.host.Deliver("eth0", packet)
			case <-n.done:
				return
			}
		}
	})
}

func (n *network) send(_ string, packet []byte) {
	from, to := netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20]))
	n.mu.RLock()
	p, ok := n.ports[to]
	drop := n.drop
	n.mu.RUnlock()
	if !ok || drop != nil && drop(from, to, packet) {
		return
	}
	select {
	case p.queue <- packet:
	default:
	}
}

func (n *network) setDrop(drop func(from, to netip.Addr, packet []byte) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = drop
}

const (
	udp = 17
	tcp = 6
)

func protocol(packet []byte) byte { return packet[9] }

// newRig starts everything; it ends with the test.
func newRig(t *testing.T) *rig {
	t.Helper()
	view := negotiation.NewRelayView()
	r := &rig{
		t: t, hosts: map[string]*host.Host{}, view: view, ledger: media.NewLedger(view.Needle), secret: []byte("secret of the rig"),
		network: &network{ports: map[netip.Addr]port{}, done: make(chan struct{})},
		events:  make(chan signaling.Event, 1024),
		start:   time.Now(),
	}
	t.Cleanup(func() { close(r.network.done); r.network.wg.Wait() })
	for name, addr := range machines {
		r.host(name, addr)
	}
	var err error
	if r.authority, err = authority.New(authority.Config{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	t.Cleanup(func() { cancel(); serving.Wait() })
	r.serveDNS(ctx, &serving)
	r.serveRelay(ctx)
	r.serveSignaling(ctx, &serving)
	return r
}

func (r *rig) host(name string, addr netip.Addr) {
	h, err := host.New(host.Config{
		Name: name, Seed: 1, Send: r.network.send,
		Interfaces: []host.Interface{{
			Name: "eth0", Addresses: []netip.Prefix{netip.PrefixFrom(addr, 24)},
			Routes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
		}},
		DNS: []netip.AddrPort{netip.AddrPortFrom(machines["provider"], 53)},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.hosts[name] = h
	r.network.join(addr, h)
	r.t.Cleanup(func() {
		if err := h.Close(); err != nil {
			r.t.Errorf("close host %s: %v", name, err)
		}
	})
}

func (r *rig) serveDNS(ctx context.Context, serving *sync.WaitGroup) {
	conn, err := r.hosts["provider"].ListenPacket(ctx, "udp", netip.AddrPortFrom(machines["provider"], 53).String())
	if err != nil {
		r.t.Fatal(err)
	}
	zone := map[string][]netip.Addr{
		"signaling.callpath.test": {machines["provider"]},
		"relay.callpath.test":     {machines["relay"]},
	}
	serving.Go(func() {
		if err := dns.Serve(ctx, conn, zone); err != nil && ctx.Err() == nil {
			r.t.Errorf("DNS: %v", err)
		}
	})
}

func (r *rig) serveRelay(ctx context.Context) {
	relay := r.hosts["relay"]
	cfg := turn.Config{
		Realm: "callpath.test", Secrets: [][]byte{r.secret}, Addresses: []netip.Addr{machines["relay"]},
		ListenPacket: relay.ListenPacket, Quota: turn.Quota{PerUser: 32},
		OnRelayed: func(p turn.Relayed) {
			r.view.Payload(p.Payload)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.relayed++
		},
		OnEvent: func(e turn.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if e.Code != 0 {
				r.refused = append(r.refused, fmt.Sprintf("%s %d %s", e.Method, e.Code, e.Reason))
			}
		},
	}
	for port := uint16(3478); port <= 3481; port++ {
		conn, err := relay.ListenPacket(ctx, "udp", netip.AddrPortFrom(machines["relay"], port).String())
		if err != nil {
			r.t.Fatal(err)
		}
		cfg.PacketConns = append(cfg.PacketConns, conn)
	}
	plain, err := relay.Listen(ctx, "tcp", netip.AddrPortFrom(machines["relay"], 3478).String())
	if err != nil {
		r.t.Fatal(err)
	}
	secure, err := relay.Listen(ctx, "tcp", netip.AddrPortFrom(machines["relay"], 443).String())
	if err != nil {
		r.t.Fatal(err)
	}
	conf, err := r.authority.TLS("relay.callpath.test")
	if err != nil {
		r.t.Fatal(err)
	}
	cfg.Listeners = []turn.Listener{
		{Transport: turn.TCP, Listener: plain},
		{Transport: turn.TLS, Listener: tls.NewListener(secure, conf)},
	}
	server, err := turn.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := server.Close(); err != nil {
			r.t.Errorf("close relay: %v", err)
		}
	})
}

func (r *rig) serveSignaling(ctx context.Context, serving *sync.WaitGroup) {
	controller, err := signaling.NewController(signaling.Config{
		Users: []signaling.User{
			{ID: "alice", Client: "acs", Secret: "secret of alice"},
			{ID: "bob", Client: "teams", Secret: "secret of bob"},
		},
		TURN: func(user, call string) ([]signaling.ICEServer, error) {
			expires := time.Now().Add(time.Hour)
			username, password := turn.Credential(r.secret, user, call, expires)
			server := signaling.ICEServer{Username: username, Credential: password, Expires: expires}
			for port := 3478; port <= 3481; port++ {
				server.URLs = append(server.URLs, fmt.Sprintf("turn:relay.callpath.test:%d?transport=udp", port))
			}
			server.URLs = append(server.URLs, "turn:relay.callpath.test:3478?transport=tcp", "turns:relay.callpath.test:443?transport=tcp")
			return []signaling.ICEServer{{URLs: []string{"stun:relay.callpath.test:3478"}}, server}, nil
		},
		Region: "test",
		OnEvent: func(e signaling.Event) {
			select {
			case r.events <- e:
			default:
			}
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := controller.Close(); err != nil {
			r.t.Errorf("close controller: %v", err)
		}
	})
	ln, err := r.hosts["provider"].Listen(ctx, "tcp", netip.AddrPortFrom(machines["provider"], 443).String())
	if err != nil {
		r.t.Fatal(err)
	}
	conf, err := r.authority.TLS("signaling.callpath.test")
	if err != nil {
		r.t.Fatal(err)
	}
	serving.Go(func() {
		if err := signaling.Serve(ctx, ln, conf, controller.Handler()); err != nil {
			r.t.Errorf("signaling: %v", err)
		}
	})
}

// client is one participant of a rig with what it was given.
type client struct {
	*Participant
	recorder *negotiation.Recorder
	keys     *lines
}

// lines is a key log that may be written to by several goroutines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var _ io.Writer = (*lines)(nil)

// join makes a participant on the host of its name, and signs it in.
func (r *rig) join(ctx context.Context, name string, spec language.Participant) client {
	r.t.Helper()
	spec.Name, spec.Host = name, name
	c := client{recorder: negotiation.NewRecorder(negotiation.Config{Leg: name, Keys: true}), keys: &lines{}}
	seed := uint64(len(name))
	var log *slog.Logger
	if os.Getenv("PARTICIPANT_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("who", name)
	}
	var err error
	c.Participant, err = New(Config{
		Spec: spec, Host: r.hosts[name], Signaling: "https://signaling.callpath.test", RootCAs: r.authority.Pool(),
		User: name, Secret: "secret of " + name, Recorder: c.recorder, Ledger: r.ledger, KeyLog: c.keys, Seed: seed, Start: r.start,
		OnStep: func(s result.Step) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.steps = append(r.steps, s)
		},
		Log: log,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			r.t.Errorf("close %s: %v", name, err)
		}
	})
	if err := c.SignIn(ctx); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// call has alice call bob, and bob answer.
func (r *rig) call(ctx context.Context, alice, bob client) {
	r.t.Helper()
	if err := alice.Call(ctx, "bob"); err != nil {
		r.t.Fatal(err)
	}
	if err := bob.AwaitInvite(ctx); err != nil {
		r.t.Fatal(err)
	}
	if err := bob.Answer(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// media waits for media on both sides.
func (r *rig) media(ctx context.Context, both ...client) {
	r.t.Helper()
	for _, c := range both {
		if err := c.AwaitMedia(ctx); err != nil {
			r.t.Fatal(err)
		}
	}
}

// counts are packets received intact and corrupt, over all streams.
func counts(c client) (intact, corrupt uint64) {
	for _, s := range c.Result().Streams {
		intact += s.Intact
		corrupt += s.Corrupt
	}
	return intact, corrupt
}

// flows waits until a client has received n more packets.
func flows(ctx context.Context, t *testing.T, c client, n uint64) {
	t.Helper()
	before, _ := counts(c)
	for {
		now, _ := counts(c)
		if now >= before+n {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s received %d packets, want %d: %v", c.cfg.User, now-before, n, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// testContext bounds one test.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
