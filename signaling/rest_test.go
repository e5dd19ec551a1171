package signaling_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling"
)

func TestRequestsThatAreRefused(t *testing.T) {
	w := newWorld(t, func(cfg *signaling.Config) {
		cfg.Limits.Candidates = 3
		cfg.Limits.SDP = 2000
		cfg.Limits.Body = 8000
	})
	aliceClient, bobClient := w.join("alice"), w.join("bob")
	id := w.ringing(aliceClient, bobClient)
	alice, bob, carol, nobody := w.raw("alice"), w.raw("bob"), w.raw("carol"), w.raw("")
	wrong := w.raw("")
	wrong.token = strings.Repeat("A", 43)
	call := "/v1/calls/" + id
	plain := signaling.Description{Type: signaling.Offer, SDP: strings.Replace(offer().SDP, "UDP/TLS/RTP/SAVPF", "RTP/AVP", 1)}
	sdes := signaling.Description{Type: signaling.Offer, SDP: offer().SDP + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"}
	noMedia := signaling.Description{Type: signaling.Offer, SDP: "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"}
	long := signaling.Description{Type: signaling.Offer, SDP: offer().SDP + "a=x:" + strings.Repeat("x", 2000) + "\r\n"}
	video := signaling.Description{Type: signaling.Answer, SDP: strings.Replace(answer().SDP, "m=audio", "m=video", 1)}
	for _, tc := range []struct {
		name         string
		who          *raw
		method, path string
		body         string
		header       http.Header
		status       int
		code         string
	}{
		{"no token", nobody, "GET", call, "", nil, 401, signaling.CodeUnauthorized},
		{"a token that nobody has", wrong, "GET", call, "", nil, 401, signaling.CodeUnauthorized},
		{"another scheme", nobody, "GET", call, "", http.Header{"Authorization": {"Basic " + alice.token}}, 401, signaling.CodeUnauthorized},
		{"no token for an invite", nobody, "POST", "/v1/calls", body("bob", offer()), nil, 401, signaling.CodeUnauthorized},
		{"no token for ICE servers", nobody, "POST", "/v1/ice-servers", "", nil, 401, signaling.CodeUnauthorized},
		{"no token for a call's ICE servers", nobody, "GET", "/v1/ice-servers?call=" + id, "", nil, 401, signaling.CodeUnauthorized},
		{"no token for an action", nobody, "POST", call + "/hangup", `{}`, nil, 401, signaling.CodeUnauthorized},
		{"no token for notifications", nobody, "GET", "/v1/notifications", "", nil, 401, signaling.CodeUnauthorized},
		{"wrong secret", nobody, "POST", "/v1/sign-in", `{"user":"alice","secret":"wrong"}`, nil, 401, signaling.CodeUnauthorized},
		{"unknown user", nobody, "POST", "/v1/sign-in", `{"user":"mallory","secret":"wrong"}`, nil, 401, signaling.CodeUnauthorized},
		{"empty sign-in", nobody, "POST", "/v1/sign-in", `{}`, nil, 401, signaling.CodeUnauthorized},

		{"another's call", carol, "GET", call, "", nil, 404, signaling.CodeNotFound},
		{"hanging up another's call", carol, "POST", call + "/hangup", `{}`, nil, 404, signaling.CodeNotFound},
		{"credentials for another's call", carol, "GET", "/v1/ice-servers?call=" + id, "", nil, 404, signaling.CodeNotFound},
		{"a call that is not there", alice, "GET", "/v1/calls/none", "", nil, 404, signaling.CodeNotFound},
		{"credentials for no call", alice, "GET", "/v1/ice-servers", "", nil, 404, signaling.CodeNotFound},
		{"a path that is not there", alice, "GET", "/v1/users", "", nil, 404, signaling.CodeNotFound},
		{"the root", alice, "GET", "/", "", nil, 404, signaling.CodeNotFound},
		{"path traversal", alice, "GET", "/v1/calls/../../etc/passwd", "", nil, 404, signaling.CodeNotFound},
		{"hidden path traversal", alice, "GET", "/v1/calls/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "", nil, 404, signaling.CodeNotFound},
		{"path traversal to a call", carol, "GET", "/v1/calls/x/../" + id, "", nil, 404, signaling.CodeNotFound},
		{"doubled slash", alice, "POST", "/v1/calls//hangup", `{}`, nil, 404, signaling.CodeNotFound},

		{"method", alice, "DELETE", call, "", nil, 405, signaling.CodeMethod},
		{"method of sign-in", nobody, "GET", "/v1/sign-in", "", nil, 405, signaling.CodeMethod},
		{"method of an action", alice, "PUT", call + "/hangup", `{}`, nil, 405, signaling.CodeMethod},

		{"no JSON", alice, "POST", call + "/hangup", `reason`, nil, 400, signaling.CodeBadRequest},
		{"an array", alice, "POST", call + "/hangup", `[]`, nil, 400, signaling.CodeBadRequest},
		{"a number for a text", alice, "POST", call + "/hangup", `{"reason":1}`, nil, 400, signaling.CodeBadRequest},
		{"an unknown field", alice, "POST", call + "/hangup", `{"raeson":"x"}`, nil, 400, signaling.CodeBadRequest},
		{"two values", alice, "POST", call + "/hangup", `{}{}`, nil, 400, signaling.CodeBadRequest},
		{"not UTF-8", alice, "POST", call + "/hangup", "{\"reason\":\"\xff\"}", nil, 400, signaling.CodeBadRequest},
		{"an empty body", alice, "POST", call + "/hangup", "", http.Header{"Content-Type": {"application/json"}}, 400, signaling.CodeBadRequest},
		{"a reason of two lines", alice, "POST", call + "/hangup", `{"reason":"a\nb"}`, nil, 400, signaling.CodeBadRequest},
		{"a long reason", alice, "POST", call + "/reject", `{"reason":"` + strings.Repeat("x", 257) + `"}`, nil, 400, signaling.CodeBadRequest},
		{"another media type", alice, "POST", call + "/hangup", `{}`, http.Header{"Content-Type": {"text/plain"}}, 415, signaling.CodeMediaType},
		{"no media type", alice, "POST", call + "/hangup", `{}`, http.Header{"Content-Type": nil}, 415, signaling.CodeMediaType},
		{"a large body", alice, "POST", call + "/telemetry", `{"telemetry":"` + strings.Repeat("x", 8000) + `"}`, nil, 413, signaling.CodeTooLarge},
		{"a large body of sign-in", nobody, "POST", "/v1/sign-in", `{"user":"` + strings.Repeat("x", 8000) + `"}`, nil, 413, signaling.CodeTooLarge},
		{"a body for ICE servers", alice, "POST", "/v1/ice-servers", `{"call":"x"}`, nil, 400, signaling.CodeBadRequest},
		{"no telemetry", alice, "POST", call + "/telemetry", `{}`, nil, 400, signaling.CodeBadRequest},

		{"a large description", carol, "POST", "/v1/calls", body("bob", long), nil, 413, signaling.CodeTooLarge},
		{"plain RTP", carol, "POST", "/v1/calls", body("bob", plain), nil, 422, signaling.CodePlaintextMedia},
		{"keys in the SDP", carol, "POST", "/v1/calls", body("bob", sdes), nil, 422, signaling.CodeSDES},
		{"no media", carol, "POST", "/v1/calls", body("bob", noMedia), nil, 422, signaling.CodeBadDescription},
		{"an answer as an invite", carol, "POST", "/v1/calls", body("bob", answer()), nil, 400, signaling.CodeBadRequest},
		{"no description", carol, "POST", "/v1/calls", `{"callee":"bob"}`, nil, 400, signaling.CodeBadRequest},
		{"a bad candidate", carol, "POST", "/v1/calls", body("bob", offer(), signaling.Candidate{Candidate: "candidate:x"}), nil, 422, signaling.CodeBadCandidate},
		{"too many candidates", carol, "POST", "/v1/calls", body("bob", offer(), candidate(1), candidate(2), candidate(3), candidate(4)), nil, 429, signaling.CodeTooMany},
		{"calling nobody", carol, "POST", "/v1/calls", body("", offer()), nil, 400, signaling.CodeBadRequest},
		{"calling oneself", carol, "POST", "/v1/calls", body("carol", offer()), nil, 400, signaling.CodeBadRequest},
		{"calling a stranger", carol, "POST", "/v1/calls", body("mallory", offer()), nil, 404, signaling.CodeCalleeUnknown},
		{"calling who is in a call", carol, "POST", "/v1/calls", body("bob", offer()), nil, 409, signaling.CodeCalleeBusy},
		{"calling while in a call", alice, "POST", "/v1/calls", body("carol", offer()), nil, 409, signaling.CodeCallerBusy},
		{"calling while being called", bob, "POST", "/v1/calls", body("carol", offer()), nil, 409, signaling.CodeCallerBusy},
		{"another's reservation", carol, "POST", "/v1/calls", `{"call":"x",` + body("bob", offer())[1:], nil, 404, signaling.CodeNotFound},

		{"plain RTP in an answer", bob, "POST", call + "/answer", body("", signaling.Description{Type: signaling.Answer, SDP: plain.SDP}), nil, 422, signaling.CodePlaintextMedia},
		{"an answer that does not fit", bob, "POST", call + "/answer", body("", video), nil, 422, signaling.CodeBadDescription},
		{"an offer as an answer", bob, "POST", call + "/answer", body("", offer()), nil, 400, signaling.CodeBadRequest},
		{"keys in a re-offer", bob, "POST", call + "/description", body("", sdes), nil, 422, signaling.CodeSDES},
		{"a rollback with SDP", bob, "POST", call + "/description", body("", signaling.Description{Type: signaling.Rollback, SDP: "v=0"}), nil, 400, signaling.CodeBadRequest},
		{"pranswer", bob, "POST", call + "/description", body("", signaling.Description{Type: "pranswer", SDP: answer().SDP}), nil, 400, signaling.CodeBadRequest},
		{"no candidates", bob, "POST", call + "/candidates", `{"candidates":[]}`, nil, 400, signaling.CodeBadRequest},
		{"a candidate that is none", bob, "POST", call + "/candidates", `{"candidates":[{"candidate":"192.0.2.1"}]}`, nil, 422, signaling.CodeBadCandidate},
		{"a long mid", bob, "POST", call + "/candidates", text(map[string]any{"candidates": []any{map[string]string{"candidate": "", "sdpMid": strings.Repeat("x", 65)}}}), nil, 422, signaling.CodeBadCandidate},
		{"a long ufrag", bob, "POST", call + "/candidates", text(map[string]any{"candidates": []any{map[string]string{"candidate": "", "usernameFragment": strings.Repeat("x", 257)}}}), nil, 422, signaling.CodeBadCandidate},

		{"a bad request ID", alice, "POST", call + "/telemetry", `{"telemetry":1}`, http.Header{"Repeatability-Request-Id": {"a b"}}, 400, signaling.CodeBadRequest},
		{"a long request ID", alice, "POST", call + "/telemetry", `{"telemetry":1}`, http.Header{"Repeatability-Request-Id": {strings.Repeat("x", 65)}}, 400, signaling.CodeBadRequest},
		{"first sent without an ID", alice, "POST", call + "/telemetry", `{"telemetry":1}`, http.Header{"Repeatability-First-Sent": {time.Now().UTC().Format(http.TimeFormat)}}, 400, signaling.CodeBadRequest},
		{"first sent at no time", alice, "POST", call + "/telemetry", `{"telemetry":1}`, http.Header{"Repeatability-Request-Id": {"a"}, "Repeatability-First-Sent": {"now"}}, 400, signaling.CodeBadRequest},
		{"first sent long ago", alice, "POST", call + "/telemetry", `{"telemetry":1}`, http.Header{"Repeatability-Request-Id": {"a"}, "Repeatability-First-Sent": {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}}, 412, signaling.CodeRequestTooOld},

		{"notifications without an upgrade", alice, "GET", "/v1/notifications", "", nil, 426, signaling.CodeBadRequest},
		{"notifications after nothing", alice, "GET", "/v1/notifications?after=x", "", nil, 400, signaling.CodeBadRequest},
		{"notifications after too much", alice, "GET", "/v1/notifications?after=9007199254740992", "", nil, 400, signaling.CodeBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			re := tc.who.do(tc.method, tc.path, tc.body, tc.header)
			re.mustBe(t, tc.status, tc.code)
			switch tc.status {
			case 401:
				if !strings.HasPrefix(re.header.Get("Www-Authenticate"), "Bearer") {
					t.Errorf("WWW-Authenticate is %q, wanted Bearer (RFC 6750, section 3)", re.header.Get("Www-Authenticate"))
				}
			case 405:
				if re.header.Get("Allow") == "" {
					t.Error("no Allow (RFC 9110, section 15.5.6)")
				}
			}
		})
	}
	// Nothing of all that has touched the call.
	state, err := aliceClient.Call(ctx(t), id)
	if err != nil || state.State != "ringing" {
		t.Errorf("the call is %+v, %v; wanted it to ring still", state, err)
	}
	select {
	case n := <-bobClient.Notifications():
		t.Errorf("bob was told %+v", n)
	default:
	}
}

func TestSecurityDecisionsAreRecorded(t *testing.T) {
	w := newWorld(t, nil)
	aliceClient, bobClient := w.join("alice"), w.join("bob")
	id := w.ringing(aliceClient, bobClient)
	carol, nobody := w.raw("carol"), w.raw("")
	nobody.post("/v1/sign-in", `{"user":"alice","secret":"wrong"}`)
	nobody.get("/v1/calls/" + id)
	carol.get("/v1/calls/" + id)
	carol.post("/v1/calls", body("bob", signaling.Description{Type: signaling.Offer,
		SDP: strings.Replace(offer().SDP, "UDP/TLS/RTP/SAVPF", "RTP/AVP", 1)}))
	carol.post("/v1/calls", `{"call":"stolen",`+body("bob", offer())[1:])
	carol.do("GET", "/v1/notifications", "", http.Header{"Origin": {"https://evil.example"}})
	var got []string
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind != signaling.EventAudit {
			continue
		}
		if e.Reason == "" && !e.Allowed || e.Rule == "" || e.Remote == "" || e.Time.IsZero() {
			t.Errorf("%+v: not complete", e)
		}
		line := fmt.Sprintf("%s %q %v", e.Rule, e.User, e.Allowed)
		if !slices.Contains(got, line) {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	want := []string{
		`dtls-srtp "alice" true`, `dtls-srtp "carol" false`, `origin "" false`, `participant "carol" false`,
		`reservation "carol" false`, `secret "alice" false`, `secret "alice" true`, `secret "bob" true`, `secret "carol" true`,
		`token "" false`, `token "alice" true`, `token "bob" true`, `token "carol" true`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwanted\n%s", lines(got), lines(want))
	}
}

func TestTokensExpireAndNewerOnesPushThemOut(t *testing.T) {
	clock := &clock{now: time.Now()}
	w := newWorld(t, func(cfg *signaling.Config) {
		cfg.Now = clock.Now
		cfg.Limits.TokensPerUser = 2
		cfg.Limits.TokenLifetime = time.Hour
	})
	first, second := w.raw("alice"), w.raw("alice")
	third := w.raw("alice")
	first.get("/v1/calls/x").mustBe(t, 401, signaling.CodeUnauthorized)
	second.get("/v1/calls/x").mustBe(t, 404, signaling.CodeNotFound)
	clock.advance(time.Hour)
	re := third.get("/v1/calls/x")
	re.mustBe(t, 401, signaling.CodeUnauthorized)
	if !strings.Contains(re.body, "expired") {
		t.Errorf("got %s, wanted it to say that the token has expired", re.body)
	}
	fourth := w.raw("alice")
	fourth.get("/v1/calls/x").mustBe(t, 404, signaling.CodeNotFound)
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestARequestThatIsSentAgainActsOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.join("bob")
	alice := w.raw("alice")
	repeat := func(id string) http.Header {
		return http.Header{"Repeatability-Request-Id": {id}, "Repeatability-First-Sent": {time.Now().UTC().Format(http.TimeFormat)}}
	}
	first := alice.do("POST", "/v1/calls", body("bob", offer()), repeat("one"))
	first.mustBe(t, 201, "")
	again := alice.do("POST", "/v1/calls", body("bob", offer()), repeat("one"))
	if again.status != 201 || again.body != first.body || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("got %d %s, wanted the first response %s", again.status, again.body, first.body)
	}
	if got := again.header.Get("Repeatability-Result"); got != "accepted" {
		t.Errorf("Repeatability-Result is %q", got)
	}
	alice.do("POST", "/v1/calls", body("bob", offer()), repeat("two")).mustBe(t, 409, signaling.CodeCallerBusy)
	other := alice.do("POST", "/v1/calls", body("carol", offer()), repeat("one"))
	other.mustBe(t, 422, signaling.CodeRequestIDReused)
	if got := other.header.Get("Repeatability-Result"); got != "rejected" {
		t.Errorf("Repeatability-Result is %q", got)
	}
	var call signaling.Call
	first.decode(&call)
	path := "/v1/calls/" + call.ID
	alice.do("POST", path+"/hangup", `{}`, repeat("three")).mustBe(t, 200, "")
	// What was refused is refused again, though it would be in order now.
	alice.do("POST", "/v1/calls", body("bob", offer()), repeat("two")).mustBe(t, 409, signaling.CodeCallerBusy)
	alice.do("POST", "/v1/calls", body("bob", offer()), repeat("four")).mustBe(t, 201, "")
	// The same ID of another user is another request.
	bob := w.raw("bob")
	bob.do("POST", path+"/hangup", `{}`, repeat("three")).mustBe(t, 200, "")
	// Many at once act once.
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { alice.do("POST", path+"/telemetry", `{"telemetry":1}`, repeat("five")) })
	}
	group.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Kind == signaling.EventRequest && e.Request == "telemetry" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("telemetry acted %d times, wanted once", n)
	}
}

func TestThereIsNoServiceAfterClose(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.raw("alice")
	if err := w.controller.Close(); err != nil {
		t.Fatal(err)
	}
	alice.get("/v1/calls/x").mustBe(t, 503, signaling.CodeUnavailable)
	alice.post("/v1/sign-in", `{"user":"alice","secret":"x"}`).mustBe(t, 503, signaling.CodeUnavailable)
}

func TestICEServersThatCannotBeMintedAreAnInternalProblem(t *testing.T) {
	w := newWorld(t, func(cfg *signaling.Config) {
		cfg.TURN = func(string, string) ([]signaling.ICEServer, error) { return nil, fmt.Errorf("no %s", turnPassword[:5]) }
	})
	re := w.raw("alice").post("/v1/ice-servers", "")
	re.mustBe(t, 500, signaling.CodeInternal)
	if strings.Contains(re.body, turnPassword[:5]) {
		t.Errorf("the response tells the inner error: %s", re.body)
	}
}
