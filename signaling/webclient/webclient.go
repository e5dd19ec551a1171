// Package webclient is the page with which people call each other: sign-in, call,
// pictures, and a live panel beside them that shows what ICE, DTLS and SRTP have
// negotiated. It is static files and their handler: all that the page knows comes
// from the issuer of tokens (package identity, or another's), from the signaling
// controller's API (package signaling) and from the browser's own getStats: for
// calls of two, and for meetings and group calls with their lobby and chat.
//
// The page is plain ES modules without a framework and without a build step: what
// stands in static is what browsers get. Start reading at static/main.js, which
// wires the modules; then signin.js (how the page gets its tokens), call.js (one RTCPeerConnection and its negotiation) and
// inspect.js (what getStats says, as the panel shows it); path.js (looks for another path
// when one is lost, in calls and meetings alike); for meetings, meeting.js (the
// same for one with the media processor) and room.js (what is shown of it).
//
// What it follows: W3C WebRTC and its statistics, JSEP (RFC 9429), OpenID Connect
// with PKCE (RFC 7636) and issuer identification (RFC 9207), token exchange
// (RFC 8693), Content Security Policy Level 3, WCAG 2.2 for keyboard and screen
// readers.
package webclient

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// version stands in index.html for the hash of all assets.
const version = "@version@"

// How long answers are kept. An asset's path has the hash of all of them in it, so
// that it never changes; the page itself is asked for again each time.
const (
	forever    = "public, max-age=31536000, immutable"
	revalidate = "no-cache"
)

// contentTypes are those of the files in static. A module that does not say
// text/javascript is not run.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".json": "application/json",
}

// Config says where people sign in. Issuer and Client are required.
type Config struct {
	// Issuer is the https URL of the issuer that the page's own origin serves;
	// its path is where the endpoints are below.
	Issuer string
	// Client is the page's ID there. Its redirect URI is the page's URL.
	Client string
	// ExternalOnly is true when nobody signs in at Issuer itself.
	ExternalOnly bool
	// External are other issuers with which people can sign in, and whose tokens
	// Issuer exchanges.
	External []External
}

// External is another issuer, as the page offers it.
type External struct {
	Name   string `json:"name"`   // for display
	Issuer string `json:"issuer"` // its https URL
	Client string `json:"client"` // the page's ID there
}

// settings are what the page reads of the Config.
type settings struct {
	Issuer       string     `json:"issuer"`
	Path         string     `json:"path"`
	Client       string     `json:"client"`
	ExternalOnly bool       `json:"external_only"`
	External     []External `json:"external"`
}

// pathSettings is where they are.
const pathSettings = "/settings.json"

// asset is one file, ready to be sent.
type asset struct {
	name, contentType, etag, caching string
	body                             []byte
}

// site is the page.
type site struct {
	assets assets
	// issuers are origins that the page may talk to beside its own.
	issuers string
}

// New returns what serves the page at "/" and its assets below "/assets/HASH/". All
// links are relative, so it may be mounted below a prefix with http.StripPrefix; the
// controller's API must be at "/v1/" of the same origin and the issuer's endpoints
// below its path, over HTTPS, without which browsers give no camera. It is safe for
// concurrent use and needs no closing.
func New(cfg Config) (http.Handler, error) {
	own, err := issuerURL("Issuer", cfg.Issuer)
	if err != nil {
		return nil, err
	}
	if cfg.Client == "" {
		return nil, errors.New("webclient: Config.Client is empty, wanted the page's ID at the issuer")
	}
	all, err := load(static)
	if err != nil {
		return nil, err
	}
	s := &site{assets: all}
	for _, x := range cfg.External {
		u, err := issuerURL("External.Issuer of "+x.Name, x.Issuer)
		if err != nil {
			return nil, err
		}
		if x.Client == "" || x.Name == "" {
			return nil, fmt.Errorf("webclient: External %q of %s lacks Client or Name", x.Name, x.Issuer)
		}
		s.issuers += " https://" + strings.ToLower(u.Host)
	}
	if cfg.ExternalOnly && len(cfg.External) == 0 {
		return nil, errors.New("webclient: Config.ExternalOnly is true, and External is empty: nobody could sign in")
	}
	text, err := json.Marshal(settings{Issuer: cfg.Issuer, Path: own.Path, Client: cfg.Client,
		ExternalOnly: cfg.ExternalOnly, External: append([]External{}, cfg.External...)})
	if err != nil {
		return nil, err
	}
	all[pathSettings] = newAsset("settings.json", text, revalidate)
	return s, nil
}

// issuerURL checks what gets into the page's policy.
func issuerURL(field, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || !authority.MatchString(u.Host) || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("webclient: %s is %q, wanted https://HOST or https://HOST/PATH", field, text)
	}
	return u, nil
}

// assets maps paths to what is there; there is no other way to a file.
type assets map[string]*asset

// load reads the files of a tree named static.
func load(tree fs.FS) (assets, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(tree, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if contentTypes[path.Ext(name)] == "" {
			return fmt.Errorf("webclient: %s: no content type is known for %q", name, path.Ext(name))
		}
		files[path.Base(name)], err = fs.ReadFile(tree, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	index, ok := files["index.html"]
	if !ok {
		return nil, fmt.Errorf("webclient: static has no index.html")
	}
	delete(files, "index.html")
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(all, "%s %d\n", name, len(files[name]))
		all.Write(files[name])
	}
	prefix := hash(all.Sum(nil))
	s := assets{}
	for name, body := range files {
		s["/assets/"+prefix+"/"+name] = newAsset(name, body, forever)
	}
	s["/"] = newAsset("index.html", bytes.ReplaceAll(index, []byte(version), []byte(prefix)), revalidate)
	return s, nil
}

func newAsset(name string, body []byte, caching string) *asset {
	sum := sha256.Sum256(body)
	return &asset{name: name, contentType: contentTypes[path.Ext(name)], etag: `"` + hash(sum[:]) + `"`, caching: caching, body: body}
}

// hash is a sum as it stands in URLs and entity tags: 96 bits tell versions apart.
func hash(sum []byte) string { return base64.RawURLEncoding.EncodeToString(sum[:12]) }

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.secure(w.Header(), r.Host)
	a := s.assets[r.URL.Path]
	switch {
	case a == nil:
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "there is no such page", http.StatusNotFound)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "only GET and HEAD are possible here", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Cache-Control", a.caching)
	w.Header().Set("ETag", a.etag)
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(a.body))
}

// authority is what a Host header may hold to stand in a policy (RFC 3986, section
// 3.2.2, as browsers write it).
var authority = regexp.MustCompile(`^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)

// secure sets what every answer carries. The page may run its own scripts and
// styles, talk to its own origin and to the issuers that it was told of, and nothing
// else; no other page may frame it.
func (s *site) secure(h http.Header, host string) {
	connect := "'self'"
	if authority.MatchString(host) {
		// Not every browser counts the WebSocket of the same host as 'self'.
		connect += " wss://" + strings.ToLower(host)
	}
	connect += s.issuers
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src "+connect+"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "+
		"require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(self), microphone=(self), geolocation=(), display-capture=(self)")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}
