package description

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"
)

// Offer is what the processor needs of an offer.
type Offer struct {
	// Session identifies what the offer is of: a later offer of the same session changes
	// it, another one is of a client that began anew (RFC 8866, section 5.2).
	Session string
	// Ufrag and Pwd are the client's ICE credentials, empty for a peer without ICE.
	Ufrag, Pwd string
	// Fingerprints are of the client's certificate; one of them is enough.
	Fingerprints []Fingerprint
	Media        []Media
}

// Media is an m-line.
type Media struct {
	Mid string
	// Kind is "audio", "video", or what else the m-line says.
	Kind string
	// Slides says that it is a screen that is shared (RFC 4796).
	Slides bool
	// Refused says why the m-line is not taken; what follows is then empty.
	Refused string
	// Send says that the client sends, Receive that it receives.
	Send, Receive bool
	// Codecs are those that the processor takes, in its order: the client sends the first.
	Codecs     []Codec
	Extensions Extensions
	// Layers are the restriction ids (RFC 8851) of a client that sends simulcast.
	Layers []string
	// Streams are the SSRCs that the client says it sends with, if it does.
	Streams []Stream

	protocol string
}

// Stream is a stream's SSRC and that of its retransmissions, which is 0 without.
type Stream struct{ SSRC, RTX uint32 }

// Limits of what is read.
const (
	maxText    = 256 << 10
	maxLayers  = 4
	maxStreams = 16
)

// Parse reads an offer with at most so many m-lines. latching says that the peer may be
// without ICE. Errors say what is wrong in the offer's own words.
func Parse(text string, media int, latching bool) (*Offer, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("offer of %d bytes; at most %d are read", len(text), maxText)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	switch {
	case len(d.MediaDescriptions) == 0:
		return nil, errors.New("offer: no m-line")
	case len(d.MediaDescriptions) > media:
		return nil, fmt.Errorf("offer: %d m-lines; at most %d are taken", len(d.MediaDescriptions), media)
	}
	o := &Offer{Session: fmt.Sprintf("%s %d %s", d.Origin.Username, d.Origin.SessionID, d.Origin.UnicastAddress)}
	bundle := bundled(&d)
	mids, live := make(map[string]bool), 0
	for i, m := range d.MediaDescriptions {
		line, err := parseMedia(&d, m)
		if err != nil {
			return nil, fmt.Errorf("offer: m-line %d: %w", i, err)
		}
		if line.Mid != "" && mids[line.Mid] {
			return nil, fmt.Errorf("offer: m-line %d: a=mid:%s is there twice", i, line.Mid)
		}
		mids[line.Mid] = true
		o.Media = append(o.Media, line)
		if line.Refused != "" {
			continue
		}
		live++
		if !bundle[line.Mid] && len(d.MediaDescriptions) > 1 {
			return nil, fmt.Errorf("offer: m-line %d: not in a=group:BUNDLE; all media share one transport", i)
		}
		if err := o.transport(&d, m, latching); err != nil {
			return nil, fmt.Errorf("offer: m-line %d: %w", i, err)
		}
	}
	if live == 0 {
		return nil, fmt.Errorf("offer: no m-line can be taken: %s", o.Media[0].Refused)
	}
	return o, o.consistent()
}

// bundled returns the mids of the BUNDLE group.
func bundled(d *sdp.SessionDescription) map[string]bool {
	all := make(map[string]bool)
	for _, a := range d.Attributes {
		if a.Key != sdp.AttrKeyGroup {
			continue
		}
		if fields := strings.Fields(a.Value); len(fields) > 1 && fields[0] == "BUNDLE" {
			for _, mid := range fields[1:] {
				all[mid] = true
			}
			break
		}
	}
	return all
}

// transport checks what an m-line says of the transport, and takes it from the first.
func (o *Offer) transport(d *sdp.SessionDescription, m *sdp.MediaDescription, latching bool) error {
	get := func(key string) string {
		if v, ok := m.Attribute(key); ok {
			return v
		}
		v, _ := d.Attribute(key)
		return v
	}
	if _, mux := m.Attribute(sdp.AttrKeyRTCPMux); !mux {
		return errors.New("no a=rtcp-mux; RTP and RTCP share one transport")
	}
	switch setup := get("setup"); setup {
	case "actpass", "active":
	default:
		return fmt.Errorf("a=setup:%s; valid: actpass, active, as the processor is passive", setup)
	}
	if len(o.Fingerprints) > 0 {
		return nil
	}
	for _, attributes := range [][]sdp.Attribute{m.Attributes, d.Attributes} {
		for _, a := range attributes {
			if a.Key != "fingerprint" {
				continue
			}
			f, err := parseFingerprint(a.Value)
			if err != nil {
				return err
			}
			if f.Algorithm != "" && len(o.Fingerprints) < maxFingerprints {
				o.Fingerprints = append(o.Fingerprints, f)
			}
		}
		if len(o.Fingerprints) > 0 {
			break
		}
	}
	if len(o.Fingerprints) == 0 {
		return errors.New("no a=fingerprint of sha-256, sha-384 or sha-512; keys come from DTLS")
	}
	o.Ufrag, o.Pwd = get("ice-ufrag"), get("ice-pwd")
	switch {
	case o.Ufrag == "" && o.Pwd == "" && latching:
	case len(o.Ufrag) < 4 || len(o.Ufrag) > 256:
		return fmt.Errorf("a=ice-ufrag of %d characters; valid: 4 to 256", len(o.Ufrag))
	case len(o.Pwd) < 22 || len(o.Pwd) > 256:
		return fmt.Errorf("a=ice-pwd of %d characters; valid: 22 to 256", len(o.Pwd))
	}
	return nil
}

// consistent checks that ids mean the same on all m-lines, as one transport needs it
// (RFC 9143, section 9.2 and 15).
func (o *Offer) consistent() error {
	types := make(map[uint8]string)
	var extensions [idLimit]extension
	for _, m := range o.Media {
		for _, c := range m.Codecs {
			meanings := map[uint8]string{c.PayloadType: c.Name}
			if c.RTX != 0 {
				meanings[c.RTX] = fmt.Sprintf("rtx of %d", c.PayloadType)
			}
			for pt, means := range meanings {
				if before, ok := types[pt]; ok && before != means {
					return fmt.Errorf("offer: payload type %d is %s and %s in one BUNDLE group", pt, before, means)
				}
				types[pt] = means
			}
		}
		for kind, id := range m.Extensions {
			if id == 0 {
				continue
			}
			if before := extensions[id]; before != 0 && before != extension(kind)+1 {
				return fmt.Errorf("offer: a=extmap:%d means two things in one BUNDLE group", id)
			}
			extensions[id] = extension(kind) + 1
		}
	}
	return nil
}
