package expect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

type (
	one  = language.ParticipantExpect
	seen = result.Participant
)

// participantRows are the expectations about one participant.
var participantRows = []row[one, seen]{
	flowSet("flows",
		func(e *one) []topology.Flow { return e.Flows },
		func(p *seen) []topology.Flow { return p.Flows }),
	flowSet("signaling-flows",
		func(e *one) []topology.Flow { return e.SignalingFlows },
		func(p *seen) []topology.Flow { return p.SignalingFlows }),
	{"pair", checkPair},
	word("protocol",
		func(e *one) string { return e.Protocol },
		func(p *seen) string { return p.Protocol }),
	word("relay-port",
		func(e *one) string { return port(e.RelayPort) },
		func(p *seen) string { return port(relayPort(p)) }),
	truth("relayed",
		func(e *one) *bool { return e.Relayed },
		func(p *seen) fact { return fact{known: len(p.Flows) > 0, is: p.Relayed, why: p.Path} }),

	word("processor",
		func(e *one) string { return e.Processor },
		func(p *seen) string { return p.Processor }),
	nameSet("hears",
		func(e *one) []string { return e.Hears },
		func(p *seen) []string { return p.Hears }),
	nameSet("sees",
		func(e *one) []string { return e.Sees },
		func(p *seen) []string { return p.Sees }),
	nameSet("slides",
		func(e *one) []string { return e.Slides },
		func(p *seen) []string { return p.Slides }),
	bounds("rejoins",
		func(e *one) *language.Range { return e.Rejoins },
		func(p *seen) []figure { return []figure{{value: float64(p.Rejoins), known: p.Joined}} }),

	word("dtls-version",
		func(e *one) string { return e.DTLSVersion },
		func(p *seen) string { return handshake(p).Version }),
	word("cipher-suite",
		func(e *one) string { return e.CipherSuite },
		func(p *seen) string { return handshake(p).CipherSuite }),
	named("srtp-profile",
		func(e *one) string { return e.SRTPProfile },
		func(p *seen) string { return handshake(p).SRTPProfile },
		language.ProfileName),
	word("dtls-role",
		func(e *one) string { return e.DTLSRole },
		func(p *seen) string { return handshake(p).Role }),
	named("certificate",
		func(e *one) string { return e.Certificate },
		func(p *seen) string { return keyOf(handshake(p).Own) },
		keyKind),
	word("fingerprint",
		func(e *one) string { return e.Fingerprint },
		func(p *seen) string { return fingerprint(handshake(p).Peer) }),
	truth("extended-master-secret",
		func(e *one) *bool { return e.ExtendedKeys },
		func(p *seen) fact {
			h := handshake(p)
			return fact{known: h.Version != "", is: h.ExtendedMasterSecret}
		}),
	bounds("dtls-retransmissions",
		func(e *one) *language.Range { return e.Retransmitted },
		func(p *seen) []figure {
			h := handshake(p)
			return []figure{{value: float64(h.Retransmissions), known: len(h.Flights) > 0 || h.Version != ""}}
		}),
	word("ice-role",
		func(e *one) string { return e.ICERole },
		func(p *seen) string { return p.Negotiation.ICE.Role }),
	piece("verdict",
		func(e *one) string { return e.Verdict },
		func(p *seen) []string { return []string{p.Negotiation.Verdict} }),

	bounds("loss",
		func(e *one) *language.Range { return e.Loss },
		each(anyKind, func(s *result.Stream) figure {
			return figure{value: s.LossRate, known: s.Received > 0}
		})),
	bounds("rtt",
		func(e *one) *language.Range { return e.RTT },
		each(anyKind, func(s *result.Stream) figure {
			return milliseconds("", time.Duration(cmp.Or(s.RTT, s.STUNRTT)))
		})),
	bounds("jitter",
		func(e *one) *language.Range { return e.Jitter },
		each(anyKind, func(s *result.Stream) figure {
			return figure{value: milliseconds("", time.Duration(s.Jitter)).value, known: s.Received > 1}
		})),
	bounds("mos",
		func(e *one) *language.Range { return e.MOS },
		each(audio, func(s *result.Stream) figure {
			return figure{value: s.MOS, known: s.MOS > 0}
		})),
	bounds("bitrate",
		func(e *one) *language.Range { return e.Bitrate },
		bitrate),
	bounds("freezes",
		func(e *one) *language.Range { return e.Freezes },
		sum(video, func(s *result.Stream) float64 { return float64(s.Freezes) })),
	bounds("gap",
		func(e *one) *language.Range { return e.Gap },
		func(p *seen) []figure {
			return []figure{{value: milliseconds("", time.Duration(p.Gap)).value, known: received(p)}}
		}),
	truth("intact",
		func(e *one) *bool {
			if e.Intact != nil && !*e.Intact {
				return nil // false allows what true forbids
			}
			return e.Intact
		},
		intact),
	bounds("restarts",
		func(e *one) *language.Range { return e.Restarts },
		func(p *seen) []figure { return []figure{{value: float64(p.Restarts), known: p.Name != ""}} }),
}

