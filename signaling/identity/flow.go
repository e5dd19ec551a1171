package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// stepLifetime is from the password to the one-time code.
	stepLifetime = 5 * time.Minute
	// codeMemory is how long a used code is known as used (RFC 6749, section
	// 4.1.2), beyond its own lifetime.
	codeMemory = 10 * time.Minute
	// maxFlow bounds codes, steps and sessions each. All of them come after a
	// right password.
	maxFlow = 10_000
)

// signIn is one sign-in: who, how, when, and through which client.
type signIn struct {
	user    string
	client  string
	factors []string
	at      time.Time
	// session names it in every token that comes of it.
	session string
	scope   []string
}

// code is an authorization code, kept by its hash.
type code struct {
	signIn
	redirect, challenge, nonce string
	expires, forget            time.Time
	used                       bool
}

// step is a sign-in whose password was right and whose one-time code is wanted.
type step struct {
	user, client string
	expires      time.Time
}

// session is a sign-in that can be refreshed. The number of its refresh token
// counts up: an older one that comes again has been stolen, or the newer one has
// (RFC 9700, section 4.14.2).
type session struct {
	signIn
	expires time.Time
	count   uint64
}

// flow is what is under way. It does not outlive a restart: users then sign in
// again, while their access tokens stand.
type flow struct {
	key      []byte // of refresh tokens
	perUser  int
	mu       sync.Mutex
	codes    map[[sha256.Size]byte]*code
	steps    map[string]*step
	sessions map[string]*session
	ofUser   map[string][]string // their sessions, oldest first
}

func (f *flow) init(perUser int) {
	f.key = make([]byte, 32)
	rand.Read(f.key)
	f.perUser = perUser
	f.codes, f.steps = map[[sha256.Size]byte]*code{}, map[string]*step{}
	f.sessions, f.ofUser = map[string]*session{}, map[string][]string{}
}

var errFlowFull = errors.New("identity: too many sign-ins are under way")

// room drops what has ended from a full map, and says whether there is room then.
func room[K comparable, V any](m map[K]V, ended func(V) bool) bool {
	if len(m) < maxFlow {
		return true
	}
	for k, v := range m {
		if ended(v) {
			delete(m, k)
		}
	}
	return len(m) < maxFlow
}

func (f *flow) addCode(c *code, now time.Time) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !room(f.codes, func(c *code) bool { return !now.Before(c.forget) }) {
		return "", errFlowFull
	}
	text := nonce()
	f.codes[sha256.Sum256([]byte(text))] = c
	return text, nil
}

// takeCode returns a code and marks it as used; again is true when it was.
func (f *flow) takeCode(text string, now time.Time) (c code, again, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.codes[sha256.Sum256([]byte(text))]
	if found == nil || !now.Before(found.forget) {
		return code{}, false, false
	}
	again, found.used = found.used, true
	return *found, again, true
}

func (f *flow) addStep(s *step, now time.Time) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !room(f.steps, func(s *step) bool { return !now.Before(s.expires) }) {
		return "", errFlowFull
	}
	id := nonce()
	f.steps[id] = s
	return id, nil
}

func (f *flow) findStep(id string, now time.Time) (step, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.steps[id]
	if s == nil || !now.Before(s.expires) {
		return step{}, false
	}
	return *s, true
}

func (f *flow) endStep(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.steps, id)
}

// addSession keeps a sign-in and returns its first refresh token.
func (f *flow) addSession(in signIn, expires, now time.Time) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sessions) >= maxFlow {
		for _, s := range f.sessions {
			if !now.Before(s.expires) {
				f.drop(s)
			}
		}
		if len(f.sessions) >= maxFlow {
			return "", errFlowFull
		}
	}
	for mine := f.ofUser[in.user]; len(mine) >= f.perUser; mine = f.ofUser[in.user] {
		f.drop(f.sessions[mine[0]])
	}
	s := &session{signIn: in, expires: expires}
	f.sessions[in.session] = s
	f.ofUser[in.user] = append(f.ofUser[in.user], in.session)
	return f.refreshToken(s), nil
}

// drop forgets a session. f.mu is held.
func (f *flow) drop(s *session) {
	delete(f.sessions, s.session)
	rest := slices.DeleteFunc(f.ofUser[s.user], func(id string) bool { return id == s.session })
	if f.ofUser[s.user] = rest; len(rest) == 0 {
		delete(f.ofUser, s.user)
	}
}

// refreshToken is of the session, a number, and a seal that shows them to be ours.
func (f *flow) refreshToken(s *session) string {
	text := fmt.Sprintf("%s.%d", s.session, s.count)
	return text + "." + f.seal(text)
}

func (f *flow) seal(text string) string {
	mac := hmac.New(sha256.New, f.key)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// parseRefresh returns what a refresh token of ours names.
func (f *flow) parseRefresh(text string) (id string, count uint64, ok bool) {
	at := strings.LastIndexByte(text, '.')
	if at < 0 || len(text) > 256 || !hmac.Equal([]byte(f.seal(text[:at])), []byte(text[at+1:])) {
		return "", 0, false
	}
	id, number, _ := strings.Cut(text[:at], ".")
	count, err := strconv.ParseUint(number, 10, 64)
	return id, count, err == nil
}

// The outcomes of a refresh.
var (
	errRefreshUnknown = errors.New("the refresh token is unknown, or its sign-in has ended")
	errRefreshClient  = errors.New("the refresh token is another client's")
	errRefreshReused  = errors.New("the refresh token has been used before; its sign-in has been ended")
)

// refresh returns the sign-in of a refresh token, and the token that replaces it.
// With errRefreshReused the sign-in is returned, too.
func (f *flow) refresh(text, client string, now time.Time) (in signIn, next string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, count, ok := f.parseRefresh(text)
	s := f.sessions[id]
	switch {
	case !ok || s == nil || !now.Before(s.expires):
		return signIn{}, "", errRefreshUnknown
	case s.client != client:
		return signIn{}, "", errRefreshClient
	case count != s.count:
		f.drop(s)
		return s.signIn, "", errRefreshReused
	}
	s.count++
	return s.signIn, f.refreshToken(s), nil
}

// end forgets the session of a refresh token; it may be an old one.
func (f *flow) end(text, client string) (signIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, _, ok := f.parseRefresh(text)
	s := f.sessions[id]
	switch {
	case !ok || s == nil:
		return signIn{}, errRefreshUnknown
	case s.client != client:
		return signIn{}, errRefreshClient
	}
	f.drop(s)
	return s.signIn, nil
}

func (f *flow) endSession(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sessions[id]; s != nil {
		f.drop(s)
	}
}

// endUser forgets all that is under way for a user.
func (f *flow) endUser(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, session := range slices.Clone(f.ofUser[id]) {
		f.drop(f.sessions[session])
	}
	for hash, c := range f.codes {
		if c.user == id {
			delete(f.codes, hash)
		}
	}
	for key, s := range f.steps {
		if s.user == id {
			delete(f.steps, key)
		}
	}
}
