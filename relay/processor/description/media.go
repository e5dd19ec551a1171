package description

import (
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	_ "crypto/sha256" // the hashes of fingerprints
	_ "crypto/sha512"

	"github.com/pion/sdp/v3"
)

// Fingerprint is that of a certificate (RFC 8122).
type Fingerprint struct {
	Algorithm string // "sha-256", "sha-384", "sha-512"
	Value     string // lower case, without colons
}

var hashes = map[string]crypto.Hash{"sha-256": crypto.SHA256, "sha-384": crypto.SHA384, "sha-512": crypto.SHA512}

const maxFingerprints = 8

// FingerprintOf makes the fingerprint of a DER certificate; algorithm is a valid one.
func FingerprintOf(algorithm string, certificate []byte) Fingerprint {
	h := hashes[algorithm].New()
	h.Write(certificate)
	return Fingerprint{Algorithm: algorithm, Value: hex.EncodeToString(h.Sum(nil))}
}

// String is the fingerprint as SDP writes it.
func (f Fingerprint) String() string {
	var b strings.Builder
	b.WriteString(f.Algorithm)
	for i := 0; i+1 < len(f.Value); i += 2 {
		b.WriteByte(" :"[min(i, 1)])
		b.WriteString(strings.ToUpper(f.Value[i : i+2]))
	}
	return b.String()
}

// parseFingerprint returns none for an algorithm that is not taken, such as sha-1.
func parseFingerprint(text string) (Fingerprint, error) {
	algorithm, value, _ := strings.Cut(strings.TrimSpace(text), " ")
	algorithm = strings.ToLower(algorithm)
	hash, ok := hashes[algorithm]
	if !ok {
		return Fingerprint{}, nil
	}
	value = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(value), ":", ""))
	if b, err := hex.DecodeString(value); err != nil || len(b) != hash.Size() {
		return Fingerprint{}, fmt.Errorf("a=fingerprint:%s is not %d bytes of hexadecimal", algorithm, hash.Size())
	}
	return Fingerprint{Algorithm: algorithm, Value: value}, nil
}

// Codec is a codec on an m-line.
type Codec struct {
	Name        string // "opus", "PCMU", "PCMA", "G722", "VP8", "H264"
	PayloadType uint8
	ClockRate   uint32
	// RTX is the payload type of retransmissions, 0 without.
	RTX uint8
	// Feedback are the a=rtcp-fb that both sides can.
	Feedback []string

	rtpmap, fmtp string
}

// Has says whether a kind of feedback was agreed on, such as "nack pli".
func (c Codec) Has(feedback string) bool {
	for _, f := range c.Feedback {
		if f == feedback {
			return true
		}
	}
	return false
}

// taken are the codecs that the processor takes, in its order of preference.
var taken = []struct{ kind, name, rtpmap string }{
	{"audio", "opus", "opus/48000/2"},
	{"audio", "PCMU", "pcmu/8000"},
	{"audio", "PCMA", "pcma/8000"},
	{"audio", "G722", "g722/8000"},
	{"video", "VP8", "vp8/90000"},
	{"video", "H264", "h264/90000"},
}

// static are the payload types that need no a=rtpmap (RFC 3551).
var static = map[uint8]string{0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}

// feedback is what the processor understands and sends.
var feedback = map[string]bool{"goog-remb": true, "transport-cc": true, "nack": true, "nack pli": true, "ccm fir": true}

// Extensions are the ids of header extensions (RFC 8285) that both sides know, 0 of
// those that were not offered, in the order of the constants.
type Extensions [6]uint8

type extension uint8

// Indices of Extensions.
const (
	Mid         extension = iota // RFC 9143
	RID                          // RFC 8852
	RepairedRID                  // RFC 8852
	TransportCC                  // transport-wide congestion control
	AudioLevel                   // RFC 6464
	AbsSendTime
)

// uris are their names, by index.
var uris = [...]string{
	Mid:         sdp.SDESMidURI,
	RID:         sdp.SDESRTPStreamIDURI,
	RepairedRID: sdp.SDESRepairRTPStreamIDURI,
	TransportCC: sdp.TransportCCURI,
	AudioLevel:  sdp.AudioLevelURI,
	AbsSendTime: sdp.ABSSendTimeURI,
}

// idLimit: ids up to 14 have one-byte headers, which is what the processor sends.
const idLimit = 15

