package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/identity/access"
	"github.com/callpath/callpath/signaling/identity/keys"
	"github.com/callpath/callpath/signaling/identity/store"
	"github.com/callpath/callpath/signaling/identity/token"
	"github.com/callpath/callpath/signaling/identity/user"
)

// ScopeChat is the scope of chat, as signaling.ScopeVoIP is that of calls.
const ScopeChat = "chat"

// allScopes are those of access tokens.
var allScopes = []string{signaling.ScopeVoIP, ScopeChat}

// Config configures a Service. Issuer is required.
type Config struct {
	// Issuer is the issuer's URL, https, as everybody reaches it. It stands in
	// every token: changing it ends them all.
	Issuer string
	// Resource is the audience of ACS access tokens; "callpath". It must not be
	// a client's ID.
	Resource string
	// Users sign in here. SetUsers replaces them.
	Users []user.User
	// Clients are the applications through which users sign in.
	Clients []Client
	// Applications get access tokens for ACS users of their own. SetApplications
	// replaces them.
	Applications []Application
	// External are other issuers whose tokens are exchanged.
	External []External
	// Rules are conditional access. SetRules replaces them.
	Rules []access.Rule
	// Store keeps keys, revocations and used codes; in memory only when nil.
	Store     store.Store
	Lifetimes Lifetimes
	Limits    Limits
	// OnEvent, when set, gets every security decision. It may be called from
	// several goroutines at once, must return soon and must not call the
	// Service.
	OnEvent func(Event)
	Log     *slog.Logger // slog.Default when nil
	// EventLog gets a record of each event; Log does when it is nil.
	EventLog *slog.Logger
	Now      func() time.Time // time.Now when nil
}

// Client is a public client (RFC 6749, section 2.1): a page or a program that can
// keep no secret, and proves by PKCE that a code is its own.
type Client struct {
	ID string `yaml:"id" json:"id"`
	// RedirectURIs are where a sign-in may lead back to, each compared byte by
	// byte. Pages of their origins may call the endpoints from a browser.
	RedirectURIs []string `yaml:"redirect-uris" json:"redirect-uris"`
	// FirstParty lets the client take passwords itself (POST /identity/sign-in):
	// for our own command line and for tests.
	FirstParty bool `yaml:"first-party" json:"first-party"`
}

// Application is a server that has ACS users of its own.
type Application struct {
	// ID is 1 to 32 small letters, digits or "-".
	ID string `yaml:"id" json:"id"`
	// Secret is its credential: 32 bytes or more, random. Only a hash is kept.
	Secret string `yaml:"secret" json:"secret"`
	// Scopes are what its users may have; voip and chat when empty.
	Scopes []string `yaml:"scopes" json:"scopes"`
}

// External is another issuer.
type External struct {
	// Name is 1 to 20 small letters, digits, "." or "-". Its users are called
	// SUBJECT@NAME here, or by a hash where that is too long, so that no issuer
	// can name another's users.
	Name string `yaml:"name" json:"name"`
	// Issuer is its https URL.
	Issuer string `yaml:"issuer" json:"issuer"`
	// Audiences are what its tokens must be for: the application's IDs there.
	Audiences []string `yaml:"audiences" json:"audiences"`
	// Algorithms are those that it may sign with; RS256 and ES256 when empty.
	Algorithms []string `yaml:"algorithms" json:"algorithms"`
	// Kind is what its users are: teams when empty, or acs.
	Kind string `yaml:"kind" json:"kind"`
	// Claim names the user: sub when empty, or oid, which Entra keeps the same
	// for all applications. Nothing that a user can change will do.
	Claim string `yaml:"claim" json:"claim"`
	// Scopes are what its users may have; voip and chat when empty.
	Scopes []string `yaml:"scopes" json:"scopes"`
	// HTTP fetches its keys; see token.RemoteConfig.
	HTTP *http.Client `yaml:"-" json:"-"`
}

