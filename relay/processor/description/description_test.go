package description

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const fingerprint = "sha-256 9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08"

// offer has audio and video, as a browser writes it, shortened.
var offer = strings.ReplaceAll(`v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2 3
a=extmap-allow-mixed
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:`+fingerprint+`
a=setup:actpass
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110
c=IN IP4 0.0.0.0
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3/sendrecv http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:200 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=ssrc:1001 cname:x
a=ssrc:1001 msid:- track
m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 109 114
c=IN IP4 0.0.0.0
a=mid:1
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:6 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=sendonly
a=rtcp-mux
a=rtcp-fb:* goog-remb
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 made up
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:103 H264/90000
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f
a=rtcp-fb:103 nack
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
a=rtpmap:107 H264/90000
a=fmtp:107 packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:107 nack
a=rtcp-fb:107 ccm fir
a=rtpmap:108 H264/90000
a=fmtp:108 packetization-mode=0;profile-level-id=42e01f
a=rtpmap:109 AV1/90000
a=rtpmap:114 red/90000
a=rid:q send
a=rid:h send
a=simulcast:send q,x;~h
a=ssrc-group:FID 2001 2002
a=ssrc:2001 cname:x
a=ssrc:2002 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:2
a=recvonly
a=content:slides
a=rtcp-mux
a=rtpmap:96 VP8/90000
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:3
a=sctp-port:5000
`, "\n", "\r\n")

func TestAnOfferIsRead(t *testing.T) {
	o, err := Parse(offer, 10, false)
	if err != nil {
		t.Fatal(err)
	}
	if o.Ufrag != "abcd" || o.Pwd != "abcdefghijklmnopqrstuvwx" || len(o.Fingerprints) != 1 || o.Fingerprints[0].String() != fingerprint {
		t.Errorf("%+v", o)
	}
	names := func(m Media) (all []string) {
		for _, c := range m.Codecs {
			all = append(all, fmt.Sprintf("%s %d %d %v", c.Name, c.PayloadType, c.RTX, c.Feedback))
		}
		return all
	}
	for i, want := range []struct {
		send, receive, slides bool
		codecs, layers        []string
		streams               []Stream
		extensions            Extensions
	}{
		{send: true, receive: true, streams: []Stream{{SSRC: 1001}}, extensions: Extensions{4, 0, 0, 3, 1, 2},
			codecs: []string{"opus 111 0 [transport-cc]", "PCMU 0 0 []", "PCMA 8 0 []", "G722 9 0 []"}},
		{send: true, streams: []Stream{{2001, 2002}}, layers: []string{"q", "h"}, extensions: Extensions{4, 5, 6, 3, 0, 0},
			// Of H.264 constrained baseline is taken, and without rtx no NACK.
			codecs: []string{"VP8 96 97 [nack nack pli goog-remb]", "H264 107 0 [ccm fir goog-remb]"}},
		{receive: true, slides: true, codecs: []string{"VP8 96 0 []"}},
	} {
		m := o.Media[i]
		if m.Refused != "" || m.Send != want.send || m.Receive != want.receive || m.Slides != want.slides || m.Extensions != want.extensions ||
			!slices.Equal(names(m), want.codecs) || !slices.Equal(m.Layers, want.layers) || !slices.Equal(m.Streams, want.streams) {
			t.Errorf("m-line %d: %+v %q", i, m, names(m))
		}
	}
	if o.Media[3].Refused == "" {
		t.Error("a data channel is taken")
	}
}

