package turn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// ports opens relay sockets. Ports are picked at random with even distribution, as
// RFC 8656, section 7.2 wants, so that nobody can guess the next.
type ports struct {
	cfg *Config

	mu   sync.Mutex
	rand func(n int) int
	used map[netip.AddrPort]bool
	turn map[string]int // per network: the address that is next
}

const (
	// openTries bounds how many ports are tried that somebody else may hold.
	openTries   = 128
	openTimeout = 5 * time.Second
)

func newPorts(cfg *Config) *ports {
	p := &ports{cfg: cfg, rand: rand.IntN, used: make(map[netip.AddrPort]bool), turn: make(map[string]int)}
	if cfg.Rand != nil {
		p.rand = rand.New(cfg.Rand).IntN
	}
	return p
}

// familyError is that the relay has no address of the family asked for.
type familyError string

func (e familyError) Error() string { return fmt.Sprintf("relay has no address for %s", string(e)) }

// open opens a relay socket on network, "udp4" or "udp6": on port when it is not
// zero, else on one of the range.
func (p *ports) open(ctx context.Context, network string, port int) (net.PacketConn, netip.AddrPort, error) {
	addr, err := p.address(network)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	low, n := int(p.cfg.MinPort), int(p.cfg.MaxPort)-int(p.cfg.MinPort)+1
	if port != 0 {
		if port < low || port >= low+n {
			return nil, netip.AddrPort{}, fmt.Errorf("port %d is outside of %d to %d", port, p.cfg.MinPort, p.cfg.MaxPort)
		}
		low, n = port, 1
	}
	return p.pick(ctx, network, addr, low, n, 1)
}

// openEven opens a socket on an even port whose odd neighbour is free too: the
// engine closes it at once and then asks for the port again (EVEN-PORT).
func (p *ports) openEven(ctx context.Context, network string) (net.PacketConn, netip.AddrPort, error) {
	addr, err := p.address(network)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	low := (int(p.cfg.MinPort) + 1) &^ 1
	n := (int(p.cfg.MaxPort) - low + 1) / 2
	for range openTries {
		pc, at, err := p.pick(ctx, network, addr, low, n, 2)
		if err != nil {
			return nil, at, err
		}
		next, odd, err := p.pick(ctx, network, addr, int(at.Port())+1, 1, 1)
		if err == nil {
			next.Close()
			p.release(odd)
			return pc, at, nil
		}
		pc.Close()
		p.release(at)
	}
	return nil, netip.AddrPort{}, fmt.Errorf("no free pair of ports after %d tries", openTries)
}

func (p *ports) address(network string) (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var candidates []netip.Addr
	for _, a := range p.cfg.Addresses {
		if a.Is4() == (network == "udp4") {
			candidates = append(candidates, a)
		}
	}
	if len(candidates) == 0 {
		return netip.Addr{}, familyError(network)
	}
	p.turn[network]++
	return candidates[p.turn[network]%len(candidates)], nil
}

// pick opens one of the n ports low, low+step, …, each free one with the same chance.
func (p *ports) pick(ctx context.Context, network string, addr netip.Addr, low, n, step int) (net.PacketConn, netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	var last error
	for range openTries {
		at, ok := p.claim(addr, low, n, step)
		if !ok {
			break
		}
		pc, err := p.cfg.ListenPacket(ctx, network, net.JoinHostPort(addr.String(), strconv.Itoa(int(at.Port()))))
		if err == nil {
			return pc, at, nil
		}
		p.release(at)
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	if last == nil {
		return nil, netip.AddrPort{}, fmt.Errorf("all of the %d relay ports on %v are in use", n, addr)
	}
	return nil, netip.AddrPort{}, fmt.Errorf("no relay port could be opened on %v: %w", addr, last)
}

// claim takes a port that this relay does not use. Guessing gives each free port
// the same chance; when nearly all are used, counting the free ones does.
func (p *ports) claim(addr netip.Addr, low, n, step int) (netip.AddrPort, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(addr, uint16(low+i*step)) }
	if n <= 0 {
		return netip.AddrPort{}, false
	}
	for range 16 {
		if c := at(p.rand(n)); !p.used[c] {
			p.used[c] = true
			return c, true
		}
	}
	var free []netip.AddrPort
	for i := range n {
		if c := at(i); !p.used[c] {
			free = append(free, c)
		}
	}
	if len(free) == 0 {
		return netip.AddrPort{}, false
	}
	c := free[p.rand(len(free))]
	p.used[c] = true
	return c, true
}

func (p *ports) release(at netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, at)
}