// Lifetimes are how long things last. A zero field takes its default.
type Lifetimes struct {
	// Code is from the sign-in to the exchange of its code; 1 minute.
	Code time.Duration
	// Token is of ID tokens and application tokens; 15 minutes.
	Token time.Duration
	// Session is how long a sign-in can be refreshed; 12 hours.
	Session time.Duration
	// Access is of ACS access tokens, and what an application gets when it asks
	// for nothing else; 1 hour.
	Access time.Duration
	// MaxAccess is the most that an application can ask for; 24 hours.
	MaxAccess time.Duration
	// Key and Publish are how long a key signs and how long before it is
	// published; 30 days and 24 hours.
	Key, Publish time.Duration
}

// Limits bound what others may use. A zero field takes its default.
type Limits struct {
	// Passwords are wrong ones for one user from one network in a minute; 10.
	Passwords int
	// Codes are wrong one-time codes for one user in 15 minutes, whose password
	// was right; 5.
	Codes int
	// SignIns are all tries from one network in a minute; 300.
	SignIns int
	// Sessions are the sign-ins of one user that can be refreshed, the oldest
	// being dropped; 16.
	Sessions int
	// Body is the largest request body in bytes; 16 KiB.
	Body int64
	// Hashing is how many passwords are checked at once; 2.
	Hashing int
}

// Service is the issuer and the verifier. It is safe for concurrent use; it has no
// goroutine of its own.
type Service struct {
	cfg     Config
	base    *url.URL
	handler http.Handler
	users   *user.Directory
	keys    *keys.Ring
	policy  atomic.Pointer[access.Policy]
	revoked *revocations
	flow    flow

	clients      map[string]Client
	applications atomic.Pointer[map[string]*application]
	external     map[string]*external // by issuer
	origins      map[string]bool

	access  *token.Verifier // of ACS access tokens
	app     *token.Verifier // of application tokens: those of the Entra kind
	idToken *token.Verifier

	passwords, codes, signIns, secrets throttle
}

// application is an Application without its secret.
type application struct {
	id     string
	hash   []byte
	scopes []string
}

// external is an External with its verifier.
type external struct {
	External
	remote   *token.Remote
	verifier *token.Verifier
}

var _ signaling.Verifier = (*Service)(nil)