func TestOffersAreRefusedWithTheReason(t *testing.T) {
	for _, tt := range []struct{ name, old, new, reason string }{
		{"no BUNDLE (RFC 9143)", "a=group:BUNDLE 0 1 2 3\r\n", "", "not in a=group:BUNDLE"},
		{"an m-line outside of BUNDLE", "BUNDLE 0 1 2 3", "BUNDLE 0 1 3", "m-line 2: not in a=group:BUNDLE"},
		{"no fingerprint (RFC 5763)", "a=fingerprint:" + fingerprint + "\r\n", "", "no a=fingerprint"},
		{"a fingerprint of a weak hash", "sha-256 9F", "sha-1 9F", "no a=fingerprint"},
		{"half a fingerprint", "9F:86:", "9F:", "is not 32 bytes"},
		{"no rtcp-mux (RFC 5761)", "a=rtcp-mux\r\na=rtpmap:111", "a=rtpmap:111", "no a=rtcp-mux"},
		{"SDES (RFC 4568)", "a=mid:1\r\n", "a=mid:1\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n", "SDES"},
		{"plain RTP", "m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP", "protocol RTP/AVP; valid: UDP/TLS/RTP/SAVPF"},
		{"a passive client", "a=setup:actpass", "a=setup:passive", "a=setup:passive; valid: actpass, active"},
		{"no setup", "a=setup:actpass\r\n", "", "a=setup:; valid"},
		{"no ICE", "a=ice-ufrag:abcd\r\n", "", "a=ice-ufrag of 0 characters"},
		{"a short password", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=ice-pwd:abc", "a=ice-pwd of 3 characters"},
		{"a mid that is there twice", "a=mid:1", "a=mid:0", "there twice"},
		{"a long mid", "a=mid:1\r\n", "a=mid:12345678901234567\r\n", "a=mid"},
		{"a payload type of two codecs", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=recvonly\r\na=content:slides\r\na=rtcp-mux\r\na=rtpmap:96 VP8",
			"m=video 9 UDP/TLS/RTP/SAVPF 107\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=recvonly\r\na=content:slides\r\na=rtcp-mux\r\na=rtpmap:107 VP8", "payload type 107"},
		{"an extension id of two meanings", "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "a=extmap:1 means two things"},
		{"no SDP", "v=0", "x", "offer:"},
		{"no media", offer[strings.Index(offer, "m="):], "", "no m-line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := strings.Replace(offer, tt.old, tt.new, 1)
			if changed == offer {
				t.Fatal("the offer has not changed")
			}
			if _, err := Parse(changed, 10, false); err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %v, wanted %q", err, tt.reason)
			}
		})
	}
	if _, err := Parse(offer, 3, false); err == nil || !strings.Contains(err.Error(), "4 m-lines; at most 3") {
		t.Errorf("too many m-lines: %v", err)
	}
	if _, err := Parse(strings.Repeat("x", maxText+1), 3, false); err == nil {
		t.Error("a long text is read")
	}
	only := offer[:strings.Index(offer, "m=audio")] + offer[strings.Index(offer, "m=application"):]
	if _, err := Parse(only, 3, false); err == nil || !strings.Contains(err.Error(), "no m-line can be taken") {
		t.Errorf("an offer of a data channel alone: %v", err)
	}
}

// Signaling decides by the same offer who may send what and who may share a screen: what it
// does not take for that must not be it here.
func TestDirectionsAndScreensAreReadAsSignalingReadsThem(t *testing.T) {
	for _, tt := range []struct {
		name, old, new        string
		line                  int
		send, receive, slides bool
	}{
		{"the session's direction", "t=0 0\r\n", "t=0 0\r\na=recvonly\r\n", 0, false, true, false},
		{"before the session's its own", "t=0 0\r\n", "t=0 0\r\na=inactive\r\n", 2, false, true, true},
		{"a word with slides in it", "a=content:slides", "a=content:xslides", 2, false, true, false},
		{"slides behind a space", "a=content:slides", "a=content:main, slides", 2, false, true, false},
		{"slides among others", "a=content:slides", "a=content:main,slides", 2, false, true, true},
	} {
		changed := strings.Replace(offer, tt.old, tt.new, 1)
		changed = strings.Replace(changed, "a=sendrecv\r\n", "", 1)
		if !strings.Contains(changed, tt.new) {
			t.Fatalf("%s: the offer has not changed", tt.name)
		}
		o, err := Parse(changed, 10, false)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if m := o.Media[tt.line]; m.Send != tt.send || m.Receive != tt.receive || m.Slides != tt.slides {
			t.Errorf("%s: sends %v, receives %v, slides %v", tt.name, m.Send, m.Receive, m.Slides)
		}
	}
}

func TestAPeerWithoutICENeedsNoBundle(t *testing.T) {
	trunk := "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 5004 UDP/TLS/RTP/SAVP 8\r\na=rtcp-mux\r\na=setup:active\r\na=fingerprint:" + fingerprint + "\r\n"
	o, err := Parse(trunk, 10, true)
	if err != nil {
		t.Fatal(err)
	}
	answer := o.Answer(Answer{Fingerprint: o.Fingerprints[0], Candidates: addresses, Slots: []Stream{{SSRC: 7}}})
	for _, not := range []string{"ice", "candidate", "BUNDLE", "mid:"} {
		if strings.Contains(answer, "a="+not) {
			t.Errorf("a=%s in\n%s", not, answer)
		}
	}
	for _, want := range []string{"m=audio 3478 UDP/TLS/RTP/SAVP 8\r\nc=IN IP4 192.0.2.9\r\n", "a=rtpmap:8 PCMA/8000", "a=sendrecv", "a=ssrc:7 cname:"} {
		if !strings.Contains(answer, want) {
			t.Errorf("no %q in\n%s", want, answer)
		}
	}
	if _, err := Parse(trunk, 10, false); err == nil {
		t.Error("an offer without ICE is taken as one with it")
	}
}

