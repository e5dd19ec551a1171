package turn

import (
	"net/netip"
	"sync"
)

// This file lets somebody look at the beginning of what an allocation and a peer
// exchange, without slowing what comes after: as long as Config.Watch wants to see
// more, a channel is kept from the forwarding core, and its packets go through the
// engine.

// maxWatched bounds the peers of one allocation that are watched, ports counted.
// What else it exchanges goes unseen, and the fast way.
const maxWatched = 64

// watching is what an allocation knows of Config.Watch. It is not used when that is
// nil.
type watching struct {
	mu    sync.Mutex
	peers map[netip.AddrPort]*watched
}

// watched is one peer.
type watched struct {
	over bool
	// channel is bound, and kept from the core; 0 is none.
	channel uint16
}

// of finds or begins a peer; nil when there are too many. Its caller holds mu.
func (w *watching) of(peer netip.AddrPort) *watched {
	p := w.peers[peer]
	if p == nil && len(w.peers) < maxWatched {
		if w.peers == nil {
			w.peers = make(map[netip.AddrPort]*watched)
		}
		p = &watched{}
		w.peers[peer] = p
	}
	return p
}

// keeps tells whether a peer's new channel is kept from the core for now.
func (w *watching) keeps(channel uint16, peer netip.AddrPort) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.of(peer)
	if p == nil || p.over {
		return false
	}
	p.channel = channel
	return true
}

// unbound takes the end of a channel.
func (w *watching) unbound(channel uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.peers {
		if p.channel == channel {
			p.channel = 0
		}
	}
}

// watch shows a payload, if more is wanted of its peer. Once nothing is, the peer's
// channel becomes the core's.
func (a *allocation) watch(r Relayed) {
	a.watching.mu.Lock()
	p := a.watching.of(r.Peer)
	wanted := p != nil && !p.over
	a.watching.mu.Unlock()
	if !wanted || a.front.server.cfg.Watch(r) {
		return
	}
	a.watching.mu.Lock()
	defer a.watching.mu.Unlock()
	// Both directions may have come to the end at once.
	if channel := p.channel; !p.over {
		p.over, p.channel = true, 0
		if channel != 0 {
			a.forward(channel, r.Peer)
		}
	}
}
