package older

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/callpath/callpath/scenarios/media"
)

// line is one m-line of both descriptions.
type line struct {
	kind string
	mid  string
	// formats are those that both sides take, by payload type; order is that
	// of the offer.
	formats map[uint8]media.Format
	order   []uint8
	// sends says that this side has something to send and receives that it
	// takes what the other side sends; wanted that the other side takes it.
	sends, receives, wanted bool
	// refused is an m-line of a kind that this side does not know.
	refused bool
	proto   string
}

// credentials are those of ICE.
type credentials struct{ ufrag, pwd string }

// remote is what the other side described.
type remote struct {
	credentials
	hash, fingerprint string // of its certificate (RFC 8122)
	setup             string
	candidates        []string
	lines             []line
}

// local is what this side describes.
type local struct {
	credentials
	fingerprint string
	setup       string
	session     uint64
	version     int
	name        string // of the sender
	ssrc        map[string]uint32
	candidates  []string
}

// write writes a description.
func (d local) write(lines []line) string {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	put("v=0")
	put("o=- %d %d IN IP4 0.0.0.0", d.session, d.version)
	put("s=-")
	put("t=0 0")
	var mids []string
	for _, l := range lines {
		if !l.refused {
			mids = append(mids, l.mid)
		}
	}
	put("a=group:BUNDLE %s", strings.Join(mids, " "))
	put("a=ice-options:trickle")
	for _, l := range lines {
		d.writeLine(put, l)
	}
	return b.String()
}

func (d local) writeLine(put func(string, ...any), l line) {
	if l.refused {
		put("m=%s 0 %s 0", l.kind, l.proto)
		put("c=IN IP4 0.0.0.0")
		put("a=mid:%s", l.mid)
		return
	}
	types := ""
	for _, payloadType := range l.order {
		types += fmt.Sprintf(" %d", payloadType)
	}
	put("m=%s 9 UDP/TLS/RTP/SAVPF%s", l.kind, types)
	put("c=IN IP4 0.0.0.0")
	put("a=mid:%s", l.mid)
	put("a=ice-ufrag:%s", d.ufrag)
	put("a=ice-pwd:%s", d.pwd)
	put("a=fingerprint:sha-256 %s", d.fingerprint)
	put("a=setup:%s", d.setup)
	put("a=rtcp-mux")
	put("a=rtcp-rsize")
	direction := "inactive"
	switch {
	case l.sends && l.receives:
		direction = "sendrecv"
	case l.sends:
		direction = "sendonly"
	case l.receives:
		direction = "recvonly"
	}
	if l.sends {
		put("a=msid:%s %s", d.name, l.kind)
		put("a=ssrc:%d cname:%s", d.ssrc[l.kind], d.name)
	}
	put("a=%s", direction)
	for _, payloadType := range l.order {
		f := l.formats[payloadType]
		put("a=rtpmap:%d %s", payloadType, f.RTPMap())
		if f.Parameters != "" {
			put("a=fmtp:%d %s", payloadType, f.Parameters)
		}
		if f.Kind == media.Video {
			put("a=rtcp-fb:%d nack", payloadType)
			put("a=rtcp-fb:%d nack pli", payloadType)
		}
	}
	for _, c := range d.candidates {
		put("a=%s", c)
	}
}

// parse reads the other side's description.
func parse(text string) (*remote, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("description: %w", err)
	}
	r := &remote{}
	for _, m := range d.MediaDescriptions {
		get := func(key string) string {
			if v, ok := m.Attribute(key); ok {
				return v
			}
			v, _ := d.Attribute(key)
			return v
		}
		l := line{kind: m.MediaName.Media, proto: strings.Join(m.MediaName.Protos, "/"), formats: map[uint8]media.Format{}}
		l.mid = get("mid")
		l.refused = m.MediaName.Port.Value == 0 || l.kind != media.Audio && l.kind != media.Video
		_, recvonly := m.Attribute("recvonly")
		_, sendonly := m.Attribute("sendonly")
		_, inactive := m.Attribute("inactive")
		l.wanted = !l.refused && !sendonly && !inactive
		l.receives = !l.refused && !recvonly && !inactive
		for _, a := range m.Attributes {
			switch a.Key {
			case "rtpmap":
				l.add(a.Value)
			case "candidate":
				r.candidates = append(r.candidates, "candidate:"+a.Value)
			}
		}
		r.lines = append(r.lines, l)
		if l.refused || r.ufrag != "" {
			continue // BUNDLE: the first in use has the transport's attributes
		}
		r.ufrag, r.pwd, r.setup = get("ice-ufrag"), get("ice-pwd"), get("setup")
		r.hash, r.fingerprint, _ = strings.Cut(get("fingerprint"), " ")
	}
	if r.ufrag == "" || r.pwd == "" || r.fingerprint == "" {
		return nil, fmt.Errorf("description without ice-ufrag, ice-pwd or fingerprint")
	}
	return r, nil
}

// add takes a format of a=rtpmap, when it is known.
func (l *line) add(value string) {
	number, encoding, _ := strings.Cut(value, " ")
	name, _, _ := strings.Cut(encoding, "/")
	payloadType, err := strconv.ParseUint(number, 10, 7)
	f, ok := media.ByEncoding(name)
	if err != nil || !ok || f.Kind != l.kind {
		return
	}
	l.formats[uint8(payloadType)] = f
	l.order = append(l.order, uint8(payloadType))
}

// offered are the m-lines of a first offer.
func offered(formats []media.Format, sent []media.Format) []line {
	var lines []line
	for i, kind := range []string{media.Audio, media.Video} {
		l := line{kind: kind, mid: strconv.Itoa(i), proto: "UDP/TLS/RTP/SAVPF", receives: true, formats: map[uint8]media.Format{}}
		for _, f := range formats {
			if f.Kind == kind {
				l.formats[f.PayloadType] = f
				l.order = append(l.order, f.PayloadType)
			}
		}
		l.sends = slices.ContainsFunc(sent, func(f media.Format) bool { return f.Kind == kind })
		lines = append(lines, l)
	}
	return lines
}

// payloadType is that of a codec in an m-line.
func (l line) payloadType(c media.Codec) (uint8, bool) {
	for _, payloadType := range l.order {
		if l.formats[payloadType].Codec == c {
			return payloadType, true
		}
	}
	return 0, false
}
