package signaling

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"slices"
	"time"
)

// tokenBytes makes a token that cannot be guessed (RFC 6750, section 5.3).
const tokenBytes = 32

// tokenHash is all that is kept of a token. The lookup by it needs no constant
// time: what its timing tells is about the hash, from which no token follows.
type tokenHash [sha256.Size]byte

// grant is one sign-in.
type grant struct {
	hash    tokenHash
	user    *user
	expires time.Time
	bearer  *Bearer // of a token that Config.Verifier accepted, else nil
}

// tokens are the bearer tokens in use: opaque, random, kept as hashes, and valid
// until they expire or newer ones push them out. With Config.Verifier none is
// issued. Controller.mu guards it.
type tokens struct {
	lifetime time.Duration
	perUser  int
	byHash   map[tokenHash]*grant
}

// issue makes a token, and drops the user's expired and surplus ones.
func (t *tokens) issue(u *user, now time.Time, rand io.Reader) (string, time.Time, error) {
	text, err := random(rand, tokenBytes)
	if err != nil {
		return "", time.Time{}, err
	}
	u.grants = slices.DeleteFunc(u.grants, func(g *grant) bool {
		old := !now.Before(g.expires)
		if old {
			delete(t.byHash, g.hash)
		}
		return old
	})
	for len(u.grants) >= t.perUser {
		delete(t.byHash, u.grants[0].hash)
		u.grants = slices.Delete(u.grants, 0, 1)
	}
	g := &grant{hash: sha256.Sum256([]byte(text)), user: u, expires: now.Add(t.lifetime)}
	t.byHash[g.hash] = g
	u.grants = append(u.grants, g)
	return text, g.expires, nil
}

// check returns the grant of a token, or why there is none.
func (t *tokens) check(text string, now time.Time) (*grant, string) {
	hash := tokenHash(sha256.Sum256([]byte(text)))
	g := t.byHash[hash]
	switch {
	case g == nil || subtle.ConstantTimeCompare(hash[:], g.hash[:]) != 1:
		return nil, "the token is unknown, or a newer sign-in has replaced it"
	case !now.Before(g.expires):
		return nil, "the token has expired"
	}
	return g, ""
}

// valid says whether a grant still is one.
func (t *tokens) valid(g *grant, now time.Time) bool {
	return t.byHash[g.hash] == g && now.Before(g.expires)
}