// checkPair compares the selected pair's types, each of which may be a choice.
func checkPair(e *one, p *seen) (outcome, bool) {
	if len(e.Pair) == 0 {
		return outcome{}, false
	}
	o := outcome{wanted: strings.Join(e.Pair, " → "), met: len(e.Pair) == len(p.Pair)}
	if p.Pair[0] == "" || p.Pair[1] == "" {
		return nothing(o.wanted), true
	}
	o.seen = strings.Join(p.Pair[:], " → ")
	for i, choice := range e.Pair {
		o.met = o.met && i < len(p.Pair) && slices.Contains(strings.Split(choice, "|"), p.Pair[i])
	}
	return o, true
}

// relayPort is the relay's port that the participant's own media went to: that of
// the allocation which the selected pair stands on. It is zero when its own media
// did not go through an allocation of its own.
func relayPort(p *seen) uint16 {
	selected := p.Negotiation.ICE.Selected
	if selected == nil || selected.Local.Type != "relay" {
		return 0
	}
	for _, t := range slices.Backward(p.Negotiation.TURN) {
		if t.Relayed == selected.Local.Address {
			return t.Server.Port()
		}
	}
	return 0
}

func port(p uint16) string {
	if p == 0 {
		return ""
	}
	return fmt.Sprint(p)
}

// handshake is the one that counts: the last that was completed, or, when none
// was, the last that began.
func handshake(p *seen) *negotiation.DTLS {
	all := p.Negotiation.DTLS
	for i := range slices.Backward(all) {
		if all[i].Complete {
			return &all[i]
		}
	}
	if len(all) > 0 {
		return &all[len(all)-1]
	}
	return &negotiation.DTLS{}
}

func keyOf(c *negotiation.Certificate) string {
	if c == nil {
		return ""
	}
	return c.Key
}

// keyKind is the kind of a key in a description such as "ECDSA P-256".
func keyKind(key string) string {
	kind, _, _ := strings.Cut(key, " ")
	return strings.ToLower(kind)
}

// fingerprint says how a certificate compares with what the SDP promised (RFC
// 8122, section 5).
func fingerprint(c *negotiation.Certificate) string {
	switch {
	case c == nil || c.Fingerprint == "":
		return ""
	case c.Promised == "":
		return "not promised"
	case c.Matched:
		return "verified"
	default:
		return "mismatch"
	}
}

// Kinds of streams, for each and sum.
const (
	anyKind = ""
	audio   = "audio"
	video   = "video"
)

// each reads a figure of each stream of a kind.
func each(kind string, read func(*result.Stream) figure) func(*seen) []figure {
	return func(p *seen) []figure {
		var figures []figure
		for i := range p.Streams {
			s := &p.Streams[i]
			if kind == anyKind || s.Kind == kind {
				f := read(s)
				f.of = cmp.Or(s.Codec, s.Kind)
				figures = append(figures, f)
			}
		}
		return figures
	}
}

// sum adds up over the streams of a kind that received something.
func sum(kind string, read func(*result.Stream) float64) func(*seen) []figure {
	return func(p *seen) []figure {
		var total figure
		for i := range p.Streams {
			s := &p.Streams[i]
			if (kind == anyKind || s.Kind == kind) && s.Received > 0 {
				total.value += read(s)
				total.known = true
			}
		}
		return []figure{total}
	}
}

// bitrate is that of all streams. One that has hardly begun has none, and the limit
// of nothing is not met.
func bitrate(p *seen) []figure {
	all := sum(anyKind, func(s *result.Stream) float64 { return s.Bitrate })(p)
	all[0].known = all[0].value > 0
	return all
}

func received(p *seen) bool {
	return slices.ContainsFunc(p.Streams, func(s result.Stream) bool { return s.Received > 0 })
}

// intact is true when payloads of every stream were compared with what was sent
// and none differed.
func intact(p *seen) fact {
	f := fact{known: received(p), is: true}
	var good, bad uint64
	for _, s := range p.Streams {
		good, bad = good+s.Intact, bad+s.Corrupt
		f.is = f.is && s.Intact > 0 && s.Corrupt == 0
	}
	f.why = fmt.Sprintf("%d intact, %d corrupt", good, bad)
	return f
}
