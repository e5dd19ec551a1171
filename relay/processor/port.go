package processor

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/forward"
	"github.com/callpath/callpath/relay/forward/fanout"
)

// port is a worker's socket: forward.Port, or packetPort where that cannot be.
type port interface {
	// Receive returns what has come, after waiting at most so long for it. It may
	// return nothing before. The memory is the worker's until the next call.
	Receive(most time.Duration) []fanout.Datagram
	fanout.Sender
	// WriteTo sends one datagram, and Wake makes Receive return; from any goroutine.
	WriteTo(b []byte, to netip.AddrPort) error
	Wake()
	Close() error
}

func newPort(conn net.PacketConn) (port, error) {
	if udp, ok := conn.(*net.UDPConn); ok {
		p, err := forward.NewPort(udp)
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	return &packetPort{conn: conn, buf: make([]byte, largest)}, nil
}

// largest is the largest datagram.
const largest = 1 << 16

// packetPort reads and writes any net.PacketConn, one datagram at a time.
type packetPort struct {
	conn net.PacketConn
	buf  []byte
	one  [1]fanout.Datagram

	mu    sync.Mutex
	woken bool
}

func (p *packetPort) Receive(most time.Duration) []fanout.Datagram {
	p.mu.Lock()
	woken := p.woken
	p.woken = false
	if !woken {
		_ = p.conn.SetReadDeadline(time.Now().Add(most))
	}
	p.mu.Unlock()
	if woken {
		return nil
	}
	n, from, err := p.conn.ReadFrom(p.buf)
	if err != nil {
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			// A socket that fails at once must not keep a processor busy.
			time.Sleep(min(most, time.Millisecond))
		}
		return nil
	}
	at, err := addrPort(from)
	if err != nil {
		return nil
	}
	p.one[0] = fanout.Datagram{To: at, Data: p.buf[:n]}
	return p.one[:]
}

// addrPort is the address of a datagram, IPv4 always as IPv4.
func addrPort(a net.Addr) (netip.AddrPort, error) {
	var at netip.AddrPort
	if u, ok := a.(*net.UDPAddr); ok {
		at = u.AddrPort()
	} else {
		var err error
		if at, err = netip.ParseAddrPort(a.String()); err != nil {
			return at, err
		}
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

func (p *packetPort) Send(batch []fanout.Datagram) (sent int) {
	for _, d := range batch {
		if p.WriteTo(d.Data, d.To) == nil {
			sent++
		}
	}
	return sent
}

func (p *packetPort) WriteTo(b []byte, to netip.AddrPort) error {
	_, err := p.conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

func (p *packetPort) Wake() {
	p.mu.Lock()
	p.woken = true
	_ = p.conn.SetReadDeadline(time.Unix(1, 0))
	p.mu.Unlock()
}

func (p *packetPort) Close() error { return p.conn.Close() }
