package signaling

import (
	"fmt"
	"io"

	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// Stats are what there is at a moment.
type Stats struct {
	// Calls are those that have not ended, WebSockets the open ones.
	Calls, WebSockets int
	// Meetings are the meetings and group calls with somebody in them, Present and
	// Waiting the people in them and in their lobbies.
	Meetings, Present, Waiting int
}

// Stats counts what there is now.
func (c *Controller) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s Stats
	for _, u := range c.users {
		s.Calls += len(u.calls) // each call is two users'
		if u.session != nil {
			s.WebSockets++
		}
	}
	s.Calls /= 2
	for _, k := range c.conferences {
		if k.state.Phase == meeting.Started {
			s.Meetings++
		}
		for _, a := range k.state.People {
			if a.Place == policy.Present {
				s.Present++
			} else {
				s.Waiting++
			}
		}
	}
	return s
}

// Drain refuses new calls and meetings with 503 from now on. Those that live go on.
func (c *Controller) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
}

// SetSecret replaces a user's secret. Their sign-ins end: the old secret may have
// become known to somebody. It does nothing when the secret is the one in use.
func (c *Controller) SetSecret(id, secret string) error {
	if n := len(secret); n < minSecret || n > maxSecret {
		return fmt.Errorf("signaling: the secret of %s has %d bytes, wanted %d to %d", id, n, minSecret, maxSecret)
	}
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(c.cfg.Rand, salt); err != nil {
		return fmt.Errorf("signaling: no randomness for the salt of %s: %w", id, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.users[id]
	if u == nil {
		return fmt.Errorf("signaling: there is no user %q", id)
	}
	if u.knows(secret) {
		return nil
	}
	u.salt, u.hash = salt, hashSecret(salt, secret)
	for _, g := range u.grants {
		delete(c.tokens.byHash, g.hash)
	}
	u.grants = nil
	if u.session != nil {
		u.session.end(closeTokenEnded)
	}
	return nil
}
