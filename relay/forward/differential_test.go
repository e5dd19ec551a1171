package forward_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
	"github.com/pion/stun/v4"
)

// world is a relay with clients and peers around it. Two worlds get the same
// script, and what comes out of both must be the same.
type world struct {
	t       testing.TB
	relay   netip.AddrPort
	clients []*client
	peers   []*inbox
	// gone are clients that have freed their allocation. Another one, from another
	// port, takes the place: the engine alone may take a new allocation of the same
	// client for the old one and delete it.
	gone []*client
	// Each client can always be reached by two peers: one has a channel and one
	// only a permission. What they send comes behind all that was sent before.
	bound, permitted *inbox
	// relayed are the relayed addresses of each client, in order.
	relayed map[string]string
	settled int
	// slow are the kinds of payload that may be passed by others of the same way.
	slow []string
	log  []string
}

const (
	peersInWorld   = 4
	clientsInWorld = 3
	anchorChannel  = 0x4fff
)

func newWorld(t testing.TB, relay netip.AddrPort) *world {
	w := &world{t: t, relay: relay, relayed: make(map[string]string), slow: []string{"software", "broken"}}
	for i := range peersInWorld {
		w.peers = append(w.peers, newPeer(t, fmt.Sprintf("127.0.1.%d", i+1)))
	}
	w.bound, w.permitted = newPeer(t, "127.0.2.1"), newPeer(t, "127.0.2.2")
	for range clientsInWorld {
		w.clients = append(w.clients, w.newClient())
	}
	return w
}

func (w *world) newClient() *client {
	c := newClient(w.t, w.relay)
	c.allocate()
	w.relayed[c.relayed.String()] = fmt.Sprintf("relay %d", len(w.relayed))
	w.anchor(c)
	return c
}

func (w *world) anchor(c *client) {
	if !c.bind(anchorChannel, w.bound.at()) || !c.permit(w.permitted.at()) {
		w.t.Fatal("anchors refused")
	}
}

// settle waits until the relay has dealt with all that was sent.
func (w *world) settle() {
	w.t.Helper()
	w.settled++
	for i, c := range w.clients {
		mark := fmt.Sprintf("mark %d of %d", w.settled, i)
		arrived := func(most time.Duration) bool {
			return w.bound.awaits(most, "payload", mark) && w.permitted.awaits(most, "payload", mark) &&
				c.awaits(most, "channel", mark) && c.awaits(most, "data", mark)
		}
		for try := 0; ; try++ {
			// From the client: what the core forwards, and what comes to the engine.
			c.send(channelData(anchorChannel, []byte(mark), 0, 0))
			c.send(sendIndication(w.permitted.at(), []byte(mark)))
			// From peers: by a channel, and by the engine's Data indication.
			for _, p := range []*inbox{w.bound, w.permitted} {
				_, err := p.conn.WriteToUDPAddrPort([]byte(mark), c.relayed)
				ok(w.t, err)
			}
			if arrived(patience / 100) {
				break
			}
			if try == 100 {
				w.t.Fatalf("%q did not arrive everywhere", mark)
			}
			w.anchor(c) // it may have expired
		}
	}
	// All is sent now; the last mark comes behind it at each peer.
	for _, p := range w.peers {
		mark := fmt.Sprintf("mark %d", w.settled)
		_, err := w.bound.conn.WriteToUDPAddrPort([]byte(mark), p.at())
		ok(w.t, err)
		p.await("payload", mark)
	}
}

// outcome is what everybody received, each in order, in words that are the same in
// both worlds.
func (w *world) outcome() []string {
	names := map[string]string{}
	for i, p := range w.peers {
		names[p.at().String()] = fmt.Sprintf("peer %d", i)
	}
	names[w.bound.at().String()], names[w.permitted.at().String()] = "bound anchor", "permitted anchor"
	for at, name := range w.relayed {
		names[at] = name
	}
	var all []string
	tell := func(who string, in *inbox) {
		of := map[string][]string{}
		for _, g := range in.received() {
			if strings.HasPrefix(g.payload, "mark ") {
				continue
			}
			name := cmp.Or(names[g.from], g.from)
			if g.kind == "malformed" {
				name = "nobody"
			}
			// What goes through the engine may be passed by what the core forwards.
			way := g.kind + " from " + name
			for _, slow := range w.slow {
				if strings.Contains(g.payload, slow) {
					way = slow + " " + way
				}
			}
			of[way] = append(of[way], g.payload)
		}
		for from, payloads := range of {
			for i, p := range payloads {
				all = append(all, fmt.Sprintf("%s: %s: %04d: %d bytes, %.40q", who, from, i, len(p), p))
			}
		}
	}
	for i, c := range append(slices.Clone(w.gone), w.clients...) {
		tell(fmt.Sprintf("client %d", i), c.inbox)
	}
	for i, p := range append(slices.Clone(w.peers), w.bound, w.permitted) {
		tell(fmt.Sprintf("peer %d", i), p)
	}
	slices.Sort(all)
	return append(all, w.log...)
}

