package offeranswer_test

import (
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/offeranswer"
)

var candidates = map[string]bool{ // and whether they pass
	"": true,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host":                                               true,
	"a=candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host":                                             true,
	"candidate:1 1 udp 1694498815 203.0.113.5 40000 typ srflx raddr 10.0.0.2 rport 5000":                 true,
	"candidate:a/+Z 2 udp 16777215 2001:db8::1 49152 typ relay raddr :: rport 0 generation 0 ufrag abcd": true,
	"candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active":                                   true,
	"candidate:1 1 udp 1845494015 192.0.2.9 1024 typ prflx":                                              true,
	"candidate:1 1 udp 2122260223 4f0a1d2c-73b1-4b8e-9a53-6b4a2a0b6c1f.local 51472 typ host":             true,
	"candidate:1 256 udp 1 192.0.2.1 0 typ host":                                                         true,

	"192.0.2.1": false,
	"candidate": false,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000":                                        false,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000 host":                                   false,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000 type host":                              false,
	"candidate:" + strings.Repeat("1", 33) + " 1 udp 2130706431 192.0.2.1 5000 typ host": false,
	"candidate:a_b 1 udp 2130706431 192.0.2.1 5000 typ host":                             false,
	"candidate:1 0 udp 2130706431 192.0.2.1 5000 typ host":                               false,
	"candidate:1 257 udp 2130706431 192.0.2.1 5000 typ host":                             false,
	"candidate:1 1 sctp 2130706431 192.0.2.1 5000 typ host":                              false,
	"candidate:1 1 udp 0 192.0.2.1 5000 typ host":                                        false,
	"candidate:1 1 udp 2147483648 192.0.2.1 5000 typ host":                               false,
	"candidate:1 1 udp -1 192.0.2.1 5000 typ host":                                       false,
	"candidate:1 1 udp 2130706431 example.com 5000 typ host":                             false,
	"candidate:1 1 udp 2130706431 .local 5000 typ host":                                  false,
	"candidate:1 1 udp 2130706431 a_b.local 5000 typ host":                               false,
	"candidate:1 1 udp 2130706431 " + strings.Repeat("a", 260) + ".local 5000 typ host":  false,
	"candidate:1 1 udp 2130706431 192.0.2.256 5000 typ host":                             false,
	"candidate:1 1 udp 2130706431 fe80::1%eth0 5000 typ host":                            false,
	"candidate:1 1 udp 2130706431 192.0.2.1 65536 typ host":                              false,
	"candidate:1 1 udp 2130706431 192.0.2.1 x typ host":                                  false,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ peer":                               false,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\na=crypto:1 x":               false,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\n":                             false,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host \x00":                          false,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host ufrag \xff":                    false,
	"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host " + strings.Repeat("x", 500):   false,
	"candidate:1 1 udp 2130706431 192.0.2.1\u00a05000 typ host":                          false,
}

// RFC 8839, section 5.1.
func TestCandidates(t *testing.T) {
	for line, want := range candidates {
		if err := offeranswer.CheckCandidate(line); (err == nil) != want {
			t.Errorf("%q: got %v, wanted ok=%v", line, err, want)
		}
	}
}

// FuzzCheckCandidate: what passes by itself is one short line, and passes in a
// description too.
func FuzzCheckCandidate(f *testing.F) {
	for line := range candidates {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if offeranswer.CheckCandidate(line) != nil || line == "" {
			return
		}
		if len(line) > 512 || strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("%q passed", line)
		}
		s, err := offeranswer.Parse(offeranswer.Offer, offer()+"a="+strings.TrimPrefix(line, "a=")+"\r\n")
		if err != nil || s.Candidates != 1 {
			t.Errorf("%q passed by itself, and in a description: %v", line, err)
		}
	})
}

// FuzzParse: no input breaks the parser; a refusal has a reason and a text; what
// passes is DTLS only, and fits itself as far as an answer can.
func FuzzParse(f *testing.F) {
	for _, text := range []string{offer(), answer(), file(f, "chromium-offer.sdp"), file(f, "firefox-answer.sdp"), "v=0\r\n", ""} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, isAnswer bool) {
		kind := offeranswer.Offer
		if isAnswer {
			kind = offeranswer.Answer
		}
		s, err := offeranswer.Parse(kind, text)
		if err != nil {
			fault, ok := err.(*offeranswer.Error)
			if !ok || fault.Reason == "" || fault.Text == "" || strings.Contains(fault.Text, "\n") {
				t.Fatalf("got %#v, wanted an *Error with a reason and one line", err)
			}
			return
		}
		if len(s.Media) == 0 {
			t.Fatal("a description without media passed")
		}
		for _, m := range s.Media {
			if !m.Rejected && !strings.Contains(m.Proto, "TLS") {
				t.Errorf("%s passed", m.Proto)
			}
			if !m.Rejected && (m.Ufrag == "" || m.Setup == "") {
				t.Errorf("%+v passed", m)
			}
		}
		s.Held()
		_ = offeranswer.CheckAnswer(s, s)
	})
}
