package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/callpath/callpath/signaling/identity/store"
	"github.com/callpath/callpath/signaling/identity/token"
)

// maxRevocations bounds the list; expired ones make room.
const maxRevocations = 10_000

// revocations are what ends tokens before their time: a token's own, a sign-in's,
// or all of a user's up to a moment. Each is kept until the last token that it
// could concern has expired, over restarts, too.
type revocations struct {
	store store.Store
	now   func() time.Time
	// keep is the life of the longest token.
	keep time.Duration

	mu  sync.Mutex
	all revoked
}

// revoked is the document in the store.
type revoked struct {
	Tokens   map[string]time.Time `json:"tokens"`   // until when it is kept
	Sessions map[string]time.Time `json:"sessions"` // until when it is kept
	Users    map[string]cutoff    `json:"users"`
}

// cutoff ends the tokens of a user that were issued until a moment, in
// milliseconds of Unix time: a sign-in in the same second stands.
type cutoff struct {
	Moment int64     `json:"moment"`
	Until  time.Time `json:"until"`
}

const revocationsDocument = "revocations"

func openRevocations(s store.Store, now func() time.Time, keep time.Duration) (*revocations, error) {
	r := &revocations{store: s, now: now, keep: keep}
	data, err := s.Load(revocationsDocument)
	if err == nil {
		err = json.Unmarshal(data, &r.all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// Without them revoked tokens would be good again.
		return nil, fmt.Errorf("identity: revocations: %w", err)
	}
	if r.all.Tokens == nil {
		r.all.Tokens = map[string]time.Time{}
	}
	if r.all.Sessions == nil {
		r.all.Sessions = map[string]time.Time{}
	}
	if r.all.Users == nil {
		r.all.Users = map[string]cutoff{}
	}
	return r, nil
}

// token, session and user revoke. The error means that the revocation may not
// outlive a restart, or that there are too many.
func (r *revocations) token(id string) error {
	return r.change(func(until time.Time) { r.all.Tokens[id] = until })
}

func (r *revocations) session(id string) error {
	return r.change(func(until time.Time) { r.all.Sessions[id] = until })
}

func (r *revocations) user(id string) error {
	return r.change(func(until time.Time) {
		moment := r.now().UnixMilli()
		// Tokens may have been given moments that were not yet there.
		moment = max(moment, r.all.Users[id].Moment+1)
		r.all.Users[id] = cutoff{Moment: moment, Until: until}
	})
}

func (r *revocations) change(do func(until time.Time)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for _, m := range []map[string]time.Time{r.all.Tokens, r.all.Sessions} {
		for id, until := range m {
			if !now.Before(until) {
				delete(m, id)
			}
		}
	}
	for id, c := range r.all.Users {
		if !now.Before(c.Until) {
			delete(r.all.Users, id)
		}
	}
	if len(r.all.Tokens)+len(r.all.Sessions)+len(r.all.Users) >= maxRevocations {
		return fmt.Errorf("identity: there are %d revocations, which is as many as are kept", maxRevocations)
	}
	do(now.Add(r.keep))
	data, err := json.Marshal(r.all)
	if err == nil {
		err = r.store.Save(revocationsDocument, data)
	}
	if err != nil {
		return fmt.Errorf("identity: a revocation is not saved: %w", err)
	}
	return nil
}

// moment is when a new token of a user's is issued: after any cutoff.
func (r *revocations) moment(user string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if c, ok := r.all.Users[user]; ok && now.UnixMilli() <= c.Moment {
		return time.UnixMilli(c.Moment + 1)
	}
	return now
}

// check refuses what is revoked.
func (r *revocations) check(id, session, user string, issued time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, cut := r.all.Users[user]
	switch {
	case has(r.all.Tokens, id):
		return token.Refuse(token.Revoked, "it has been revoked")
	case has(r.all.Sessions, session):
		return token.Refuse(token.Revoked, "its sign-in has been revoked")
	case cut && issued.UnixMilli() <= c.Moment:
		return token.Refuse(token.Revoked, "all tokens of its user up to then have been revoked")
	}
	return nil
}

func has(m map[string]time.Time, id string) bool {
	_, ok := m[id]
	return ok && id != ""
}
