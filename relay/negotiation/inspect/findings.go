package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/callpath/callpath/relay/negotiation"
)

// Words of records that are looked for.
const (
	sent      = "sent"
	received  = "received"
	succeeded = "succeeded"
	noAnswer  = "no answer"
	client    = "client"
)

// finder gathers the findings of one record.
type finder struct {
	negotiation.Record
	tls   []netip.AddrPort
	found []string
}

// findings says in words what a record shows to be wrong, and what may be the
// cause. tls are servers to which the endpoint opened TLS, of which nothing more is
// in the record.
func findings(rec negotiation.Record, tls []netip.AddrPort) []string {
	f := &finder{Record: rec, tls: tls}
	f.turn()
	f.checks()
	for _, d := range rec.DTLS {
		f.handshake(d)
	}
	f.promises()
	f.media()
	f.hidden()
	return f.found
}

func (f *finder) add(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(f.found, text) {
		f.found = append(f.found, text)
	}
}

// flows tells whether media flowed both ways.
func flows(rec negotiation.Record) bool {
	packets := media(rec)
	return packets[sent] > 0 && packets[received] > 0
}

// media counts SRTP packets by direction.
func media(rec negotiation.Record) map[string]uint64 {
	packets := map[string]uint64{}
	for _, s := range rec.SRTP {
		packets[s.Direction] += s.Packets
	}
	return packets
}

// refusals are what a TURN server's error codes mean to whoever has to repair it
// (RFC 8656, section 19; RFC 8489, section 14.8).
var refusals = map[int]string{
	400: "the server could not read the request",
	401: "wrong or expired credential, or another realm",
	403: "the server's policy forbids the peer or the allocation",
	437: "the allocation had ended, or the client's address changed",
	438: "the nonce had expired",
	440: "the server has no address of that family",
	441: "another user's allocation",
	442: "the server does not relay that transport",
	443: "the peer is of another address family than the allocation",
	446: "the connection exists already",
	447: "the connection to the peer failed",
	486: "the user's quota is used up",
	508: "the server has no port or bandwidth left",
}

func (f *finder) turn() {
	for _, a := range f.TURN {
		for _, text := range a.Errors {
			method, reason, _ := strings.Cut(text, " ")
			if reason == noAnswer {
				f.add("TURN server %v did not answer %s over %s: %s", a.Server, method, a.Protocol, blocked(a.Protocol, a.Server))
				continue
			}
			if method != "Allocate" && (f.ICE.Selected != nil || flows(f.Record)) {
				continue // a peer that was refused, on a path that was not needed
			}
			finding := fmt.Sprintf("TURN server %v refused %s: %s", a.Server, method, reason)
			code, _, _ := strings.Cut(reason, " ")
			n, _ := strconv.Atoi(code)
			if meaning := refusals[n]; meaning != "" {
				finding += ", " + meaning
			}
			if a.Username != "" {
				finding += fmt.Sprintf(" (user %q)", a.Username)
			}
			f.add("%s", finding)
		}
	}
}

// ranges are ports that firewalls open or block together.
var ranges = []struct {
	from, to uint16
}{{3478, 3481}, {49152, 65535}}

// blocked asks the question about a firewall.
func blocked(protocol string, to netip.AddrPort) string {
	name := strings.ToUpper(protocol)
	if protocol == "tls" {
		name = "TCP"
	}
	if protocol == "dtls" {
		name = "UDP"
	}
	for _, r := range ranges {
		if to.Port() >= r.from && to.Port() <= r.to && name == "UDP" {
			return fmt.Sprintf("%s %d–%d blocked?", name, r.from, r.to)
		}
	}
	return fmt.Sprintf("%s %d blocked?", name, to.Port())
}

func (f *finder) checks() {
	var out, answered, in, transmissions int
	var silent []netip.AddrPort
	relayed := true
	for _, c := range f.ICE.Checks {
		if c.Direction != sent {
			in++
			continue
		}
		out++
		transmissions += c.Sent
		relayed = relayed && c.Relayed
		if c.Result != noAnswer {
			answered++
		} else if !slices.Contains(silent, c.Remote) {
			silent = append(silent, c.Remote)
		}
	}
	switch {
	case out > 0 && answered == 0 && len(silent) > 0:
		question := blocked("udp", silent[0])
		if relayed {
			question = "all went through the relay: may it send to these, and do they answer?"
		}
		if in > 0 {
			question = "the peer's checks arrive, so one direction works: " + question
		}
		f.add("none of %d ICE checks (%d requests) to %s was answered: %s", out, transmissions, some(silent), question)
	case answered > 0 && f.ICE.Selected == nil:
		f.add("ICE checks were answered, but no pair was nominated")
	}
}

