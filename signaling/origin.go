package signaling

import (
	"net/netip"
	"strings"
)

// maxOrigins bounds how many addresses a call or conference remembers.
const maxOrigins = 512

// CandidateOrigin says whose candidate has the address in a call, meeting or group
// call, for example "host candidate of bob" or "host candidate of the media
// processor". It is empty when nobody has sent such a candidate, or the call is not
// known any more. A relay that denies a peer can so say where the client had it from.
func (c *Controller) CandidateOrigin(id string, addr netip.Addr) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.calls[id]; k != nil {
		return k.origins.byAddr[addr.Unmap()]
	}
	if k := c.conferences[id]; k != nil {
		return k.origins.byAddr[addr.Unmap()]
	}
	return ""
}

// origins say whose candidate has an address. Controller.mu guards them; the zero
// origins are empty.
type origins struct{ byAddr map[netip.Addr]string }

// remember notes where the candidates of a notification came from. They have been
// checked.
func (o *origins) remember(n Notification, from string) {
	if n.Description != nil {
		o.description(n.Description.SDP, from)
	}
	for _, candidate := range n.Candidates {
		o.candidate(strings.TrimPrefix(candidate.Candidate, "a="), from)
	}
}

func (o *origins) description(sdp, from string) {
	for line := range strings.Lines(sdp) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "a="); ok {
			o.candidate(value, from)
		}
	}
}

// candidate takes a line such as "candidate:1 1 udp 1 192.0.2.1 9 typ host".
func (o *origins) candidate(line, from string) {
	value, ok := strings.CutPrefix(line, "candidate:")
	if !ok {
		return
	}
	f := strings.Fields(value)
	if len(f) < 8 || len(o.byAddr) >= maxOrigins {
		return
	}
	addr, err := netip.ParseAddr(f[4])
	if err != nil {
		return
	}
	if o.byAddr == nil {
		o.byAddr = map[netip.Addr]string{}
	}
	o.byAddr[addr.Unmap()] = f[7] + " candidate of " + from
}
