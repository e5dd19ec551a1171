package light

import (
	"fmt"
	"strings"
)

// Media says what a client sends and receives.
type Media struct {
	// Audio and Video say what it sends.
	Audio, Video bool
	// AudioSlots and VideoSlots are how many streams of others it can receive.
	AudioSlots, VideoSlots int
}

// The payload types and header extensions of all clients.
const (
	typeOpus = 111
	typeVP8  = 96
	typeRTX  = 97

	extensionLevel = 1 // RFC 6464
)

// sources are the SSRCs of what a client sends.
type sources struct{ audio, video, rtx uint32 }

// offer writes the offer (RFC 8866, RFC 8829): each stream to send and each slot is an
// m-line of its own, all in one BUNDLE group.
func offer(m Media, c credentials, fingerprint string, s sources) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	var lines []string // of m-lines
	for range m.count() {
		lines = append(lines, fmt.Sprint(len(lines)))
	}
	line("v=0")
	line("o=- %d 1 IN IP4 127.0.0.1", s.audio)
	line("s=-")
	line("t=0 0")
	line("a=group:BUNDLE %s", strings.Join(lines, " "))
	line("a=ice-ufrag:%s", c.ufrag)
	line("a=ice-pwd:%s", c.pwd)
	line("a=fingerprint:%s", fingerprint)
	line("a=setup:actpass")
	mid := 0
	begin := func(kind, types, direction string) {
		line("m=%s 9 UDP/TLS/RTP/SAVPF %s", kind, types)
		line("c=IN IP4 0.0.0.0")
		line("a=mid:%d", mid)
		line("a=rtcp-mux")
		line("a=%s", direction)
		mid++
	}
	audio := func(direction string) {
		begin("audio", fmt.Sprint(typeOpus), direction)
		line("a=rtpmap:%d opus/48000/2", typeOpus)
		line("a=extmap:%d urn:ietf:params:rtp-hdrext:ssrc-audio-level", extensionLevel)
	}
	video := func(direction string) {
		begin("video", fmt.Sprintf("%d %d", typeVP8, typeRTX), direction)
		line("a=rtpmap:%d VP8/90000", typeVP8)
		line("a=rtcp-fb:%d nack", typeVP8)
		line("a=rtcp-fb:%d nack pli", typeVP8)
		line("a=rtpmap:%d rtx/90000", typeRTX)
		line("a=fmtp:%d apt=%d", typeRTX, typeVP8)
	}
	if m.Audio {
		audio("sendonly")
		line("a=ssrc:%d cname:%s", s.audio, cname)
	}
	if m.Video {
		video("sendonly")
		line("a=ssrc-group:FID %d %d", s.video, s.rtx)
		line("a=ssrc:%d cname:%s", s.video, cname)
		line("a=ssrc:%d cname:%s", s.rtx, cname)
	}
	for range m.AudioSlots {
		audio("recvonly")
	}
	for range m.VideoSlots {
		video("recvonly")
	}
	return b.String()
}

// cname is the canonical name of a client's sources, which needs to be its own only
// within a conference's legs.
const cname = "load"

// count is how many m-lines there are.
func (m Media) count() int {
	n := m.AudioSlots + m.VideoSlots
	for _, sends := range []bool{m.Audio, m.Video} {
		if sends {
			n++
		}
	}
	return n
}