var addresses = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:3478"), netip.MustParseAddrPort("[2001:db8::9]:3478")}

func answerTo(o *Offer) string {
	slots := make([]Stream, len(o.Media))
	for i := range slots {
		slots[i] = Stream{SSRC: uint32(5000 + i), RTX: uint32(6000 + i)}
	}
	return o.Answer(Answer{ID: 7, Version: 1, Ufrag: "lite", Pwd: strings.Repeat("p", 24),
		Fingerprint: FingerprintOf("sha-512", []byte("certificate")), Candidates: addresses, CName: "name", Slots: slots})
}

func TestTheAnswerSaysWhatIsTaken(t *testing.T) {
	o, err := Parse(offer, 10, false)
	if err != nil {
		t.Fatal(err)
	}
	answer := answerTo(o)
	sections := strings.Split(answer, "m=")
	for i, wants := range [][]string{
		{"a=ice-lite", "a=group:BUNDLE 0 1 2\r\n"},
		{"audio 3478 UDP/TLS/RTP/SAVPF 111 0 8 9\r\n", "a=sendrecv", "a=setup:passive", "a=rtcp-mux", "a=ssrc:5000 cname:name", "a=msid:slot-0 slot-0",
			"a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "a=candidate:1 1 udp 2130706431 192.0.2.9 3478 typ host", "a=candidate:2 1 udp 2130706175 2001:db8::9 3478 typ host"},
		{"video 3478 UDP/TLS/RTP/SAVPF 96 97 107\r\n", "a=recvonly", "a=simulcast:recv q;h", "a=rid:q recv", "a=rtcp-fb:96 nack pli", "a=fmtp:97 apt=96"},
		{"a=sendonly", "a=content:slides", "a=ssrc-group:FID 5002 6002", "a=ssrc:6002 cname:name"},
		{"application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n", "a=inactive"},
	} {
		for _, want := range wants {
			if !strings.Contains(sections[i], want) {
				t.Errorf("section %d has no %q:\n%s", i, want, sections[i])
			}
		}
	}
	if strings.Contains(sections[2], "a=ssrc") || strings.Contains(sections[2], "made up") {
		t.Errorf("%s", sections[2])
	}
}

// A real client takes the answer to its own offer.
func TestPionTakesTheAnswer(t *testing.T) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		for _, direction := range []webrtc.RTPTransceiverDirection{webrtc.RTPTransceiverDirectionSendrecv, webrtc.RTPTransceiverDirectionRecvonly} {
			if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: direction}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := pc.CreateDataChannel("refused", nil); err != nil {
		t.Fatal(err)
	}
	local, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetLocalDescription(local); err != nil {
		t.Fatal(err)
	}
	o, err := Parse(local.SDP, 10, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answerTo(o)}); err != nil {
		t.Errorf("%v\n%s", err, answerTo(o))
	}
}

// FuzzParse: an offer that is taken gets an answer that can be read, with as many m-lines.
func FuzzParse(f *testing.F) {
	f.Add(offer, false)
	f.Add(strings.Replace(offer, "a=mid:1", "a=mid:", 1), true)
	f.Add("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 5004 UDP/TLS/RTP/SAVP 8\r\na=rtcp-mux\r\na=setup:active\r\na=fingerprint:"+fingerprint+"\r\n", true)
	f.Fuzz(func(t *testing.T, text string, latching bool) {
		o, err := Parse(text, 20, latching)
		if err != nil {
			return
		}
		answer := answerTo(o)
		var d sdp.SessionDescription
		if err := d.UnmarshalString(answer); err != nil {
			t.Fatalf("%v in the answer:\n%s\nto:\n%s", err, answer, text)
		}
		if len(d.MediaDescriptions) != len(o.Media) {
			t.Fatalf("%d m-lines in the answer to %d:\n%s", len(d.MediaDescriptions), len(o.Media), answer)
		}
	})
}
