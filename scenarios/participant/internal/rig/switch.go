package rig

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/callpath/callpath/topology/sim/host"
)

// Switch carries IPv4 packets between hosts. It is safe for concurrent use.
type Switch struct {
	running sync.WaitGroup
	done    chan struct{}

	mu    sync.RWMutex
	ports map[netip.Addr]port
	drop  func(Packet) bool
}

type port struct {
	host  *host.Host
	queue chan []byte
}

// Packet is what a switch can decide by.
type Packet struct {
	From, To netip.AddrPort
	// UDP is false for TCP.
	UDP bool
}

// Between is true for a packet to or from a machine of the rig.
func (p Packet) Between(name string) bool {
	return p.From.Addr() == Machines[name] || p.To.Addr() == Machines[name]
}

// Port is true for a packet from or to a port.
func (p Packet) Port(n uint16) bool { return p.From.Port() == n || p.To.Port() == n }

func newSwitch(t testing.TB) *Switch {
	s := &Switch{ports: map[netip.Addr]port{}, done: make(chan struct{})}
	t.Cleanup(func() { close(s.done); s.running.Wait() })
	return s
}

// Join attaches a host at a further address.
func (s *Switch) Join(addr netip.Addr, h *host.Host) {
	p := port{h, make(chan []byte, 4096)}
	s.mu.Lock()
	s.ports[addr] = p
	s.mu.Unlock()
	s.running.Go(func() {
		for {
			select {
			case packet := <-p.queue:
				p.host.Deliver("eth0", packet)
			case <-s.done:
				return
			}
		}
	})
}

// Drop has packets dropped from now on; nil drops none.
func (s *Switch) Drop(drop func(Packet) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop = drop
}

func (s *Switch) send(_ string, raw []byte) {
	if len(raw) < 20 || raw[0]>>4 != 4 {
		return
	}
	p := parse(raw)
	s.mu.RLock()
	to, ok := s.ports[p.To.Addr()]
	drop := s.drop
	s.mu.RUnlock()
	if !ok || drop != nil && drop(p) {
		return
	}
	select {
	case to.queue <- raw:
	default: // the queue is full
	}
}

// parse reads the addresses and ports of an IPv4 packet.
func parse(raw []byte) Packet {
	p := Packet{UDP: raw[9] == 17}
	var ports [2]uint16
	if at := int(raw[0]&0x0f) * 4; len(raw) >= at+4 {
		ports = [2]uint16{uint16(raw[at])<<8 | uint16(raw[at+1]), uint16(raw[at+2])<<8 | uint16(raw[at+3])}
	}
	p.From = netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[12:16])), ports[0])
	p.To = netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[16:20])), ports[1])
	return p
}
