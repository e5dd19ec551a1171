package identity_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/user"
)

// FuzzRequests hands any body to any endpoint, also as an application and with the
// sign-in page's cookie. Each answer is a refusal that says so in one record, or
// what the request is good for; nothing fails, and no token comes of it.
func FuzzRequests(f *testing.F) {
	refusals, records := 0, 0
	id, err := identity.New(identity.Config{
		Issuer:       "https://calls.example",
		Users:        []user.User{{ID: "alice", Kind: "teams", Password: cheap(password)}},
		Clients:      []identity.Client{{ID: "web", RedirectURIs: []string{redirect}}, {ID: "cli", FirstParty: true}},
		Applications: []identity.Application{{ID: "shop", Secret: appSecret}},
		Limits:       identity.Limits{SignIns: 1 << 30, Passwords: 1 << 30},
		Log:          slog.New(slog.DiscardHandler),
		OnEvent: func(e identity.Event) {
			if records++; !e.Allowed {
				refusals++
			}
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	requests := []struct{ method, path, kind string }{
		{"GET", "/oauth2/authorize", ""}, {"POST", "/oauth2/authorize", kindForm}, {"POST", "/oauth2/token", kindForm},
		{"POST", "/oauth2/revoke", kindForm}, {"POST", "/identity/sign-in", kindJSON}, {"POST", "/identity/users/acs.shop.x/token", kindJSON},
		{"GET", "/oauth2/userinfo", ""},
	}
	f.Add(uint8(0), authorization().Encode())
	f.Add(uint8(1), authorization("secret", "x", "user", "alice", "password", "guess").Encode())
	f.Add(uint8(1), authorization("secret", "x", "step", "y", "code", "000000").Encode())
	f.Add(uint8(2), values("grant_type", "authorization_code", "client_id", "web", "code", "x", "code_verifier", verifier, "redirect_uri", redirect).Encode())
	f.Add(uint8(2), values("grant_type", "refresh_token", "client_id", "web", "refresh_token", "a.1.b").Encode())
	f.Add(uint8(2), values("grant_type", grantExchange, "client_id", "web", "subject_token", "a.b.c", "subject_token_type", typeJWT).Encode())
	f.Add(uint8(2), values("grant_type", grantExchange, "client_id", "web", "subject_token", "0").Encode()) // refused, with the types in words
	f.Add(uint8(3), values("client_id", "web", "token", "eyJhbGciOiJub25lIn0.e30.").Encode())
	f.Add(uint8(4), `{"client_id":"cli","user":"alice","password":"guess","code":"1"}`)
	f.Add(uint8(5), `{"scopes":["voip"],"expires_in":1e9,"name":"x"}`)
	f.Add(uint8(6), "eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.eA")
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		in := requests[int(which)%len(requests)]
		r := httptest.NewRequest(in.method, "https://calls.example"+in.path, strings.NewReader(body))
		if in.method == "GET" {
			r.URL.RawQuery = body
			r.Header["Authorization"] = []string{"Bearer " + body}
		}
		r.Header.Set("Content-Type", in.kind)
		r.Header.Set("Cookie", "__Host-callpath-sign-in=x")
		if strings.HasPrefix(in.path, "/identity/users") {
			r.SetBasicAuth("shop", appSecret)
		}
		refusals, records = 0, 0
		w := httptest.NewRecorder()
		id.Handler().ServeHTTP(w, r)
		application := strings.HasPrefix(in.path, "/identity/users") && w.Code == 200 // which may have a token
		if w.Code >= 500 || strings.Contains(w.Body.String(), `"access_token":`) && !application {
			t.Errorf("%s %s with %q: %d %s", in.method, in.path, body, w.Code, w.Body)
		}
		shown := in.path == "/oauth2/authorize" && w.Code == 200 // the page alone decides nothing
		if want := map[bool]int{true: 0, false: 1}[shown]; records != want || w.Code >= 400 && refusals != 1 {
			t.Errorf("%s %s with %q: %d and %d records, %d refusals", in.method, in.path, body, w.Code, records, refusals)
		}
	})
}
