package offeranswer

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pion/sdp/v3"
)

// Kind is an offer or an answer.
type Kind string

// The kinds.
const (
	Offer  Kind = "offer"
	Answer Kind = "answer"
)

// Reason is why a description was refused, for programs.
type Reason string

// The reasons.
const (
	// Malformed is SDP that does not parse or lacks what JSEP demands.
	Malformed Reason = "malformed"
	// Plaintext is media without SRTP.
	Plaintext Reason = "plaintext"
	// SDES is media keyed in the SDP.
	SDES Reason = "sdes"
	// Mismatch is an answer that does not fit its offer.
	Mismatch Reason = "mismatch"
)

// Error says what is wrong with a description.
type Error struct {
	Reason Reason
	// Media is the index of the m-line, from 0; -1 for the whole.
	Media int
	// Text is one sentence with what would be right.
	Text string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Media < 0 {
		return e.Text
	}
	return fmt.Sprintf("m-line %d: %s", e.Media, e.Text)
}

func fault(r Reason, media int, format string, args ...any) *Error {
	return &Error{Reason: r, Media: media, Text: fmt.Sprintf(format, args...)}
}

// Media is one checked m-line.
type Media struct {
	Kind     string // audio, video or application
	Proto    string // for example UDP/TLS/RTP/SAVPF
	MID      string
	Rejected bool
	// Direction is sendrecv, sendonly, recvonly or inactive.
	Direction string
	// Slides says that a=content has "slides": a shared screen (RFC 4796).
	Slides bool
	Ufrag  string
	Setup  string
}

// Summary is a checked description.
type Summary struct {
	Kind  Kind
	Media []Media
	// Candidates counts the a=candidate lines.
	Candidates int
}

// Held is true when no m-line in use receives: the sender of the description
// has put the call on hold (RFC 3264, section 8.4).
func (s *Summary) Held() bool {
	used := 0
	for _, m := range s.Media {
		if m.Rejected || m.Kind == "application" {
			continue
		}
		used++
		if m.Direction == "sendrecv" || m.Direction == "recvonly" {
			return false
		}
	}
	return used > 0
}

// transports says which m-line protocols carry media over DTLS, and for which
// kinds (RFC 8829, section 5.1.2). Data channels are DTLS too (RFC 8841).
var transports = map[string][]string{
	"UDP/TLS/RTP/SAVPF":  {"audio", "video"},
	"TCP/DTLS/RTP/SAVPF": {"audio", "video"},
	"UDP/DTLS/SCTP":      {"application"},
	"TCP/DTLS/SCTP":      {"application"},
}

// fingerprintBytes is the length of the hashes that may be used (RFC 8122,
// section 5, without those that are broken).
var fingerprintBytes = map[string]int{"sha-256": 32, "sha-384": 48, "sha-512": 64}

var directions = []string{"sendrecv", "sendonly", "recvonly", "inactive"}

// Parse checks one description by itself. Its error is an *Error.
func Parse(kind Kind, text string) (*Summary, error) {
	if !utf8.ValidString(text) {
		return nil, fault(Malformed, -1, "the SDP is not valid UTF-8")
	}
	if !plainLines(text) {
		return nil, fault(Malformed, -1, "the SDP has a control character, or a CR without LF; lines end in CR LF (RFC 8866, section 9)")
	}
	// Refused by hand: the parser takes any first line but this, and no more.
	if !strings.HasPrefix(text, "v=0") {
		return nil, fault(Malformed, -1, `the SDP must begin with "v=0"`)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fault(Malformed, -1, "the SDP does not parse: %s", short(err.Error()))
	}
	if len(d.MediaDescriptions) == 0 {
		return nil, fault(Malformed, -1, "the SDP has no m-line")
	}
	p := parser{kind: kind, session: &d, bundle: bundles(&d)}
	s := &Summary{Kind: kind}
	mids := map[string]bool{}
	for i, m := range d.MediaDescriptions {
		media, err := p.media(i, m)
		if err != nil {
			return nil, err
		}
		if media.MID != "" && mids[media.MID] {
			return nil, fault(Malformed, i, "a=mid:%s is used twice", media.MID)
		}
		mids[media.MID] = true
		s.Media = append(s.Media, media)
		for _, a := range m.Attributes {
			if a.IsICECandidate() {
				if err := CheckCandidate(a.Key + ":" + a.Value); err != nil {
					return nil, fault(Malformed, i, "%s", err)
				}
				s.Candidates++
			}
		}
	}
	if kind == Offer && !slices.ContainsFunc(s.Media, func(m Media) bool { return !m.Rejected }) {
		return nil, fault(Malformed, -1, "every m-line of the offer has port 0, so that it offers nothing")
	}
	return s, nil
}

// CheckAnswer checks that a parsed answer fits its offer (RFC 3264, section 6;
// RFC 8829, section 5.3.1).
func CheckAnswer(offer, answer *Summary) error {
	if len(answer.Media) != len(offer.Media) {
		return fault(Mismatch, -1, "the answer has %d m-lines and the offer %d; they must be as many",
			len(answer.Media), len(offer.Media))
	}
	for i, a := range answer.Media {
		o := offer.Media[i]
		switch {
		case a.Kind != o.Kind:
			return fault(Mismatch, i, "the answer has %s where the offer has %s", a.Kind, o.Kind)
		case a.Rejected:
			continue
		case o.Rejected:
			return fault(Mismatch, i, "the offer rejects this m-line with port 0, and so must the answer")
		case a.Proto != o.Proto:
			return fault(Mismatch, i, "the answer has transport %s where the offer has %s", a.Proto, o.Proto)
		case a.MID != o.MID:
			return fault(Mismatch, i, "the answer has a=mid:%s where the offer has a=mid:%s", a.MID, o.MID)
		case !slices.Contains(answerable[o.Direction], a.Direction):
			return fault(Mismatch, i, "the answer is %s, which does not fit the offer's %s; valid: %s",
				a.Direction, o.Direction, strings.Join(answerable[o.Direction], ", "))
		}
	}
	return nil
}

// plainLines refuses what two parsers might split into lines differently.
func plainLines(text string) bool {
	for i, c := range []byte(text) {
		switch {
		case c == '\n', c == '\t', c == '\r' && i+1 < len(text) && text[i+1] == '\n':
		case c < ' ', c == 0x7f:
			return false
		}
	}
	return true
}

// answerable is RFC 3264, section 6.1.
var answerable = map[string][]string{
	"sendrecv": directions,
	"sendonly": {"recvonly", "inactive"},
	"recvonly": {"sendonly", "inactive"},
	"inactive": {"inactive"},
}

// short keeps a parser's message, which may quote its input, to one line.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	const most = 160
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
