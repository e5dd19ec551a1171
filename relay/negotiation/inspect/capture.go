package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/inspect/capturefile"
	"github.com/callpath/callpath/relay/negotiation/wire/ip"
)

// capture reads a capture twice. What is wrong with the file is found by the first
// reading; the second goes as far as that.
func (r *reading) capture() (*Report, error) {
	s := newSurvey()
	format, packets, broken := r.each(math.MaxUint64, nil, s.packet)
	if broken != nil && (packets == 0 || r.ctx.Err() != nil) {
		return nil, broken
	}
	l, err := s.legs(r.options.Local)
	if err != nil {
		return nil, r.failed(err)
	}
	for _, g := range l.all {
		g.recorder = negotiation.NewRecorder(negotiation.Config{
			Leg: g.name, Keys: true, OnEvent: g.event,
			// What is told beside the packets is known from the beginning.
			Now: func() time.Time { return s.first },
		})
	}
	if err := l.describe(r.options.SDP); err != nil {
		return nil, err
	}
	s.clocks(l)
	if r.options.KeyLog != nil {
		used, err := l.keyLog(r.options.KeyLog)
		if err != nil {
			return nil, err
		}
		if used == 0 && len(l.all) > 0 {
			l.notes = append(l.notes, "no line of the key log is of a DTLS handshake in this capture")
		}
	}
	embedded := func(text []byte) { _, _ = l.keyLog(bytes.NewReader(text)) } // a bad one is as good as none
	_, again, err := r.each(packets, embedded, l.packet)
	if err != nil || again != packets {
		return nil, r.failed(fmt.Errorf("%d packets at first, %d when read again: %w", packets, again, orChanged(err)))
	}
	if r.options.Progress != nil {
		r.options.Progress(r.total, r.total)
	}
	return r.report(format, packets, s, l), broken
}

func orChanged(err error) error {
	if err == nil {
		return errors.New("the file changed")
	}
	return err
}

// maxTransactions bounds the different ones of a leg.
const maxTransactions = 256

// event keeps what the leg's Recorder tells of servers.
func (g *leg) event(e negotiation.Event) {
	layer, _, _ := strings.Cut(e.Name, ".")
	if layer != "stun" && layer != "turn" {
		return
	}
	var text []string
	for _, a := range e.Attrs {
		if value := a.Value.String(); value != "" {
			text = append(text, a.Key+" "+value)
		}
	}
	t := Transaction{e.Time, e.Name, strings.Join(text, ", "), 1}
	for i, known := range g.transactions {
		if known.What == t.What && known.Text == t.Text {
			g.transactions[i].Count++
			return
		}
	}
	if len(g.transactions) < maxTransactions {
		g.transactions = append(g.transactions, t)
	}
}

// tls are the servers to which the leg opened TLS over TCP.
func (g *leg) tls() []netip.AddrPort {
	var all set[netip.AddrPort]
	for _, e := range g.ends {
		for _, server := range e.tls {
			all.add(server)
		}
	}
	return all
}

// clocks tells the recorders the clocks that were measured, where no SDP tells
// them. Streams of one payload type that disagree tell nothing.
func (s *survey) clocks(l *legs) {
	rates := map[*leg]map[uint8]uint32{}
	for _, one := range s.streams {
		rate := one.rate()
		if rate == 0 {
			continue
		}
		for _, e := range []*end{one.from, one.to} {
			g := l.owner(e)
			if g == nil || g.described {
				continue
			}
			if rates[g] == nil {
				rates[g] = map[uint8]uint32{}
			}
			if known, ok := rates[g][one.payloadType]; ok && known != rate {
				rates[g][one.payloadType] = 0
			} else {
				rates[g][one.payloadType] = rate
			}
		}
	}
	for g, all := range rates {
		for payloadType, rate := range all {
			g.recorder.ClockRate(payloadType, rate)
		}
	}
}

// owner is the leg of an end, also of a socket that showed nothing but media.
func (l *legs) owner(e *end) *leg {
	if e.leg != nil {
		return e.leg
	}
	return l.byAddress[e.socket.Addr()]
}

// packet hands a packet to the legs that sent and received it.
func (l *legs) packet(p capturefile.Packet) {
	if p.Cut || p.IP == nil {
		return
	}
	if host, ours := hostOf(p.Interface); ours {
		if g := l.byHost[host]; g != nil && p.Direction != capturefile.Unknown {
			g.recorder.Packet(p.Time, p.Direction == capturefile.Outbound, p.IP)
		}
		return
	}
	segment, err := ip.Parse(p.IP)
	if err != nil {
		return
	}
	from, to := l.of(segment.Source, segment.Destination)
	if from != nil {
		from.recorder.Packet(p.Time, true, p.IP)
	}
	if to != nil && to != from {
		to.recorder.Packet(p.Time, false, p.IP)
	}
}

// report gathers what was recorded.
func (r *reading) report(format string, packets uint64, s *survey, l *legs) *Report {
	out := &Report{File: r.src.Name, Format: format, Packets: packets, First: s.first, Last: s.last, Legs: []Leg{}, Notes: l.notes}
	for _, g := range l.all {
		one := Leg{Record: g.recorder.Record(), Addresses: g.addresses, Transactions: g.transactions}
		one.Findings = findings(one.Record, g.tls())
		out.Legs = append(out.Legs, one)
	}
	note := func(n uint64, format string, args ...any) {
		if n > 0 {
			out.Notes = append(out.Notes, fmt.Sprintf(format, args...))
		}
	}
	if len(l.all) == 0 {
		note(1, "no endpoint: no address sent ICE checks, a DTLS handshake or requests to a STUN or TURN server")
	}
	note(s.cut, "%d packets were cut by the capture's snap length and are not read; a snap length of 262144 keeps them whole", s.cut)
	note(s.timeless, "%d packets have no time", s.timeless)
	for _, name := range slices.Sorted(maps.Keys(s.unread)) {
		note(s.unread[name], "%d packets of link type %s are not read; valid: %s", s.unread[name], name, capturefile.Links())
	}
	return out
}
