package inspect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/callpath/callpath/relay/negotiation/inspect/capturefile"
	"github.com/callpath/callpath/relay/negotiation/wire/dtls"
	"github.com/callpath/callpath/relay/negotiation/wire/ip"
	"github.com/callpath/callpath/relay/negotiation/wire/stun"
)

// Bounds of what a survey keeps. What comes after a limit is not taken.
const (
	maxHosts    = 256
	maxSockets  = 8192
	maxPairs    = 8192
	maxRequests = 16384
	maxNames    = 64 // user name fragments, randoms and the like, of each end
	maxLinks    = 32
)

// survey is what the first reading finds out.
type survey struct {
	first, last time.Time
	cut         uint64
	timeless    uint64
	unread      map[string]uint64 // packets by the link type that is not read

	// hosts are the ends in captures of ours, by name.
	hosts map[string]*end
	// sockets are the ends in other captures.
	sockets map[netip.AddrPort]*end
	order   []*end // of hosts and sockets, as they were seen
	// pairs counts the packets of interest between two addresses, the lower
	// address first.
	pairs map[[2]netip.Addr]uint64
	// requests are who sent each request first. Whoever sends the same one too
	// is no endpoint: it forwards, as a relay or a NAT does.
	requests map[stun.TransactionID]*end
	streams  streams
	tcp      connections
}

// end is what was seen of one host, or of one socket.
type end struct {
	host   string         // of a capture of ours
	socket netip.AddrPort // of another

	// checked, greeted and asked say that it sent ICE checks, DTLS handshakes,
	// and requests to STUN or TURN servers; serves that it is such a server, and
	// forwards that it passes on what others sent. Outbound is true when the
	// capture says that the machine itself sent what it sent.
	checked, greeted, asked, serves, forwards, outbound bool

	// own are the user name fragments in its checks, addressed those by which
	// others address it, and peers those by which it addresses others.
	own, addressed, peers set[string]
	randoms               set[[32]byte]
	tls                   set[netip.AddrPort]

	leg *leg // nil unless it is an endpoint; known after the survey
}

// set is a small set that remembers its order.
type set[T comparable] []T

func (s *set[T]) add(v T) {
	if !s.has(v) && len(*s) < maxNames {
		*s = append(*s, v)
	}
}

func (s set[T]) has(v T) bool {
	for _, known := range s {
		if known == v {
			return true
		}
	}
	return false
}

func newSurvey() *survey {
	return &survey{
		unread: map[string]uint64{}, hosts: map[string]*end{}, sockets: map[netip.AddrPort]*end{},
		pairs: map[[2]netip.Addr]uint64{}, requests: map[stun.TransactionID]*end{}, streams: streams{}, tcp: connections{byKey: map[flowKey]*flow{}},
	}
}

// hostOf is the host of an interface in a capture of ours.
func hostOf(on *capturefile.Interface) (string, bool) {
	host, _, named := strings.Cut(on.Name, "/")
	return host, named && on.Application == "callpath"
}

// packet takes one packet.
func (s *survey) packet(p capturefile.Packet) {
	switch {
	case p.Time.IsZero():
		s.timeless++
	case s.first.IsZero():
		s.first, s.last = p.Time, p.Time
	case p.Time.Before(s.first):
		s.first = p.Time
	case p.Time.After(s.last):
		s.last = p.Time
	}
	if !p.Interface.Read {
		if name := fmt.Sprintf("%d (%v)", p.Interface.Link, p.Interface.Link); s.unread[name] > 0 || len(s.unread) < maxLinks {
			s.unread[name]++
		}
		return
	}
	if p.Cut {
		s.cut++
		return
	}
	segment, err := ip.Parse(p.IP)
	if err != nil {
		return
	}
	v := visit{survey: s, time: p.Time, segment: segment, outbound: p.Direction == capturefile.Outbound}
	v.host, v.ours = hostOf(p.Interface)
	if segment.Protocol == ip.TCP {
		v.tcp(segment)
		return
	}
	v.payload(segment.Payload, both)
}

// visit is the look at one packet.
type visit struct {
	survey   *survey
	time     time.Time
	segment  ip.Segment
	host     string
	ours     bool
	outbound bool
}

// known are the ends between which a payload goes: of what is inside TURN one end
// is somewhere behind the relay.
type known uint8

const (
	both known = iota
	sender
	receiver
)

// ends finds or makes the ends of a packet of interest; one that is not known, or
// beyond the limit, is an end that nobody asks for.
func (v *visit) ends(k known) (from, to *end) {
	from, to = &end{}, &end{}
	if v.ours {
		if e := v.survey.hostEnd(v.host); v.outbound && k != receiver {
			from = e
		} else if !v.outbound && k != sender {
			to = e
		}
		return from, to
	}
	if k != receiver {
		from = v.survey.socketEnd(v.segment.Source)
		from.outbound = from.outbound || v.outbound
	}
	if k != sender {
		to = v.survey.socketEnd(v.segment.Destination)
	}
	return from, to
}

