package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/identity/user"
)

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func b64(v any) string {
	raw, ok := v.([]byte)
	if !ok {
		raw, _ = json.Marshal(v)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Every way in which a bearer token can be wrong at the signaling controller:
// 401 (403 for a scope), with nothing given out and one audit record that says why.
func TestAbuseOfAccessTokens(t *testing.T) {
	type attempt struct {
		name   string
		token  func(w *world) string
		status int
		reason string
	}
	changed := func(name string, reason string, changes map[string]any) attempt {
		return attempt{name, func(w *world) string { return w.forge(changes) }, 401, reason}
	}
	at := func(w *world, d time.Duration) int64 { return w.clock.Now().Add(d).Unix() }
	signedWith := func(alg jose.SignatureAlgorithm, key func(w *world) any, header map[string]any) func(w *world) string {
		return func(w *world) string {
			full := map[string]any{"typ": "at+jwt", "kid": w.signingKey().KeyID}
			for name, value := range header {
				full[name] = value
			}
			return w.sign(alg, key(w), w.claims(nil), full)
		}
	}
	attempts := []attempt{
		{"no token", func(*world) string { return "" }, 401, "there is no bearer token"},
		{"no JWT", func(*world) string { return "opaque" }, 401, "malformed"},
		{"two parts", func(w *world) string { return "a.b" }, 401, "malformed"},
		{"dots only", func(*world) string { return ".." }, 401, "algorithm"},
		{"four parts", func(w *world) string { return w.forge(nil) + ".x" }, 401, "malformed"},
		{"oversized", func(w *world) string { return w.forge(map[string]any{"name": strings.Repeat("x", 7000)}) }, 401, "too-large"},
		{"JSON form", func(w *world) string {
			parts := strings.Split(w.forge(nil), ".")
			return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2])
		}, 401, "malformed"},
		{"alg none", func(w *world) string {
			return b64(map[string]any{"alg": "none", "typ": "at+jwt"}) + "." + b64(w.claims(nil)) + "."
		}, 401, "algorithm"},
		{"alg None", func(w *world) string {
			return b64(map[string]any{"alg": "None", "kid": w.signingKey().KeyID, "typ": "at+jwt"}) + "." + b64(w.claims(nil)) + "."
		}, 401, "algorithm"},
		{"alg missing", func(w *world) string { return b64(map[string]any{"typ": "at+jwt"}) + "." + b64(w.claims(nil)) + ".eA" }, 401, "algorithm"},
		{"HS256 with the public key as JWK", signedWith(jose.HS256, func(w *world) any {
			key := w.signingKey()
			public := key.Public()
			raw, _ := public.MarshalJSON()
			return raw
		}, nil), 401, "algorithm"},
		{"HS256 with the public key as PEM", signedWith(jose.HS256, func(w *world) any {
			key := w.signingKey()
			der, _ := x509.MarshalPKIXPublicKey(key.Public().Key)
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		}, nil), 401, "algorithm"},
		{"RS256 under our kid", signedWith(jose.RS256, func(w *world) any {
			k, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				w.t.Fatal(err)
			}
			return k
		}, nil), 401, "algorithm"},
		{"another key under our kid", signedWith(jose.ES256, func(w *world) any { return ecKey(w.t) }, nil), 401, "signature"},
		{"a kid that is not ours", signedWith(jose.ES256, func(w *world) any { return ecKey(w.t) }, map[string]any{"kid": "another"}), 401, "key"},
		{"a kid that is a path", signedWith(jose.ES256, func(w *world) any { return ecKey(w.t) }, map[string]any{"kid": "../../dev/null"}), 401, "key"},
		{"no kid", signedWith(jose.ES256, func(w *world) any { return w.signingKey().Key }, map[string]any{"kid": ""}), 401, "key"},
		{"the attacker's key in the token", func(w *world) string {
			k := ecKey(w.t)
			return w.sign(jose.ES256, k, w.claims(nil), map[string]any{"typ": "at+jwt", "kid": w.signingKey().KeyID, "jwk": jose.JSONWebKey{Key: k.Public()}})
		}, 401, "signature"},
		{"the attacker's key set by URL", signedWith(jose.ES256, func(w *world) any { return ecKey(w.t) }, map[string]any{"kid": "x", "jku": "https://evil.example/jwks"}), 401, "key"},
		{"a critical header", signedWith(jose.ES256, func(w *world) any { return w.signingKey().Key }, map[string]any{"crit": []string{"exp"}, "exp": 1}), 401, "signature"},
		{"a changed payload", func(w *world) string {
			parts := strings.Split(w.forge(nil), ".")
			return parts[0] + "." + b64(w.claims(map[string]any{"sub": "bob"})) + "." + parts[2]
		}, 401, "signature"},
		{"an empty signature", func(w *world) string {
			parts := strings.Split(w.forge(nil), ".")
			return parts[0] + "." + parts[1] + "."
		}, 401, "signature"},
		{"claims that are no object", func(w *world) string {
			parts := strings.Split(w.forge(nil), ".")
			return parts[0] + "." + b64([]byte(`"x"`)) + "." + parts[2]
		}, 401, "malformed"},
		changed("claims of another type", "malformed", map[string]any{"scope": []string{"voip"}}),
		changed("another issuer", "issuer", map[string]any{"iss": "https://evil.example"}),
		changed("the issuer with a slash", "issuer", map[string]any{"iss": "https://calls.example/"}),
		changed("no issuer", "issuer", map[string]any{"iss": nil}),
		changed("another audience", "audience", map[string]any{"aud": "mail"}),
		changed("the audience as a prefix", "audience", map[string]any{"aud": []string{"callpath.evil.example", "call"}}),
		changed("no audience", "audience", map[string]any{"aud": nil}),
		{"expired", func(w *world) string { return w.forge(map[string]any{"exp": at(w, -31*time.Second)}) }, 401, "expired"},
		changed("no expiry", "incomplete", map[string]any{"exp": nil}),
		changed("an expiry before the epoch", "incomplete", map[string]any{"exp": -1}),
		{"not valid yet", func(w *world) string { return w.forge(map[string]any{"nbf": at(w, time.Minute)}) }, 401, "not-yet-valid"},
		{"issued in the future", func(w *world) string { return w.forge(map[string]any{"iat": at(w, time.Minute)}) }, 401, "not-yet-valid"},
		changed("no subject", "incomplete", map[string]any{"sub": nil}),
		changed("a subject without end", "incomplete", map[string]any{"sub": strings.Repeat("x", 256)}),
		{"no scope", func(w *world) string { return w.forge(map[string]any{"scope": nil}) }, 403, "voip"},
		{"chat only", func(w *world) string { return w.forge(map[string]any{"scope": "chat"}) }, 403, "voip"},
		{"a scope that has voip in it", func(w *world) string { return w.forge(map[string]any{"scope": "voip.read novoip"}) }, 403, "voip"},
		{"an ID token", func(w *world) string { return w.signIn("alice", "").ID }, 401, "type"},
		{"an application's token", func(w *world) string { return w.signIn("alice", "").Access }, 401, "audience"},
		{"typ JWT", func(w *world) string {
			return w.sign(jose.ES256, w.signingKey(), w.claims(nil), map[string]any{"typ": "JWT"})
		}, 401, "type"},
		{"a refresh token", func(w *world) string { return w.signIn("alice", "").Refresh }, 401, "malformed"},
		{"a revoked token", func(w *world) string {
			token := w.accessToken()
			w.form("/oauth2/revoke", "client_id", "cli", "token", token).mustBe(w.t, 200)
			return token
		}, 401, "revoked"},
		{"of a revoked user", func(w *world) string {
			token := w.accessToken()
			if err := w.id.RevokeUser("alice"); err != nil {
				w.t.Fatal(err)
			}
			return token
		}, 401, "revoked"},
		{"of a user who has been removed", func(w *world) string {
			token := w.accessToken()
			if err := w.id.SetUsers(nil); err != nil {
				w.t.Fatal(err)
			}
			return token
		}, 401, "removed"},
		{"of a user who has been disabled", func(w *world) string {
			token := w.accessToken()
			if err := w.id.SetUsers([]user.User{{ID: "alice", Kind: "teams", Password: cheap(password), Disabled: true}}); err != nil {
				w.t.Fatal(err)
			}
			return token
		}, 401, "disabled"},
		changed("of an application that is gone", "removed", map[string]any{"sub": "acs.gone.abcdefgh"}),
		changed("of an issuer that is gone", "removed", map[string]any{"sub": "alice@gone"}),
		changed("for a client that is none", "neither an acs nor a teams client", map[string]any{"callpath_client": "zoom"}),
	}
	for _, tc := range attempts {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			token := tc.token(w)
			before, signaled := w.count()
			r := w.useToken(token)
			if r.status != tc.status || strings.Contains(r.body, turnSecret) {
				t.Fatalf("got %d %s, wanted %d", r.status, r.body, tc.status)
			}
			_, records := w.since(before, signaled)
			if len(records) != 1 || records[0].Kind != signaling.EventAudit || records[0].Allowed || !strings.Contains(records[0].Reason, tc.reason) {
				t.Errorf("records %+v, wanted one refusal because of %q", records, tc.reason)
			}
		})
	}
	t.Run("and the good one passes", func(t *testing.T) {
		w := newWorld(t, nil)
		w.useToken(w.forge(nil)).mustBe(t, 200)
		w.useToken(w.forge(map[string]any{"exp": at(w, -29*time.Second)})).mustBe(t, 200) // within the leeway
	})
}
