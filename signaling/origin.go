package signaling

import (
	"net/netip"
	"strings"
)

// maxOrigins bounds how many addresses a call remembers.
const maxOrigins = 512

// CandidateOrigin says whose candidate has the address in a call, for example
// "host candidate of bob". It is empty when nobody has sent such a candidate, or
// the call is not known any more. A relay that denies a peer can so say where the
// client had it from.
func (c *Controller) CandidateOrigin(id string, addr netip.Addr) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.calls[id]; k != nil {
		return k.origins[addr.Unmap()]
	}
	return ""
}

// remember notes where the candidates of a description and those beside it came
// from. They have been checked. c.mu is held.
func (k *call) remember(n Notification, from *user) {
	if n.Description != nil {
		for line := range strings.Lines(n.Description.SDP) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "a="); ok {
				k.rememberOne(value, from)
			}
		}
	}
	for _, candidate := range n.Candidates {
		k.rememberOne(strings.TrimPrefix(candidate.Candidate, "a="), from)
	}
}

// rememberOne takes a line such as "candidate:1 1 udp 1 192.0.2.1 9 typ host".
func (k *call) rememberOne(line string, from *user) {
	value, ok := strings.CutPrefix(line, "candidate:")
	if !ok {
		return
	}
	f := strings.Fields(value)
	if len(f) < 8 || len(k.origins) >= maxOrigins {
		return
	}
	addr, err := netip.ParseAddr(f[4])
	if err != nil {
		return
	}
	if k.origins == nil {
		k.origins = map[netip.Addr]string{}
	}
	k.origins[addr.Unmap()] = f[7] + " candidate of " + from.id
}
