package offeranswer

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxCandidate bounds a candidate line in bytes; real ones stay below 200.
const maxCandidate = 512

// CheckCandidate checks a candidate attribute (RFC 8839, section 5.1), with or
// without "a=", as W3C's RTCIceCandidate has it. The empty string is
// end-of-candidates and valid.
func CheckCandidate(line string) error {
	if line == "" {
		return nil
	}
	if len(line) > maxCandidate {
		return fmt.Errorf("the candidate has %d bytes, at most %d are taken", len(line), maxCandidate)
	}
	// A client may put the line into an SDP, where CR or LF would begin another.
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("the candidate must be one line of ASCII")
	}
	value, ok := strings.CutPrefix(strings.TrimPrefix(line, "a="), "candidate:")
	if !ok {
		return fmt.Errorf("the candidate must begin with %q", "candidate:")
	}
	f := strings.Fields(value)
	if len(f) < 8 || f[6] != "typ" {
		return fmt.Errorf("the candidate must read %q",
			"candidate:FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ TYPE")
	}
	if len(f[0]) > 32 || !iceChars(f[0]) {
		return fmt.Errorf("the candidate's foundation must be 1 to 32 letters, digits, + or /")
	}
	if n, err := strconv.ParseUint(f[1], 10, 16); err != nil || n < 1 || n > 256 {
		return fmt.Errorf("the candidate's component must be 1 to 256")
	}
	if t := strings.ToLower(f[2]); t != "udp" && t != "tcp" {
		return fmt.Errorf("the candidate's transport must be udp or tcp")
	}
	if n, err := strconv.ParseUint(f[3], 10, 32); err != nil || n < 1 || n > 1<<31-1 {
		return fmt.Errorf("the candidate's priority must be 1 to 2^31-1")
	}
	if addr, err := netip.ParseAddr(f[4]); (err != nil || addr.Zone() != "") && !mdnsName(f[4]) {
		return fmt.Errorf("the candidate's address must be an IP address or a name in .local")
	}
	if _, err := strconv.ParseUint(f[5], 10, 16); err != nil {
		return fmt.Errorf("the candidate's port must be 0 to 65535")
	}
	if types := []string{"host", "srflx", "prflx", "relay"}; !slices.Contains(types, f[7]) {
		return fmt.Errorf("the candidate's type must be one of %s", strings.Join(types, ", "))
	}
	return nil
}

// mdnsName is a host name that hides an address (draft-ietf-mmusic-mdns-ice-candidates).
func mdnsName(s string) bool {
	label, ok := strings.CutSuffix(s, ".local")
	if !ok || label == "" || len(s) > 253 {
		return false
	}
	for _, c := range []byte(label) {
		if c != '-' && c != '.' && !alphanumeric(c) {
			return false
		}
	}
	return true
}
