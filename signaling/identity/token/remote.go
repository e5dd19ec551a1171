package token

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	// maxDocument bounds discovery and key sets, in bytes; maxKeys how many keys
	// are read.
	maxDocument = 256 << 10
	maxKeys     = 64
	// fetchTimeout bounds one refresh, which is two requests.
	fetchTimeout = 10 * time.Second
)

// RemoteConfig configures a Remote. Issuer is required.
type RemoteConfig struct {
	// Issuer is an https URL; its discovery document tells where the keys are
	// (OpenID Connect Discovery 1.0, section 4).
	Issuer string
	// HTTP makes the requests; a client with the machine's trust when nil. No
	// redirects are followed and nothing but https is fetched, whatever it says.
	HTTP *http.Client
	// MaxAge is how long keys are used before they are fetched again, and so how
	// long a key that the issuer has withdrawn is still trusted; 15 minutes.
	MaxAge time.Duration
	// MaxStale is the same while the issuer cannot be reached; 1 hour.
	MaxStale time.Duration
	// MinInterval is between two fetches, however many tokens come with keys
	// that are not known; 30 s.
	MinInterval time.Duration
	Now         func() time.Time // time.Now when nil
	Log         *slog.Logger     // slog.Default when nil
}

// Remote is the key set of another issuer, fetched when it is needed. It has no
// goroutine. It is safe for concurrent use; whoever made it closes it.
type Remote struct {
	cfg    RemoteConfig
	client *http.Client
	// fetching holds a place for who fetches; the others wait.
	fetching chan struct{}

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // when keys came
	tried   time.Time // when they were last asked for
}

// NewRemote checks cfg; it fetches nothing yet, so that an issuer that is away for
// the moment keeps nobody from starting.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	u, err := url.Parse(cfg.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("token: RemoteConfig.Issuer is %q, wanted https://HOST or https://HOST/PATH", cfg.Issuer)
	}
	for _, f := range []struct {
		name     string
		field    *time.Duration
		standard time.Duration
	}{
		{"MaxAge", &cfg.MaxAge, 15 * time.Minute},
		{"MaxStale", &cfg.MaxStale, time.Hour},
		{"MinInterval", &cfg.MinInterval, 30 * time.Second},
	} {
		if *f.field == 0 {
			*f.field = f.standard
		}
		if *f.field < 0 {
			return nil, fmt.Errorf("token: RemoteConfig.%s is %s, wanted more than 0, or 0 for %s", f.name, *f.field, f.standard)
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	base := http.RoundTripper(http.DefaultTransport.(*http.Transport).Clone())
	if cfg.HTTP != nil && cfg.HTTP.Transport != nil {
		base = cfg.HTTP.Transport
	}
	return &Remote{cfg: cfg, fetching: make(chan struct{}, 1), client: &http.Client{
		Transport:     bounded{base},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections.
func (r *Remote) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

// bounded fetches over https only, and not more than maxDocument.
type bounded struct{ base http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" {
		return nil, fmt.Errorf("token: %s is not https", req.URL.Redacted())
	}
	resp, err := b.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxDocument)
	return resp, nil
}

// CloseIdleConnections lets http.Client reach the transport.
func (b bounded) CloseIdleConnections() {
	if c, ok := b.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Key implements KeySet.
func (r *Remote) Key(ctx context.Context, kid string, alg jose.SignatureAlgorithm) (crypto.PublicKey, error) {
	if key, settled := r.known(kid, alg); key != nil || settled {
		return found(key)
	}
	select {
	case r.fetching <- struct{}{}:
		defer func() { <-r.fetching }()
	case <-ctx.Done():
		return nil, Refuse(Unavailable, "the request ended while the issuer's keys were waited for")
	}
	if key, settled := r.known(kid, alg); key != nil || settled {
		return found(key)
	}
	r.refresh(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fetched.IsZero() || r.cfg.Now().Sub(r.fetched) >= r.cfg.MaxStale {
		return nil, Refuse(Unavailable, "the keys of %s cannot be had for now", r.cfg.Issuer)
	}
	return found(r.find(kid, alg))
}

var errNoKey = errors.New("token: the issuer has no such key")

func found(key crypto.PublicKey) (crypto.PublicKey, error) {
	if key == nil {
		return nil, errNoKey
	}
	return key, nil
}

// known looks into what has been fetched. It is settled that there is no such key
// when the keys are new enough and must not be asked for again yet.
func (r *Remote) known(kid string, alg jose.SignatureAlgorithm) (key crypto.PublicKey, settled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	soon := !r.tried.IsZero() && now.Sub(r.tried) < r.cfg.MinInterval
	age := now.Sub(r.fetched)
	switch {
	case r.fetched.IsZero(), age >= r.cfg.MaxStale, age >= r.cfg.MaxAge && !soon:
		return nil, false
	}
	return r.find(kid, alg), soon
}

// find returns a key only when its own use and algorithm, where it has them, allow
// it (RFC 7517, sections 4.2 and 4.4). r.mu is held.
func (r *Remote) find(kid string, alg jose.SignatureAlgorithm) crypto.PublicKey {
	for _, k := range r.keys {
		if k.KeyID == kid && (k.Use == "" || k.Use == "sig") && (k.Algorithm == "" || k.Algorithm == string(alg)) {
			return k.Key
		}
	}
	return nil
}

// refresh fetches the keys, unless that was tried just now. It goes on when the
// request that caused it ends: others wait for it, too.
func (r *Remote) refresh(ctx context.Context) {
	r.mu.Lock()
	now := r.cfg.Now()
	soon := !r.tried.IsZero() && now.Sub(r.tried) < r.cfg.MinInterval
	if !soon {
		r.tried = now
	}
	r.mu.Unlock()
	if soon {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	keys, err := r.fetch(ctx)
	if err != nil {
		r.cfg.Log.Warn("token: the issuer's keys cannot be had", "issuer", r.cfg.Issuer, "error", err)
		return
	}
	r.cfg.Log.Info("token: fetched the issuer's keys", "issuer", r.cfg.Issuer, "keys", len(keys))
	r.mu.Lock()
	r.keys, r.fetched = keys, now
	r.mu.Unlock()
}

func (r *Remote) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	// It checks that the document is of the issuer that it was asked for.
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, r.client), r.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var where struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&where); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.Keys, nil)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("key set: %s", resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return parseKeys(body)
}

// parseKeys leaves out what it does not understand (RFC 7517, section 5), and what
// is not public.
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("key set: it is not the JSON that is wanted")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("key set: it has %d keys, at most %d are taken", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) == nil && k.Valid() && k.IsPublic() {
			keys = append(keys, k)
		}
	}
	return keys, nil
}
