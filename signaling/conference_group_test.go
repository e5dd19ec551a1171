package signaling_test

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

const group = "6d1f7a0a-5b0e-4f0e-9a35-0d6f3c2b1a77"

// The first participant decides the region, until all have left: the media processor
// of that region hosts the media of all.
func TestTheFirstParticipantDecidesTheRegionOfAGroupCall(t *testing.T) {
	europe, asia := &processor{}, &processor{}
	var at atomic.Value
	at.Store("eastasia")
	w := newWorld(t, hosting(europe, func(cfg *signaling.Config) {
		cfg.Processors["eastasia"] = asia
		cfg.RegionOf = func(netip.Addr) string { return at.Load().(string) }
	}))
	zoe, ann, mia := w.join("zoe"), w.join("ann"), w.join("mia")
	join := func(c *signaling.Client, region string) {
		t.Helper()
		a, err := c.JoinGroup(ctx(t), group)
		if err != nil || a.Place != policy.Present || a.Region != region || a.Role != policy.Presenter {
			t.Fatalf("got %+v, %v; wanted region %s", a, err, region)
		}
		if _, err := c.GroupMedia(ctx(t), group, offer().SDP, true); err != nil {
			t.Fatal(err)
		}
	}
	join(zoe, "eastasia")
	at.Store("")
	join(ann, "eastasia")
	if got := asia.has(group); got != "ann zoe" || europe.has(group) != "" {
		t.Errorf("media of %q in Asia and %q in Europe", got, europe.has(group))
	}
	if g, err := ann.Group(ctx(t), group); err != nil || g.Kind != signaling.KindGroup || g.Region != "eastasia" || g.Options != nil || g.JoinURL != "" {
		t.Errorf("the group call is %+v, %v", g, err)
	}
	if roster, err := zoe.GroupParticipants(ctx(t), group); err != nil || len(roster) != 2 || !roster[0].Media {
		t.Errorf("the roster is %+v, %v", roster, err)
	}
	_, err := mia.Group(ctx(t), group)
	mustBe(t, err, signaling.CodeForbidden, "participant")
	if servers, err := zoe.GroupICEServers(ctx(t), group); err != nil || servers[0].Username != "zoe:"+group {
		t.Errorf("ICE servers %+v, %v", servers, err)
	}
	_, err = mia.GroupICEServers(ctx(t), group)
	mustBe(t, err, signaling.CodeForbidden, "place")
	if slots, err := zoe.GroupLayout(ctx(t), group); err != nil || slots == nil {
		t.Errorf("the layout is %+v, %v", slots, err)
	}
	for _, c := range []*signaling.Client{zoe, ann} {
		if err := c.LeaveGroup(ctx(t), group); err != nil {
			t.Fatal(err)
		}
	}
	if got := asia.has(group); got != "" {
		t.Errorf("media of %q after all have left", got)
	}
	join(mia, "westeurope")
	if got := europe.has(group); got != "mia" {
		t.Errorf("media of %q in Europe", got)
	}
	// A group call is no meeting.
	_, err = mia.Meeting(ctx(t), group)
	mustBe(t, err, signaling.CodeNotFound, "")
	for _, id := range []string{"6D1F7A0A-5B0E-4F0E-9A35-0D6F3C2B1A77", "x", "{" + group + "}", "urn:uuid:" + group} {
		_, err = mia.JoinGroup(ctx(t), id)
		mustBe(t, err, signaling.CodeBadRequest, "")
	}
}

func TestTheOrganisationsPoliciesAreNotAboutGroupCalls(t *testing.T) {
	w, _ := meetings(t, func(cfg *signaling.Config) {
		cfg.Policies = policies(t, "DisableAnonymousJoin=true AutoAdmittedUsers=OrganizerOnly")
	})
	zoe := w.join("zoe")
	if a, err := zoe.JoinGroup(ctx(t), group); err != nil || a.Place != policy.Present {
		t.Errorf("got %+v, %v", a, err)
	}
	if err := w.controller.SetPolicies(policies(t, "EnableAcsFederationAccess=false")); err != nil {
		t.Fatal(err)
	}
	if a, err := w.join("ann").JoinGroup(ctx(t), group); err != nil || a.Place != policy.Present {
		t.Errorf("got %+v, %v", a, err)
	}
}

