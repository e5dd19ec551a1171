package offeranswer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling/offeranswer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file reads a description of testdata.
func file(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(raw), "\n", "\r\n")
}

var fingerprint = "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":")

// offer is one with an audio and a video m-line in a bundle, which the cases
// below change.
func offer() string {
	transport := "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:" + fingerprint + "\r\na=setup:actpass\r\n"
	return "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n" + transport +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendonly\r\n" + transport
}

func answer() string {
	s := strings.ReplaceAll(offer(), "a=setup:actpass", "a=setup:passive")
	return strings.Replace(s, "a=sendonly", "a=recvonly", 1)
}

// replace changes an offer; what it replaces must be there.
func replace(t *testing.T, s string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			t.Fatalf("the description has no %q", pairs[i])
		}
		s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
	}
	return s
}

func parse(t *testing.T, kind offeranswer.Kind, text string) *offeranswer.Summary {
	t.Helper()
	s, err := offeranswer.Parse(kind, text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return s
}

func TestWhatIsInADescription(t *testing.T) {
	s := parse(t, offeranswer.Offer, file(t, "chromium-offer.sdp"))
	want := []offeranswer.Media{
		{Kind: "audio", Proto: "UDP/TLS/RTP/SAVPF", MID: "0", Direction: "sendrecv", Ufrag: "Yk3+", Setup: "actpass"},
		{Kind: "video", Proto: "UDP/TLS/RTP/SAVPF", MID: "1", Direction: "recvonly", Ufrag: "Yk3+", Setup: "actpass"},
		{Kind: "application", Proto: "UDP/DTLS/SCTP", MID: "2", Direction: "sendrecv", Ufrag: "Yk3+", Setup: "actpass"},
	}
	if !slices.Equal(s.Media, want) || s.Candidates != 3 || s.Kind != offeranswer.Offer {
		t.Errorf("got  %+v\nwant %+v with 3 candidates", s, want)
	}
	a := parse(t, offeranswer.Answer, file(t, "firefox-answer.sdp"))
	want = []offeranswer.Media{
		{Kind: "audio", Proto: "UDP/TLS/RTP/SAVPF", MID: "0", Direction: "recvonly", Ufrag: "7be1c0d9", Setup: "active"},
		{Kind: "video", Proto: "UDP/TLS/RTP/SAVPF", MID: "1", Direction: "inactive", Rejected: true},
		{Kind: "application", Proto: "UDP/DTLS/SCTP", MID: "2", Direction: "sendrecv", Ufrag: "7be1c0d9", Setup: "active"},
	}
	if !slices.Equal(a.Media, want) {
		t.Errorf("got  %+v\nwant %+v", a.Media, want)
	}
	if err := offeranswer.CheckAnswer(s, a); err != nil {
		t.Errorf("Firefox's answer to Chromium's offer: %v", err)
	}
}

// What pion writes, with and without candidates, passes.
func TestDescriptionsOfPionPass(t *testing.T) {
	caller, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	callee, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer callee.Close()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := caller.AddTransceiverFromKind(kind); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := caller.CreateDataChannel("chat", nil); err != nil {
		t.Fatal(err)
	}
	made, err := caller.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := callee.SetRemoteDescription(made); err != nil {
		t.Fatal(err)
	}
	answered, err := callee.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	o, a := parse(t, offeranswer.Offer, made.SDP), parse(t, offeranswer.Answer, answered.SDP)
	if err := offeranswer.CheckAnswer(o, a); err != nil {
		t.Error(err)
	}
	if len(o.Media) != 3 || o.Held() {
		t.Errorf("got %+v", o)
	}
}

func TestDescriptionsThatPass(t *testing.T) {
	for name, text := range map[string]string{
		"as it is": offer(),
		"LF only":  strings.ReplaceAll(offer(), "\r\n", "\n"),
		"transport in the bundle's first m-line only (RFC 8843, section 7)": strings.Replace(offer(),
			"a=sendonly\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:"+fingerprint+"\r\na=setup:actpass\r\n", "a=sendonly\r\n", 1),
		"transport in the session": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n" +
			"a=fingerprint:" + fingerprint + "\r\na=setup:actpass\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
		"SHA-512":          replace(t, offer(), fingerprint, "sha-512 "+strings.TrimSuffix(strings.Repeat("ab:", 64), ":")),
		"hash in capitals": replace(t, offer(), "sha-256", "SHA-256"),
		"two fingerprints": replace(t, offer(), "a=setup", "a=fingerprint:sha-384 "+strings.TrimSuffix(strings.Repeat("0f:", 48), ":")+"\r\na=setup"),
		"over TCP":         replace(t, offer(), "UDP/TLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVPF"),
		"a rejected m-line needs nothing, whatever its transport": offer() + "m=audio 0 RTP/AVP 0\r\n",
		"bundle-only is in use (RFC 8843, section 6)":             replace(t, offer(), "m=video 9", "m=video 0", "a=mid:1", "a=mid:1\r\na=bundle-only"),
	} {
		if _, err := offeranswer.Parse(offeranswer.Offer, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDescriptionsThatAreRefused(t *testing.T) {
	const (
		malformed = offeranswer.Malformed
		plaintext = offeranswer.Plaintext
		sdes      = offeranswer.SDES
	)
	for _, tc := range []struct {
		name   string
		kind   offeranswer.Kind // an offer when empty
		text   string
		reason offeranswer.Reason
		media  int
		says   string
	}{
		{"nothing", "", "", malformed, -1, "v=0"},
		{"no SDP", "", "hello", malformed, -1, "v=0"},
		{"another version", "", replace(t, offer(), "v=0", "v=1"), malformed, -1, "v=0"},
		{"not UTF-8", "", offer() + "a=x:\xff\r\n", malformed, -1, "UTF-8"},
		{"a NUL", "", offer() + "a=x:\x00\r\n", malformed, -1, "control character"},
		{"a CR that ends no line", "", replace(t, offer(), "a=mid:0", "a=x:1\ra=crypto:1 x"), malformed, -1, "CR without LF"},
		{"a CR at the end", "", offer() + "\r", malformed, -1, "CR without LF"},
		{"a broken line", "", replace(t, offer(), "t=0 0", "t=x"), malformed, -1, "does not parse"},
		{"no m-line", "", offer()[:strings.Index(offer(), "m=")], malformed, -1, "no m-line"},
		{"nothing offered", "", replace(t, offer(), "m=audio 9", "m=audio 0", "m=video 9", "m=video 0"), malformed, -1, "offers nothing"},
		{"a mid twice", "", replace(t, offer(), "a=mid:1", "a=mid:0"), malformed, 1, "a=mid:0"},

		{"plain RTP", "", replace(t, offer(), "UDP/TLS/RTP/SAVPF", "RTP/AVP"), plaintext, 0, "without encryption"},
		{"plain RTP with feedback", "", replace(t, offer(), "UDP/TLS/RTP/SAVPF", "RTP/AVPF"), plaintext, 0, "without encryption"},
		{"plain RTP over TCP", "", replace(t, offer(), "UDP/TLS/RTP/SAVPF", "TCP/RTP/AVP"), plaintext, 0, "without encryption"},
		{"plain RTP in the second", "", replace(t, offer(), "m=video 9 UDP/TLS/RTP/SAVPF", "m=video 9 RTP/AVP"), plaintext, 1, "without encryption"},
		{"plain RTP behind bundle-only", "", replace(t, offer(), "m=video 9 UDP/TLS/RTP/SAVPF", "m=video 0 RTP/AVP", "a=mid:1", "a=mid:1\r\na=bundle-only"), plaintext, 1, "without encryption"},
		{"SRTP keyed in the SDP", "", replace(t, offer(), "UDP/TLS/RTP/SAVPF", "RTP/SAVP"), sdes, 0, "DTLS-SRTP"},
		{"SRTP keyed in the SDP, with feedback", "", replace(t, offer(), "UDP/TLS/RTP/SAVPF", "RTP/SAVPF"), sdes, 0, "DTLS-SRTP"},
		{"a key beside DTLS", "", replace(t, offer(), "a=mid:1", "a=mid:1\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x"), sdes, 1, "a=crypto"},
		{"a key in the session", "", replace(t, offer(), "t=0 0", "t=0 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x"), sdes, 0, "a=crypto"},
		{"another transport", "", replace(t, offer(), "m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 TCP/MSRP"), malformed, 0, "transport TCP/MSRP is unknown"},
		{"audio in a data channel", "", replace(t, offer(), "m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio 9 UDP/DTLS/SCTP webrtc-datachannel"), malformed, 0, "application"},
		{"another kind", "", replace(t, offer(), "m=audio", "m=text"), malformed, 0, "text over UDP/TLS/RTP/SAVPF is unknown"},

		{"no ufrag", "", replace(t, offer(), "a=ice-ufrag:abcd\r\n", ""), malformed, 0, "a=ice-ufrag is missing"},
		{"a short ufrag", "", replace(t, offer(), "ufrag:abcd", "ufrag:abc"), malformed, 0, "4 to 256"},
		{"a long ufrag", "", replace(t, offer(), "ufrag:abcd", "ufrag:"+strings.Repeat("a", 257)), malformed, 0, "4 to 256"},
		{"a ufrag of other letters", "", replace(t, offer(), "ufrag:abcd", "ufrag:ab-d"), malformed, 0, "4 to 256"},
		{"no password", "", replace(t, offer(), "a=ice-pwd:abcdefghijklmnopqrstuv\r\n", ""), malformed, 0, "a=ice-pwd is missing"},
		{"a short password", "", replace(t, offer(), "abcdefghijklmnopqrstuv", "abcdefghijklmnopqrstu"), malformed, 0, "22 to 256"},
		{"no fingerprint", "", replace(t, offer(), "a=fingerprint:"+fingerprint+"\r\n", ""), malformed, 0, "a=fingerprint is missing"},
		{"a broken hash", "", replace(t, offer(), "sha-256", "sha-1"), malformed, 0, "sha-384"},
		{"a broken hash beside a good one", "", replace(t, offer(), "a=setup", "a=fingerprint:md5 AB\r\na=setup"), malformed, 0, `"md5"`},
		{"a short fingerprint", "", replace(t, offer(), fingerprint, fingerprint[:len(fingerprint)-3]), malformed, 0, "32 pairs"},
		{"a fingerprint of other letters", "", replace(t, offer(), "AB:AB:", "AB:XY:"), malformed, 0, "32 pairs"},
		{"a fingerprint without colons", "", replace(t, offer(), fingerprint, "sha-256 "+strings.Repeat("AB", 32)), malformed, 0, "32 pairs"},
		{"no setup", "", replace(t, offer(), "a=setup:actpass\r\n", ""), malformed, 0, "a=setup is missing"},
		{"an answer's setup", "", replace(t, offer(), "a=setup:actpass", "a=setup:active"), malformed, 0, "it is actpass"},
		{"an offer's setup", offeranswer.Answer, replace(t, answer(), "a=setup:passive", "a=setup:actpass"), malformed, 0, "active or passive"},
		{"holdconn", offeranswer.Answer, replace(t, answer(), "a=setup:passive", "a=setup:holdconn"), malformed, 0, "active or passive"},
		{"a bad candidate", "", offer() + "a=candidate:1 1 udp\r\n", malformed, 1, "candidate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			kind := tc.kind
			if kind == "" {
				kind = offeranswer.Offer
			}
			_, err := offeranswer.Parse(kind, tc.text)
			checkFault(t, err, tc.reason, tc.media, tc.says)
		})
	}
}

func checkFault(t *testing.T, err error, reason offeranswer.Reason, media int, says string) {
	t.Helper()
	var fault *offeranswer.Error
	if !errors.As(err, &fault) {
		t.Fatalf("got %v, wanted an *Error", err)
	}
	if fault.Reason != reason || fault.Media != media || !strings.Contains(fault.Error(), says) {
		t.Errorf("got %s at %d: %v; wanted %s at %d with %q", fault.Reason, fault.Media, fault, reason, media, says)
	}
	if prefix := fmt.Sprintf("m-line %d: ", media); media >= 0 && !strings.HasPrefix(fault.Error(), prefix) {
		t.Errorf("%q does not begin with %q", fault, prefix)
	}
}

func TestAnswersThatDoNotFitTheirOffer(t *testing.T) {
	o := parse(t, offeranswer.Offer, offer())
	if err := offeranswer.CheckAnswer(o, parse(t, offeranswer.Answer, answer())); err != nil {
		t.Fatalf("the answer that the cases change does not fit: %v", err)
	}
	rejected := parse(t, offeranswer.Offer, replace(t, offer(), "m=video 9", "m=video 0"))
	for _, tc := range []struct {
		name   string
		offer  *offeranswer.Summary
		answer string
		media  int
		says   string
	}{
		{"fewer m-lines", o, answer()[:strings.Index(answer(), "m=video")], -1, "1 m-lines and the offer 2"},
		{"more m-lines", o, answer() + "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n", -1, "3 m-lines and the offer 2"},
		{"another kind", o, replace(t, answer(), "m=audio", "m=video"), 0, "video where the offer has audio"},
		{"another transport", o, replace(t, answer(), "UDP/TLS", "TCP/DTLS"), 0, "TCP/DTLS/RTP/SAVPF where"},
		{"another mid", o, replace(t, answer(), "a=mid:1", "a=mid:2"), 1, "a=mid:2 where the offer has a=mid:1"},
		{"a direction that does not fit", o, replace(t, answer(), "a=recvonly", "a=sendrecv"), 1, "recvonly, inactive"},
		{"an m-line that was rejected", rejected, answer(), 1, "so must the answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkFault(t, offeranswer.CheckAnswer(tc.offer, parse(t, offeranswer.Answer, tc.answer)), offeranswer.Mismatch, tc.media, tc.says)
		})
	}
}

// RFC 3264, section 6.1: for each direction offered, those that may answer it.
func TestWhichDirectionsMayAnswerWhich(t *testing.T) {
	may := map[string]string{
		"sendrecv": "sendrecv sendonly recvonly inactive",
		"sendonly": "recvonly inactive",
		"recvonly": "sendonly inactive",
		"inactive": "inactive",
	}
	for offered := range may {
		o := parse(t, offeranswer.Offer, replace(t, offer(), "a=sendrecv", "a="+offered))
		for answered := range may {
			a := parse(t, offeranswer.Answer, replace(t, answer(), "a=sendrecv", "a="+answered))
			err := offeranswer.CheckAnswer(o, a)
			if want := slices.Contains(strings.Fields(may[offered]), answered); (err == nil) != want {
				t.Errorf("%s answered by %s: got %v, wanted ok=%v", offered, answered, err, want)
			}
		}
	}
	if a := parse(t, offeranswer.Answer, replace(t, answer(), "m=video 9", "m=video 0")); offeranswer.CheckAnswer(parse(t, offeranswer.Offer, offer()), a) != nil {
		t.Error("an m-line may be rejected in any answer")
	}
}

// RFC 3264, section 8.4.
func TestWhatIsHold(t *testing.T) {
	data := "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:" + fingerprint + "\r\na=setup:actpass\r\n"
	for _, tc := range []struct {
		name, text string
		held       bool
	}{
		{"sendrecv", offer(), false},
		{"all sendonly", replace(t, offer(), "a=sendrecv", "a=sendonly"), true},
		{"one inactive", replace(t, offer(), "a=sendrecv", "a=inactive"), true},
		{"one recvonly", replace(t, offer(), "a=sendrecv", "a=recvonly"), false},
		{"a rejected m-line does not receive", replace(t, offer(), "m=audio 9", "m=audio 0"), true},
		{"a data channel is no media", replace(t, offer(), "a=sendrecv", "a=inactive") + data, true},
		{"nothing but a data channel", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + data, false},
		{"the direction of the session", replace(t, offer(), "t=0 0", "t=0 0\r\na=sendonly", "a=sendrecv\r\n", ""), true},
		{"no direction is sendrecv", replace(t, offer(), "a=sendrecv\r\n", ""), false},
	} {
		if got := parse(t, offeranswer.Offer, tc.text).Held(); got != tc.held {
			t.Errorf("%s: held %v, wanted %v", tc.name, got, tc.held)
		}
	}
}

func TestALongMessageIsCutShort(t *testing.T) {
	_, err := offeranswer.Parse(offeranswer.Offer, replace(t, offer(), "UDP/TLS/RTP/SAVPF", strings.Repeat("ü", 5000)))
	if err == nil || len(err.Error()) > 400 || !strings.Contains(err.Error(), "…") {
		t.Errorf("got %d bytes: %v", len(err.Error()), err)
	}
}
