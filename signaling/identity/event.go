package identity

import (
	"context"
	"log/slog"
	"time"
)

// Action is what somebody tried to do.
type Action string

// The actions.
const (
	ActionAuthorize Action = "authorize" // a request for the sign-in page
	ActionSignIn    Action = "sign-in"   // a password, a code, and the rules
	ActionCode      Action = "code"      // an authorization code for tokens
	ActionRefresh   Action = "refresh"
	ActionExchange  Action = "exchange" // a token for an access token
	ActionUserInfo  Action = "userinfo"
	ActionIdentity  Action = "identity" // an application for its ACS users
	ActionRevoke    Action = "revoke"
	ActionKey       Action = "key" // a step of the rotation of keys
)

// Event is one security decision, or one step of the rotation. It holds no
// password, code, token or key.
type Event struct {
	Time    time.Time
	Action  Action
	Allowed bool
	// Rule names what decided: the name of a rule of conditional access, or for
	// example "password", "one-time-code", "pkce", "audience".
	Rule   string
	Reason string
	// User is who it is about, when known.
	User string
	// App is the client or the application that asked.
	App string
	// Issuer is whose token was brought, when that was another's.
	Issuer string
	// Remote is the network address of the request, as "address:port".
	Remote  string
	Session string
	// Token is the ID of the token that was given out or revoked.
	Token   string
	Factors []string
	Scope   string
}

// emit logs an event and hands it out. Events have no order between requests.
func (s *Service) emit(e Event) {
	e.Time = s.cfg.Now()
	level := slog.LevelInfo
	if !e.Allowed {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.Bool("allowed", e.Allowed)}
	for _, f := range []struct{ key, value string }{
		{"rule", e.Rule}, {"reason", e.Reason}, {"user", e.User}, {"app", e.App}, {"issuer", e.Issuer},
		{"remote", e.Remote}, {"session", e.Session}, {"token", e.Token}, {"scope", e.Scope},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	if len(e.Factors) > 0 {
		attrs = append(attrs, slog.Any("factors", e.Factors))
	}
	s.cfg.EventLog.LogAttrs(context.Background(), level, "identity "+string(e.Action), attrs...)
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(e)
	}
}