// step does one thing, chosen by random, which is in the same state in both worlds.
func (w *world) step(random *rand.Rand, number int) {
	c := w.clients[random.IntN(len(w.clients))]
	p := w.peers[random.IntN(len(w.peers))]
	channel := uint16(0x4000 + random.IntN(3))
	payload := func(kind string) []byte {
		size := []int{0, 1, 2, 3, 20, 160, 161, 1200, 1500}[random.IntN(9)]
		return fmt.Appendf(nil, "%d %s:%s", number, kind, bytes.Repeat([]byte{'x'}, size))
	}
	do := func(what string, done bool) {
		w.log = append(w.log, fmt.Sprintf("step %d: %s: %v", number, what, done))
	}
	toRelay := func(p []byte, from *inbox) {
		_, err := from.conn.WriteToUDPAddrPort(p, c.relayed)
		ok(w.t, err)
	}
	switch random.IntN(22) {
	case 0, 1, 2:
		w.settle() // what is on its way now belongs to before
		do("bind", c.bind(channel, p.at()))
	case 3:
		w.settle()
		do("permit", c.permit(p.at()))
	case 4:
		if random.IntN(4) == 0 {
			w.settle()
			do("free", c.free())
			w.gone = append(w.gone, c)
			w.clients[slices.Index(w.clients, c)] = w.newClient()
		}
	case 5, 6, 7:
		c.send(channelData(channel, payload("plain"), 0, 0))
	case 8:
		c.send(channelData(channel, payload("plain"), 0, 1+random.IntN(3))) // padded, or more
	case 9:
		c.send(channelData(channel, payload("plain"), 0, 50))
	case 10:
		c.send(channelData(channel, payload("plain"), 1+random.IntN(3), 0)) // cut off
	case 11:
		c.send(channelData([]uint16{0x4003, 0x3fff, 0x5000, 0x7fff, 0x8000, 0xffff}[random.IntN(6)], payload("plain"), 0, 0))
	case 12:
		c.send(channelData(channel, nil, 0, 0))
		c.send([]byte{0x40, 0x00, 0x00}[:random.IntN(4)])
	case 13:
		c.send(channelData(channel, bytes.Repeat([]byte{'y'}, 1580+random.IntN(40)), 0, 0)) // around the longest
	case 14:
		c.send(sendIndication(p.at(), payload("send")))
	case 15:
		c.send(sendIndication(p.at(), payload("software"), stun.NewSoftware("a client")))
	case 16:
		broken := sendIndication(p.at(), payload("broken"))
		broken[random.IntN(30)] ^= 1 << random.IntN(8)
		c.send(broken)
	case 17: // somebody else's socket
		_, err := p.conn.WriteToUDPAddrPort(channelData(channel, payload("plain"), 0, 0), w.relay)
		ok(w.t, err)
	case 18, 19, 20:
		toRelay(payload("plain"), p)
	default: // many at once, of the same and of different sizes
		w.settle()
		n, size := 2+random.IntN(30), 100+random.IntN(3)
		for i := range n {
			packet := fmt.Appendf(nil, "%d.%d:%s", number, i, bytes.Repeat([]byte{'z'}, size-random.IntN(2)*random.IntN(2)))
			if random.IntN(3) > 0 {
				c.send(channelData(channel, packet, 0, 0))
			} else {
				toRelay(packet, p)
			}
		}
	}
}

