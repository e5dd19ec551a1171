package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/identity/token"
	"github.com/callpath/callpath/signaling/identity/user"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// Verify implements signaling.Verifier: it takes ACS access tokens and nothing
// else. It makes no event of its own, as the controller records each decision.
func (s *Service) Verify(ctx context.Context, raw string) (signaling.Bearer, error) {
	c, err := s.access.Verify(ctx, raw)
	if err != nil {
		return signaling.Bearer{}, err
	}
	b := signaling.Bearer{
		ID: c.ID, Session: c.Session, User: c.Subject, Name: c.Name, Client: c.Client,
		Scopes: c.Scopes(), Factors: c.Factors,
		Issued: time.UnixMilli(c.Moment), Expires: time.Unix(int64(c.Expires), 0),
	}
	if err := s.stands(b); err != nil {
		return signaling.Bearer{}, err
	}
	s.place(&b)
	return b, nil
}

// place says what a user is to the home tenant: Teams users of the directory are its
// members, those of another issuer belong to the tenant of that name, and everybody
// else, such as an application's user, is external.
func (s *Service) place(b *signaling.Bearer) {
	if u, ok := s.users.Find(b.User); ok {
		b.Groups = u.Groups
		if u.Kind == user.Teams {
			b.Kind = policy.Member
		}
		return
	}
	for _, x := range s.external {
		if x.Kind == user.Teams && strings.HasSuffix(b.User, "@"+x.Name) {
			b.Tenant = x.Name
		}
	}
}

// Valid implements signaling.Verifier.
func (s *Service) Valid(b signaling.Bearer) bool {
	return s.cfg.Now().Before(b.Expires) && s.stands(b) == nil
}

// stands refuses what was revoked, and whose user, application or issuer is gone.
func (s *Service) stands(b signaling.Bearer) error {
	if err := s.revoked.check(b.ID, b.Session, b.User, b.Issued); err != nil {
		return err
	}
	if !s.home(b.User) {
		return token.Refuse(token.Revoked, "its user has been removed or disabled")
	}
	return nil
}

// home says whether a user still has one.
func (s *Service) home(id string) bool {
	if rest, ok := strings.CutPrefix(id, applicationPrefix); ok && !strings.Contains(id, "@") {
		app, _, _ := strings.Cut(rest, ".")
		return (*s.applications.Load())[app] != nil
	}
	for _, x := range s.external {
		if strings.HasSuffix(id, "@"+x.Name) {
			return true
		}
	}
	u, ok := s.users.Find(id)
	return ok && !u.Disabled
}

// postRevoke ends a refresh token with its sign-in and all that came of it, or one
// access token (RFC 7009). What is not a token of ours is as good as revoked.
func (s *Service) postRevoke(w http.ResponseWriter, r *http.Request) {
	e := s.event(r, ActionRevoke)
	f := s.revoke(r, &e)
	if f != nil {
		s.answer(w, e, nil, f)
		return
	}
	e.Allowed = true
	s.emit(e)
	w.WriteHeader(http.StatusOK)
}

func (s *Service) revoke(r *http.Request, e *Event) *fault {
	form, f := readForm(r)
	if f != nil {
		return f
	}
	client, ok := s.clients[form.Get("client_id")]
	if !ok {
		return refuse(http.StatusUnauthorized, codeInvalidClient, "client", "there is no client %q", clip(form.Get("client_id")))
	}
	e.App = client.ID
	raw := form.Get("token")
	if raw == "" {
		return bad("request", "token is missing")
	}
	another := refuse(http.StatusBadRequest, codeUnauthorized, "client", "the token is another client's")
	in, err := s.flow.end(raw, client.ID)
	if err == nil {
		e.User, e.Session, e.Rule, e.Reason = in.user, in.session, "client", "the sign-in ends"
		err = s.revoked.session(in.session)
	} else if errors.Is(err, errRefreshClient) {
		return another
	} else if c := s.anyOwn(r.Context(), raw); c != nil {
		if c.App != client.ID {
			return another
		}
		e.User, e.Session, e.Token, e.Rule, e.Reason = c.Subject, c.Session, c.ID, "client", "the token ends"
		err = s.revoked.token(c.ID)
	} else {
		e.Rule, e.Reason = "client", "there is nothing to revoke"
		return nil
	}
	if err != nil {
		return s.broken(err)
	}
	return nil
}

// anyOwn reads an access token that still is one, of either sort.
func (s *Service) anyOwn(ctx context.Context, raw string) *token.Claims {
	for _, v := range []*token.Verifier{s.access, s.app} {
		if c, err := v.Verify(ctx, raw); err == nil {
			return c
		}
	}
	return nil
}
