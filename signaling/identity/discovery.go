package identity

import (
	"net/http"
	"time"

	"github.com/callpath/callpath/signaling/identity/token"
)

// getDiscovery is OpenID Connect Discovery 1.0, section 3.
func (s *Service) getDiscovery(w http.ResponseWriter, _ *http.Request) {
	at := func(path string) string { return s.cfg.Issuer + path }
	w.Header().Set("Cache-Control", "public, max-age=300")
	sendJSON(w, http.StatusOK, map[string]any{
		"issuer":                                s.cfg.Issuer,
		"authorization_endpoint":                at("/oauth2/authorize"),
		"token_endpoint":                        at("/oauth2/token"),
		"jwks_uri":                              at("/oauth2/jwks"),
		"userinfo_endpoint":                     at("/oauth2/userinfo"),
		"revocation_endpoint":                   at("/oauth2/revoke"),
		"scopes_supported":                      allOpenID,
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []string{grantCode, grantRefresh, grantExchange},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"token_endpoint_auth_methods_supported": []string{"none"},
		"code_challenge_methods_supported":      []string{"S256"},
		"claims_supported": []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "amr", "auth_time",
			"nonce", "name", "preferred_username"},
		"authorization_response_iss_parameter_supported": true,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
	})
}

// getKeys publishes the keys. They may be cached for less than a new one is
// published before it signs.
func (s *Service) getKeys(w http.ResponseWriter, _ *http.Request) {
	set, err := s.keys.Public()
	if err != nil {
		s.broken(err).send(w)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	sendJSON(w, http.StatusOK, set)
}

// userInfoEndpoint is OpenID Connect Core, section 5.3, by GET and by POST; the
// token comes in the header alone.
func (s *Service) userInfoEndpoint(w http.ResponseWriter, r *http.Request) {
	e := s.event(r, ActionUserInfo)
	out, f := s.userInfo(r, &e)
	s.answer(w, e, out, f)
}

func (s *Service) userInfo(r *http.Request, e *Event) (any, *fault) {
	raw := bearer(r.Header)
	if raw == "" {
		return nil, refuse(http.StatusUnauthorized, codeInvalidToken, "token", "there is no bearer token")
	}
	c, err := s.app.Verify(r.Context(), raw)
	if err == nil {
		e.User, e.App, e.Session = c.Subject, c.App, c.Session
		err = s.revoked.check(c.ID, c.Session, c.Subject, time.UnixMilli(c.Moment))
	}
	if err != nil {
		return nil, ofToken(err, http.StatusUnauthorized, codeInvalidToken)
	}
	u, ok := s.users.Find(c.Subject)
	if !ok || u.Disabled {
		return nil, ofToken(token.Refuse(token.Revoked, "its user has been removed or disabled"), http.StatusUnauthorized, codeInvalidToken)
	}
	e.Rule, e.Reason = "token", "it is good"
	info := map[string]any{"sub": u.ID}
	if c.Has("profile") {
		info["preferred_username"] = u.ID
		if u.Name != "" {
			info["name"] = u.Name
		}
	}
	return info, nil
}
