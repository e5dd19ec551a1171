package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/callpath/callpath/relay/negotiation"
)

// maxLegs bounds the legs of one capture, each of which has a Recorder.
const maxLegs = 64

// leg is one endpoint, and what records it.
type leg struct {
	name      string
	ends      []*end
	addresses []netip.Addr
	into      *leg // the leg that it turned out to be a part of
	recorder  *negotiation.Recorder
	// transactions are those that the recorder told of.
	transactions []Transaction
	// described is true when an SDP told the clocks of its streams.
	described bool
}

// legs are the endpoints of a capture, and how packets find them.
type legs struct {
	all       []*leg
	byHost    map[string]*leg
	byAddress map[netip.Addr]*leg
	bySocket  map[netip.AddrPort]*leg
	notes     []string
}

func (e *end) endpoint() bool {
	return (e.checked || e.greeted || e.asked) && !e.serves && !e.forwards
}

// legs decides which endpoints a capture has. local, when not empty, says whose.
func (s *survey) legs(local []netip.Addr) (*legs, error) {
	l := &legs{byHost: map[string]*leg{}, byAddress: map[netip.Addr]*leg{}, bySocket: map[netip.AddrPort]*leg{}}
	l.hosts(s)
	groups, err := s.groups(local)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		l.add(g)
	}
	return l, nil
}

// hosts makes the legs of a capture of ours.
func (l *legs) hosts(s *survey) {
	var servers, hidden []string
	for _, e := range s.order {
		switch {
		case e.host == "":
		case e.serves:
			servers = append(servers, e.host)
		case e.endpoint():
			g := &leg{name: e.host, ends: []*end{e}}
			if l.add(g) {
				l.byHost[e.host] = g
			}
		case len(e.tls) > 0:
			hidden = append(hidden, e.host)
		}
	}
	if len(servers) > 0 {
		l.notes = append(l.notes, "no legs, since they are STUN or TURN servers: "+strings.Join(servers, ", "))
	}
	if len(hidden) > 0 {
		l.notes = append(l.notes, "no legs, since all that they sent was in TLS, or in nothing that is read: "+strings.Join(hidden, ", "))
	}
}

// add adds a leg, unless there are too many.
func (l *legs) add(g *leg) bool {
	if len(l.all) == maxLegs {
		if note := fmt.Sprintf("more than %d endpoints: only the first are recorded; --local or a smaller capture picks others", maxLegs); !slices.Contains(l.notes, note) {
			l.notes = append(l.notes, note)
		}
		return false
	}
	l.all = append(l.all, g)
	for _, a := range g.addresses {
		l.byAddress[a] = g
	}
	for _, e := range g.ends {
		e.leg = g
		if e.host == "" && !slices.Contains(g.addresses, e.socket.Addr()) {
			l.bySocket[e.socket] = g
		}
	}
	return true
}

// of finds the legs between which a packet goes.
func (l *legs) of(from, to netip.AddrPort) (sender, receiver *leg) {
	at := func(a netip.AddrPort) *leg {
		if g := l.bySocket[a]; g != nil {
			return g
		}
		return l.byAddress[a.Addr()]
	}
	return at(from), at(to)
}

// groups makes legs of sockets, for captures of others. local, when not empty, says
// whose are wanted.
func (s *survey) groups(local []netip.Addr) ([]*leg, error) {
	// An address that serves or forwards is no endpoint with its other sockets
	// either, unless it is asked for: those of a relay are relayed addresses.
	between := map[string]bool{} // by place
	middle := false
	for _, e := range s.order {
		if e.host == "" && (e.forwards || e.serves) {
			between[s.place(e)] = true
			middle = middle || e.forwards
		}
	}
	var chosen []*end
	outbound := false
	for _, e := range s.order {
		if e.host == "" && e.endpoint() && (len(local) == 0 && !between[s.place(e)] || slices.Contains(local, e.socket.Addr())) {
			chosen = append(chosen, e)
			outbound = outbound || e.outbound
		}
	}
	if err := s.missing(local, chosen); err != nil {
		return nil, err
	}
	if outbound && len(local) == 0 {
		// The capture knows what the machine itself sent.
		chosen = slices.DeleteFunc(chosen, func(e *end) bool { return !e.outbound })
	}
	groups := s.unite(chosen)
	for _, g := range groups {
		s.name(g)
	}
	if len(local) == 0 && !outbound && !middle {
		groups = s.captor(groups)
	}
	return groups, nil
}