// The same random traffic comes out of the relay whose packets the core forwards
// and of the engine alone.
func TestTheCoreForwardsWhatTheEngineWould(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			var outcomes [2][]string
			for i, relay := range []netip.AddrPort{ourRelay(t, turn.Lifetimes{}), stockRelay(t, turn.Lifetimes{})} {
				w := newWorld(t, relay)
				random := rand.New(rand.NewPCG(seed, 5))
				const steps = 400
				for number := range steps {
					w.step(random, number)
					if number%5 == 4 {
						w.settle() // no socket's buffer must overflow
					}
				}
				w.settle()
				outcomes[i] = w.outcome()
			}
			compare(t, outcomes[0], outcomes[1])
		})
	}
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	const most = 20
	only := func(a, b []string) (lines []string) {
		for _, line := range a {
			if !slices.Contains(b, line) {
				lines = append(lines, line)
			}
		}
		return lines[:min(len(lines), most)]
	}
	missing, extra := only(want, got), only(got, want)
	if len(missing)+len(extra) > 0 {
		t.Errorf("only from the engine:\n%s\nonly from the core:\n%s", strings.Join(missing, "\n"), strings.Join(extra, "\n"))
	}
	if len(want) < 300 {
		t.Errorf("only %d things came out: the script tests little", len(want))
	}
}

// Permission and channel end by themselves and not before (RFC 8656, sections 9 and 12).
// What a client sends in a channel does not need the permission (section 12.6); what a
// peer sends does (sections 12.7 and 11.3), but for the stock engine, which lets it pass
// by the channel alone. How long a round of
// this test takes is nobody's promise, so what must pass is judged by the clock, and
// what must not by what the engine itself has let pass no more.
func TestBindingsExpireAsInTheEngine(t *testing.T) {
	lifetimes := turn.Lifetimes{Permission: 300 * time.Millisecond, Channel: 900 * time.Millisecond}
	for _, c := range []struct {
		name  string
		start func(testing.TB, turn.Lifetimes) netip.AddrPort
		peers time.Duration // how long a peer's datagrams pass
	}{{"core", ourRelay, lifetimes.Permission}, {"engine", stockRelay, lifetimes.Channel}} {
		for _, binds := range []int{1, 20} {
			t.Run(fmt.Sprintf("%s, bound %d times", c.name, binds), func(t *testing.T) {
				t.Parallel()
				newWorld(t, c.start(t, lifetimes)).expire(lifetimes, c.peers, binds)
			})
		}
	}
}

// expire binds a channel, again in the rounds after as often as is said, and sends
// on all ways in each round until nothing passes any more. What a peer sends is to pass
// for as long as peers says.
func (w *world) expire(lifetimes turn.Lifetimes, peers time.Duration, binds int) {
	w.t.Helper()
	c, peer := w.clients[0], w.peers[0]
	const channel, toClient, send, engine = "channel", "to client", "send", "send by the engine"
	lives := map[string]time.Duration{channel: lifetimes.Channel, toClient: peers, send: lifetimes.Permission, engine: lifetimes.Permission}
	var bound time.Time
	before := map[string]bool{}
	for round := 1; ; round++ {
		if round <= binds {
			before = map[string]bool{channel: true, toClient: true, send: true, engine: true}
			bound = time.Now()
			if !c.bind(0x4000, peer.at()) {
				w.t.Fatal("channel refused")
			}
		}
		mark := func(way string) string { return fmt.Sprintf("%s in round %d", way, round) }
		c.send(channelData(0x4000, []byte(mark(channel)), 0, 0))
		_, err := peer.conn.WriteToUDPAddrPort([]byte(mark(toClient)), c.relayed)
		ok(w.t, err)
		c.send(sendIndication(peer.at(), []byte(mark(send))))
		c.send(sendIndication(peer.at(), []byte(mark(engine)), stun.NewSoftware("a client")))
		w.settle()
		since := time.Since(bound)
		passed := map[string]bool{
			channel: peer.has("payload", mark(channel)), toClient: c.has("channel", mark(toClient)),
			send: peer.has("payload", mark(send)), engine: peer.has("payload", mark(engine)),
		}
		for way, life := range lives {
			if !passed[way] && since < life {
				w.t.Errorf("round %d: %s does not pass %v after the binding, which is for %v", round, way, since, life)
			}
			if passed[way] && !before[way] {
				w.t.Errorf("round %d: %s passes again", round, way)
			}
		}
		if passed[send] && !before[engine] {
			w.t.Errorf("round %d: an indication passes after the engine has let none pass", round)
		}
		if passed[engine] && !before[send] {
			w.t.Errorf("round %d: the engine lets an indication pass after none has passed", round)
		}
		if passed[toClient] && !before[engine] && peers == lifetimes.Permission {
			w.t.Errorf("round %d: a peer's datagram passes after the permission has expired", round)
		}
		before = passed
		if !passed[channel] && !passed[toClient] && !passed[send] {
			return
		}
		if since > patience {
			w.t.Fatalf("round %d: still something passes: %v", round, passed)
		}
	}
}
