package server

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Verdict says whether a client may have a peer.
type Verdict struct {
	Peer    netip.Addr `json:"peer"`
	Allowed bool       `json:"allowed"`
	// Rule is what decided, as the audit log has it; "relayed-address" for the
	// relay's own, and empty when nothing denies the peer.
	Rule string `json:"rule,omitempty"`
	// Why is a sentence for people.
	Why string `json:"why"`
}

// Explain says whether a server with this configuration, started on this machine,
// lets its clients reach a peer.
func (c *Config) Explain(peer netip.Addr) (Verdict, error) {
	listening, err := c.addresses()
	if err != nil {
		return Verdict{}, err
	}
	services := c.services(listening)
	relay, err := c.turnConfig(listening, services)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Peer: peer}
	v.Rule, v.Allowed = relay.Permits(peer)
	var ports []string
	for _, at := range services {
		if at.Addr() == peer.Unmap() && v.Allowed {
			ports = append(ports, strconv.Itoa(int(at.Port())))
		}
	}
	prefix, byName := strings.CutPrefix(v.Rule, "deny ")
	switch {
	case byName:
		v.Why = fmt.Sprintf("relay.peers.deny has %s, and deny wins over everything", prefix)
	case !v.Allowed:
		v.Why = fmt.Sprintf("denied by default; relay.peers.allow with %s would open it", narrow(peer))
	case len(ports) > 0:
		v.Rule = "media-processor"
		v.Why = "the media processor; of this address UDP port " + strings.Join(ports, " and ") + " is opened by it, in front of which TURN turns TCP into UDP"
		if slices.Contains(relay.Addresses, peer.Unmap()) {
			v.Why += ", and live relayed addresses of the relay's clients are reached, too"
		}
	case slices.Contains(relay.Addresses, peer.Unmap()):
		v.Rule = "relayed-address"
		v.Why = "the relay's own; only ports that are live relayed addresses of its clients are reached"
	default:
		v.Why = "public, or in relay.peers.allow; no rule denies it"
		for _, p := range relay.Peers.Allow {
			if p.Contains(peer.Unmap()) {
				v.Rule, v.Why = "allow "+p.String(), "relay.peers.allow has "+p.String()
				break
			}
		}
	}
	return v, nil
}

// narrow is the prefix that holds an address and nothing else.
func narrow(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()) }
