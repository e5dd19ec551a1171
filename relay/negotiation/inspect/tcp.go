package inspect

import (
	"net/netip"

	"github.com/callpath/callpath/relay/negotiation/wire/bytestream"
	"github.com/callpath/callpath/relay/negotiation/wire/ip"
	"github.com/callpath/callpath/relay/negotiation/wire/stun"
)

// maxFlows bounds the directions of TCP connections that are looked into at once,
// each with at most 256 KiB out of order and one frame; the oldest is forgotten.
const maxFlows = 128

// flowKey is one direction of a TCP connection, where it was seen.
type flowKey struct {
	host     string
	from, to netip.AddrPort
}

// flow is what is kept of one that carries TURN.
type flow struct {
	segments bytestream.Assembler
	frames   bytestream.Framer
}

// connections are the flows that carry TURN; order has the oldest first.
type connections struct {
	byKey map[flowKey]*flow
	order []flowKey
}

// tcp takes a segment: of a connection to a TURN server, or of the beginning of TLS.
func (v *visit) tcp(s ip.Segment) {
	b := s.Payload
	const handshake, major, clientHello = 22, 3, 1
	if len(b) > 5 && b[0] == handshake && b[1] == major && b[5] == clientHello {
		from, _ := v.ends(both)
		from.tls.add(s.Destination)
		return
	}
	f := v.survey.tcp.at(flowKey{v.host, s.Source, s.Destination}, s)
	if f == nil || f.segments.Feed(s.Sequence, false, b) != nil {
		return
	}
	for {
		data, ok := f.segments.Next()
		if !ok {
			return
		}
		f.frames.Feed(data)
		for {
			frame, ok, err := f.frames.Next()
			if err != nil {
				v.survey.tcp.forget(flowKey{v.host, s.Source, s.Destination})
				return
			}
			if !ok {
				break
			}
			v.payload(frame, both)
		}
	}
}

// at finds the flow of a segment, or begins one with a STUN message; nil for all
// that does not begin so.
func (l *connections) at(key flowKey, s ip.Segment) *flow {
	if s.Flags&(ip.SYN|ip.RST) != 0 {
		l.forget(key)
	}
	found := l.byKey[key]
	if found != nil || !stun.Is(s.Payload) {
		return found
	}
	if len(l.order) == maxFlows {
		l.forget(l.order[0])
	}
	found = &flow{}
	l.byKey[key] = found
	l.order = append(l.order, key)
	return found
}

// forget ends a flow.
func (l *connections) forget(key flowKey) {
	if l.byKey[key] == nil {
		return
	}
	delete(l.byKey, key)
	for i, k := range l.order {
		if k == key {
			l.order = append(l.order[:i], l.order[i+1:]...)
			return
		}
	}
}
