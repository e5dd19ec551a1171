// Package signin gets access tokens from callpath's issuer for a program that has
// its user's password: a command line, a load generator, a test. It signs in,
// refreshes while it can, and exchanges. A page uses the authorization code flow
// instead.
package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Config configures a Source. Issuer, Client, User and Password are required.
type Config struct {
	// Issuer is the issuer's https URL.
	Issuer string
	// Client is a first-party client's ID.
	Client   string
	User     string
	Password string
	// Code, when set, is asked for a one-time code when one is wanted.
	Code func(ctx context.Context) (string, error)
	// Scopes of the access token; all that the user may have when empty.
	Scopes []string
	HTTP   *http.Client // http.DefaultClient when nil
}

// Source gets tokens. Its method Token is what signaling.ClientConfig.Token wants.
// It is safe for concurrent use.
type Source struct {
	cfg Config

	mu      sync.Mutex
	refresh string
}

// Error is a refusal by the issuer (RFC 6749, section 5.2).
type Error struct {
	Status int    `json:"-"`
	Code   string `json:"error"`
	Detail string `json:"error_description"`
	// Rule is the rule of conditional access that refused, if one did.
	Rule string `json:"rule"`
	// RetryAfter is in seconds.
	RetryAfter int `json:"retry_after"`
}

func (e *Error) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Detail) }

// New checks cfg; it opens no connection.
func New(cfg Config) (*Source, error) {
	u, err := url.Parse(cfg.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("signin: Config.Issuer is %q, wanted https://HOST", cfg.Issuer)
	}
	for name, field := range map[string]string{"Client": cfg.Client, "User": cfg.User, "Password": cfg.Password} {
		if field == "" {
			return nil, fmt.Errorf("signin: Config.%s is empty", name)
		}
	}
	if cfg.HTTP == nil {
		cfg.HTTP = http.DefaultClient
	}
	return &Source{cfg: cfg}, nil
}

type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// Token returns a new ACS access token. The error of a refusal is a *Error.
func (s *Source) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	application, err := s.application(ctx)
	if err != nil {
		return "", fmt.Errorf("signin: %s at %s: %w", s.cfg.User, s.cfg.Issuer, err)
	}
	out, err := s.form(ctx, url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"client_id":          {s.cfg.Client},
		"subject_token":      {application.AccessToken},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"scope":              {strings.Join(s.cfg.Scopes, " ")},
	})
	if err != nil {
		return "", fmt.Errorf("signin: token exchange of %s at %s: %w", s.cfg.User, s.cfg.Issuer, err)
	}
	return out.AccessToken, nil
}

// application gets the application's own token: by refresh, or by signing in when
// there is none to refresh any more.
func (s *Source) application(ctx context.Context) (tokens, error) {
	if old := s.refresh; old != "" {
		s.refresh = "" // good for once
		out, err := s.form(ctx, url.Values{"grant_type": {"refresh_token"}, "client_id": {s.cfg.Client}, "refresh_token": {old}})
		var refused *Error
		if err == nil {
			s.refresh = out.RefreshToken
			return out, nil
		} else if !errors.As(err, &refused) || refused.Code != "invalid_grant" {
			return tokens{}, err
		}
	}
	in := map[string]string{"client_id": s.cfg.Client, "user": s.cfg.User, "password": s.cfg.Password}
	out, err := s.json(ctx, in)
	var refused *Error
	if errors.As(err, &refused) && refused.Code == "otp_required" && s.cfg.Code != nil {
		if in["code"], err = s.cfg.Code(ctx); err != nil {
			return tokens{}, fmt.Errorf("no one-time code: %w", err)
		}
		out, err = s.json(ctx, in)
	}
	if err == nil {
		s.refresh = out.RefreshToken
	}
	return out, err
}

func (s *Source) json(ctx context.Context, in map[string]string) (tokens, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return tokens{}, err
	}
	return s.post(ctx, "/identity/sign-in", "application/json", body)
}

func (s *Source) form(ctx context.Context, form url.Values) (tokens, error) {
	return s.post(ctx, "/oauth2/token", "application/x-www-form-urlencoded", []byte(form.Encode()))
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

func (s *Source) post(ctx context.Context, path, kind string, body []byte) (tokens, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.Issuer+path, bytes.NewReader(body))
	if err != nil {
		return tokens{}, err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := s.cfg.HTTP.Do(req)
	if err != nil {
		return tokens{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return tokens{}, err
	}
	var out tokens
	if resp.StatusCode != http.StatusOK {
		refused := &Error{Status: resp.StatusCode}
		if json.Unmarshal(text, refused) != nil || refused.Code == "" {
			refused.Code, refused.Detail = "unknown", http.StatusText(resp.StatusCode)
		}
		return out, refused
	}
	if err := json.Unmarshal(text, &out); err != nil || out.AccessToken == "" {
		return out, errors.New("the answer has no access token")
	}
	return out, nil
}
