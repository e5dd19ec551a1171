package runner

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
)

// traffic sorts every packet that reached a host by what it was for and by the
// way that it took. It is told of packets by the network's goroutines.
type traffic struct {
	roles map[string]topology.Role // by host; not changed
	seed  maphash.Seed

	mu   sync.Mutex
	legs map[legKey]*legCount
	// inStreams counts the SRTP that the relay took from and gave to clients'
	// streams, in which TLS hides it from the network.
	inStreams map[stream]*srtpCount
	moments   *moments
}

// stream is one direction of a client's connection to the relay, by the client's
// address as the relay sees it.
type stream struct {
	client  netip.AddrPort
	toRelay bool
}

// legKey tells one leg from another. stream is zero but for the relay's.
type legKey struct {
	from, to string
	traffic  result.Traffic
	protocol string
	stream   stream
	way      uint64
}

type legCount struct {
	way     topology.Way
	packets uint64
	bytes   uint64
	srtpCount
}

// srtpCount counts SRTP and SRTCP packets; last is when the last one came.
type srtpCount struct {
	media uint64
	last  time.Time
}

func (c *srtpCount) add(at time.Time) {
	c.media++
	if at.After(c.last) {
		c.last = at
	}
}

func newTraffic(n *topology.Network) *traffic {
	t := &traffic{
		roles:     map[string]topology.Role{},
		seed:      maphash.MakeSeed(),
		legs:      map[legKey]*legCount{},
		inStreams: map[stream]*srtpCount{},
		moments:   newMoments(),
	}
	for _, h := range n.Hosts {
		t.roles[h.Name] = h.Role
	}
	return t
}

// delivered is told of each packet that reached a host.
func (t *traffic) delivered(d sim.Delivery) {
	p, ok := parse(d.Packet)
	if !ok {
		return
	}
	key := legKey{from: d.From, to: d.To, protocol: p.protocol, way: t.hash(d.Way)}
	kind := kindOther
	key.traffic, kind = t.sort(d, p)
	if key.traffic == result.TrafficTURN && p.protocol == "tcp" {
		key.stream = stream{client: p.src, toRelay: true}
		if t.roles[d.From] == topology.TransportRelay {
			key.stream = stream{client: d.SentTo}
		}
		if p.src.Port() == relayTLS || p.dst.Port() == relayTLS {
			key.protocol = "tls"
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	leg := t.legs[key]
	if leg == nil {
		leg = &legCount{way: slices.Clone(d.Way)}
		t.legs[key] = leg
	}
	leg.packets++
	leg.bytes += uint64(len(d.Packet))
	if kind == kindSRTP {
		leg.add(d.Time)
	}
	if isMedia(kind) {
		for _, host := range [...]string{d.From, d.To} {
			if t.isClient(host) {
				t.moments.host(host, d.Time)
			}
		}
	}
}

// relayed is told of each payload that the relay took from a client, or gave to
// one.
func (t *traffic) relayed(client netip.AddrPort, toRelay bool, payload []byte, at time.Time) {
	kind := demux(payload)
	if !isMedia(kind) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := stream{client: client, toRelay: toRelay}
	t.moments.stream(key, at)
	if kind != kindSRTP {
		return
	}
	c := t.inStreams[key]
	if c == nil {
		c = &srtpCount{}
		t.inStreams[key] = c
	}
	c.add(at)
}

// sort says what a packet was for, by the services at its ends and by its bytes.
func (t *traffic) sort(d sim.Delivery, p datagram) (result.Traffic, kind) {
	if t.roles[d.From] == "" || t.roles[d.To] == "" {
		// A VPN's concentrator is no host: these are sealed packets, and what is
		// in them has deliveries of its own.
		return result.TrafficOther, kindOther
	}
	for _, end := range [...]struct {
		host string
		port uint16
	}{{d.To, p.dst.Port()}, {d.From, p.src.Port()}} {
		switch role := t.roles[end.host]; {
		case role == topology.DNSServer && end.port == 53:
			return result.TrafficDNS, kindOther
		case role == topology.SignalingController && p.protocol == "tcp":
			return result.TrafficSignaling, kindOther
		case role == topology.TransportRelay && p.protocol == "tcp":
			return result.TrafficTURN, kindOther
		case role == topology.TransportRelay && end.port >= relayFirstUDP && end.port <= relayLastUDP:
			return byKind(demuxTURN(p.payload), result.TrafficTURN)
		}
	}
	if p.protocol == "udp" {
		return byKind(demux(p.payload), result.TrafficChecks)
	}
	return result.TrafficOther, kindOther
}

// byKind is the traffic of a payload that ICE's ways carry; stun is what STUN is
// there: a request to the relay, or a check.
func byKind(k kind, stun result.Traffic) (result.Traffic, kind) {
	switch k {
	case kindSTUN:
		return stun, k
	case kindWrappedSTUN:
		return result.TrafficChecks, k
	case kindDTLS, kindSRTP:
		return result.TrafficMedia, k
	}
	return result.TrafficOther, k
}

// hash stands for a way in a key, so that no string is made for each packet.
func (t *traffic) hash(w topology.Way) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	for _, hop := range w {
		h.WriteByte(byte(hop.Kind))
		h.WriteString(hop.Name)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// leg is a result.Leg with what the gathering needs beside it.
type leg struct {
	result.Leg
	last time.Time // of SRTP
}

// tunnelled is the name of the VPN that the leg went through, if it did.
func (l leg) tunnelled() string {
	for _, hop := range l.Way {
		if hop.Kind == topology.HopTunnel {
			return hop.Name
		}
	}
	return ""
}

// all returns every leg, those of a stream merged, in an order that does not
// depend on time.
func (t *traffic) all(n *topology.Network) []leg {
	t.mu.Lock()
	defer t.mu.Unlock()
	merged := map[legKey]*leg{}
	for key, count := range t.legs {
		srtp := count.srtpCount
		if hidden := t.inStreams[key.stream]; key.stream.client.IsValid() && hidden != nil {
			key.traffic = result.TrafficMedia
			srtp = *hidden
		}
		key.stream = stream{}
		l := merged[key]
		if l == nil {
			l = &leg{Leg: result.Leg{
				From: key.from, To: key.to, Traffic: key.traffic, Protocol: key.protocol,
				Way: count.way, Flows: topology.Classify(n, count.way),
			}}
			merged[key] = l
		}
		l.Packets += count.packets
		l.Bytes += count.bytes
		l.Media += srtp.media
		if srtp.last.After(l.last) {
			l.last = srtp.last
		}
	}
	legs := make([]leg, 0, len(merged))
	for _, l := range merged {
		legs = append(legs, *l)
	}
	slices.SortFunc(legs, func(a, b leg) int {
		return strings.Compare(order(a), order(b))
	})
	return legs
}

func order(l leg) string {
	text := strings.Join([]string{string(l.Traffic), l.From, l.To, l.Protocol}, "\x00")
	for _, hop := range l.Way {
		text += "\x00" + hop.Name
	}
	return text
}