// The media processor is chosen by what processing is needed: two people who record
// have one, and without recording they have none.
func TestACallOfTwoHasAMediaProcessorWhenItIsRecorded(t *testing.T) {
	w, p := meetings(t, nil)
	mia, zoe, ann := w.join("mia"), w.join("zoe"), w.join("ann")
	_, err := mia.CreateGroup(ctx(t), signaling.GroupRequest{Invited: []string{"zoe"}})
	mustBe(t, err, signaling.CodeBadRequest, "processing-needs")
	_, err = mia.CreateGroup(ctx(t), signaling.GroupRequest{Invited: []string{"mia"}, Recording: true})
	mustBe(t, err, signaling.CodeBadRequest, "")
	_, err = mia.CreateGroup(ctx(t), signaling.GroupRequest{Invited: []string{"zoe", "zoe"}, Recording: true})
	mustBe(t, err, signaling.CodeBadRequest, "")
	g, err := mia.CreateGroup(ctx(t), signaling.GroupRequest{Invited: []string{"zoe"}, Recording: true})
	if err != nil || !g.Recording || g.Kind != signaling.KindGroup || g.Phase != meeting.Scheduled {
		t.Fatalf("got %+v, %v", g, err)
	}
	if n := next(t, zoe, signaling.NotifyGroupInvite); n.Meeting != g.ID || n.From != "mia" || !n.Recording {
		t.Errorf("zoe is told %+v", n)
	}
	for _, c := range []*signaling.Client{mia, zoe} {
		if a, err := c.JoinGroup(ctx(t), g.ID); err != nil || !a.Recording {
			t.Fatalf("got %+v, %v", a, err)
		}
		if _, err := c.GroupMedia(ctx(t), g.ID, offer().SDP, false); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.has(g.ID); got != "mia zoe" {
		t.Errorf("media of %q", got)
	}
	_, err = ann.JoinGroup(ctx(t), g.ID)
	mustBe(t, err, signaling.CodeForbidden, "participant")
	if w := w.controller.Stats(); w.Calls != 0 {
		t.Errorf("figures %+v", w)
	}
}

// Many who join at once, and leave, and the organizer who admits: whoever is told that
// they are in has media, and in the end nobody has.
func TestManyAtOnce(t *testing.T) {
	const n = 24
	w, p := meetings(t, func(cfg *signaling.Config) {
		for i := range n {
			id := fmt.Sprint("user", i)
			cfg.Users = append(cfg.Users, signaling.User{ID: id, Client: "acs", Secret: secret + id})
		}
	})
	olga := w.join("olga")
	go drain(olga)
	id := meet(t, olga, "")
	mustJoin(t, olga, id, policy.Present)
	var all sync.WaitGroup
	for i := range n {
		c := w.join(fmt.Sprint("user", i))
		all.Go(func() {
			if _, err := c.JoinGroup(ctx(t), group); err != nil {
				t.Errorf("group: %v", err)
			}
			if a, err := c.JoinMeeting(ctx(t), id); err != nil || a.Place != policy.Lobby {
				t.Errorf("meeting: %+v, %v", a, err)
			}
			until(t, c, signaling.NotifyMeetingAdmitted, nil)
			if _, err := c.MeetingMedia(ctx(t), id, offer().SDP, false); err != nil {
				t.Errorf("media: %v", err)
			}
			if _, err := c.GroupMedia(ctx(t), group, offer().SDP, false); err != nil {
				t.Errorf("media of the group: %v", err)
			}
			if err := c.LeaveGroup(ctx(t), group); err != nil {
				t.Errorf("leave: %v", err)
			}
			if i%2 == 0 {
				if err := c.LeaveMeeting(ctx(t), id); err != nil {
					t.Errorf("leave: %v", err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			if err := olga.AdmitAll(ctx(t), id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := w.controller.Stats(); s.Present != n/2+1 || s.Waiting != 0 {
		t.Errorf("figures %+v", s)
	}
	if got := p.has(group); got != "" {
		t.Errorf("media of %q in the group call that all have left", got)
	}
	if err := olga.EndMeeting(ctx(t), id); err != nil {
		t.Fatal(err)
	}
	if got := p.has(id); got != "" {
		t.Errorf("media of %q in the meeting that has ended", got)
	}
}