// New checks cfg, and makes or loads the keys.
func New(cfg Config) (*Service, error) {
	base, err := url.Parse(cfg.Issuer)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil || strings.HasSuffix(base.Path, "/") {
		return nil, fmt.Errorf("identity: Config.Issuer is %q, wanted https://HOST or https://HOST/PATH", cfg.Issuer)
	}
	if err := errors.Join(cfg.Lifetimes.complete(), cfg.Limits.complete()); err != nil {
		return nil, err
	}
	if cfg.Resource == "" {
		cfg.Resource = "callpath"
	}
	if cfg.Store == nil {
		cfg.Store = &store.Memory{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.EventLog == nil {
		cfg.EventLog = cfg.Log
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Service{
		cfg: cfg, base: base,
		clients:  map[string]Client{},
		external: map[string]*external{}, origins: map[string]bool{},
		passwords: throttle{limit: cfg.Limits.Passwords, window: time.Minute},
		codes:     throttle{limit: cfg.Limits.Codes, window: 15 * time.Minute},
		signIns:   throttle{limit: cfg.Limits.SignIns, window: time.Minute},
		secrets:   throttle{limit: cfg.Limits.Passwords, window: time.Minute},
	}
	for _, part := range []func() error{s.addClients, s.addExternal, s.open} {
		if err := part(); err != nil {
			_ = s.Close()
			return nil, err
		}
	}
	s.cfg.Users, s.cfg.Applications = nil, nil // they hold secrets
	s.handler = s.routes()
	return s, nil
}

// open makes what has state.
func (s *Service) open() (err error) {
	cfg := s.cfg
	if err = errors.Join(s.SetRules(cfg.Rules), s.SetApplications(cfg.Applications)); err != nil {
		return err
	}
	if s.users, err = user.New(user.Config{Store: cfg.Store, Hashing: cfg.Limits.Hashing, Now: cfg.Now}); err != nil {
		return err
	}
	if err = s.SetUsers(cfg.Users); err != nil {
		return err
	}
	longest := max(cfg.Lifetimes.Access, cfg.Lifetimes.MaxAccess, cfg.Lifetimes.Token, cfg.Lifetimes.Session) + time.Hour
	if s.revoked, err = openRevocations(cfg.Store, cfg.Now, longest); err != nil {
		return err
	}
	s.keys, err = keys.Open(keys.Config{
		Store: cfg.Store, Period: cfg.Lifetimes.Key, Publish: cfg.Lifetimes.Publish, Keep: longest, Now: cfg.Now,
		OnChange: func(kid, what string) {
			s.emit(Event{Action: ActionKey, Allowed: true, Rule: "rotation", Token: kid, Reason: what})
		},
	})
	if err != nil {
		return err
	}
	s.flow.init(cfg.Limits.Sessions)
	clients := []string{}
	for id := range s.clients {
		clients = append(clients, id)
	}
	if len(clients) == 0 {
		// A token of the issuer's own is then for nobody.
		clients = []string{"no client is configured"}
	}
	for _, v := range []struct {
		verifier  **token.Verifier
		audiences []string
		typ       string
	}{
		{&s.access, []string{cfg.Resource}, token.TypeAccess},
		{&s.app, clients, token.TypeAccess},
		{&s.idToken, clients, token.TypeID},
	} {
		*v.verifier, err = token.NewVerifier(token.Config{Issuer: cfg.Issuer, Audiences: v.audiences, Keys: s.keys, Type: v.typ, Now: cfg.Now})
		if err != nil {
			return err
		}
	}
	return nil
}

// SetUsers replaces the users who sign in here. Tokens of those who are gone or
// disabled are refused from then on.
func (s *Service) SetUsers(users []user.User) error {
	for _, u := range users {
		if strings.HasPrefix(u.ID, applicationPrefix) {
			return fmt.Errorf("identity: user %q: IDs that begin with %q are the applications'", u.ID, applicationPrefix)
		}
		for _, x := range s.external {
			if strings.HasSuffix(u.ID, "@"+x.Name) {
				return fmt.Errorf("identity: user %q: IDs that end with %q are those of %s", u.ID, "@"+x.Name, x.Issuer)
			}
		}
	}
	return s.users.Set(users)
}

// SetRules replaces conditional access. The rules are asked at the next sign-in,
// refresh or exchange: access tokens that were given out stand.
func (s *Service) SetRules(rules []access.Rule) error {
	policy, err := access.New(rules)
	if err != nil {
		return err
	}
	s.policy.Store(policy)
	return nil
}

// RevokeUser ends all tokens and sign-ins of a user: one who signs in here,
// another issuer's, or an application's.
func (s *Service) RevokeUser(id string) error {
	s.flow.endUser(id)
	if err := s.revoked.user(id); err != nil {
		return err
	}
	s.emit(Event{Action: ActionRevoke, Allowed: true, Rule: "operator", User: id, Reason: "all tokens of the user end"})
	return nil
}

// Keys are the signing keys, to rotate or withdraw them by hand.
func (s *Service) Keys() *keys.Ring { return s.keys }

// Handler serves the endpoints, at the paths that Paths names.
func (s *Service) Handler() http.Handler { return s.handler }

// Paths are the patterns for http.ServeMux at which Handler is to be mounted.
func (s *Service) Paths() []string {
	return []string{s.base.Path + discoveryPath, s.base.Path + "/oauth2/", s.base.Path + "/identity/"}
}

// Close closes idle connections to other issuers.
func (s *Service) Close() error {
	var errs []error
	for _, x := range s.external {
		errs = append(errs, x.remote.Close())
	}
	return errors.Join(errs...)
}

func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// is says whether secret is the application's, in constant time. The hash is a
// fast one: the secret is random, and long.
func (a *application) is(secret string) bool { return hmac.Equal(a.hash, hashSecret(secret)) }

// nonceLength is how long the text of nonce is, in bytes.
const nonceLength = 26

// nonce is text that cannot be guessed: 130 bits in base32.
func nonce() string { return rand.Text() }

func contains(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}
