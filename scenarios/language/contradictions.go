package language

import (
	"fmt"
	"slices"
	"strings"
)

// wanted is what is expected of one participant, with the path of each key: its
// own where it has one, else that of each.
type wanted struct {
	of, peer *Participant
	ParticipantExpect
	path func(key string) string
}

// of collects what is expected of a participant.
func (c *checker) wantedOf(p *Participant) wanted {
	own, each := c.s.Expect.Participants[p.Name], c.s.Expect.Each
	w := wanted{of: p, peer: c.other(p.Name), ParticipantExpect: own}
	w.path = func(key string) string {
		if path := "expect.participants." + p.Name + "." + key; c.has(path) {
			return path
		}
		return "expect." + key
	}
	take(&w.Flows, each.Flows, w.Flows == nil)
	take(&w.Pair, each.Pair, w.Pair == nil)
	take(&w.Protocol, each.Protocol, w.Protocol == "")
	take(&w.RelayPort, each.RelayPort, w.RelayPort == 0)
	take(&w.Relayed, each.Relayed, w.Relayed == nil)
	take(&w.CipherSuite, each.CipherSuite, w.CipherSuite == "")
	take(&w.SRTPProfile, each.SRTPProfile, w.SRTPProfile == "")
	take(&w.DTLSRole, each.DTLSRole, w.DTLSRole == "")
	take(&w.Certificate, each.Certificate, w.Certificate == "")
	take(&w.Fingerprint, each.Fingerprint, w.Fingerprint == "")
	take(&w.ICERole, each.ICERole, w.ICERole == "")
	take(&w.MOS, each.MOS, w.MOS == nil)
	take(&w.Freezes, each.Freezes, w.Freezes == nil)
	return w
}

func take[T any](to *T, from T, absent bool) {
	if absent {
		*to = from
	}
}

// A contradiction is a row of the table of things that cannot be true together.
// It returns the key to point at and what contradicts, or an empty problem.
type contradiction func(w wanted) (key, problem string)

