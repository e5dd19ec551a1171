package light

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/relay/processor/description"
)

// answerTo is what a media processor answers to an offer.
func answerTo(t testing.TB, text string) string {
	t.Helper()
	o, err := description.Parse(text, 128, false)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	slots := make([]description.Stream, len(o.Media))
	for i := range slots {
		slots[i] = description.Stream{SSRC: uint32(1000 + i), RTX: uint32(2000+i) * uint32(len(o.Media[i].Kind)-5+1) % 4000}
		if o.Media[i].Kind == "audio" {
			slots[i].RTX = 0
		}
	}
	return o.Answer(description.Answer{
		ID: 1, Version: 1, Ufrag: "remote", Pwd: strings.Repeat("p", 24), Fingerprint: description.FingerprintOf("sha-256", []byte("x")),
		Candidates: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:4000"), netip.MustParseAddrPort("[2001:db8::1]:4000")},
		CName:      "c", Slots: slots,
	})
}

func offered(m Media) string {
	fingerprint := description.FingerprintOf("sha-256", []byte("us")).String()
	return offer(m, credentials{"local", strings.Repeat("q", 24)}, fingerprint, sources{audio: 1, video: 2, rtx: 3})
}

// A media processor understands the offer as it is meant, and its answer is understood.
func TestOfferAndAnswerFit(t *testing.T) {
	m := Media{Audio: true, Video: true, AudioSlots: 2, VideoSlots: 1}
	text := offered(m)
	o, err := description.Parse(text, 128, false)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(o.Media) != 5 || !o.Media[0].Send || o.Media[0].Receive || !o.Media[1].Send || o.Media[1].Codecs[0].RTX != typeRTX ||
		o.Media[2].Send || !o.Media[2].Receive || o.Media[0].Extensions[description.AudioLevel] != extensionLevel {
		t.Errorf("read as %+v", o.Media)
	}
	if len(o.Media[1].Streams) != 1 || o.Media[1].Streams[0] != (description.Stream{SSRC: 2, RTX: 3}) {
		t.Errorf("streams %+v", o.Media[1].Streams)
	}
	a, err := parseAnswer(answerTo(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if a.remote.ufrag != "remote" || len(a.fingerprint) != 32 || !slices.Equal(a.candidates, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:4000")}) {
		t.Errorf("read as %+v", a)
	}
	if len(a.slots) != 3 || !a.slots[0].audio || a.slots[2].audio || a.slots[0].ssrc != 1002 || a.slots[2].rtx == 0 || a.slots[2].mid != "4" {
		t.Errorf("slots %+v", a.slots)
	}
}

func TestAnswersThatCannotBeTaken(t *testing.T) {
	good := answerTo(t, offered(Media{Audio: true}))
	for _, c := range []struct{ wanted, old, new string }{
		{"answer", "v=0", "x"},
		{"passive", "a=setup:passive", "a=setup:active"},
		{"sha-256", "a=fingerprint:sha-256", "a=fingerprint:sha-1"},
		{"ice-ufrag", "a=ice-pwd:", "a=ignored:"},
		{"candidate", "192.0.2.9", "2001:db8::9"},
		{"ice-lite", "a=ice-lite", "a=ignored"},
	} {
		if _, err := parseAnswer(strings.ReplaceAll(good, c.old, c.new)); err == nil || !strings.Contains(err.Error(), c.wanted) {
			t.Errorf("%s for %s: %v, wanted something of %s", c.new, c.old, err, c.wanted)
		}
	}
}

func TestCandidatesAreSortedByPriority(t *testing.T) {
	good := answerTo(t, offered(Media{Audio: true}))
	more := strings.Replace(good, "a=end-of-candidates", "a=candidate:9 1 UDP 4294967295 192.0.2.8 4001 typ host\r\n"+
		"a=candidate:9 2 UDP 4294967295 192.0.2.7 4001 typ host\r\na=candidate:9 1 tcp 4294967295 192.0.2.6 4001 typ host", 1)
	a, err := parseAnswer(more)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(a.candidates); got != "[192.0.2.8:4001 192.0.2.9:4000]" {
		t.Error(got)
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(answerTo(f, offered(Media{Audio: true, Video: true, AudioSlots: 2, VideoSlots: 2})))
	f.Add("v=0")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAnswer(text)
		if err == nil && (len(a.candidates) == 0 || len(a.fingerprint) != 32 || len(a.remote.pwd) < 22) {
			t.Errorf("took %q as %+v", text, a)
		}
	})
}

// The earliest is always first.
func TestScheduleIsInOrder(t *testing.T) {
	var s schedule
	for _, due := range []int64{5, 3, 9, 1, 7, 3, 8} {
		s.push(event{due: due})
	}
	s.replace(event{due: 10}) // in the place of 1
	var got []int64
	for len(s) > 0 {
		got = append(got, s[0].due)
		s.pop()
	}
	if !slices.Equal(got, []int64{3, 3, 5, 7, 8, 9, 10}) {
		t.Error(got)
	}
}