// unite puts together the sockets of one endpoint. As a rule that is an address
// with all its sockets, or several addresses if one ICE agent checks from them, as
// that of a host with IPv4 and IPv6 does. Only where an address talks to itself,
// both endpoints being on one machine, sockets are told apart: by the agents that
// check from them.
func (s *survey) unite(chosen []*end) []*leg {
	var made []*leg
	byName := map[string]*leg{} // by place, and by agent
	for _, e := range chosen {
		names := []string{s.place(e)}
		for _, fragment := range e.own {
			names = append(names, "agent "+fragment)
		}
		var g *leg
		for _, name := range names {
			other := byName[name].root()
			switch {
			case g == nil:
				g = other
			case other != nil && other != g:
				g.ends = append(g.ends, other.ends...)
				other.ends, other.into = nil, g
			}
		}
		if g == nil {
			g = &leg{}
			made = append(made, g)
		}
		g.ends = append(g.ends, e)
		for _, name := range names {
			byName[name] = g
		}
	}
	return slices.DeleteFunc(made, func(g *leg) bool { return g.into != nil })
}

// root is the leg that a leg became a part of.
func (g *leg) root() *leg {
	for g != nil && g.into != nil {
		if g.into.into != nil {
			g.into = g.into.into
		}
		g = g.into
	}
	return g
}

// place is what the sockets of one endpoint have in common: the address, unless
// that talks to itself.
func (s *survey) place(e *end) string {
	if a := e.socket.Addr(); !s.loops(a) {
		return a.String()
	}
	return e.socket.String()
}

func (s *survey) loops(a netip.Addr) bool { return s.pairs[[2]netip.Addr{a, a}] > 0 }

// name names a leg by its addresses or, where these talk to themselves, its
// sockets.
func (s *survey) name(g *leg) {
	var names []string
	for _, e := range g.ends {
		a := e.socket.Addr()
		if s.loops(a) {
			names = append(names, e.socket.String())
		} else if !slices.Contains(g.addresses, a) {
			g.addresses = append(g.addresses, a)
			names = append(names, a.String())
		}
	}
	const most = 3
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	g.name = strings.Join(names, ", ")
}

// captor is the leg on whose machine the capture was taken, where that shows: all
// packets of interest are its own, and it is one agent. Otherwise all legs are
// returned.
func (s *survey) captor(groups []*leg) []*leg {
	var found []*leg
	for _, g := range groups {
		agents := set[string]{}
		for _, e := range g.ends {
			for _, fragment := range e.own {
				agents.add(fragment)
			}
		}
		if len(g.addresses) > 0 && len(agents) <= 1 && s.all(g.addresses) {
			found = append(found, g)
		}
	}
	if len(found) > 0 {
		return found
	}
	return groups
}

// all tells whether all packets of interest are from or to these addresses.
func (s *survey) all(addresses []netip.Addr) bool {
	for pair := range s.pairs {
		if !slices.Contains(addresses, pair[0]) && !slices.Contains(addresses, pair[1]) {
			return false
		}
	}
	return true
}

// missing refuses an address of --local that no endpoint has.
func (s *survey) missing(local []netip.Addr, chosen []*end) error {
	for _, a := range local {
		if slices.ContainsFunc(chosen, func(e *end) bool { return e.socket.Addr() == a }) {
			continue
		}
		var valid []string
		for _, e := range s.order {
			if name := e.socket.Addr().String(); e.host == "" && e.endpoint() && !slices.Contains(valid, name) {
				valid = append(valid, name)
			}
		}
		const most = 16
		switch {
		case len(s.hosts) > 0:
			return fmt.Errorf("local address %v: the capture says whose packets are whose; valid: none", a)
		case len(valid) == 0:
			return fmt.Errorf("local address %v: no address sent ICE checks, DTLS or STUN requests; valid: none", a)
		}
		return fmt.Errorf("local address %v sent no ICE checks, DTLS or STUN requests; valid: %s", a, strings.Join(valid[:min(most, len(valid))], ", "))
	}
	return nil
}
