package signaling

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/callpath/callpath/signaling/meeting/policy"
)

const (
	maxUserID    = 64
	minSecret    = 8
	maxSecret    = 1024
	saltBytes    = 16
	maxKeptCalls = 64 // ended calls of one user
)

// user is somebody who may sign in, with what the controller keeps of them.
// Controller.mu guards all but id, which never changes.
type user struct {
	id, name, client string
	// salt and hash are of the shared secret; a user that a token has brought
	// has none.
	salt, hash []byte
	// tenant, kind and groups are as in Bearer.
	tenant string
	kind   policy.Kind
	groups []string
	// seen is when a token last brought the user.
	seen time.Time

	grants  []*grant // oldest first
	box     mailbox
	repeats repeats
	// session is the WebSocket; absent runs while there is none and the user
	// still counts as present.
	session *session
	absent  *timer
	// reserved is the ID of the user's next call, or empty.
	reserved string
	calls    []*call // not ended, oldest first
	ended    []*call // oldest first

	// turn is for requests that wait; it is no part of what Controller.mu guards.
	turn turn
	// conferences are those that the user is present in or waits for.
	conferences []*conference
	// joins are those that did not let the user in, writes what they write in chats.
	joins, writes budget
}

func newUser(u User, rand io.Reader) (*user, error) {
	if !validUserID(u.ID) {
		return nil, fmt.Errorf(`signaling: User.ID is %q, wanted 1 to %d letters, digits or any of "._-@"`, u.ID, maxUserID)
	}
	if !validClient(u.Client) {
		return nil, fmt.Errorf("signaling: User.Client of %s is %q; valid: acs, teams, pstn", u.ID, u.Client)
	}
	if u.Kind != "" && (u.Kind == policy.Organizers || !slices.Contains(policy.Kinds(), u.Kind)) {
		return nil, fmt.Errorf("signaling: User.Kind of %s is %q; valid: member, guest, trusted, anonymous", u.ID, u.Kind)
	}
	if n := len(u.Secret); n < minSecret || n > maxSecret {
		return nil, fmt.Errorf("signaling: User.Secret of %s has %d bytes, wanted %d to %d", u.ID, n, minSecret, maxSecret)
	}
	known := &user{id: u.ID, name: u.Name, client: u.Client, tenant: u.Tenant, kind: u.Kind, groups: u.Groups,
		salt: make([]byte, saltBytes), turn: newTurn()}
	if u.Kind == "" && u.Tenant == "" && u.Client == string(policy.Teams) {
		known.kind = policy.Member
	}
	if _, err := io.ReadFull(rand, known.salt); err != nil {
		return nil, fmt.Errorf("signaling: no randomness for the salt of %s: %w", u.ID, err)
	}
	known.hash = hashSecret(known.salt, u.Secret)
	return known, nil
}

// stranger stands in for a user who does not exist, so that the answer takes as
// long as for one who does.
var stranger = &user{salt: make([]byte, saltBytes), hash: make([]byte, sha256.Size)}

// knows says whether secret is the user's, in constant time. The hash is a fast
// one: it lives in memory only, and a slow one would let anybody who is not
// signed in keep the controller busy.
func (u *user) knows(secret string) bool {
	return hmac.Equal(u.hash, hashSecret(u.salt, secret)) && u != stranger
}

func hashSecret(salt []byte, secret string) []byte {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(secret))
	return mac.Sum(nil)
}

func validClient(client string) bool { return slices.Contains(policy.Clients(), policy.Client(client)) }

func validUserID(id string) bool {
	if id == "" || len(id) > maxUserID {
		return false
	}
	for _, b := range []byte(id) {
		letter := b|0x20 >= 'a' && b|0x20 <= 'z'
		if !letter && !(b >= '0' && b <= '9') && b != '.' && b != '_' && b != '-' && b != '@' {
			return false
		}
	}
	return true
}

// present says whether the user can be called.
func (u *user) present() bool { return u.session != nil || u.absent != nil }

// watch ends the calls of a user who has no WebSocket and does not get one in
// time. c.mu is held.
func (c *Controller) watch(u *user) {
	if c.closed || u.present() {
		return
	}
	u.absent = c.after(c.cfg.Limits.ReconnectGrace, func() {
		u.absent = nil
		c.lose(u)
	})
}