func (s *survey) hostEnd(name string) *end {
	e := s.hosts[name]
	if e == nil {
		e = &end{host: name}
		if len(s.hosts) < maxHosts {
			s.hosts[name] = e
			s.order = append(s.order, e)
		}
	}
	return e
}

func (s *survey) socketEnd(a netip.AddrPort) *end {
	e := s.sockets[a]
	if e == nil {
		e = &end{socket: a}
		if len(s.sockets) < maxSockets {
			s.sockets[a] = e
			s.order = append(s.order, e)
		}
	}
	return e
}

// interest counts a packet between its addresses.
func (v *visit) interest() {
	if v.ours {
		return
	}
	pair := pairOf(v.segment.Source.Addr(), v.segment.Destination.Addr())
	if n := v.survey.pairs[pair]; n > 0 || len(v.survey.pairs) < maxPairs {
		v.survey.pairs[pair] = n + 1
	}
}

func pairOf(a, b netip.Addr) [2]netip.Addr {
	if b.Less(a) {
		a, b = b, a
	}
	return [2]netip.Addr{a, b}
}

// payload takes a datagram, or what was inside TURN.
func (v *visit) payload(b []byte, k known) {
	if len(b) == 0 {
		return
	}
	switch first := b[0]; {
	case stun.Is(b):
		v.stun(b, k)
	case first >= 64 && first <= 79 && k == both:
		v.channel(b)
	case dtls.Is(b):
		v.dtls(b, k)
	case first >= 128 && first <= 191 && len(b) >= 12 && (b[1] < 192 || b[1] > 223):
		if v.wellKnown() && k == both {
			return // DNS and its like begin with any byte
		}
		v.interest()
		v.survey.streams.add(v, k, b)
	}
}

// wellKnown is true for packets of well-known services, as negotiation has it.
func (v *visit) wellKnown() bool {
	const wellKnown = 1024
	return v.segment.Source.Port() < wellKnown || v.segment.Destination.Port() < wellKnown
}

// stun takes a STUN message.
func (v *visit) stun(b []byte, k known) {
	m, err := stun.Parse(b)
	if err != nil {
		return
	}
	v.interest()
	from, to := v.ends(k)
	switch {
	case m.Method == stun.Send || m.Method == stun.Data:
		if inside, ok := m.Get(stun.DataAttribute); ok && k == both {
			if m.Method == stun.Send {
				to.serves = true
				v.payload(inside, sender)
			} else {
				from.serves = true
				v.payload(inside, receiver)
			}
		}
	case m.Class == stun.Request && !v.first(from, k, m.ID):
		from.forwards = true
	case m.Class == stun.Request && m.Method == stun.Binding && m.Has(stun.Username):
		v.check(from, to, m)
	case m.Class == stun.Request:
		from.asked = true
	case m.Class == stun.Success || m.Class == stun.Failure:
		// Only the answers of ICE are protected and about Binding.
		if m.Method != stun.Binding || !m.Authenticated() && m.Class == stun.Success {
			from.serves = true
		}
	}
}

// first is true when the sender of a request is the first that sent it, or not
// known.
func (v *visit) first(from *end, k known, id stun.TransactionID) bool {
	if v.ours || k == receiver {
		return true
	}
	first := v.survey.requests[id]
	if first == nil && len(v.survey.requests) < maxRequests {
		v.survey.requests[id] = from
	}
	return first == nil || first == from
}

// check takes an ICE check (RFC 8445, section 7.2.2: the user name has the
// receiver's fragment first).
func (v *visit) check(from, to *end, m stun.Message) {
	theirs, mine, ok := strings.Cut(m.Text(stun.Username), ":")
	if !ok {
		return
	}
	from.checked = true
	from.own.add(mine)
	from.peers.add(theirs)
	to.addressed.add(theirs)
	to.peers.add(mine)
}

// channel takes ChannelData (RFC 8656, section 12.4).
func (v *visit) channel(b []byte) {
	const header = 4
	if len(b) < header {
		return
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if after := len(b) - header - length; after < 0 || after > 3 {
		return
	}
	from, to := v.ends(both)
	k := sender
	switch {
	case from.serves, v.ours && !v.outbound:
		k = receiver
	case !to.serves && !v.ours:
		return // neither is known as a relay
	}
	v.interest()
	v.payload(b[header:header+length], k)
}

// dtls takes a datagram of DTLS; only the beginnings of handshakes tell something.
func (v *visit) dtls(b []byte, k known) {
	if v.wellKnown() && k == both {
		return
	}
	record, _, err := dtls.Next(b)
	if err != nil {
		return
	}
	v.interest()
	if record.Type != dtls.Handshake || record.Epoch != 0 {
		return
	}
	random, hello := dtls.HelloRandom(record.Payload)
	if !hello && !dtls.FromServer(record.Payload) {
		return
	}
	from, to := v.ends(k)
	from.greeted = true
	if hello {
		from.randoms.add(random)
		to.randoms.add(random)
	}
}
