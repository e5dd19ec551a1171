package negotiation

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/relay/negotiation/wire/dtls"
)

// Bounds of what is kept of DTLS.
const (
	maxPaths  = 16
	maxAlerts = 16
)

// associations are the DTLS handshakes of the leg. One association may move from
// one candidate pair to another, in its handshake and after it, so it is not
// known by addresses alone: a ClientHello's random says which it is, and other
// records belong to the latest seen on their path, or else to the latest of all.
type associations struct {
	journal *journal
	limits  limits
	all     []*association
}

// association is one handshake. Its sides are 0 for the client, 1 for the server.
type association struct {
	DTLS
	paths []path
	// client is the client's random, known when clientKnown is.
	client, server           [32]byte
	clientKnown, serverKnown bool
	suite, version, profile  uint16
	mki                      []byte
	assemblers               [2]dtls.Assembler
	certificates             [2]*certificate
	changed, finished        [2]bool
	began                    time.Time
	room                     int // for more messages in the flights
	lastFrom                 string
	lastMessage              string
	keyed                    bool // media has its keys
}

var sideNames = [2]string{"client", "server"}

// side is which side sends: that of the leg when outbound.
func (a *association) side(outbound bool) int {
	if outbound == (a.Role == sideNames[0]) {
		return 0
	}
	return 1
}

// datagram takes a datagram of DTLS records.
func (d *associations) datagram(t time.Time, outbound bool, p path, b []byte, s *sides) {
	for len(b) > 0 {
		record, rest, err := dtls.Next(b)
		if err != nil {
			d.journal.problem(t, fmt.Sprintf("%v, %s between %v and %v", err, directionName(outbound), p.local, p.remote))
			return
		}
		d.oneRecord(t, outbound, p, record, s)
		b = rest
	}
}

// oneRecord takes one record.
func (d *associations) oneRecord(t time.Time, outbound bool, p path, r dtls.Record, s *sides) {
	if r.Type == dtls.Handshake && r.Epoch == 0 {
		d.handshake(t, outbound, p, r, s)
		return
	}
	a := d.find(p)
	if a == nil {
		return
	}
	side := a.side(outbound)
	switch {
	case r.Type == dtls.Handshake:
		d.encrypted(t, a, side)
	case r.Type == dtls.ChangeCipherSpec && r.Epoch == 0:
		if !a.changed[side] {
			a.changed[side] = true
			a.flight(t, side, "ChangeCipherSpec")
		}
	case r.Type == dtls.Alert:
		d.alert(t, a, side, r)
	}
}

// find is the association of what arrives on a path.
func (d *associations) find(p path) *association {
	for i := len(d.all) - 1; i >= 0; i-- {
		if slices.Contains(d.all[i].paths, p) {
			return d.all[i]
		}
	}
	if len(d.all) > 0 {
		return d.all[len(d.all)-1]
	}
	return nil
}

// handshake takes a record with unencrypted handshake messages.
func (d *associations) handshake(t time.Time, outbound bool, p path, r dtls.Record, s *sides) {
	a := d.owner(t, outbound, p, r.Payload)
	if a == nil {
		return
	}
	if !slices.Contains(a.paths, p) && len(a.paths) < maxPaths {
		a.paths = append(a.paths, p)
	}
	a.Local, a.Remote = p.local, p.remote
	side := a.side(outbound)
	assembler := &a.assemblers[side]
	assembler.Feed(r.Payload)
	for {
		m, ok, err := assembler.Next()
		if err != nil {
			d.journal.problem(t, fmt.Sprintf("%v, from the %s", err, sideNames[side]))
			return
		}
		if !ok {
			return
		}
		if m.Repeated {
			d.repeated(t, a, side, m.Type.String())
			continue
		}
		a.flight(t, side, m.Type.String())
		if read := readers[m.Type]; read != nil {
			if err := read(d, t, a, side, m.Body); err != nil {
				d.journal.problem(t, fmt.Sprintf("%s of the %s can't be read: %v", m.Type, sideNames[side], err))
			}
			if m.Type == dtls.Certificate {
				d.promised(t, s)
			}
		}
	}
}