// oneContradictions are about what is expected of one participant.
var oneContradictions = []contradiction{
	func(w wanted) (string, string) {
		if no(w.Relayed) && (w.Protocol == "tcp" || w.Protocol == "tls") {
			return "protocol", fmt.Sprintf("contradicts relayed: false: only the way to the relay is %s", w.Protocol)
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if no(w.Relayed) && w.RelayPort != 0 {
			return "relay-port", "contradicts relayed: false: the media does not go to the relay"
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if yes(w.Relayed) && len(w.Pair) == 2 && !may(w.Pair[0], "relay") && !may(w.Pair[1], "relay") {
			return "pair", "contradicts relayed: true: none of the two is a relay candidate"
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if no(w.Relayed) && len(w.Pair) == 2 && slices.Contains(w.Pair, "relay") {
			return "pair", "contradicts relayed: false: one of the two is a relay candidate"
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if len(w.Pair) == 2 && !may(w.Pair[0], "relay") && w.RelayPort != 0 {
			return "relay-port", "contradicts the pair, whose local candidate is not a relay candidate"
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if w.of.ICE == "relay" && len(w.Pair) == 2 && !may(w.Pair[0], "relay") {
			return "pair", fmt.Sprintf("contradicts ice: relay of %s, which uses relay candidates only", w.of.Name)
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if w.Protocol != "" && yes(w.Relayed) && len(w.of.Transports) > 0 && !slices.Contains(w.of.Transports, w.Protocol) {
			return "protocol", fmt.Sprintf("%q is not among the transports of %s: %s", w.Protocol, w.of.Name, strings.Join(w.of.Transports, ", "))
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if p := w.SRTPProfile; p != "" && !(offers(w.of, p) && offers(w.peer, p)) {
			return "srtp-profile", fmt.Sprintf("%q is not offered by both participants", p)
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if s := w.CipherSuite; s != "" && !(slices.Contains(w.of.offeredSuites(), s) && slices.Contains(w.peer.offeredSuites(), s)) {
			return "cipher-suite", fmt.Sprintf("%q is not offered by both participants", s)
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if own := or(w.of.DTLS.Certificate, "ecdsa"); w.Certificate != "" && w.Certificate != own {
			return "certificate", fmt.Sprintf("contradicts the certificate of %s, which is %s", w.of.Name, own)
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if promised := or(w.peer.Fingerprint, "right"); w.Fingerprint == "mismatch" && promised == "right" {
			return "fingerprint", fmt.Sprintf("contradicts fingerprint: right of %s, whose certificate %s sees", w.peer.Name, w.of.Name)
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if w.Fingerprint == "verified" && w.peer.Fingerprint == "wrong" {
			return "fingerprint", fmt.Sprintf("contradicts fingerprint: wrong of %s, whose certificate %s sees", w.peer.Name, w.of.Name)
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if w.MOS != nil && !w.peer.sends(audioCodecs) {
			return "mos", fmt.Sprintf("needs audio, which %s does not send", w.peer.Name)
		}
		return "", ""
	},
	func(w wanted) (string, string) {
		if w.Freezes != nil && !w.peer.sends(videoCodecs) {
			return "freezes", fmt.Sprintf("needs video, which %s does not send", w.peer.Name)
		}
		return "", ""
	},
}

// contradictions looks for expectations that cannot all be met, whatever happens.
func (c *checker) contradictions() {
	a, b := c.wantedOf(&c.s.Participants[0]), c.wantedOf(&c.s.Participants[1])
	for _, w := range []wanted{a, b} {
		for _, contradicts := range oneContradictions {
			key, problem := contradicts(w)
			if problem == "" {
				continue
			}
			c.reportOnce(w.path(key), problem)
		}
	}
	// The two ends of one handshake, or of one pair, have different roles.
	if a.DTLSRole != "" && a.DTLSRole == b.DTLSRole {
		c.reportOnce(b.path("dtls-role"), fmt.Sprintf("both participants cannot be the %s of one handshake; say it under participants", b.DTLSRole))
	}
	if a.ICERole != "" && a.ICERole == b.ICERole {
		c.reportOnce(b.path("ice-role"), fmt.Sprintf("both participants cannot be %s; say it under participants", b.ICERole))
	}
	e := c.s.Expect
	if yes(e.RelayUnused) {
		for _, w := range []wanted{a, b} {
			if yes(w.Relayed) {
				c.reportOnce(w.path("relayed"), "contradicts relay-unused: true")
			}
		}
		if e.RelaySawPlaintext != nil {
			c.reportOnce("expect.relay-saw-plaintext", "contradicts relay-unused: true: it needs media that was relayed")
		}
	}
	if yes(e.MediaInVPN) && c.s.Network != nil && len(c.s.Network.VPNs) == 0 {
		c.reportOnce("expect.media-in-vpn", "the network has no VPN")
	}
	c.mustNotConnect(a.of, b.of)
}

// mustNotConnect finds what keeps a call from being connected, or must.
func (c *checker) mustNotConnect(a, b *Participant) {
	if !c.s.MustConnect() {
		return
	}
	at := "expect"
	if c.has("expect.call") {
		at = "expect.call"
	}
	for _, p := range []*Participant{a, b} {
		if p.Fingerprint == "wrong" {
			c.reportOnce(at, fmt.Sprintf("a call in which %s promises another certificate than it shows must not be connected", p.Name), CallFailed)
		}
	}
	if overlap(a.offeredProfiles(), b.offeredProfiles()) == 0 {
		c.reportOnce(at, "the call cannot be connected: the participants have no SRTP profile in common", CallFailed)
	}
	if overlap(a.offeredSuites(), b.offeredSuites()) == 0 {
		c.reportOnce(at, "the call cannot be connected: the participants have no cipher suite in common", CallFailed)
	}
}

// reportOnce is report for what both participants may lead to.
func (c *checker) reportOnce(path, problem string, valid ...string) {
	for _, e := range c.errs {
		if e.Path == path {
			return
		}
	}
	c.report(path, problem, valid...)
}

func yes(b *bool) bool { return b != nil && *b }
func no(b *bool) bool  { return b != nil && !*b }

// may is true when a choice such as "srflx|prflx" has a type.
func may(choice, kind string) bool { return slices.Contains(strings.Split(choice, "|"), kind) }

// offers is true when a participant can agree to an SRTP profile, by any of its
// names.
func offers(p *Participant, profile string) bool {
	return slices.ContainsFunc(p.offeredProfiles(), func(own string) bool { return ProfileName(own) == ProfileName(profile) })
}

func or(word, otherwise string) string {
	if word == "" {
		return otherwise
	}
	return word
}
