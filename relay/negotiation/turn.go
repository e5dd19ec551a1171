package negotiation

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/negotiation/wire/stun"
)

// Bounds of what is kept of TURN. ChannelNumbers alone would allow 4096 channels
// an allocation.
const (
	maxAllocations = 64
	maxPeers       = 256
	maxErrors      = 32
)

// allocations are those of the leg, by the addresses of client and server.
type allocations struct {
	journal *journal
	byPath  map[path]*allocation
	order   []*allocation
}

// allocation is one allocation, or the attempt at one.
type allocation struct {
	TURN
	allocated bool
	// unbound notes that data on a channel came whose binding was not seen.
	unbound bool
}

// at finds the allocation between two addresses, the latest where there were
// several.
func (a *allocations) at(p path) *allocation { return a.byPath[p] }

// open finds the allocation that a request is about, or begins one; nil when there
// are too many.
func (a *allocations) open(p path) *allocation {
	found := a.byPath[p]
	if found != nil && !found.Deleted {
		return found
	}
	if len(a.order) == maxAllocations {
		return nil
	}
	found = &allocation{TURN: TURN{Server: p.remote, Client: p.local, Protocol: p.protocol}}
	if a.byPath == nil {
		a.byPath = map[path]*allocation{}
	}
	a.byPath[p] = found
	a.order = append(a.order, found)
	return found
}

// request takes a client's request. Requests about a deleted allocation, such as
// the repetition of the one that deleted it, belong to that one.
func (a *allocations) request(q *request, m stun.Message) {
	q.allocation = a.at(q.path)
	if q.allocation == nil || m.Method == stun.Allocate {
		q.allocation = a.open(q.path)
	}
	if q.allocation == nil {
		return
	}
	if name := m.Text(stun.Username); name != "" {
		q.allocation.Username = name
	}
	if realm := m.Text(stun.Realm); realm != "" {
		q.allocation.Realm = realm
	}
	q.peers = m.Addresses(stun.XORPeerAddress)
	q.channel, _ = m.Channel()
}

// response takes a server's response.
func (a *allocations) response(t time.Time, q *request, m stun.Message) {
	if realm := m.Text(stun.Realm); realm != "" {
		q.allocation.Realm = realm
	}
	if m.Class == stun.Failure {
		a.refused(t, q, m)
		return
	}
	if f := turnSuccess[q.method]; f != nil {
		f(a, t, q, m)
	}
}

// turnSuccess says what the success of each method means.
var turnSuccess = map[stun.Method]func(*allocations, time.Time, *request, stun.Message){
	stun.Allocate:         (*allocations).granted,
	stun.Refresh:          (*allocations).refreshed,
	stun.CreatePermission: (*allocations).permitted,
	stun.ChannelBind:      (*allocations).bound,
}

// refused takes an error response. The first 401, which tells realm and nonce,
// and a 438, which tells a new nonce, are steps of authentication and no refusals
// (RFC 8489, section 9.2).
func (a *allocations) refused(t time.Time, q *request, m stun.Message) {
	code, _ := m.Code()
	if code == stun.Unauthorized && !q.authenticated || code == stun.StaleNonce {
		return
	}
	text := q.method.String() + " " + m.Refusal()
	if len(q.allocation.Errors) < maxErrors && !slices.Contains(q.allocation.Errors, text) {
		q.allocation.Errors = append(q.allocation.Errors, text)
	}
	attrs := []slog.Attr{
		slog.String(KeyServer, q.path.remote.String()), slog.String(KeyMethod, q.method.String()),
		slog.String(KeyResult, m.Refusal()), slog.String(KeyUsername, q.allocation.Username),
	}
	for _, peer := range q.peers {
		attrs = append(attrs, slog.String(KeyPeer, peer.String()))
	}
	a.journal.event(t, EventRefused, attrs...)
}

func (a *allocations) granted(t time.Time, q *request, m stun.Message) {
	g := q.allocation
	g.allocated = true
	g.Relayed = m.Address(stun.XORRelayedAddress)
	g.Mapped = m.Mapped()
	g.Lifetime, _ = m.Lifetime()
	a.journal.event(t, EventAllocated, slog.String(KeyServer, g.Server.String()), slog.String(KeyProtocol, g.Protocol),
		slog.String(KeyLocal, g.Client.String()), slog.String(KeyRelayed, g.Relayed.String()), slog.String(KeyMapped, g.Mapped.String()),
		slog.String(KeyUsername, g.Username), slog.String(KeyRealm, g.Realm), slog.Duration(KeyLifetime, g.Lifetime))
}

