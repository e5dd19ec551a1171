package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// KeySet has an issuer's public keys.
type KeySet interface {
	// Key returns the key of a kid that may verify alg. The error is a *Error
	// with reason Unavailable when the keys cannot be had; any other means that
	// there is no such key.
	Key(ctx context.Context, kid string, alg jose.SignatureAlgorithm) (crypto.PublicKey, error)
}

// Config configures a Verifier. Issuer, Audiences and Keys are required.
type Config struct {
	// Issuer is the issuer's URL, exactly as its tokens have it.
	Issuer string
	// Audiences are those of whom a token must name one.
	Audiences []string
	Keys      KeySet
	// Algorithms are those that are accepted; ES256 when empty. Valid: ES256,
	// RS256, PS256.
	Algorithms []jose.SignatureAlgorithm
	// Type is what the header's typ must be; any when empty.
	Type string
	// Leeway is how far clocks may be apart; 30 s. It is at most 5 minutes.
	Leeway time.Duration
	Now    func() time.Time // time.Now when nil
}

// Verifier verifies the tokens of one issuer. It is safe for concurrent use.
type Verifier struct{ cfg Config }

const maxLeeway = 5 * time.Minute

// fit says which keys an algorithm may be verified with: it stands between a
// public key and being taken for another kind of secret.
var fit = map[jose.SignatureAlgorithm]func(crypto.PublicKey) bool{
	jose.ES256: func(k crypto.PublicKey) bool {
		p, ok := k.(*ecdsa.PublicKey)
		return ok && p.Curve == elliptic.P256()
	},
	jose.RS256: rsaKey,
	jose.PS256: rsaKey,
}

// rsaKey holds to RFC 7518, section 3.3, and to a size that takes no time to speak
// of.
func rsaKey(k crypto.PublicKey) bool {
	p, ok := k.(*rsa.PublicKey)
	return ok && p.N.BitLen() >= 2048 && p.N.BitLen() <= 8192
}

// NewVerifier checks cfg.
func NewVerifier(cfg Config) (*Verifier, error) {
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []jose.SignatureAlgorithm{jose.ES256}
	}
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("token: Config.Issuer is empty, wanted the issuer's URL")
	case len(cfg.Audiences) == 0 || slices.Contains(cfg.Audiences, ""):
		return nil, errors.New("token: Config.Audiences is empty or has an empty one: every token would be for us")
	case cfg.Keys == nil:
		return nil, errors.New("token: Config.Keys is nil, wanted the issuer's keys")
	case cfg.Leeway < 0 || cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("token: Config.Leeway is %s, wanted 0 to %s", cfg.Leeway, maxLeeway)
	}
	for _, alg := range cfg.Algorithms {
		if fit[alg] == nil {
			return nil, fmt.Errorf("token: Config.Algorithms has %q; valid: ES256, RS256, PS256", alg)
		}
	}
	if cfg.Leeway == 0 {
		cfg.Leeway = 30 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Verifier{cfg: cfg}, nil
}

// Verify checks a token and returns its claims. Any error is a *Error.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Claims, error) {
	jws, err := parse(raw, v.cfg.Algorithms)
	if err != nil {
		return nil, err
	}
	header := jws.Signatures[0].Protected
	if err := v.checkType(header); err != nil {
		return nil, err
	}
	// Before the keys are asked for: no stranger's token makes us fetch any.
	if claimed, err := issuerOf(jws); err != nil {
		return nil, err
	} else if claimed != v.cfg.Issuer {
		return nil, Refuse(Issuer, "it is of %q, wanted %q", clip(claimed), v.cfg.Issuer)
	}
	alg := jose.SignatureAlgorithm(header.Algorithm)
	if header.KeyID == "" {
		return nil, Refuse(Key, "it has no kid")
	}
	key, err := v.cfg.Keys.Key(ctx, header.KeyID, alg)
	if refused := (*Error)(nil); errors.As(err, &refused) {
		return nil, refused
	} else if err != nil {
		return nil, Refuse(Key, "the issuer has no key %q", clip(header.KeyID))
	}
	if !fit[alg](key) {
		return nil, Refuse(Algorithm, "%s is not for the key %q", alg, clip(header.KeyID))
	}
	c, err := v.read(ctx, raw, jws, key)
	if err != nil {
		return nil, err
	}
	return c, v.check(c)
}