// some names a few addresses.
func some(all []netip.AddrPort) string {
	const most = 3
	var names []string
	for _, a := range all[:min(most, len(all))] {
		names = append(names, a.String())
	}
	text := strings.Join(names, ", ")
	if len(all) > most {
		text += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return text
}

func (f *finder) handshake(d negotiation.DTLS) {
	between := fmt.Sprintf("%v – %v", d.Local, d.Remote)
	switch {
	case d.Complete:
	case onlyHellos(d) && d.Role == client:
		f.add("no ClientHello answered, of %d sent to %v: %s", d.Retransmissions+1, d.Remote, blocked("udp", d.Remote))
	case onlyHellos(d):
		f.add("%d ClientHello from %v arrived, but no answer was sent: is DTLS running here, and with setup:passive?", d.Retransmissions+1, d.Remote)
	case len(d.Alerts) > 0:
		f.add("DTLS %s ended by an alert from the %s%s", between, strings.Join(d.Alerts, "; from the "), meaning(d.Alerts))
	case len(d.Flights) > 0:
		last := d.Flights[len(d.Flights)-1]
		f.add("DTLS %s stopped after the %s's %s (%d messages were repeated): large packets lost, or the certificate refused?",
			between, last.From, strings.Join(last.Messages, ", "), d.Retransmissions)
	}
	if d.Complete && d.SRTPProfile == "" {
		f.add("DTLS %s agreed on no SRTP profile (RFC 5764): no media can follow", between)
	}
	if d.Version == "DTLS 1.0" {
		f.add("DTLS %s is of version 1.0, which RFC 8996 retired; valid: 1.2 or later", between)
	}
	if strings.HasPrefix(d.SRTPProfile, "SRTP_NULL_") {
		f.add("DTLS %s agreed on %s: media is not encrypted", between, d.SRTPProfile)
	}
}

// promises compares the certificates of the handshakes with the descriptions that the
// record has. A record that says so itself is believed.
func (f *finder) promises() {
	for _, side := range []struct {
		name  string
		whose string
		of    func(negotiation.DTLS) *negotiation.Certificate
	}{
		{"local", "own", func(d negotiation.DTLS) *negotiation.Certificate { return d.Own }},
		{"remote", "peer's", func(d negotiation.DTLS) *negotiation.Certificate { return d.Peer }},
	} {
		var promised []string
		described := false
		for _, d := range f.Descriptions {
			if d.Side == side.name {
				described = true
				promised = append(promised, d.Fingerprints()...)
			}
		}
		for _, d := range f.DTLS {
			c := side.of(d)
			if !described || c == nil || c.Fingerprint == "" || slices.Contains(promised, c.Fingerprint) ||
				slices.ContainsFunc(f.Problems, func(p string) bool { return strings.Contains(p, c.Fingerprint) }) {
				continue
			}
			f.add("fingerprint not in SDP: the %s certificate has %s, and the %s SDP promises %s", side.whose, c.Fingerprint, side.name, orNone(strings.Join(promised, ", ")))
		}
	}
}

// alerts are what alerts mean in a set-up of media (RFC 5246, section 7.2.2; RFC
// 8122, section 6.2).
var alerts = []struct{ name, meaning string }{
	{"bad_certificate", "is the other side's certificate not the one that its SDP promised?"},
	{"handshake_failure", "no cipher suite, group or SRTP profile in common?"},
	{"insufficient_security", "no cipher suite or SRTP profile in common?"},
	{"protocol_version", "no version in common?"},
}

// meaning explains the first alert that has a known cause.
func meaning(all []string) string {
	for _, text := range all {
		for _, a := range alerts {
			if strings.HasSuffix(text, " "+a.name) {
				return ": " + a.meaning
			}
		}
	}
	return ""
}

// onlyHellos is true for a handshake of which nothing but the client's first
// flight was seen.
func onlyHellos(d negotiation.DTLS) bool {
	return len(d.Flights) == 1 && d.Flights[0].From == client
}

// tellingLoss is the loss in hundredths from which on people hear it.
const tellingLoss = 2

func (f *finder) media() {
	packets := media(f.Record)
	complete := slices.ContainsFunc(f.DTLS, func(d negotiation.DTLS) bool { return d.Complete })
	switch {
	case complete && packets[sent]+packets[received] == 0:
		f.add("DTLS is done, but no SRTP packet was seen in either direction")
	case packets[sent] > 0 && packets[received] == 0:
		f.add("SRTP is sent but none is received: does the peer send, and is the way back blocked?")
	case packets[received] > 0 && packets[sent] == 0:
		f.add("SRTP is received but none is sent: is this a side that only listens?")
	}
	if len(f.DTLS) == 0 && packets[sent]+packets[received] > 0 {
		f.add("media without a DTLS handshake in the capture: it began later, or the keys came with the signaling, or there are none")
	}
	for _, s := range f.SRTP {
		if expected := s.Packets + s.Lost; s.Lost > 0 && s.Lost*100 >= tellingLoss*expected {
			f.add("SSRC %#08x lost %.1f %%: %d of %d packets", s.SSRC, 100*float64(s.Lost)/float64(expected), s.Lost, expected)
		}
	}
}

// hidden tells of TLS where that may hide what is missing.
func (f *finder) hidden() {
	allocated := slices.ContainsFunc(f.TURN, func(a negotiation.TURN) bool { return a.Relayed.IsValid() })
	if len(f.tls) > 0 && !allocated && len(f.DTLS) == 0 && len(f.SRTP) == 0 {
		f.add("TLS to %s was seen, the inside of which a capture can't show: TURN over TLS, if it was that, is missing here", some(f.tls))
	}
}
