package older

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/signaling/offeranswer"
)

func offer(t testing.TB, spec language.Participant) (local, []line) {
	t.Helper()
	formats, err := endpoint.Formats(spec)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := endpoint.Sent(spec)
	if err != nil {
		t.Fatal(err)
	}
	return local{
		credentials: credentials{"ufrag", "passwordpasswordpassword"},
		fingerprint: colons(make([]byte, 32)),
		setup:       "actpass", session: 7, version: 1, name: "alice",
		ssrc:       map[string]uint32{media.Audio: 1, media.Video: 2},
		candidates: []string{"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"},
	}, offered(formats, sent)
}

// TestOffer: what is written passes the controller's check, and is read again.
func TestOffer(t *testing.T) {
	d, lines := offer(t, language.Participant{Media: []string{"pcmu"}})
	text := d.write(lines)
	summary, err := offeranswer.Parse(offeranswer.Offer, text)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	directions := []string{summary.Media[0].Direction, summary.Media[1].Direction}
	if !slices.Equal(directions, []string{"sendrecv", "recvonly"}) || summary.Candidates == 0 {
		t.Errorf("directions %v and %d candidates", directions, summary.Candidates)
	}
	r, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if r.credentials != d.credentials || r.hash != "sha-256" || r.fingerprint != d.fingerprint || r.setup != "actpass" {
		t.Errorf("read %+v", r)
	}
	if len(r.candidates) == 0 || r.candidates[0] != d.candidates[0] {
		t.Errorf("candidates are %q", r.candidates)
	}
	for i, want := range []line{{wanted: true, receives: true}, {wanted: true}} {
		if got := r.lines[i]; got.wanted != want.wanted || got.receives != want.receives || got.refused {
			t.Errorf("m-line %d: %+v", i, got)
		}
	}
	if payloadType, ok := r.lines[0].payloadType(media.PCMU); !ok || payloadType != 0 || r.lines[0].order[0] != 0 {
		t.Errorf("PCMU is %d (%v), in the order %v", payloadType, ok, r.lines[0].order)
	}
	if _, ok := r.lines[0].payloadType(media.VP8); ok {
		t.Error("audio has VP8")
	}
}

// TestRefused m-lines are answered with port 0 (RFC 3264, section 6).
func TestRefused(t *testing.T) {
	d, lines := offer(t, language.Participant{})
	lines = append(lines, line{kind: "application", mid: "2", proto: "UDP/DTLS/SCTP", refused: true})
	text := d.write(lines)
	if !strings.Contains(text, "m=application 0 UDP/DTLS/SCTP 0\r\n") || !strings.Contains(text, "a=group:BUNDLE 0 1\r\n") {
		t.Errorf("wrote %s", text)
	}
	r, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if !r.lines[2].refused || r.lines[2].wanted {
		t.Errorf("read %+v, want it refused", r.lines[2])
	}
}

func TestBadDescriptions(t *testing.T) {
	d, lines := offer(t, language.Participant{})
	good := d.write(lines)
	for name, text := range map[string]string{
		"empty":          "",
		"no SDP":         "hello",
		"no m-line":      "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
		"no ufrag":       strings.ReplaceAll(good, "a=ice-ufrag", "a=x"),
		"no password":    strings.ReplaceAll(good, "a=ice-pwd", "a=x"),
		"no fingerprint": strings.ReplaceAll(good, "a=fingerprint", "a=x"),
	} {
		if r, err := parse(text); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

// TestVerify is RFC 8122, section 5.
func TestVerify(t *testing.T) {
	certificate := []byte("any bytes will do")
	tests := []struct {
		name, hash, fingerprint string
		raw                     [][]byte
		want                    string // in the error; empty for none
	}{
		{"sha-256", "SHA-256", sum256(certificate), [][]byte{certificate}, ""},
		{"lower case", "sha-256", strings.ToLower(sum256(certificate)), [][]byte{certificate}, ""},
		{"another certificate", "sha-256", sum256([]byte("another")), [][]byte{certificate}, "match"},
		{"a broken hash", "md5", sum256(certificate), [][]byte{certificate}, "md5"},
		{"no certificate", "sha-256", sum256(certificate), nil, "no certificate"},
	}
	for _, test := range tests {
		e := &Endpoint{remote: &remote{hash: test.hash, fingerprint: test.fingerprint}}
		err := e.verify(test.raw, nil)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want an error with %q", test.name, err, test.want)
		}
	}
}

func sum256(b []byte) string {
	sum := sha256.Sum256(b)
	return colons(sum[:])
}

// FuzzParse: whatever the other side writes is read or refused.
func FuzzParse(f *testing.F) {
	d, lines := offer(f, language.Participant{})
	f.Add(d.write(lines))
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 X 1\r\na=rtpmap:1 opus/48000\r\na=rtpmap:999 x\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parse(text)
		if err != nil {
			return
		}
		if r.ufrag == "" || r.fingerprint == "" {
			t.Errorf("read %+v", r)
		}
		d.write(r.lines)
	})
}
