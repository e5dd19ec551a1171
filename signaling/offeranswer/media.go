package offeranswer

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

type parser struct {
	kind    Kind
	session *sdp.SessionDescription
	// bundle maps each bundled mid to the m-line that carries its group's
	// transport (RFC 8843, section 7: the tagged m-section).
	bundle map[string]*sdp.MediaDescription
}

func bundles(d *sdp.SessionDescription) map[string]*sdp.MediaDescription {
	byMID := map[string]*sdp.MediaDescription{}
	for _, m := range d.MediaDescriptions {
		if mid, ok := m.Attribute("mid"); ok {
			byMID[mid] = m
		}
	}
	tagged := map[string]*sdp.MediaDescription{}
	for _, a := range d.Attributes {
		fields := strings.Fields(a.Value)
		if a.Key != "group" || len(fields) < 2 || fields[0] != "BUNDLE" {
			continue
		}
		for _, mid := range fields[1:] {
			tagged[mid] = byMID[fields[1]]
		}
	}
	return tagged
}

func (p *parser) media(i int, m *sdp.MediaDescription) (Media, error) {
	name := m.MediaName
	out := Media{Kind: name.Media, Proto: strings.Join(name.Protos, "/"), Direction: "sendrecv"}
	out.MID, _ = m.Attribute("mid")
	if content, ok := m.Attribute("content"); ok {
		out.Slides = slices.Contains(strings.Split(content, ","), "slides")
	}
	for _, d := range directions {
		if _, ok := m.Attribute(d); ok {
			out.Direction = d
			break
		}
		if _, ok := p.session.Attribute(d); ok {
			out.Direction = d
		}
	}
	// RFC 8843, section 6: port 0 with a=bundle-only is in use.
	if _, only := m.Attribute("bundle-only"); name.Port.Value == 0 && !only {
		out.Rejected = true
		return out, nil
	}
	if err := p.transport(i, m, out); err != nil {
		return out, err
	}
	for _, check := range []func(int, *sdp.MediaDescription, *Media) error{p.ice, p.fingerprint, p.setup} {
		if err := check(i, m, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// transport refuses what is not DTLS, with the reason that tells best what the
// client is to change.
func (p *parser) transport(i int, m *sdp.MediaDescription, out Media) error {
	_, crypto := m.Attribute("crypto")
	if _, ok := p.session.Attribute("crypto"); ok || crypto {
		return fault(SDES, i, "a=crypto carries SRTP keys in the SDP; use DTLS-SRTP, UDP/TLS/RTP/SAVPF with a=fingerprint")
	}
	kinds, ok := transports[out.Proto]
	switch {
	case ok && !slices.Contains(kinds, out.Kind):
		return fault(Malformed, i, "%s over %s is unknown; over it go %s", short(out.Kind), out.Proto, strings.Join(kinds, ", "))
	case ok:
		return nil
	case strings.HasSuffix(out.Proto, "RTP/AVP"), strings.HasSuffix(out.Proto, "RTP/AVPF"):
		return fault(Plaintext, i, "%s is RTP without encryption; use UDP/TLS/RTP/SAVPF (DTLS-SRTP)", short(out.Proto))
	case strings.HasPrefix(out.Proto, "RTP/SAVP"):
		return fault(SDES, i, "%s is SRTP keyed in the SDP; use UDP/TLS/RTP/SAVPF (DTLS-SRTP)", short(out.Proto))
	default:
		return fault(Malformed, i, "transport %s is unknown; use UDP/TLS/RTP/SAVPF (DTLS-SRTP)", short(out.Proto))
	}
}

// attribute is the first of values.
func (p *parser) attribute(m *sdp.MediaDescription, key string) (string, bool) {
	if v := p.values(m, key); len(v) > 0 {
		return v[0], true
	}
	return "", false
}

// values looks in the m-line, then in the one that carries its bundle, then in
// the session, and returns all that the first of them has.
func (p *parser) values(m *sdp.MediaDescription, key string) []string {
	levels := [][]sdp.Attribute{m.Attributes, nil, p.session.Attributes}
	if mid, ok := m.Attribute("mid"); ok && p.bundle[mid] != nil {
		levels[1] = p.bundle[mid].Attributes
	}
	var found []string
	for _, level := range levels {
		for _, a := range level {
			if a.Key == key {
				found = append(found, a.Value)
			}
		}
		if found != nil {
			break
		}
	}
	return found
}

// ice holds to RFC 8839, section 5.4.
func (p *parser) ice(i int, m *sdp.MediaDescription, out *Media) error {
	for _, a := range []struct {
		key string
		min int
	}{{"ice-ufrag", 4}, {"ice-pwd", 22}} {
		v, ok := p.attribute(m, a.key)
		if !ok {
			return fault(Malformed, i, "a=%s is missing", a.key)
		}
		if len(v) < a.min || len(v) > 256 || !iceChars(v) {
			return fault(Malformed, i, "a=%s must be %d to 256 letters, digits, + or /", a.key, a.min)
		}
	}
	out.Ufrag, _ = p.attribute(m, "ice-ufrag")
	return nil
}

// fingerprint checks every one: the other side may choose among them (RFC 8122,
// section 5).
func (p *parser) fingerprint(i int, m *sdp.MediaDescription, _ *Media) error {
	all := p.values(m, "fingerprint")
	if len(all) == 0 {
		return fault(Malformed, i, "a=fingerprint is missing: without it the DTLS certificate cannot be verified")
	}
	for _, v := range all {
		hash, value, _ := strings.Cut(v, " ")
		want, ok := fingerprintBytes[strings.ToLower(hash)]
		if !ok {
			return fault(Malformed, i, "a=fingerprint uses %q; valid: sha-256, sha-384, sha-512", short(hash))
		}
		pairs := strings.Split(strings.TrimSpace(value), ":")
		valid := len(pairs) == want
		for _, pair := range pairs {
			raw, err := hex.DecodeString(pair)
			valid = valid && err == nil && len(raw) == 1
		}
		if !valid {
			return fault(Malformed, i, "a=fingerprint must hold %d pairs of hexadecimal digits with colons between for %s", want, hash)
		}
	}
	return nil
}

// setup holds to RFC 8842, sections 5.2 and 5.3.
func (p *parser) setup(i int, m *sdp.MediaDescription, out *Media) error {
	valid := []string{"actpass"}
	if p.kind == Answer {
		valid = []string{"active", "passive"}
	}
	v, ok := p.attribute(m, "setup")
	if !ok {
		return fault(Malformed, i, "a=setup is missing; in an %s it is %s", p.kind, strings.Join(valid, " or "))
	}
	if !slices.Contains(valid, v) {
		return fault(Malformed, i, "a=setup:%s is not valid in an %s; it is %s", short(v), p.kind, strings.Join(valid, " or "))
	}
	out.Setup = v
	return nil
}

func iceChars(s string) bool {
	for _, c := range []byte(s) {
		if c != '+' && c != '/' && !alphanumeric(c) {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
