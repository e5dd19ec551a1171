package modern_test

import (
	"strings"
	"testing"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/participant/internal/rig"
	"github.com/callpath/callpath/scenarios/participant/modern"
)

// The one offer to a media processor has an m-line for each stream that is sent or
// received; a shared screen's says so (RFC 4796) and receives nothing.
func TestTheOfferOfAConference(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	for _, test := range []struct {
		spec         language.Participant
		slots        endpoint.Conference
		audio, video int
		receiving    int // m-lines that only receive
	}{
		{language.Participant{}, endpoint.Conference{Audio: 3, Video: 2}, 3, 2, 3},
		{language.Participant{Media: []string{"opus"}}, endpoint.Conference{Audio: 1, Video: 2}, 1, 2, 2},
		{language.Participant{Screen: "vp8"}, endpoint.Conference{Audio: 2, Video: 1}, 2, 2, 1},
	} {
		s := r.Side("alice", test.spec)
		s.Config.Conference = &test.slots
		e, err := modern.New(t.Context(), s.Config)
		if err != nil {
			t.Fatal(err)
		}
		offer, err := e.Offer(false)
		if err != nil {
			t.Fatal(err)
		}
		audio, video := strings.Count(offer, "\nm=audio"), strings.Count(offer, "\nm=video")
		if audio != test.audio || video != test.video || strings.Count(offer, "a=recvonly") != test.receiving {
			t.Errorf("%+v: %d m-lines of audio, %d of video, %d that only receive, wanted %d, %d and %d",
				test.spec, audio, video, strings.Count(offer, "a=recvonly"), test.audio, test.video, test.receiving)
		}
		screen := 0
		for _, m := range strings.Split(offer, "\nm=")[1:] {
			if strings.Contains(m, "a=content:slides") {
				screen++
				if !strings.HasPrefix(m, "video") || !strings.Contains(m, "a=sendonly") {
					t.Errorf("the screen's m-line is %s", m)
				}
			}
		}
		if want := strings.Count(test.spec.Screen, "vp8"); screen != want {
			t.Errorf("%+v: %d m-lines have slides, wanted %d", test.spec, screen, want)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	bad := r.Side("bob", language.Participant{Screen: "gif"})
	if _, err := modern.New(t.Context(), bad.Config); err == nil || !strings.Contains(err.Error(), "gif") {
		t.Errorf("a screen in GIF gives %v", err)
	}
}