// parseMedia reads an m-line. Errors are what makes the whole offer unusable.
func parseMedia(d *sdp.SessionDescription, m *sdp.MediaDescription) (Media, error) {
	line := Media{Kind: m.MediaName.Media, protocol: strings.Join(m.MediaName.Protos, "/")}
	line.Mid, _ = m.Attribute(sdp.AttrKeyMID)
	if len(line.Mid) > 16 || strings.ContainsAny(line.Mid, " \t") {
		return line, fmt.Errorf("a=mid:%q; valid: up to 16 characters", line.Mid)
	}
	_, only := m.Attribute("bundle-only")
	switch {
	case m.MediaName.Port.Value == 0 && !only:
		line.Refused = "it has port 0"
		return line, nil
	case line.Kind != "audio" && line.Kind != "video":
		line.Refused = line.Kind + " is not taken"
		return line, nil
	}
	if _, sdes := m.Attribute("crypto"); sdes {
		return line, errors.New("a=crypto (SDES) is not taken; keys come from DTLS")
	}
	if line.protocol != "UDP/TLS/RTP/SAVPF" && line.protocol != "UDP/TLS/RTP/SAVP" {
		return line, fmt.Errorf("protocol %s; valid: UDP/TLS/RTP/SAVPF, UDP/TLS/RTP/SAVP", line.protocol)
	}
	line.Codecs = codecs(m)
	if len(line.Codecs) == 0 {
		line.Refused = "no codec in common"
		return line, nil
	}
	content, _ := m.Attribute("content")
	// Who decides on rights reads the same offer: a word that only contains "slides" is none.
	line.Slides = line.Kind == "video" && slices.Contains(strings.Split(content, ","), "slides")
	line.Send, line.Receive = directionOf(d, m)
	for _, a := range m.Attributes {
		switch a.Key {
		case sdp.AttrKeyExtMap:
			line.extension(a.Value)
		case "simulcast":
			line.simulcast(a.Value)
		}
	}
	line.streams(m)
	return line, nil
}

// directionOf says which way an m-line goes: by its own attribute, by the session's for
// those without, and else both ways (RFC 8866, section 6.7).
func directionOf(d *sdp.SessionDescription, m *sdp.MediaDescription) (send, receive bool) {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, d.Attributes} {
		for _, a := range attributes {
			switch a.Key {
			case sdp.AttrKeySendRecv:
				return true, true
			case sdp.AttrKeySendOnly:
				return true, false
			case sdp.AttrKeyRecvOnly:
				return false, true
			case sdp.AttrKeyInactive:
				return false, false
			}
		}
	}
	return true, true
}

// extension reads the value of an a=extmap.
func (m *Media) extension(value string) {
	fields := strings.Fields(value)
	if len(fields) < 2 {
		return
	}
	number, _, _ := strings.Cut(fields[0], "/")
	id, err := strconv.ParseUint(number, 10, 8)
	kind := slices.Index(uris[:], fields[1])
	if err == nil && kind >= 0 && id > 0 && id < idLimit {
		m.Extensions[kind] = uint8(id)
	}
}

// simulcast reads the value of an a=simulcast (RFC 8853), of alternatives the first.
func (m *Media) simulcast(value string) {
	fields := strings.Fields(value)
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] != "send" {
			continue
		}
		m.Layers = nil
		for stream := range strings.SplitSeq(fields[i+1], ";") {
			rid, _, _ := strings.Cut(stream, ",")
			rid = strings.TrimPrefix(rid, "~")
			if rid != "" && len(rid) <= 16 && len(m.Layers) < maxLayers {
				m.Layers = append(m.Layers, rid)
			}
		}
	}
}

// streams reads a=ssrc and a=ssrc-group:FID.
func (m *Media) streams(d *sdp.MediaDescription) {
	number := func(s string) uint32 {
		n, _ := strconv.ParseUint(s, 10, 32)
		return uint32(n)
	}
	rtx := make(map[uint32]uint32)
	repairs := make(map[uint32]bool)
	for _, a := range d.Attributes {
		fields := strings.Fields(a.Value)
		if a.Key == "ssrc-group" && len(fields) == 3 && fields[0] == "FID" {
			rtx[number(fields[1])] = number(fields[2])
			repairs[number(fields[2])] = true
		}
	}
	for _, a := range d.Attributes {
		fields := strings.Fields(a.Value)
		if a.Key != "ssrc" || len(fields) == 0 || len(m.Streams) == maxStreams {
			continue
		}
		ssrc := number(fields[0])
		known := ssrc == 0 || repairs[ssrc]
		for _, s := range m.Streams {
			known = known || s.SSRC == ssrc
		}
		if !known {
			m.Streams = append(m.Streams, Stream{SSRC: ssrc, RTX: rtx[ssrc]})
		}
	}
}

