package identity_test

import (
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/access"
)

// What an operator changes while it runs holds from the next request on.
func TestRulesAreReplacedWholeOrNotAtAll(t *testing.T) {
	w := newWorld(t, nil)
	w.signIn("alice", "").mustBe(t, 200)
	if err := w.id.SetRules([]access.Rule{{Name: "Nobody", Then: access.Block}}); err != nil {
		t.Fatal(err)
	}
	if r := w.signIn("alice", "").mustBe(t, 403); r.Rule != "Nobody" {
		t.Errorf("refused by %q", r.Rule)
	}
	if err := w.id.SetRules([]access.Rule{{Then: access.Block}}); err == nil {
		t.Error("a rule without a name is taken")
	}
	w.signIn("alice", "").mustBe(t, 403)
	if err := w.id.SetRules(nil); err != nil {
		t.Fatal(err)
	}
	w.signIn("alice", "").mustBe(t, 200)
}

func TestApplicationsAreReplacedWholeOrNotAtAll(t *testing.T) {
	w := newWorld(t, nil)
	visitor := w.application("/identity/users", map[string]any{}).mustBe(t, 201)
	if err := w.id.SetApplications([]identity.Application{{ID: "shop", Secret: "short"}}); err == nil {
		t.Error("a short secret is taken")
	}
	w.useToken(visitor.Access).mustBe(t, 200)
	const next = "another secret of 32 bytes and more"
	w.secrets = append(w.secrets, next)
	if err := w.id.SetApplications([]identity.Application{{ID: "shop", Secret: next}}); err != nil {
		t.Fatal(err)
	}
	w.application("/identity/users", map[string]any{}).mustBe(t, 401)
	w.useToken(visitor.Access).mustBe(t, 200) // it was the application's then
	if err := w.id.SetApplications(nil); err != nil {
		t.Fatal(err)
	}
	w.useToken(visitor.Access).mustBe(t, 401)
}

// late is a body whose deadline has passed.
type late struct{}

func (late) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestABodyThatComesTooSlowlyIsRefusedOnce(t *testing.T) {
	w := newWorld(t, nil)
	req := httptest.NewRequest("POST", w.url+"/oauth2/token", io.MultiReader(strings.NewReader("grant_type="), late{}))
	req.Header.Set("Content-Type", kindForm)
	rec := httptest.NewRecorder()
	w.id.Handler().ServeHTTP(rec, req)
	if rec.Code != 408 || !strings.Contains(rec.Body.String(), `"error":"timeout"`) {
		t.Errorf("got %d %s, wanted 408 timeout", rec.Code, rec.Body)
	}
	if e := w.last(); e.Allowed || e.Rule != "slow-body" {
		t.Errorf("event %+v, wanted a refusal by slow-body", e)
	}
}
