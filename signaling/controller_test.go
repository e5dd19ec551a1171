package signaling_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling"
)

func TestConfigurationsThatAreRefusedByName(t *testing.T) {
	user := signaling.User{ID: "alice", Client: "acs", Secret: "long enough"}
	for want, change := range map[string]func(*signaling.Config){
		"Config.TURN":             func(c *signaling.Config) { c.TURN = nil },
		"Config.Users is empty":   func(c *signaling.Config) { c.Users = nil },
		`Config.Users has "alice`: func(c *signaling.Config) { c.Users = append(c.Users, user) },
		"User.ID":                 func(c *signaling.Config) { c.Users[0].ID = "a b" },
		`User.ID is ""`:           func(c *signaling.Config) { c.Users[0].ID = "" },
		"User.Client of alice":    func(c *signaling.Config) { c.Users[0].Client = "zoom" },
		"User.Secret of alice":    func(c *signaling.Config) { c.Users[0].Secret = "short" },
		"Config.Origins":          func(c *signaling.Config) { c.Origins = []string{"["} },
		"Limits.TokenLifetime":    func(c *signaling.Config) { c.Limits.TokenLifetime = -1 },
		"Limits.Queue":            func(c *signaling.Config) { c.Limits.Queue = 1 },
		"Limits.Candidates":       func(c *signaling.Config) { c.Limits.Candidates = -1 },
		"Limits.Body":             func(c *signaling.Config) { c.Limits.Body = -1 },
		"no randomness":           func(c *signaling.Config) { c.Rand = strings.NewReader("") },
	} {
		cfg := signaling.Config{Users: []signaling.User{user}, TURN: turn}
		change(&cfg)
		if _, err := signaling.NewController(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		} else if strings.Contains(err.Error(), user.Secret) {
			t.Errorf("%s: the error tells the secret", want)
		}
	}
	for want, cfg := range map[string]signaling.ClientConfig{
		"ClientConfig.BaseURL is \"http:": {BaseURL: "http://x", User: "alice", Secret: "x"},
		"ClientConfig.BaseURL:":           {BaseURL: "https://x:y:z", User: "alice", Secret: "x"},
		"ClientConfig.User":               {BaseURL: "https://x", Secret: "x"},
		"ClientConfig.Secret":             {BaseURL: "https://x", User: "alice"},
	} {
		if _, err := signaling.NewClient(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestWithoutRandomnessNothingIsGivenOut(t *testing.T) {
	w := newWorld(t, func(cfg *signaling.Config) {
		cfg.Rand = io.MultiReader(strings.NewReader(strings.Repeat("s", 9+3*16+32)), &empty{}) // the mailboxes, salts and a token
	})
	alice := w.raw("alice")
	alice.post("/v1/ice-servers", "").mustBe(t, 500, signaling.CodeInternal)
	alice.post("/v1/sign-in", fmt.Sprintf(`{"user":"bob","secret":%q}`, secret+"bob")).mustBe(t, 500, signaling.CodeInternal)
}

type empty struct{}

func (*empty) Read([]byte) (int, error) { return 0, io.EOF }

func TestWrongSecretsAreThrottledForTheirAddressOnly(t *testing.T) {
	clock := &clock{now: time.Now()}
	w := newWorld(t, func(cfg *signaling.Config) { cfg.Now = clock.Now })
	nobody := w.raw("")
	for range 10 {
		nobody.post("/v1/sign-in", `{"user":"alice","secret":"guess"}`).mustBe(t, 401, signaling.CodeUnauthorized)
	}
	right := fmt.Sprintf(`{"user":"alice","secret":%q}`, secret+"alice")
	re := nobody.post("/v1/sign-in", right)
	re.mustBe(t, 429, signaling.CodeTooMany)
	if re.header.Get("Retry-After") != "60" || re.problem.RetryAfter() != time.Minute {
		t.Errorf("Retry-After is %q and %s, wanted 60 s", re.header.Get("Retry-After"), re.problem.RetryAfter())
	}
	nobody.post("/v1/sign-in", fmt.Sprintf(`{"user":"bob","secret":%q}`, secret+"bob")).mustBe(t, 200, "")
	clock.advance(time.Minute)
	nobody.post("/v1/sign-in", right).mustBe(t, 200, "")
}
