package light

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// answer is what a media processor's answer says.
type answer struct {
	remote      credentials
	fingerprint []byte // SHA-256
	// candidates are the peer's, the most preferred first.
	candidates []netip.AddrPort
	slots      []slotLine
}

// slotLine is an m-line on which something is received.
type slotLine struct {
	mid   string
	audio bool
	ssrc  uint32
	rtx   uint32 // 0 without
}

// parseAnswer reads an answer. Errors name the attribute.
func parseAnswer(text string) (*answer, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	a := &answer{}
	if _, lite := d.Attribute("ice-lite"); !lite {
		return nil, errors.New("answer: no a=ice-lite; the light client checks and is never checked")
	}
	var candidates []candidate
	for i, m := range d.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			continue
		}
		get := func(key string) string {
			if v, ok := m.Attribute(key); ok {
				return v
			}
			v, _ := d.Attribute(key)
			return v
		}
		if setup := get("setup"); setup != "passive" {
			return nil, fmt.Errorf("answer: m-line %d: a=setup:%s; wanted passive", i, setup)
		}
		if a.fingerprint == nil {
			var err error
			if a.fingerprint, err = parseFingerprint(get("fingerprint")); err != nil {
				return nil, fmt.Errorf("answer: m-line %d: %w", i, err)
			}
			a.remote = credentials{get("ice-ufrag"), get("ice-pwd")}
			if a.remote.ufrag == "" || len(a.remote.pwd) < 22 {
				return nil, fmt.Errorf("answer: m-line %d: no a=ice-ufrag and a=ice-pwd", i)
			}
		}
		for _, one := range m.Attributes {
			if one.Key == "candidate" {
				if c, ok := parseCandidate(one.Value); ok {
					candidates = append(candidates, c)
				}
			}
		}
		if _, sends := m.Attribute("sendonly"); sends {
			a.slots = append(a.slots, readSlot(m))
		}
	}
	if len(candidates) == 0 {
		return nil, errors.New("answer: no a=candidate that is IPv4 and UDP")
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return int(int64(b.priority) - int64(a.priority)) })
	for _, c := range candidates {
		a.candidates = append(a.candidates, c.at)
	}
	return a, nil
}

func parseFingerprint(text string) ([]byte, error) {
	algorithm, value, _ := strings.Cut(strings.TrimSpace(text), " ")
	b, err := hex.DecodeString(strings.ReplaceAll(value, ":", ""))
	if !strings.EqualFold(algorithm, "sha-256") || err != nil || len(b) != 32 {
		return nil, fmt.Errorf("a=fingerprint:%s is not of sha-256", algorithm)
	}
	return b, nil
}

type candidate struct {
	priority uint32
	at       netip.AddrPort
}

// parseCandidate reads an a=candidate (RFC 8839, section 5.1); ok is false for one that
// is not IPv4 and UDP, or not of RTP.
func parseCandidate(text string) (c candidate, ok bool) {
	f := strings.Fields(text)
	if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") {
		return c, false
	}
	priority, err1 := strconv.ParseUint(f[3], 10, 32)
	addr, err2 := netip.ParseAddr(f[4])
	port, err3 := strconv.ParseUint(f[5], 10, 16)
	if err1 != nil || err2 != nil || err3 != nil || !addr.Unmap().Is4() || port == 0 {
		return c, false
	}
	return candidate{uint32(priority), netip.AddrPortFrom(addr.Unmap(), uint16(port))}, true
}

func readSlot(m *sdp.MediaDescription) slotLine {
	s := slotLine{audio: m.MediaName.Media == "audio"}
	s.mid, _ = m.Attribute("mid")
	number := func(text string) uint32 {
		n, _ := strconv.ParseUint(text, 10, 32)
		return uint32(n)
	}
	for _, one := range m.Attributes {
		f := strings.Fields(one.Value)
		switch {
		case one.Key == "ssrc-group" && len(f) == 3 && f[0] == "FID":
			s.ssrc, s.rtx = number(f[1]), number(f[2])
		case one.Key == "ssrc" && len(f) > 0 && s.ssrc == 0:
			s.ssrc = number(f[0])
		}
	}
	return s
}
