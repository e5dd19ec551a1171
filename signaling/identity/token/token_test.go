package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling/identity/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://issuer.example"

var now = time.Unix(1_800_000_000, 0)

func clock() time.Time { return now }

// fixed is a key set of one key, whatever it is asked for.
type fixed struct{ key crypto.PublicKey }

func (f fixed) Key(context.Context, string, jose.SignatureAlgorithm) (crypto.PublicKey, error) {
	return f.key, nil
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func claims(changes ...any) map[string]any {
	c := map[string]any{"iss": issuer, "sub": "alice", "aud": []string{"x", "us"}, "exp": now.Add(time.Hour).Unix(), "scope": "a b", "amr": []string{"pwd"}}
	for i := 0; i < len(changes); i += 2 {
		c[changes[i].(string)] = changes[i+1]
	}
	return c
}

func reason(err error) token.Reason {
	var refused *token.Error
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

// An algorithm is verified with the kind of key that is its own, and no other.
func TestAlgorithmsHoldToTheirKeys(t *testing.T) {
	small, large, p256 := rsaKey(t, 1024), rsaKey(t, 2048), ecKey(t, elliptic.P256())
	all := []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256}
	for _, tc := range []struct {
		name    string
		allowed []jose.SignatureAlgorithm
		alg     jose.SignatureAlgorithm
		private any
		public  crypto.PublicKey
		want    token.Reason
	}{
		{"ES256", nil, jose.ES256, p256, &p256.PublicKey, ""},
		{"RS256", all, jose.RS256, large, &large.PublicKey, ""},
		{"PS256", all, jose.PS256, large, &large.PublicKey, ""},
		{"RS256 where ES256 is allowed", nil, jose.RS256, large, &large.PublicKey, token.Algorithm},
		{"PS256 where RS256 is allowed", all[:2], jose.PS256, large, &large.PublicKey, token.Algorithm},
		{"a small RSA key", all, jose.RS256, small, &small.PublicKey, token.Algorithm},
		{"RS256 with a key of ES256", all, jose.RS256, large, &p256.PublicKey, token.Algorithm},
		{"ES256 with a key of RS256", all, jose.ES256, p256, &large.PublicKey, token.Algorithm},
		{"ES256 with a key on another curve", all, jose.ES256, p256, &ecKey(t, elliptic.P384()).PublicKey, token.Algorithm},
		{"ES256 with no key", all, jose.ES256, p256, nil, token.Algorithm},
		{"ES256 with a secret", all, jose.ES256, p256, []byte("secret"), token.Algorithm},
		{"another key", all, jose.ES256, p256, &ecKey(t, elliptic.P256()).PublicKey, token.Signature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := token.NewVerifier(token.Config{Issuer: issuer, Audiences: []string{"us"}, Keys: fixed{tc.public}, Algorithms: tc.allowed, Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			c, err := v.Verify(t.Context(), sign(t, tc.alg, tc.private, claims()))
			if reason(err) != tc.want || (err == nil) != (tc.want == "") {
				t.Errorf("got %v, wanted %q", err, tc.want)
			}
			if err == nil && (c.Subject != "alice" || !c.Has("b") || c.Has("c") || len(c.Scopes()) != 2) {
				t.Errorf("claims %+v", c)
			}
		})
	}
}

func TestTimesHaveTheirLeewayAndNoMore(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	v, err := token.NewVerifier(token.Config{Issuer: issuer, Audiences: []string{"us"}, Keys: fixed{&key.PublicKey}, Leeway: 10 * time.Second, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		claim string
		value any
		want  token.Reason
	}{
		{"exp", now.Unix() - 9, ""}, {"exp", now.Unix() - 10, token.Expired}, {"exp", 0, token.Incomplete},
		{"exp", float64(now.Unix()) + 0.5, ""}, {"exp", "soon", token.Malformed}, {"exp", nil, token.Malformed},
		{"nbf", now.Unix() + 10, ""}, {"nbf", now.Unix() + 11, token.NotYetValid},
		{"iat", now.Unix() + 10, ""}, {"iat", now.Unix() + 11, token.NotYetValid}, {"iat", -1, ""},
		{"aud", "us", ""}, {"aud", []string{}, token.Audience}, {"aud", "US", token.Audience}, {"aud", 7, token.Malformed},
		{"sub", strings.Repeat("x", 255), ""}, {"sub", 7, token.Malformed},
	} {
		_, err := v.Verify(t.Context(), sign(t, jose.ES256, key, claims(tc.claim, tc.value)))
		if reason(err) != tc.want || (err == nil) != (tc.want == "") {
			t.Errorf("%s %v: got %v, wanted %q", tc.claim, tc.value, err, tc.want)
		}
	}
}

func TestConfigurationsThatAreRefusedByName(t *testing.T) {
	for want, change := range map[string]func(*token.Config){
		"Config.Issuer":        func(c *token.Config) { c.Issuer = "" },
		"Config.Audiences":     func(c *token.Config) { c.Audiences = nil },
		"has an empty one":     func(c *token.Config) { c.Audiences = []string{"us", ""} },
		"Config.Keys":          func(c *token.Config) { c.Keys = nil },
		"Config.Leeway is 6m":  func(c *token.Config) { c.Leeway = 6 * time.Minute },
		"Config.Leeway is -1s": func(c *token.Config) { c.Leeway = -time.Second },
		`has "none"`:           func(c *token.Config) { c.Algorithms = []jose.SignatureAlgorithm{"none"} },
		`has "HS256"`:          func(c *token.Config) { c.Algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.HS256} },
	} {
		cfg := token.Config{Issuer: issuer, Audiences: []string{"us"}, Keys: fixed{}}
		change(&cfg)
		if _, err := token.NewVerifier(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	v, err := token.NewVerifier(token.Config{Issuer: issuer, Audiences: []string{"us"}, Keys: fixed{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), "x"); reason(err) != token.Malformed {
		t.Error(err)
	}
}

// FuzzVerify hands anything to the seam where tokens come in. Nothing but the one
// good token may pass.
func FuzzVerify(f *testing.F) {
	key := ecKey(f, elliptic.P256())
	v, err := token.NewVerifier(token.Config{Issuer: issuer, Audiences: []string{"us"}, Keys: fixed{&key.PublicKey}, Now: clock})
	if err != nil {
		f.Fatal(err)
	}
	good := sign(f, jose.ES256, key, claims())
	f.Add(good)
	f.Add(good + ".")
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.bnVsbA.eA")
	f.Add("..")
	f.Add("")
	f.Fuzz(func(t *testing.T, raw string) {
		_, err := v.Verify(t.Context(), raw)
		if err == nil && raw != good && !strings.HasPrefix(raw, good[:strings.LastIndexByte(good, '.')+1]) {
			t.Errorf("%q is good", raw)
		}
		if err != nil && (reason(err) == "" || len(err.Error()) > 400) {
			t.Errorf("%q: an error without reason, or with all of the token: %v", raw, err)
		}
		if issuer, err := token.IssuerOf(raw); err != nil && (issuer != "" || reason(err) == "") {
			t.Errorf("%q: %q, %v", raw, issuer, err)
		}
	})
}
