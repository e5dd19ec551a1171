package turn

import (
	"errors"
	"net"
	"net/netip"

	"github.com/pion/stun/v4"
	engine "github.com/pion/turn/v5"
)

// authenticate is the engine's AuthHandler: it says who owns what the request is
// about and with which key it is signed. The front has checked both, and signed the
// request again for the engine (challenge.go).
func (f *front) authenticate(*engine.RequestAttributes) (owner string, key []byte, ok bool) {
	r := &f.request
	if r.key == nil {
		return "", nil, false
	}
	return r.who.owner(), r.key, true
}

// shorten keeps what a stranger wrote from filling a log.
func shorten(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// allocate is the engine's QuotaHandler, called for each request that is about to
// make an allocation. The engine answers 486 when it says no.
func (f *front) allocate(string, string, net.Addr) bool {
	if rule, reason := f.server.quotas.acquire(f.request.who.user); rule != "" {
		e := f.event(AllocationRefused)
		e.Rule, e.Reason = rule, reason
		code := stun.CodeAllocQuotaReached
		if rule == RuleDraining {
			code = stun.CodeInsufficientCapacity
		}
		f.refuse(e, code)
		return false
	}
	f.request.holds = true
	return true
}

// permit is the engine's PermissionHandler, for permissions and for channels.
func (f *front) permit(_ net.Addr, ip net.IP) bool {
	r := &f.request
	a := f.allocation(r.client)
	peer, ok := netip.AddrFromSlice(ip)
	if !ok || a == nil || r.message == nil {
		return false
	}
	e := f.event(PermissionDenied)
	e.Peer = netip.AddrPortFrom(peer, 0)
	var bind *binding
	if r.message.Type.Method == stun.MethodChannelBind {
		e.Kind = ChannelDenied
		if b, err := bindingOf(r.message); err == nil {
			bind, e.Peer, e.Channel = &b, b.peer, b.channel
		}
	}
	if rule, ok := f.server.own.permits(peer); !ok {
		e.Rule, e.Reason = rule, "peer policy"
		f.refuse(e, stun.CodeForbidden)
		return false
	}
	if bind != nil && !f.server.own.reaches(bind.peer, &f.server.allocations) {
		e.Rule, e.Reason = "own-address", "neither a live relayed transport address nor a service"
		f.refuse(e, stun.CodeForbidden)
		return false
	}
	if rule, reason := a.room(peer.Unmap(), bind, f.server.cfg.Quota); rule != "" {
		e.Rule, e.Reason = rule, reason
		f.refuse(e, stun.CodeInsufficientCapacity)
		return false
	}
	return true
}

// binding is what a ChannelBind request asks for.
type binding struct {
	channel uint16
	peer    netip.AddrPort
}

func bindingOf(m *stun.Message) (binding, error) {
	var peer stun.XORMappedAddress
	if err := peer.GetFromAs(m, stun.AttrXORPeerAddress); err != nil {
		return binding{}, err
	}
	number, err := m.Get(stun.AttrChannelNumber)
	if err != nil {
		return binding{}, err
	}
	addr, ok := netip.AddrFromSlice(peer.IP)
	if !ok || len(number) < 2 {
		return binding{}, errors.New("malformed channel binding")
	}
	return binding{
		channel: uint16(number[0])<<8 | uint16(number[1]),
		peer:    netip.AddrPortFrom(addr.Unmap(), uint16(peer.Port)),
	}, nil
}

// events are the engine's callbacks. Creations come from the reading goroutine;
// deletions from any, with locks of the engine held. A ChannelBind, the first and each
// that refreshes, refreshes the peer's permission (RFC 8656, section 12.1): the engine
// tells of the permission, if it had expired or is new, before it tells of the channel
// and before it answers, so that nothing is lost that the client may count on.
func (f *front) events() engine.EventHandler {
	// The client is compared because a late word about an allocation that has
	// ended may meet another on the same relayed address.
	find := func(client, relay net.Addr) *allocation {
		if a := f.server.allocations.get(addrPort(relay)); a != nil && a.client == addrPort(client) {
			return a
		}
		return nil
	}
	return engine.EventHandler{
		OnAllocationCreated: func(from, _ net.Addr, _, _, _ string, at net.Addr, _ int) {
			if find(from, at) != nil {
				f.server.report(f.event(AllocationCreated))
			}
		},
		OnPermissionCreated: func(from, _ net.Addr, _, _, _ string, at net.Addr, peer net.IP) {
			if addr, ok := netip.AddrFromSlice(peer); ok {
				if a := find(from, at); a != nil && a.addPermission(addr.Unmap()) {
					a.permit(addr, true)
					e := a.event(PermissionCreated)
					e.Peer = netip.AddrPortFrom(addr.Unmap(), 0)
					f.server.report(e)
				}
			}
		},
		OnPermissionDeleted: func(from, _ net.Addr, _, _, _ string, at net.Addr, peer net.IP) {
			if addr, ok := netip.AddrFromSlice(peer); ok {
				if a := find(from, at); a != nil {
					a.permit(addr, false)
					a.removePermission(addr.Unmap())
				}
			}
		},
		OnChannelCreated: func(from, _ net.Addr, _, _, _ string, at, peer net.Addr, number uint16) {
			if a := find(from, at); a != nil && a.addChannel(binding{number, addrPort(peer)}) {
				a.bind(number, addrPort(peer))
				e := a.event(ChannelBound)
				e.Peer, e.Channel = addrPort(peer), number
				f.server.report(e)
			}
		},
		OnChannelDeleted: func(from, _ net.Addr, _, _, _ string, at, peer net.Addr, number uint16) {
			if a := find(from, at); a != nil {
				a.unbind(number)
				a.removeChannel(binding{number, addrPort(peer)})
			}
		},
	}
}