// parse takes the compact form only, of one of the algorithms.
func parse(raw string, algorithms []jose.SignatureAlgorithm) (*jose.JSONWebSignature, error) {
	switch {
	case len(raw) > MaxSize:
		return nil, Refuse(TooLarge, "it has %d bytes, at most %d are taken", len(raw), MaxSize)
	case strings.Count(raw, ".") != 2:
		return nil, Refuse(Malformed, "it is not three parts with a dot between them")
	}
	jws, err := jose.ParseSignedCompact(raw, algorithms)
	var other *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &other):
		return nil, Refuse(Algorithm, "its algorithm is %q, wanted one of %v", clip(string(other.Got)), algorithms)
	case err != nil || len(jws.Signatures) != 1:
		return nil, Refuse(Malformed, "it is not a JWS in compact form")
	}
	return jws, nil
}

// checkType holds to RFC 8725, section 3.11.
func (v *Verifier) checkType(header jose.Header) error {
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if want := v.cfg.Type; want != "" && !strings.EqualFold(strings.TrimPrefix(typ, "application/"), want) {
		return Refuse(Type, "its typ is %q, wanted %q", clip(typ), want)
	}
	return nil
}

func issuerOf(jws *jose.JSONWebSignature) (string, error) {
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &c); err != nil {
		return "", Refuse(Malformed, "its claims are not the JSON that is wanted")
	}
	return c.Issuer, nil
}

// IssuerOf says of whom a token claims to be, to find the Verifier that checks it.
// Nothing is verified.
func IssuerOf(raw string) (string, error) {
	jws, err := parse(raw, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256})
	if err != nil {
		return "", err
	}
	return issuerOf(jws)
}

// read verifies the signature. Times and audience are left to check, which says
// what is wrong with them.
func (v *Verifier) read(ctx context.Context, raw string, jws *jose.JSONWebSignature, key crypto.PublicKey) (*Claims, error) {
	verifier := oidc.NewVerifier(v.cfg.Issuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key}}, &oidc.Config{
		SkipClientIDCheck: true, SkipExpiryCheck: true, SupportedSigningAlgs: names(v.cfg.Algorithms), Now: v.cfg.Now,
	})
	var c Claims
	verified, err := verifier.Verify(ctx, raw)
	if err == nil {
		if err = verified.Claims(&c); err == nil {
			return &c, nil
		}
	}
	// go-oidc tells one from the other by its text only.
	if _, err := jws.Verify(key); err != nil {
		return nil, Refuse(Signature, "it does not verify with the issuer's key")
	}
	return nil, Refuse(Malformed, "its claims are not of the types that are wanted")
}

func names(algorithms []jose.SignatureAlgorithm) []string {
	var out []string
	for _, a := range algorithms {
		out = append(out, string(a))
	}
	return out
}

func (v *Verifier) check(c *Claims) error {
	now, leeway := v.cfg.Now().Unix(), int64(v.cfg.Leeway/time.Second)
	switch {
	case c.Subject == "" || len(c.Subject) > 255: // OpenID Connect Core, section 2
		return Refuse(Incomplete, "it names no subject, or one of more than 255 bytes")
	case c.Expires <= 0:
		return Refuse(Incomplete, "it does not expire")
	case !slices.ContainsFunc(v.cfg.Audiences, c.Audience.Contains):
		return Refuse(Audience, "it is for %q, wanted %q", clip(strings.Join(c.Audience, " ")), v.cfg.Audiences)
	case now-leeway >= int64(c.Expires):
		return Refuse(Expired, "it expired at %s", c.Expires.Time().UTC().Format(time.RFC3339))
	case int64(c.NotBefore) > now+leeway:
		return Refuse(NotYetValid, "it is valid from %s on", c.NotBefore.Time().UTC().Format(time.RFC3339))
	case int64(c.Issued) > now+leeway:
		return Refuse(NotYetValid, "it was issued in the future, at %s", c.Issued.Time().UTC().Format(time.RFC3339))
	}
	return nil
}