func (a *allocations) refreshed(t time.Time, q *request, m stun.Message) {
	lifetime, ok := m.Lifetime()
	if !ok {
		return
	}
	name := EventRefreshed
	if lifetime == 0 {
		name = EventDeleted
		q.allocation.Deleted = true
	} else {
		q.allocation.Lifetime = lifetime
	}
	a.journal.event(t, name, slog.String(KeyServer, q.allocation.Server.String()),
		slog.String(KeyRelayed, q.allocation.Relayed.String()), slog.Duration(KeyLifetime, lifetime))
}

func (a *allocations) permitted(t time.Time, q *request, _ stun.Message) {
	for _, peer := range q.peers {
		q.allocation.peer(peer)
		a.journal.event(t, EventPermission, slog.String(KeyServer, q.allocation.Server.String()), slog.String(KeyPeer, peer.String()))
	}
}

func (a *allocations) bound(t time.Time, q *request, _ stun.Message) {
	if len(q.peers) != 1 {
		return
	}
	g := q.allocation
	if g.Channels == nil {
		g.Channels = map[uint16]netip.AddrPort{}
	}
	if _, known := g.Channels[q.channel]; !known && len(g.Channels) == maxPeers {
		return
	}
	g.Channels[q.channel] = q.peers[0]
	g.peer(q.peers[0])
	a.journal.event(t, EventChannelBound, slog.String(KeyServer, g.Server.String()),
		slog.String(KeyPeer, q.peers[0].String()), slog.String(KeyChannel, fmt.Sprintf("%#04x", q.channel)))
}

func (g *allocation) peer(peer netip.AddrPort) {
	if len(g.Peers) < maxPeers && !slices.Contains(g.Peers, peer) {
		g.Peers = append(g.Peers, peer)
	}
}

// count adds a relayed payload to an allocation, which may not have been seen.
func (g *allocation) count(outbound bool, payload []byte) {
	switch {
	case g == nil:
	case outbound:
		g.SentBytes += uint64(len(payload))
	default:
		g.ReceivedBytes += uint64(len(payload))
	}
}

// inside is the path of a payload that was wrapped on p.
func (g *allocation) inside(p path, peer netip.AddrPort) path {
	in := path{remote: peer, protocol: p.protocol, relayed: true}
	if g != nil {
		in.local = g.Relayed
	}
	return in
}

// channelData unwraps ChannelData (RFC 8656, section 12.4).
func (r *Recorder) channelData(t time.Time, outbound bool, p path, b []byte) {
	g := r.turn.at(p)
	if g == nil && !p.media() {
		return
	}
	payload := b[channelHeader : channelHeader+int(binary.BigEndian.Uint16(b[2:]))]
	var peer netip.AddrPort
	if g != nil {
		channel := binary.BigEndian.Uint16(b)
		var known bool
		if peer, known = g.Channels[channel]; !known && !g.unbound {
			g.unbound = true
			r.journal.problem(t, fmt.Sprintf("data on channel %#04x, whose binding to a peer was not seen", channel))
		}
	}
	g.count(outbound, payload)
	r.payload(t, outbound, g.inside(p, peer), payload)
}

// wrapped unwraps a Send or Data indication (RFC 8656, section 11).
func (r *Recorder) wrapped(t time.Time, outbound bool, p path, m stun.Message) {
	payload, ok := m.Get(stun.DataAttribute)
	if !ok || outbound != (m.Method == stun.Send) {
		return
	}
	g := r.turn.at(p)
	g.count(outbound, payload)
	r.payload(t, outbound, g.inside(p, m.Address(stun.XORPeerAddress)), payload)
}

// record copies the allocations; requests that were never answered are errors.
func (a *allocations) record(q *requests) []TURN {
	silent := map[*allocation]bool{}
	for _, r := range q.byID {
		if r.allocation == nil || r.method != stun.Allocate {
			continue
		}
		if before, known := silent[r.allocation]; !known || before {
			silent[r.allocation] = !r.answered
		}
	}
	all := make([]TURN, 0, len(a.order))
	for _, g := range a.order {
		rec := g.TURN
		rec.Peers = slices.Clone(g.Peers)
		rec.Channels = maps.Clone(g.Channels)
		rec.Errors = slices.Clone(g.Errors)
		if silent[g] && !g.allocated {
			rec.Errors = append(rec.Errors, stun.Allocate.String()+" "+noAnswer)
		}
		all = append(all, rec)
	}
	return all
}
