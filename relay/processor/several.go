package processor

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callpath/callpath/relay/forward/fanout"
)

// several is the sockets of one worker, when it has one for IPv4 and another for IPv6.
// Each is read by a goroutine, which costs a copy of each datagram: one socket for both
// families is better where there can be one.
type several struct {
	v4, v6 port

	begin   sync.Once
	readers sync.WaitGroup
	closing atomic.Bool
	ready   chan struct{}
	timer   *time.Timer
	lent    []fanout.Datagram // what Receive has returned

	mu    sync.Mutex // guards what follows
	queue []fanout.Datagram
	free  [][]byte
}

// mostQueued bounds the datagrams that the worker has not taken yet.
const mostQueued = 4096

func newSeveral(v4, v6 port) *several {
	s := &several{v4: v4, v6: v6, ready: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	s.timer.Stop()
	return s
}

// read takes what comes on one socket.
func (s *several) read(p port) {
	for !s.closing.Load() {
		arrived := p.Receive(time.Second)
		if len(arrived) == 0 {
			continue
		}
		s.mu.Lock()
		for _, d := range arrived {
			if len(s.queue) == mostQueued {
				break
			}
			var b []byte
			if n := len(s.free); n > 0 {
				b, s.free = s.free[n-1], s.free[:n-1]
			}
			s.queue = append(s.queue, fanout.Datagram{To: d.To, Data: append(b[:0], d.Data...)})
		}
		s.mu.Unlock()
		s.Wake()
	}
}

func (s *several) Receive(most time.Duration) []fanout.Datagram {
	s.begin.Do(func() {
		s.readers.Go(func() { s.read(s.v4) })
		s.readers.Go(func() { s.read(s.v6) })
	})
	if s.take(); len(s.lent) > 0 {
		return s.lent
	}
	s.timer.Reset(most)
	select {
	case <-s.ready:
	case <-s.timer.C:
	}
	s.timer.Stop()
	s.take()
	return s.lent
}

// take makes the memory of the last datagrams free, and takes those that have come.
func (s *several) take() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.lent {
		s.free = append(s.free, d.Data)
	}
	s.lent, s.queue = s.queue, s.lent[:0]
}

// of is the socket for an address.
func (s *several) of(to netip.AddrPort) port {
	if to.Addr().Unmap().Is4() {
		return s.v4
	}
	return s.v6
}

func (s *several) Send(batch []fanout.Datagram) (sent int) {
	for len(batch) > 0 {
		p := s.of(batch[0].To)
		n := slices.IndexFunc(batch, func(d fanout.Datagram) bool { return s.of(d.To) != p })
		if n < 0 {
			n = len(batch)
		}
		sent += p.Send(batch[:n])
		batch = batch[n:]
	}
	return sent
}

func (s *several) WriteTo(b []byte, to netip.AddrPort) error { return s.of(to).WriteTo(b, to) }

func (s *several) Wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *several) Close() error {
	s.closing.Store(true)
	s.v4.Wake()
	s.v6.Wake()
	s.readers.Wait()
	err := s.v4.Close()
	if other := s.v6.Close(); err == nil {
		err = other
	}
	return err
}
