package negotiation

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/callpath/callpath/relay/negotiation/wire/stun"
)

// request is a STUN request with its retransmissions, and who waits for the
// response.
type request struct {
	path          path
	outbound      bool
	method        stun.Method
	last          time.Time
	sent          int
	answered      bool
	authenticated bool
	// check and pair are ICE's; check is -1 for one that only asks for consent,
	// and pair nil for what is not ICE's.
	check        int
	pair         *pair
	useCandidate bool
	priority     uint32
	// allocation, peers and channel are TURN's.
	allocation *allocation
	peers      []netip.AddrPort
	channel    uint16
}

type requestKey struct {
	id       stun.TransactionID
	outbound bool
}

// requests finds the request that a response answers.
type requests struct {
	limit int
	byID  map[requestKey]*request
	// order is a ring of the keys in byID, oldest at next once it is full.
	order []requestKey
	next  int
}

func (q *requests) add(key requestKey, r *request) {
	if q.byID == nil {
		q.byID = map[requestKey]*request{}
	}
	q.byID[key] = r
	if len(q.order) < q.limit {
		q.order = append(q.order, key)
		return
	}
	delete(q.byID, q.order[q.next])
	q.order[q.next] = key
	q.next = (q.next + 1) % q.limit
}

// stun takes a STUN message, of ICE, of TURN, or to a STUN server.
func (r *Recorder) stun(t time.Time, outbound bool, p path, b []byte) {
	m, err := stun.Parse(b)
	if err != nil {
		r.journal.problem(t, fmt.Sprintf("%v, %s between %v and %v", err, directionName(outbound), p.local, p.remote))
		return
	}
	switch m.Class {
	case stun.Request:
		r.request(t, outbound, p, m)
	case stun.Indication:
		if !p.relayed && (m.Method == stun.Send || m.Method == stun.Data) {
			r.wrapped(t, outbound, p, m)
		}
	case stun.Success, stun.Failure:
		r.response(t, outbound, p, m)
	}
}

func (r *Recorder) request(t time.Time, outbound bool, p path, m stun.Message) {
	key := requestKey{m.ID, outbound}
	if q := r.requests.byID[key]; q != nil && q.path == p {
		q.last = t
		q.sent++
		if q.check >= 0 {
			r.ice.repeated(q)
		}
		return
	}
	q := &request{path: p, outbound: outbound, method: m.Method, last: t, sent: 1, check: -1, authenticated: m.Authenticated()}
	switch {
	case m.Method == stun.Binding && m.Has(stun.Username):
		r.ice.request(t, q, m)
	case m.Method == stun.Binding:
		if !outbound {
			return // the leg is no STUN server
		}
	case p.relayed || !outbound:
		return // nor a relay
	default:
		r.turn.request(q, m)
	}
	r.requests.add(key, q)
}

func (r *Recorder) response(t time.Time, outbound bool, p path, m stun.Message) {
	q := r.requests.byID[requestKey{m.ID, !outbound}]
	if q == nil || q.answered || q.method != m.Method {
		return
	}
	q.answered = true
	switch {
	case q.pair != nil:
		r.ice.response(t, q, p, m)
	case q.allocation != nil:
		r.turn.response(t, q, m)
	case m.Class == stun.Success:
		r.journal.event(t, EventMapped, slog.String(KeyServer, p.remote.String()),
			slog.String(KeyLocal, p.local.String()), slog.String(KeyMapped, m.Mapped().String()))
	default:
		r.journal.problem(t, fmt.Sprintf("STUN server %v refused: %s", p.remote, m.Refusal()))
	}
}

// silentServers are the STUN servers that answered nothing.
func (q *requests) silentServers() []netip.AddrPort {
	heard := map[netip.AddrPort]bool{}
	var order []netip.AddrPort
	for i := range q.order {
		r := q.byID[q.order[(q.next+i)%len(q.order)]]
		if r == nil || r.pair != nil || r.allocation != nil {
			continue
		}
		if _, known := heard[r.path.remote]; !known {
			order = append(order, r.path.remote)
		}
		heard[r.path.remote] = heard[r.path.remote] || r.answered
	}
	silent := order[:0]
	for _, s := range order {
		if !heard[s] {
			silent = append(silent, s)
		}
	}
	return silent
}
