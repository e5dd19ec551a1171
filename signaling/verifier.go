package signaling

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/signaling/meeting/policy"
)

// ScopeVoIP is the scope that everything but chats needs.
const ScopeVoIP = "voip"

// ScopeChat is the scope that everything about chats needs.
const ScopeChat = "chat"

// anyScope is for the notifications, which are of calls, meetings and chats.
const anyScope = ScopeVoIP + " " + ScopeChat

// Verifier knows what a bearer token is, in place of the shared secrets and
// opaque tokens of the controller's own. Package identity has one; a Verifier may
// be called from several goroutines at once.
type Verifier interface {
	// Verify checks a token that came with a request. It may wait for an
	// issuer's keys until ctx ends. Its error is told to the client and to the
	// audit: it says what is wrong and holds nothing of the token.
	Verify(ctx context.Context, token string) (Bearer, error)
	// Valid says whether a token that Verify has accepted still holds, at each
	// ping of a WebSocket. It is called with a lock held: it must not wait and
	// must not call the controller.
	Valid(Bearer) bool
}

// Bearer is what a verified token says of who sends it.
type Bearer struct {
	// ID is the token's own, for the Verifier to know it again.
	ID string
	// Session is the sign-in that the token comes from; it may be empty.
	Session string
	// User, Name and Client are as in User. The controller takes in users whom
	// it has not met.
	User, Name, Client string
	// Tenant is the organisation that has the user's account; empty for an
	// external user of Azure Communication Services and for an anonymous one.
	// Kind, when set, says what the user is to the home tenant, for example
	// policy.Guest; else the Tenant decides, with Policies.Trusted: one without
	// is anonymous.
	Tenant string
	Kind   policy.Kind
	// Groups decide which meeting policy applies to the user's meetings.
	Groups []string
	// Scopes are what the token is good for.
	Scopes []string
	// Factors are how the user has signed in (RFC 8176), for example pwd, otp,
	// mfa; none when the issuer did not say.
	Factors []string
	Issued  time.Time
	Expires time.Time
}

func (b *Bearer) has(scope string) bool { return slices.Contains(b.Scopes, scope) }

// calls and chats say what a grant is good for.
func (g *grant) calls() bool { return g.bearer == nil || g.bearer.has(ScopeVoIP) }
func (g *grant) chats() bool { return g.bearer == nil || g.bearer.has(ScopeChat) }

// verify asks Config.Verifier. It is done before the lock is taken.
func (c *Controller) verify(r *http.Request, token string) (*Bearer, string) {
	if c.cfg.Verifier == nil || token == "" {
		return nil, ""
	}
	b, err := c.cfg.Verifier.Verify(r.Context(), token)
	switch {
	case err != nil:
		return nil, err.Error()
	case !validUserID(b.User):
		return nil, "the token names no user that can be called"
	case !validClient(b.Client):
		return nil, "the token is for neither an acs nor a teams client, nor a caller (pstn)"
	}
	return &b, ""
}

// grant turns a token into a grant, or into a refusal with why for the audit. b
// and why are what verify returned; a verified token must have
// one of the scopes. c.mu is held.
func (c *Controller) grant(token, scope string, b *Bearer, why string) (*grant, string, *Problem) {
	var g *grant
	switch {
	case token == "":
		why = "there is no bearer token"
	case c.cfg.Verifier == nil:
		g, why = c.tokens.check(token, c.cfg.Now())
	case b == nil:
	case !slices.ContainsFunc(strings.Fields(scope), b.has):
		why = "the token lacks the scope " + scope
		return nil, why, problem(CodeScope, "%s", why)
	default:
		u, err := c.admit(b)
		if err != nil {
			return nil, err.Error(), problem(CodeUnavailable, "%s", err)
		}
		g = &grant{user: u, expires: b.Expires, bearer: b}
	}
	if g == nil {
		return nil, why, problem(CodeUnauthorized, "%s; sign in", why)
	}
	return g, why, nil
}

// holds says whether a grant still is one. c.mu is held.
func (c *Controller) holds(g *grant) bool {
	if g.bearer != nil {
		return c.cfg.Now().Before(g.expires) && c.cfg.Verifier.Valid(*g.bearer)
	}
	return c.tokens.valid(g, c.cfg.Now())
}

var errFull = errors.New("the controller has as many users as it takes")

// admit finds the user of a verified token, or takes them in. c.mu is held.
func (c *Controller) admit(b *Bearer) (*user, error) {
	now := c.cfg.Now()
	u := c.users[b.User]
	if u == nil {
		if len(c.users) >= c.cfg.Limits.Users && !c.makeRoom(now) {
			return nil, errFull
		}
		u = c.stub(b.User)
	}
	u.name, u.client, u.seen = b.Name, b.Client, now
	u.tenant, u.kind, u.groups = b.Tenant, b.Kind, b.Groups
	return u, nil
}

// makeRoom forgets the users of whom nothing is left but their place. It looks
// once a second at most, as it looks at all of them.
func (c *Controller) makeRoom(now time.Time) bool {
	if now.Sub(c.swept) < time.Second {
		return false
	}
	c.swept = now
	for id, u := range c.users {
		if !u.present() && len(u.calls) == 0 && len(u.ended) == 0 && len(u.conferences) == 0 && now.Sub(u.seen) > repeatWindow {
			delete(c.users, id)
		}
	}
	return len(c.users) < c.cfg.Limits.Users
}
