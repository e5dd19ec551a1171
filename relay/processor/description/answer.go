package description

import (
	"fmt"
	"net/netip"
	"strings"
)

// Answer is the processor's part of an answer.
type Answer struct {
	// ID and Version are those of the processor's session (RFC 8866, section 5.2).
	ID, Version uint64
	// Ufrag and Pwd are ICE credentials; empty for a peer without ICE.
	Ufrag, Pwd  string
	Fingerprint Fingerprint
	// Candidates are the host candidates; the first is the default one.
	Candidates []netip.AddrPort
	// CName is the canonical name of all streams.
	CName string
	// Slots are the streams of the m-lines with Media.Receive, by index.
	Slots []Stream
}

// Answer writes the answer.
func (o *Offer) Answer(a Answer) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	at := a.Candidates[0]
	line("v=0")
	line("o=callpath %d %d IN %s %s", a.ID, a.Version, family(at), at.Addr())
	line("s=-")
	line("t=0 0")
	var mids []string
	for _, m := range o.Media {
		if m.Refused == "" && m.Mid != "" {
			mids = append(mids, m.Mid)
		}
	}
	if len(mids) > 0 {
		line("a=group:BUNDLE %s", strings.Join(mids, " "))
	}
	line("a=msid-semantic: WMS *")
	if a.Ufrag != "" {
		line("a=ice-lite")
	}
	first := true
	for i, m := range o.Media {
		if m.Refused != "" {
			o.refuse(line, m)
			continue
		}
		var types []string
		for _, c := range m.Codecs {
			types = append(types, fmt.Sprint(c.PayloadType))
			if c.RTX != 0 {
				types = append(types, fmt.Sprint(c.RTX))
			}
		}
		line("m=%s %d %s %s", m.Kind, at.Port(), m.protocol, strings.Join(types, " "))
		line("c=IN %s %s", family(at), at.Addr())
		if m.Mid != "" {
			line("a=mid:%s", m.Mid)
		}
		if a.Ufrag != "" {
			line("a=ice-ufrag:%s", a.Ufrag)
			line("a=ice-pwd:%s", a.Pwd)
		}
		line("a=fingerprint:%s", a.Fingerprint)
		line("a=setup:passive")
		line("a=rtcp-mux")
		m.answer(line)
		if m.Receive {
			a.slot(line, m, a.Slots[i])
		}
		if first && a.Ufrag != "" {
			for k, c := range a.Candidates {
				line("a=candidate:%d 1 udp %d %s %d typ host", k+1, uint32(126)<<24|uint32(65535-k)<<8|255, c.Addr(), c.Port())
			}
			line("a=end-of-candidates")
		}
		first = false
	}
	return b.String()
}

// refuse answers an m-line with port 0.
func (o *Offer) refuse(line func(string, ...any), m Media) {
	format := "0"
	if m.Kind == "application" {
		format = "webrtc-datachannel"
	}
	line("m=%s 0 %s %s", m.Kind, m.protocol, format)
	line("c=IN IP4 0.0.0.0")
	if m.Mid != "" {
		line("a=mid:%s", m.Mid)
	}
	line("a=inactive")
}

// answer writes what is the m-line's own.
func (m Media) answer(line func(string, ...any)) {
	line("a=%s", [2][2]string{{"inactive", "sendonly"}, {"recvonly", "sendrecv"}}[index(m.Send)][index(m.Receive)])
	if m.Slides {
		line("a=content:slides")
	}
	for kind, uri := range uris {
		if id := m.Extensions[kind]; id != 0 {
			line("a=extmap:%d %s", id, uri)
		}
	}
	for _, c := range m.Codecs {
		line("a=rtpmap:%d %s", c.PayloadType, c.rtpmap)
		if c.fmtp != "" {
			line("a=fmtp:%d %s", c.PayloadType, c.fmtp)
		}
		for _, f := range c.Feedback {
			line("a=rtcp-fb:%d %s", c.PayloadType, f)
		}
		if c.RTX != 0 {
			line("a=rtpmap:%d rtx/%d", c.RTX, c.ClockRate)
			line("a=fmtp:%d apt=%d", c.RTX, c.PayloadType)
		}
	}
	if m.Send && len(m.Layers) > 0 {
		for _, rid := range m.Layers {
			line("a=rid:%s recv", rid)
		}
		line("a=simulcast:recv %s", strings.Join(m.Layers, ";"))
	}
}

// slot writes the stream of a slot.
func (a Answer) slot(line func(string, ...any), m Media, s Stream) {
	name := "slot-" + m.Mid
	line("a=msid:%s %s", name, name)
	if s.RTX != 0 {
		line("a=ssrc-group:FID %d %d", s.SSRC, s.RTX)
	}
	line("a=ssrc:%d cname:%s", s.SSRC, a.CName)
	if s.RTX != 0 {
		line("a=ssrc:%d cname:%s", s.RTX, a.CName)
	}
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

func family(a netip.AddrPort) string {
	if a.Addr().Is4() || a.Addr().Is4In6() {
		return "IP4"
	}
	return "IP6"
}