// codecs returns what the processor takes of an m-line.
func codecs(m *sdp.MediaDescription) []Codec {
	rtpmap, fmtp, fb := payloadTypes(m)
	rtx := make(map[uint8]uint8)
	for pt, name := range rtpmap {
		if strings.HasPrefix(strings.ToLower(name), "rtx/") {
			if apt, err := strconv.ParseUint(parameter(fmtp[pt], "apt"), 10, 7); err == nil {
				rtx[uint8(apt)] = pt
			}
		}
	}
	var all []Codec
	for _, c := range taken {
		if c.kind != m.MediaName.Media {
			continue
		}
		best, score := Codec{}, 0
		for _, format := range m.MediaName.Formats {
			n, err := strconv.ParseUint(format, 10, 7)
			pt := uint8(n)
			if err != nil || strings.TrimSuffix(strings.ToLower(rtpmap[pt]), "/1") != c.rtpmap {
				continue
			}
			if s := suits(c.name, fmtp[pt]); s > score {
				clock := uint32(8000)
				if _, rate, ok := strings.Cut(c.rtpmap, "/"); ok {
					rate, _, _ = strings.Cut(rate, "/")
					n, _ := strconv.ParseUint(rate, 10, 32)
					clock = uint32(n)
				}
				score, best = s, Codec{Name: c.name, PayloadType: pt, ClockRate: clock, RTX: rtx[pt], Feedback: fb[pt], rtpmap: rtpmap[pt], fmtp: fmtp[pt]}
			}
		}
		if score > 0 {
			all = append(all, best.withoutNACK())
		}
	}
	return all
}

// withoutNACK takes away what needs a stream for retransmissions where there is none.
func (c Codec) withoutNACK() Codec {
	if c.RTX != 0 {
		return c
	}
	var kept []string
	for _, f := range c.Feedback {
		if f != "nack" {
			kept = append(kept, f)
		}
	}
	c.Feedback = kept
	return c
}

// suits rates a variant of a codec: 0 is not taken. Of H.264, senders and receivers must
// understand the same, which constrained baseline in packetization mode 1 is.
func suits(name, fmtp string) int {
	if name != "H264" {
		return 1
	}
	if parameter(fmtp, "packetization-mode") != "1" {
		return 0
	}
	switch profile := strings.ToLower(parameter(fmtp, "profile-level-id")); {
	case strings.HasPrefix(profile, "42e0"):
		return 3
	case strings.HasPrefix(profile, "42"):
		return 2
	}
	return 1
}

// parameter finds a parameter in the value of an a=fmtp.
func parameter(fmtp, name string) string {
	for p := range strings.SplitSeq(fmtp, ";") {
		if key, value, _ := strings.Cut(strings.TrimSpace(p), "="); strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// payloadTypes reads a=rtpmap, a=fmtp and a=rtcp-fb.
func payloadTypes(m *sdp.MediaDescription) (rtpmap, fmtp map[uint8]string, fb map[uint8][]string) {
	rtpmap, fmtp, fb = make(map[uint8]string), make(map[uint8]string), make(map[uint8][]string)
	for pt, name := range static {
		rtpmap[pt] = name
	}
	var everywhere []string
	for _, a := range m.Attributes {
		number, value, _ := strings.Cut(a.Value, " ")
		n, err := strconv.ParseUint(number, 10, 7)
		pt := uint8(n)
		switch {
		case a.Key == "rtcp-fb" && feedback[value] && number == "*":
			everywhere = append(everywhere, value)
		case err != nil:
		case a.Key == "rtpmap":
			rtpmap[pt] = strings.TrimSpace(value)
		case a.Key == "fmtp":
			fmtp[pt] = value
		case a.Key == "rtcp-fb" && feedback[value]:
			fb[pt] = append(fb[pt], value)
		}
	}
	for pt := range rtpmap {
		fb[pt] = append(fb[pt], everywhere...)
	}
	return rtpmap, fmtp, fb
}