// owner finds or begins the association of a handshake record.
func (d *associations) owner(t time.Time, outbound bool, p path, payload []byte) *association {
	random, isHello := dtls.HelloRandom(payload)
	if isHello {
		for _, a := range d.all {
			if a.clientKnown && a.client == random {
				return a
			}
		}
	} else if a := d.find(p); a != nil {
		return a
	}
	if len(d.all) == d.limits.associations {
		return nil
	}
	a := &association{began: t, client: random, clientKnown: isHello, room: d.limits.messages}
	for side := range a.assemblers {
		a.assemblers[side].MaxOpen = d.limits.openBytes
	}
	// A handshake of which the beginning was not seen is told by who says what
	// only a server says.
	fromServer := !isHello && dtls.FromServer(payload)
	a.Role = sideNames[1]
	if outbound != fromServer {
		a.Role = sideNames[0]
	}
	if last := len(d.all) - 1; isHello && last >= 0 && !d.all[last].Complete && d.all[last].Role != a.Role && d.all[last].Version == "" {
		d.journal.problem(t, "both sides sent a ClientHello: each took the role of the client (RFC 8842, section 5)")
	}
	d.all = append(d.all, a)
	return a
}

// flight puts a message seen for the first time into the flights.
func (a *association) flight(t time.Time, side int, message string) {
	a.lastFrom, a.lastMessage = sideNames[side], message
	if a.room == 0 {
		return
	}
	a.room--
	if n := len(a.Flights); n > 0 && a.Flights[n-1].From == sideNames[side] {
		a.Flights[n-1].Messages = append(a.Flights[n-1].Messages, message)
		return
	}
	a.Flights = append(a.Flights, Flight{Time: t, From: sideNames[side], Messages: []string{message}})
}

func (d *associations) repeated(t time.Time, a *association, side int, message string) {
	a.Retransmissions++
	d.journal.event(t, EventRetransmission, slog.String(KeySide, sideNames[side]), slog.String(KeyMessage, message))
}

// encrypted takes a handshake record under new keys: Finished, which is all that
// comes there in a DTLS 1.2 handshake.
func (d *associations) encrypted(t time.Time, a *association, side int) {
	if a.finished[side] {
		d.repeated(t, a, side, dtls.Finished.String())
		return
	}
	a.finished[side] = true
	a.flight(t, side, dtls.Finished.String())
	if a.finished[0] && a.finished[1] {
		a.Complete = true
		a.Duration = max(t.Sub(a.began), 0)
		d.journal.event(t, EventComplete, slog.String(KeyRole, a.Role), slog.String(KeyVersion, a.Version),
			slog.String(KeySuite, a.CipherSuite), slog.String(KeyProfile, a.SRTPProfile), slog.Duration(KeyDuration, a.Duration))
	}
}

// alert takes an alert, which tells little once it is encrypted.
func (d *associations) alert(t time.Time, a *association, side int, r dtls.Record) {
	text := sideNames[side] + ": encrypted alert"
	if r.Epoch == 0 {
		if len(r.Payload) != 2 {
			d.journal.problem(t, fmt.Sprintf("alert of %d bytes from the %s; valid: 2", len(r.Payload), sideNames[side]))
			return
		}
		text = fmt.Sprintf("%s: %s %s", sideNames[side], dtls.AlertLevel(r.Payload[0]), dtls.AlertName(r.Payload[1]))
	}
	if slices.Contains(a.Alerts, text) || len(a.Alerts) == maxAlerts {
		return
	}
	a.Alerts = append(a.Alerts, text)
	d.journal.event(t, EventAlert, slog.String(KeySide, sideNames[side]), slog.String(KeyText, text))
	if r.Epoch == 0 && side == 1 && a.Version == "" && len(a.SRTPProfilesOffered) > 0 {
		d.journal.problem(t, fmt.Sprintf("the server refused the ClientHello (%s), which offered the SRTP profiles %s and %d cipher suites",
			dtls.AlertName(r.Payload[1]), strings.Join(a.SRTPProfilesOffered, ", "), len(a.CipherSuitesOffered)))
	}
}

// record copies the handshakes.
func (d *associations) record(s *sides) []DTLS {
	all := make([]DTLS, 0, len(d.all))
	for _, a := range d.all {
		rec := a.DTLS
		rec.Setup = [2]string{s.side[0].setup, s.side[1].setup}
		rec.VersionsOffered = slices.Clone(a.VersionsOffered)
		rec.CipherSuitesOffered = slices.Clone(a.CipherSuitesOffered)
		rec.GroupsOffered = slices.Clone(a.GroupsOffered)
		rec.SignaturesOffered = slices.Clone(a.SignaturesOffered)
		rec.SRTPProfilesOffered = slices.Clone(a.SRTPProfilesOffered)
		rec.Alerts = slices.Clone(a.Alerts)
		rec.Flights = slices.Clone(a.Flights)
		for i := range rec.Flights {
			rec.Flights[i].Messages = slices.Clone(rec.Flights[i].Messages)
		}
		own, peer := a.certificates[a.side(true)], a.certificates[a.side(false)]
		if own != nil {
			c := own.Certificate
			rec.Own = &c
		}
		if peer != nil {
			c := peer.Certificate
			rec.Peer = &c
		}
		all = append(all, rec)
	}
	return all
}
