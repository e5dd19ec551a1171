package signaling_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling"
)

// FuzzRequests sends any body to each path that takes one: the controller never
// fails, and each refusal is a problem with a code.
func FuzzRequests(f *testing.F) {
	paths := []string{"/v1/sign-in", "/v1/ice-servers", "/v1/calls", "answer", "reject", "candidates", "description", "hangup", "telemetry"}
	for i, seeds := range [][]string{
		{`{"user":"bob","secret":"x"}`, `{"user":"\u0000"}`},
		{``, `{}`},
		{body("bob", offer(), candidate(1)), body("bob", answer()), body("mallory", offer()), `{"callee":"bob","description":null}`},
		{body("", answer()), body("", offer())},
		{`{"reason":"busy"}`, `{"reason":"\ud800"}`},
		{text(map[string]any{"candidates": []any{candidate(1), signaling.Candidate{}}}), `{"candidates":[{"candidate":"","sdpMLineIndex":65536}]}`},
		{body("", offer()), body("", answer()), `{"description":{"type":"rollback"}}`},
		{`{}`, `null`, `[]`, strings.Repeat("[", 2000)},
		{`{"telemetry":{"mos":4.3}}`, `{"telemetry":null}`, `{"telemetry":1e400}`},
	} {
		for _, seed := range seeds {
			f.Add(uint8(i), seed, "application/json", "id-1")
		}
	}
	f.Add(uint8(7), `{}`, "text/plain", "a b")
	w := memoryWorld(f, func(cfg *signaling.Config) { cfg.Log, cfg.OnEvent = slog.New(slog.DiscardHandler), nil })
	bob := w.join("bob")
	go func() { // ends with the client
		for range bob.Notifications() {
		}
	}()
	alice := w.raw("alice")
	// Past the network, to be quick.
	do := func(path, body, contentType, requestID string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "https://"+host+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+alice.token)
		r.Header.Set("Content-Type", contentType)
		if requestID != "" {
			r.Header.Set("Repeatability-Request-ID", requestID)
		}
		re := httptest.NewRecorder()
		w.controller.Handler().ServeHTTP(re, r)
		return re
	}
	n := 0
	f.Fuzz(func(t *testing.T, path uint8, text, contentType, requestID string) {
		var call signaling.Call
		re := do("/v1/calls", body("bob", offer()), "application/json", "")
		if err := json.Unmarshal(re.Body.Bytes(), &call); err != nil || call.ID == "" {
			t.Fatalf("a call is not possible any more: %d %s", re.Code, re.Body)
		}
		target := paths[int(path)%len(paths)]
		if !strings.HasPrefix(target, "/") {
			target = "/v1/calls/" + call.ID + "/" + target
		}
		if requestID != "" {
			n++
			requestID = fmt.Sprint(requestID, n)
		}
		first := do(target, text, contentType, requestID)
		again := do(target, text, contentType, requestID)
		for _, re := range []*httptest.ResponseRecorder{first, again} {
			var p signaling.Problem
			if re.Code >= 400 {
				if err := json.Unmarshal(re.Body.Bytes(), &p); err != nil || p.Code == "" || p.Detail == "" || p.Status != re.Code {
					t.Fatalf("%d %s: %v", re.Code, re.Body, err)
				}
			}
			if re.Code >= 500 || re.Code < 200 || re.Code >= 300 && re.Code < 400 || re.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Fatalf("%s with %q: %d %s", target, text, re.Code, re.Body)
			}
		}
		if strings.HasPrefix(target, "/v1/calls/") && requestID != "" && first.Code < 300 && first.Body.String() != again.Body.String() {
			t.Errorf("got %s, and again %s", first.Body, again.Body)
		}
		if re := do("/v1/calls/"+call.ID+"/hangup", `{}`, "application/json", ""); re.Code != 200 {
			t.Fatalf("hanging up afterwards: %d %s", re.Code, re.Body)
		}
	})
}
