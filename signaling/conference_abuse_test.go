package signaling_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// Whoever is no moderator, or one of another meeting only, moderates nothing; each
// refusal names its rule in one audit record.
func TestWhoIsNoModeratorModeratesNothing(t *testing.T) {
	w, _ := meetings(t, nil)
	olga, mia, zoe, ann := w.join("olga"), w.join("mia"), w.join("zoe"), w.join("ann")
	id := meet(t, olga, "allowedPresenters=organizer")
	mustJoin(t, olga, id, policy.Present)
	other, err := mia.CreateMeeting(ctx(t), signaling.MeetingRequest{})
	if err != nil {
		t.Fatal(err)
	}
	mustJoin(t, mia, other.ID, policy.Present) // an organizer, elsewhere
	mustJoin(t, ann, id, policy.Lobby)
	mustJoin(t, zoe, id, policy.Lobby)
	if err := olga.Admit(ctx(t), id, "zoe"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*signaling.Client{"mia": mia, "zoe": zoe, "ann": ann} {
		before := len(w.audits("role"))
		for what, err := range map[string]error{
			"admit": c.Admit(ctx(t), id, "ann"), "admit all": c.AdmitAll(ctx(t), id), "reject": c.RejectParticipant(ctx(t), id, "ann"),
			"remove": c.RemoveParticipant(ctx(t), id, "olga"), "role": c.SetRole(ctx(t), id, "zoe", policy.Presenter), "end": c.EndMeeting(ctx(t), id),
			"options": second(c.SetMeetingOptions(ctx(t), id, map[string]any{"AutoAdmittedUsers": "Everyone"})),
			"wrong":   second(c.SetMeetingOptions(ctx(t), id, map[string]any{"AutoAdmittedUsers": "x"})),
		} {
			t.Run(name+" "+what, func(t *testing.T) { mustBe(t, err, signaling.CodeForbidden, "role") })
		}
		if got := w.audits("role")[before:]; len(got) != 8 || got[0].Allowed || got[0].User != name || got[0].Meeting != id {
			t.Errorf("%s: %d audit records %+v, wanted one for each of 8 refusals", name, len(got), got)
		}
	}
	_, err = mia.Meeting(ctx(t), id)
	mustBe(t, err, signaling.CodeForbidden, "participant")
	_, err = mia.MeetingMedia(ctx(t), id, offer().SDP, false)
	mustBe(t, err, signaling.CodeForbidden, "place")
	_, err = mia.Meeting(ctx(t), "unknown")
	mustBe(t, err, signaling.CodeNotFound, "")
	_, err = mia.JoinMeeting(ctx(t), "unknown")
	mustBe(t, err, signaling.CodeNotFound, "")
	mustBe(t, mia.LeaveMeeting(ctx(t), "unknown"), signaling.CodeNotFound, "")
}

func second[T any](_ T, err error) error { return err }

// A host sets options and cancels from outside; the zero of nobody else's standing.
func TestAHostNeedNotBePresent(t *testing.T) {
	w, _ := meetings(t, nil)
	olga, cora := w.join("olga"), w.join("cora")
	id := meet(t, olga, "")
	m, err := cora.SetMeetingOptions(ctx(t), id, map[string]any{"AllowPSTNUsersToBypassLobby": true})
	if err != nil || m.Options.IsDialInBypassEnabled == nil || !*m.Options.IsDialInBypassEnabled {
		t.Errorf("got %+v, %v", m.Options, err)
	}
	_, err = cora.SetMeetingOptions(ctx(t), id, map[string]any{"allowMeetingChat": "off"})
	mustBe(t, err, signaling.CodeBadRequest, "")
	if err := cora.EndMeeting(ctx(t), id); err != nil {
		t.Fatal(err)
	}
	mustBe(t, olga.EndMeeting(ctx(t), id), signaling.CodeOutOfOrder, "")
	mustBe(t, second(olga.SetMeetingOptions(ctx(t), id, nil)), signaling.CodeOutOfOrder, "")
	mustBe(t, second(olga.SetMeetingOptions(ctx(t), id, map[string]any{})), signaling.CodeOutOfOrder, "")
}

func TestMediaThatIsNotDTLSSRTPDoesNotReachTheProcessor(t *testing.T) {
	w, p := meetings(t, func(cfg *signaling.Config) { cfg.Limits.SDP = 4096 })
	olga := w.join("olga")
	id := meet(t, olga, "")
	mustJoin(t, olga, id, policy.Present)
	good := offer().SDP
	for code, bad := range map[string]string{
		signaling.CodePlaintextMedia: strings.Replace(good, "UDP/TLS/RTP/SAVPF", "RTP/AVP", 1),
		signaling.CodeSDES:           strings.Replace(good, "a=rtcp-mux", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz", 1),
		signaling.CodeBadDescription: strings.Replace(good, "a=fingerprint", "a=finger", 1),
		signaling.CodeTooLarge:       good + strings.Repeat("a=x\r\n", 1000),
	} {
		_, err := olga.MeetingMedia(ctx(t), id, bad, false)
		mustBe(t, err, code, "")
	}
	if got := w.audits("dtls-srtp"); len(got) != 2 || got[0].Allowed || got[0].Meeting != id {
		t.Errorf("audit %+v, wanted the two refusals", got)
	}
	if got := p.calls(); got != "" {
		t.Errorf("the processor was asked: %s", got)
	}
	// What the processor refuses, or answers wrongly, is no media.
	for _, tc := range []struct {
		answer string
		err    error
	}{{"", errors.New("no common codec")}, {"v=0", nil}, {sdp("active", "sendrecv", "B"), nil}, {strings.Replace(sdp("passive", "sendrecv", "BBBB"), "m=audio", "m=video", 1), nil}} {
		p.mu.Lock()
		p.answer, p.before = tc.answer, func(context.Context) error { return tc.err }
		p.mu.Unlock()
		_, err := olga.MeetingMedia(ctx(t), id, good, false)
		mustBe(t, err, signaling.CodeMedia, "")
		if got := p.has(id); got != "" {
			t.Errorf("%v: media of %q", tc, got)
		}
	}
}

// A processor that refuses a new offer leaves the media of before as it is; one that
// answers wrongly does not.
func TestARefusedNewOfferKeepsTheMediaOfBefore(t *testing.T) {
	w, p := meetings(t, nil)
	olga := w.join("olga")
	id := meet(t, olga, "recordAutomatically=true")
	if a := mustJoin(t, olga, id, policy.Present); !a.Recording {
		t.Errorf("got %+v, wanted recording asked for", a)
	}
	with := offer().SDP + "a=candidate:1 1 udp 1 10.9.8.7 4000 typ host\r\n"
	if _, err := olga.MeetingMedia(ctx(t), id, with, true); err != nil {
		t.Fatal(err)
	}
	if got := w.controller.CandidateOrigin(id, netip.MustParseAddr("10.9.8.7")); got != "host candidate of the media processor" { // which sends them back
		t.Errorf("the address is a %q", got)
	}
	for _, tc := range []struct {
		answer, has string
		err         error
	}{{"", "olga", errors.New("no common codec")}, {"v=0", "", nil}} {
		p.mu.Lock()
		p.answer, p.before = tc.answer, func(context.Context) error { return tc.err }
		p.mu.Unlock()
		_, err := olga.MeetingMedia(ctx(t), id, offer().SDP, false)
		mustBe(t, err, signaling.CodeMedia, "")
		roster, err := olga.MeetingParticipants(ctx(t), id)
		if got := p.has(id); got != tc.has || err != nil || roster[0].Media != (tc.has != "") {
			t.Errorf("%v: media of %q, roster %+v, %v; wanted media of %q", tc.err, got, roster, err, tc.has)
		}
	}
}

// An offer that is answered when its author has been removed gets no media.
func TestARemovalWhileTheProcessorAnswersLeavesNoMedia(t *testing.T) {
	w, p := meetings(t, nil)
	olga, mia := w.join("olga"), w.join("mia")
	id := meet(t, olga, "")
	mustJoin(t, olga, id, policy.Present)
	mustJoin(t, mia, id, policy.Present)
	p.mu.Lock()
	p.before = func(context.Context) error {
		w.controller.MediaLayout(id, "mia", []signaling.Slot{{Mid: "0", Kind: "audio"}})
		return olga.RemoveParticipant(ctx(t), id, "mia")
	}
	p.mu.Unlock()
	_, err := mia.MeetingMedia(ctx(t), id, offer().SDP, false)
	mustBe(t, err, signaling.CodeForbidden, "place")
	if got := p.has(id); got != "" {
		t.Errorf("media of %q", got)
	}
	// The same with a right that is lost.
	mustJoin(t, mia, id, policy.Present)
	p.mu.Lock()
	p.before = func(context.Context) error {
		if err := olga.SetRole(ctx(t), id, "mia", policy.Attendee); err != nil {
			return err
		}
		return second(olga.SetMeetingOptions(ctx(t), id, map[string]any{"allowAttendeeToEnableMic": false}))
	}
	p.mu.Unlock()
	_, err = mia.MeetingMedia(ctx(t), id, offer().SDP, false)
	mustBe(t, err, signaling.CodeForbidden, "allowAttendeeToEnableMic")
	if got := p.has(id); got != "" {
		t.Errorf("media of %q", got)
	}
}

func TestAttendeesShareNoScreenAndPhonesShowNothing(t *testing.T) {
	w, _ := meetings(t, nil)
	olga, mia, pete := w.join("olga"), w.join("mia"), w.join("pete")
	id := meet(t, olga, "allowedPresenters=organizer AllowPSTNUsersToBypassLobby=true allowAttendeeToEnableCamera=false")
	for _, c := range []*signaling.Client{olga, mia, pete} {
		mustJoin(t, c, id, policy.Present)
	}
	video := strings.Replace(offer().SDP, "m=audio", "m=video", 1)
	slides := strings.Replace(video, "a=rtcp-mux", "a=rtcp-mux\r\na=content:slides", 1)
	for _, tc := range []struct {
		c     *signaling.Client
		offer string
		rule  string
	}{
		{olga, video, ""}, {olga, slides, ""}, {mia, slides, "allowedPresenters"}, {mia, video, "allowAttendeeToEnableCamera"},
		{mia, strings.Replace(video, "sendrecv", "recvonly", 1), ""}, {pete, offer().SDP, ""}, {pete, video, "client"},
	} {
		_, err := tc.c.MeetingMedia(ctx(t), id, tc.offer, false)
		if tc.rule == "" && err != nil {
			t.Errorf("%v", err)
		} else if tc.rule != "" {
			mustBe(t, err, signaling.CodeForbidden, tc.rule)
		}
	}
}

func TestRequestsOfMeetingsActOnceAndAreBounded(t *testing.T) {
	w, p := meetings(t, func(cfg *signaling.Config) { cfg.Limits.MeetingsAtOnce, cfg.Limits.Body = 1, 8192 })
	olga := w.raw("olga")
	again := func(id string) http.Header { return http.Header{"Repeatability-Request-Id": {id}} }
	first := olga.do("POST", "/v1/meetings", `{"subject":"a"}`, again("1"))
	first.mustBe(t, 201, "")
	if re := olga.do("POST", "/v1/meetings", `{"subject":"a"}`, again("1")); re.body != first.body || re.header.Get("Repeatability-Result") != "accepted" {
		t.Errorf("sent again: %s", re.body)
	}
	olga.do("POST", "/v1/meetings", `{"subject":"b"}`, again("1")).mustBe(t, 422, signaling.CodeRequestIDReused)
	olga.do("POST", "/v1/meetings", `{}`, again("not an ID")).mustBe(t, 400, signaling.CodeBadRequest)
	var m signaling.Meeting
	first.decode(&m)
	if got := first.header.Get("Location"); got != "/v1/meetings/"+m.ID {
		t.Errorf("Location is %q", got)
	}
	path := "/v1/meetings/" + m.ID
	olga.post(path+"/join", "").mustBe(t, 200, "") // an empty body is as good as {}
	for range 3 {
		olga.do("POST", path+"/media", text(map[string]any{"offer": offer().SDP}), again("2")).mustBe(t, 200, "")
	}
	if got := p.calls(); got != "join olga mix=false" {
		t.Errorf("the processor was called: %s", got)
	}
	olga.do("PATCH", path+"/options", `{"AutoAdmittedUsers":"Everyone"}`, again("3")).mustBe(t, 200, "")
	other := olga.post("/v1/meetings", `{}`)
	other.decode(&m)
	olga.post("/v1/meetings/"+m.ID+"/join", "{}").mustBe(t, 409, signaling.CodeCallerBusy)
	for _, tc := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/v1/meetings", `{"subject":"` + strings.Repeat("x", 9000) + `"}`, 413, signaling.CodeTooLarge},
		{"POST", "/v1/meetings", `{"name":"x"}`, 400, signaling.CodeBadRequest},
		{"POST", "/v1/meetings", `{"options":[]}`, 400, signaling.CodeBadRequest},
		{"PUT", "/v1/meetings", `{}`, 405, signaling.CodeMethod},
		{"POST", path + "/join", `{"client":"acs"}`, 400, signaling.CodeBadRequest},
		{"POST", path + "/join", `{"client":"teams"}`, 200, ""},
		{"POST", path + "/join", `{"kind":"member"}`, 400, signaling.CodeBadRequest},
		{"POST", path + "/participants/olga/role", `{"role":"organizer"}`, 409, signaling.CodeOutOfOrder},
		{"PATCH", path + "/options", ``, 400, signaling.CodeBadRequest},
		{"PATCH", path + "/options", `{"a":1,"a":2}`, 400, signaling.CodeBadRequest},
		{"POST", "/v1/ice-servers", `{"meeting":"x","group":"y"}`, 400, signaling.CodeBadRequest},
		{"POST", "/v1/ice-servers", `{"meeting":"x"}`, 404, signaling.CodeNotFound},
		{"POST", "/v1/ice-servers", `{"group":"x"}`, 404, signaling.CodeNotFound},
		{"POST", "/v1/groups", `{}`, 400, signaling.CodeBadRequest},
		{"GET", "/v1/groups/x", ``, 404, signaling.CodeNotFound},
		{"GET", path + "/messages/x/y", ``, 404, signaling.CodeNotFound},
	} {
		t.Run(tc.method+" "+tc.path+" "+tc.body[:min(20, len(tc.body))], func(t *testing.T) { olga.do(tc.method, tc.path, tc.body, nil).mustBe(t, tc.status, tc.code) })
	}
	nobody := w.raw("")
	nobody.post(path+"/join", "").mustBe(t, 401, signaling.CodeUnauthorized)
	nobody.get(path).mustBe(t, 401, signaling.CodeUnauthorized)
}

func TestALobbyIsNotKnockedAtWithoutEnd(t *testing.T) {
	w, _ := meetings(t, func(cfg *signaling.Config) { cfg.Policies = policies(t, "EnableAcsFederationAccess=false") })
	olga, zoe := w.join("olga"), w.join("zoe")
	id := meet(t, olga, "")
	for range 60 {
		_, err := zoe.JoinMeeting(ctx(t), id)
		mustBe(t, err, signaling.CodeForbidden, "EnableAcsFederationAccess")
	}
	_, err := zoe.JoinMeeting(ctx(t), id)
	mustBe(t, err, signaling.CodeTooMany, "")
	var p *signaling.Problem
	if errors.As(err, &p) && p.RetryAfterMS <= 0 {
		t.Errorf("got %+v, wanted how long to wait", p)
	}
	if got := w.audits("throttle"); len(got) != 1 {
		t.Errorf("audit %+v", got)
	}
}

func TestADrainingControllerStartsNoMeeting(t *testing.T) {
	w, _ := meetings(t, nil)
	olga, mia := w.join("olga"), w.join("mia")
	running, idle := meet(t, olga, ""), meet(t, olga, "")
	mustJoin(t, olga, running, policy.Present)
	w.controller.Drain()
	mustJoin(t, mia, running, policy.Present)
	_, err := mia.JoinMeeting(ctx(t), idle)
	mustBe(t, err, signaling.CodeUnavailable, "")
	_, err = mia.CreateMeeting(ctx(t), signaling.MeetingRequest{})
	mustBe(t, err, signaling.CodeUnavailable, "")
	_, err = mia.JoinGroup(ctx(t), group)
	mustBe(t, err, signaling.CodeUnavailable, "")
}

// FuzzMeetingRequests sends any body to each path of meetings that takes one: the
// controller never fails, each refusal is a problem with a code, and what is sent again
// gets the same answer.
func FuzzMeetingRequests(f *testing.F) {
	paths := []string{"/v1/meetings", "options", "join", "media", "participants/mia/role", "lobby/mia/admit", "/v1/groups", "/v1/ice-servers", "leave", "end"}
	for i, seeds := range [][]string{
		{`{"subject":"x","options":{"AutoAdmittedUsers":"Everyone"},"invited":["mia"],"co_organizers":["cora"],"presenters":[]}`, `{"options":null}`},
		{`{"allowMeetingChat":"limited","AllowPSTNUsersToBypassLobby":false}`, `{"lobbyBypassSettings.scope":null}`, `[]`},
		{`{"client":"teams"}`, `{}`, ``},
		{text(map[string]any{"offer": offer().SDP, "mix": true}), `{"offer":"v=0"}`},
		{`{"role":"presenter"}`, `{"role":null}`},
		{``}, {`{"invited":["mia","zoe"],"recording":true}`}, {`{"meeting":"x"}`, `{"group":""}`}, {``}, {``},
	} {
		for _, seed := range seeds {
			f.Add(uint8(i), seed)
		}
	}
	clock := &clock{now: time.Now()}
	w := memoryWorld(f, hosting(&processor{}, func(cfg *signaling.Config) {
		cfg.Now, cfg.Limits.TokenLifetime, cfg.Limits.KeepMeetings = clock.Now, 1<<62, time.Millisecond
		cfg.Log, cfg.OnEvent, cfg.Store = slog.New(slog.DiscardHandler), nil, &disk{}
		cfg.Limits.MeetingsPerUser, cfg.Limits.Meetings, cfg.Limits.MeetingsAtOnce = 1<<30, 1<<30, 1<<30
	}))
	olga, mia := w.raw("olga"), w.raw("mia")
	do := func(r *raw, method, path, body, requestID string) *httptest.ResponseRecorder {
		q := httptest.NewRequest(method, "https://"+host+path, strings.NewReader(body))
		q.Header.Set("Authorization", "Bearer "+r.token)
		q.Header.Set("Content-Type", "application/json")
		if requestID != "" {
			q.Header.Set("Repeatability-Request-ID", requestID)
		}
		re := httptest.NewRecorder()
		w.controller.Handler().ServeHTTP(re, q)
		return re
	}
	n := 0
	f.Fuzz(func(t *testing.T, path uint8, text string) {
		clock.advance(2 * time.Minute) // or too many joins come within one
		var m signaling.Meeting
		re := do(olga, "POST", "/v1/meetings", `{"options":{"AutoAdmittedUsers":"OrganizerOnly"}}`, "")
		if err := json.Unmarshal(re.Body.Bytes(), &m); err != nil || m.ID == "" {
			t.Fatalf("no meeting: %d %s", re.Code, re.Body)
		}
		base := "/v1/meetings/" + m.ID + "/"
		for _, r := range []*raw{olga, mia} {
			if re := do(r, "POST", base+"join", "", ""); re.Code != 200 {
				t.Fatalf("no join: %d %s", re.Code, re.Body)
			}
		}
		target, method := paths[int(path)%len(paths)], "POST"
		if target == "options" {
			method = "PATCH"
		}
		if !strings.HasPrefix(target, "/") {
			target = base + target
		}
		n++
		first := do(olga, method, target, text, fmt.Sprint(n))
		again := do(olga, method, target, text, fmt.Sprint(n))
		if first.Code >= 500 && first.Code != 503 || first.Code != again.Code || first.Code < 400 && target != "/v1/ice-servers" && first.Body.String() != again.Body.String() {
			t.Fatalf("%s %s: %d %s, and again %d %s", target, text, first.Code, first.Body, again.Code, again.Body)
		}
		if first.Code >= 400 {
			var p signaling.Problem
			if err := json.Unmarshal(first.Body.Bytes(), &p); err != nil || p.Code == "" || p.Detail == "" {
				t.Fatalf("%s %s: %d %s", target, text, first.Code, first.Body)
			}
		}
		if re := do(olga, "POST", base+"end", "", ""); re.Code != 200 && !strings.HasSuffix(target, "/end") {
			t.Fatalf("no end: %d %s", re.Code, re.Body)
		}
		do(mia, "POST", base+"leave", "", "")
	})
}
