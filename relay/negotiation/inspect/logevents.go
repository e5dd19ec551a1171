package inspect

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
)

// Logs that end before a leg's record have its events at least.

// event puts what an event tells into a leg that has no record yet.
func (g *logged) event(e *entry) error {
	read := told[e.Message]
	if read == nil {
		return nil
	}
	var a attributes
	if err := json.Unmarshal(e.attrs, &a); err != nil {
		return err
	}
	read(&g.Record, e.Time, &a)
	return nil
}

// attributes are those of negotiation's events.
type attributes struct {
	Side, Type, Protocol, Text, Role, Result, Direction, Message string

	Local, Remote, Address, Mapped addrPort
	Priority                       uint32
	Relayed                        bool
	UseCandidate                   bool `json:"use_candidate"`
	RTT                            time.Duration
	Duration                       time.Duration
	Version, Suite, Profile        names
	Fingerprint                    string
	SSRC                           string
	PayloadType                    uint8 `json:"payload_type"`
}

// UnmarshalJSON implements json.Unmarshaler: the names of some keys are longer.
func (a *attributes) UnmarshalJSON(text []byte) error {
	type plainly attributes
	wide := struct {
		*plainly
		Suite   *names `json:"cipher_suite"`
		Profile *names `json:"srtp_profile"`
	}{plainly: (*plainly)(a), Suite: &a.Suite, Profile: &a.Profile}
	return json.Unmarshal(text, &wide)
}

// names is one name or a list of them.
type names []string

// UnmarshalJSON implements json.Unmarshaler.
func (n *names) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*n = make(names, 1)
		return json.Unmarshal(text, &(*n)[0])
	}
	return json.Unmarshal(text, (*[]string)(n))
}

func (n names) one() string { return strings.Join(n, ", ") }

// addrPort is an address, or the words of one that is not known.
type addrPort struct{ netip.AddrPort }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *addrPort) UnmarshalText(text []byte) error {
	a.AddrPort, _ = netip.ParseAddrPort(string(text))
	return nil
}

// told are the events that put something into a record.
var told = map[string]func(*negotiation.Record, time.Time, *attributes){
	negotiation.EventCandidate: func(rec *negotiation.Record, _ time.Time, a *attributes) {
		c := negotiation.Candidate{Type: a.Type, Address: a.Address.AddrPort, Protocol: a.Protocol, Priority: a.Priority}
		if list := &rec.ICE.Remote; a.Side == "remote" && len(*list) < maxOfEach {
			*list = append(*list, c)
		}
		if list := &rec.ICE.Local; a.Side == "local" && len(*list) < maxOfEach {
			*list = append(*list, c)
		}
	},
	negotiation.EventCheckSent:     func(rec *negotiation.Record, t time.Time, a *attributes) { check(rec, t, sent, a) },
	negotiation.EventCheckReceived: func(rec *negotiation.Record, t time.Time, a *attributes) { check(rec, t, received, a) },
	negotiation.EventCheckAnswered: func(rec *negotiation.Record, _ time.Time, a *attributes) {
		for i := range rec.ICE.Checks {
			c := &rec.ICE.Checks[i]
			if c.Local == a.Local.AddrPort && c.Remote == a.Remote.AddrPort && c.Direction == a.Direction && c.Result == noAnswer {
				c.Result, c.RTT = a.Result, a.RTT
				return
			}
		}
	},
	negotiation.EventNominated: func(rec *negotiation.Record, _ time.Time, a *attributes) {
		kind := "host"
		if a.Relayed {
			kind = "relay"
		}
		rec.ICE.Selected = &negotiation.Pair{Nominated: true,
			Local:  negotiation.Candidate{Type: kind, Address: a.Local.AddrPort, Protocol: "udp"},
			Remote: negotiation.Candidate{Type: "remote", Address: a.Remote.AddrPort, Protocol: "udp"}}
		rec.ICE.Why = "the last pair that was nominated"
	},
	negotiation.EventClientHello: func(rec *negotiation.Record, _ time.Time, a *attributes) {
		hello := negotiation.DTLS{Role: a.Role, Local: a.Local.AddrPort, Remote: a.Remote.AddrPort,
			VersionsOffered: a.Version, CipherSuitesOffered: a.Suite, SRTPProfilesOffered: a.Profile}
		switch n := len(rec.DTLS); {
		case n > 0 && rec.DTLS[n-1].Version == "": // the second has the cookie
			rec.DTLS[n-1] = hello
		case n < maxOfEach:
			rec.DTLS = append(rec.DTLS, hello)
		}
	},
	negotiation.EventServerHello: func(rec *negotiation.Record, _ time.Time, a *attributes) {
		d := handshake(rec)
		d.Version, d.CipherSuite, d.SRTPProfile = a.Version.one(), a.Suite.one(), a.Profile.one()
	},
	negotiation.EventAlert: func(rec *negotiation.Record, _ time.Time, a *attributes) {
		if d := handshake(rec); len(d.Alerts) < maxOfEach {
			d.Alerts = append(d.Alerts, a.Text)
		}
	},
	negotiation.EventRetransmission: func(rec *negotiation.Record, _ time.Time, _ *attributes) { handshake(rec).Retransmissions++ },
	negotiation.EventComplete: func(rec *negotiation.Record, _ time.Time, a *attributes) {
		d := handshake(rec)
		d.Complete, d.Duration, d.Role = true, a.Duration, a.Role
		d.Version, d.CipherSuite, d.SRTPProfile = a.Version.one(), a.Suite.one(), a.Profile.one()
	},
	negotiation.EventFirst: func(rec *negotiation.Record, t time.Time, a *attributes) {
		var ssrc uint32
		if _, err := fmt.Sscanf(a.SSRC, "%v", &ssrc); err == nil && len(rec.SRTP) < maxOfEach {
			rec.SRTP = append(rec.SRTP, negotiation.SRTP{SSRC: ssrc, Direction: a.Direction, PayloadType: a.PayloadType, First: t, Last: t, Packets: 1})
		}
	},
	negotiation.EventProblem: func(rec *negotiation.Record, _ time.Time, a *attributes) {
		if len(rec.Problems) < maxOfEach {
			rec.Problems = append(rec.Problems, a.Text)
		}
	},
}

// maxOfEach bounds each list of a record that is put together of events.
const maxOfEach = 256

func check(rec *negotiation.Record, t time.Time, direction string, a *attributes) {
	if len(rec.ICE.Checks) < maxOfEach {
		rec.ICE.Checks = append(rec.ICE.Checks, negotiation.Check{Time: t, Local: a.Local.AddrPort, Remote: a.Remote.AddrPort, Relayed: a.Relayed,
			Direction: direction, UseCandidate: a.UseCandidate, Result: noAnswer, Sent: 1})
	}
}

// handshake is the latest of a record, begun here when its ClientHello was not told.
func handshake(rec *negotiation.Record) *negotiation.DTLS {
	if len(rec.DTLS) == 0 {
		rec.DTLS = append(rec.DTLS, negotiation.DTLS{})
	}
	return &rec.DTLS[len(rec.DTLS)-1]
}
