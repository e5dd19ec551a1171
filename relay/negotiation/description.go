package negotiation

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is read of descriptions.
const (
	maxDescription  = 256 << 10
	maxCandidates   = 128
	maxFingerprints = 16
	// maxDescriptions are kept of a leg; each restart has two.
	maxDescriptions = 16
)

// secrets are the attributes whose values, or what follows a word in them, nobody
// should read: RFC 8839, section 5.4, and RFC 4568, section 9.1.
var secrets = []struct{ attribute, after string }{
	{"a=ice-pwd:", ""}, {"a=crypto:", "inline:"}, {"a=key-mgmt:", ""}, {"k=", ""},
}

const redaction = "REDACTED"

// redacted is a description without its secrets.
func redacted(sdp string) string {
	if len(sdp) > maxDescription {
		sdp = sdp[:maxDescription]
	}
	var out strings.Builder
	for line := range strings.Lines(sdp) {
		text := strings.TrimRight(line, "\r\n")
		end := line[len(text):]
		for _, s := range secrets {
			if value, ok := cutPrefixFold(text, s.attribute); ok {
				kept := 0
				if i := strings.Index(strings.ToLower(value), s.after); s.after != "" && i >= 0 {
					kept = i + len(s.after)
				}
				text = text[:len(s.attribute)+kept] + redaction
				break
			}
		}
		out.WriteString(text + end)
	}
	return out.String()
}

// cutPrefixFold is strings.CutPrefix without regard to case.
func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// sides is what the descriptions in force say, that of the leg first.
type sides struct {
	journal *journal
	side    [2]struct {
		known        bool
		setup        string
		fingerprints []fingerprint
	}
}

// fingerprint is a=fingerprint (RFC 8122, section 5).
type fingerprint struct {
	hash string // lower case
	sum  string // upper-case hexadecimal with colons
}

func (f fingerprint) String() string { return f.hash + " " + f.sum }

// index is 0 for the leg's own side and 1 for the peer's.
func index(local bool) int {
	if local {
		return 0
	}
	return 1
}

// describe puts a description in force: fingerprints of an earlier one are no
// longer promised.
func (s *sides) describe(local bool, d description) {
	side := &s.side[index(local)]
	side.known = true
	side.fingerprints = d.fingerprints
	if d.setup != "" {
		side.setup = d.setup
	}
}

// description is what is read of an SDP.
type description struct {
	ufrag        string
	setup        string
	fingerprints []fingerprint
	candidates   []Candidate
	clockRates   map[uint8]uint32
}

// parseDescription reads the attributes that matter here, at session and media
// level alike: with BUNDLE (RFC 9143) the first of each kind is that of the leg.
// What it can't read it passes over, since signaling has checked the description.
func parseDescription(sdp string) description {
	d := description{clockRates: map[uint8]uint32{}}
	if len(sdp) > maxDescription {
		sdp = sdp[:maxDescription]
	}
	for line := range strings.Lines(sdp) {
		attribute, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "a=")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(attribute, ":")
		switch name {
		case "ice-ufrag":
			if d.ufrag == "" {
				d.ufrag = cut(value)
			}
		case "setup":
			if d.setup == "" {
				d.setup = cut(value)
			}
		case "fingerprint":
			f, err := parseFingerprint(value)
			if err == nil && !slices.Contains(d.fingerprints, f) && len(d.fingerprints) < maxFingerprints {
				d.fingerprints = append(d.fingerprints, f)
			}
		case "candidate":
			if c, err := parseCandidate(attribute); err == nil && len(d.candidates) < maxCandidates {
				d.candidates = append(d.candidates, c)
			}
		case "rtpmap":
			if pt, hz, ok := parseRTPMap(value); ok {
				d.clockRates[pt] = hz
			}
		}
	}
	return d
}

// parseFingerprint reads "sha-256 AB:CD:…".
func parseFingerprint(value string) (fingerprint, error) {
	hash, sum, ok := strings.Cut(strings.TrimSpace(value), " ")
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(sum), ":", ""))
	if !ok || err != nil || len(raw) == 0 || len(raw) > 64 || len(hash) > 16 {
		return fingerprint{}, fmt.Errorf("fingerprint %q: want a hash and hexadecimal digits", cut(value))
	}
	return fingerprint{hash: strings.ToLower(hash), sum: colons(raw)}, nil
}

// colons writes a sum as RFC 8122 does.
func colons(sum []byte) string {
	const digits = "0123456789ABCDEF"
	text := make([]byte, 0, 3*len(sum))
	for i, b := range sum {
		if i > 0 {
			text = append(text, ':')
		}
		text = append(text, digits[b>>4], digits[b&15])
	}
	return string(text)
}

// parseRTPMap reads "111 opus/48000/2".
func parseRTPMap(value string) (pt uint8, hz uint32, ok bool) {
	number, encoding, _ := strings.Cut(value, " ")
	parts := strings.Split(encoding, "/")
	n, err := strconv.ParseUint(number, 10, 7)
	if err != nil || len(parts) < 2 {
		return 0, 0, false
	}
	rate, err := strconv.ParseUint(strings.TrimSpace(parts[1]), 10, 32)
	return uint8(n), uint32(rate), err == nil && rate > 0
}

// candidateTypes are those of RFC 8839, section 5.1.
var candidateTypes = []string{"host", "srflx", "prflx", "relay"}

// parseCandidate reads a candidate attribute, with or without "a=". A name in
// .local, which hides an address, leaves Address without one.
func parseCandidate(line string) (Candidate, error) {
	line = cut(strings.TrimSpace(line))
	shown := line[:min(len(line), 120)]
	value, ok := strings.CutPrefix(strings.TrimPrefix(line, "a="), "candidate:")
	f := strings.Fields(value)
	if !ok || len(f) < 8 || f[6] != "typ" {
		return Candidate{}, fmt.Errorf("%q is not of the form %q", shown,
			"candidate:FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ TYPE")
	}
	if !slices.Contains(candidateTypes, f[7]) {
		return Candidate{}, fmt.Errorf("%q has type %q; valid: %s", shown, f[7], strings.Join(candidateTypes, ", "))
	}
	priority, err := strconv.ParseUint(f[3], 10, 32)
	if err != nil {
		return Candidate{}, fmt.Errorf("%q has priority %q; valid: 1 to 2147483647", shown, f[3])
	}
	address, err := parseAddress(f[4], f[5])
	if err != nil {
		return Candidate{}, fmt.Errorf("%q: %w", shown, err)
	}
	c := Candidate{
		Type: f[7], Address: address, Protocol: strings.ToLower(f[2]),
		Priority: uint32(priority), Foundation: f[0],
	}
	var related, port string
	for i := 8; i+1 < len(f); i += 2 {
		switch f[i] {
		case "raddr":
			related = f[i+1]
		case "rport":
			port = f[i+1]
		}
	}
	if related != "" {
		if a, err := parseAddress(related, port); err == nil {
			c.Related = a
		}
	}
	return tidy(c), nil
}

func parseAddress(host, port string) (netip.AddrPort, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port %q; valid: 0 to 65535", port)
	}
	a, err := netip.ParseAddr(host)
	if err != nil && !strings.HasSuffix(host, ".local") {
		return netip.AddrPort{}, fmt.Errorf("address %q; valid: an IP address or a name in .local", host)
	}
	return unmap(netip.AddrPortFrom(a, uint16(n))), nil
}
