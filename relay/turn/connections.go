package turn

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// doors counts connections of clients, those in a handshake among them.
type doors struct {
	limit Limits

	mu         sync.Mutex
	open       int
	handshakes int
	from       map[source]int
}

func newDoors(limit Limits) *doors { return &doors{limit: limit, from: make(map[source]int)} }

// knock counts a connection whose client is not known yet, as the PROXY header or
// the handshake is still to come. It must be followed by enter or leave.
func (d *doors) knock() (rule, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case over(d.open, d.limit.Connections):
		return RuleConnections, fmt.Sprintf("relay has %d connections, the most", d.open)
	case over(d.handshakes, d.limit.Handshakes):
		return RuleHandshakes, fmt.Sprintf("relay is in %d handshakes, the most", d.handshakes)
	}
	d.open++
	d.handshakes++
	return "", ""
}

// greet counts the connection for its source.
func (d *doors) greet(from source) (rule, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if over(d.from[from], d.limit.ConnectionsPerSource) {
		return RuleSourceConnections, fmt.Sprintf("source has %d connections, the most", d.from[from])
	}
	d.from[from]++
	return "", ""
}

func over(n, limit int) bool { return limit >= 0 && n >= limit }

// shaken is the end of a handshake, whatever came of it.
func (d *doors) shaken() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handshakes--
}

// leave ends what knock began, and what greet began when from is not nil.
func (d *doors) leave(from *source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
	if from == nil {
		return
	}
	if d.from[*from]--; d.from[*from] <= 0 {
		delete(d.from, *from)
	}
}

// guest is a connection that is counted. Whoever has no allocation for a while is
// shown out: a client that wants nothing must not hold a connection.
type guest struct {
	net.Conn
	doors *doors
	from  source
	once  sync.Once

	patience time.Duration
	mu       sync.Mutex
	timer    *time.Timer // nil when there is no limit, or no more connection
}

func newGuest(conn net.Conn, d *doors, from source) *guest {
	g := &guest{Conn: conn, doors: d, from: from, patience: d.limit.Idle}
	if g.patience > 0 {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.timer = time.AfterFunc(g.patience, func() { _ = g.Close() })
	}
	return g
}

// busy is called when the client has got an allocation.
func (g *guest) busy() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
	}
}

// idle is called when the client's allocation has ended.
func (g *guest) idle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil {
		g.timer.Reset(g.patience)
	}
}

// Close closes the connection and uncounts it.
func (g *guest) Close() error {
	g.once.Do(func() {
		g.mu.Lock()
		if g.timer != nil {
			g.timer.Stop()
			g.timer = nil
		}
		g.mu.Unlock()
		g.doors.leave(&g.from)
	})
	return g.Conn.Close()
}

// turnAway reports a connection that is not taken and closes it.
func (s *Server) turnAway(t Transport, conn net.Conn, client netip.AddrPort, rule, reason string) {
	_ = conn.Close()
	s.counters.turnedAway.Add(1)
	if s.tellings.take(s.strangers.now(), 1) {
		s.report(Event{Kind: ConnectionRefused, Transport: t, Client: client, Rule: rule, Reason: reason})
	}
}
