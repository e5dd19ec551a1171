package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

const discoveryPath = "/.well-known/openid-configuration"

// route is one path with its methods. A page of any client's origin may read the
// answer when cors is set: nothing there goes by cookies.
type route struct {
	path    string
	cors    bool
	methods map[string]http.HandlerFunc
}

func (s *Service) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range []route{
		{discoveryPath, true, map[string]http.HandlerFunc{"GET": s.getDiscovery}},
		{"/oauth2/jwks", true, map[string]http.HandlerFunc{"GET": s.getKeys}},
		{"/oauth2/authorize", false, map[string]http.HandlerFunc{"GET": s.getAuthorize, "POST": s.postAuthorize}},
		{"/oauth2/token", true, map[string]http.HandlerFunc{"POST": s.postToken}},
		{"/oauth2/revoke", true, map[string]http.HandlerFunc{"POST": s.postRevoke}},
		{"/oauth2/userinfo", true, map[string]http.HandlerFunc{"GET": s.userInfoEndpoint, "POST": s.userInfoEndpoint}},
		{"/identity/sign-in", true, map[string]http.HandlerFunc{"POST": s.postSignIn}},
		{"/identity/users", false, map[string]http.HandlerFunc{"POST": s.postUsers}},
		{"/identity/users/{id}/token", false, map[string]http.HandlerFunc{"POST": s.postUserToken}},
		{"/identity/users/{id}/revoke", false, map[string]http.HandlerFunc{"POST": s.postUserRevoke}},
	} {
		var allow []string
		for method := range r.methods {
			allow = append(allow, method)
		}
		slices.Sort(allow)
		mux.HandleFunc(s.base.Path+r.path, func(w http.ResponseWriter, req *http.Request) {
			if r.cors && s.cors(w, req, allow) {
				return
			}
			method := req.Method
			if method == http.MethodHead {
				method = http.MethodGet
			}
			do := r.methods[method]
			if do == nil {
				w.Header().Set("Allow", strings.Join(allow, ", "))
				refuse(http.StatusMethodNotAllowed, codeMethod, "", "%s is not possible here", clip(req.Method)).send(w)
				return
			}
			do(w, req)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(http.StatusNotFound, codeNotFound, "", "there is nothing of that name").send(w)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if path.Clean(r.URL.Path) != r.URL.Path {
			refuse(http.StatusNotFound, codeNotFound, "", "the path is not in its shortest form").send(w)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.Limits.Body)
		mux.ServeHTTP(w, r)
	})
}

// secure sets what every response carries; the sign-in page has its own policy.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// cors lets pages of the clients' origins read an answer, without cookies. It is
// true when the request was a preflight, and has been answered.
func (s *Service) cors(w http.ResponseWriter, r *http.Request, allow []string) bool {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if s.origins[origin] {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if preflight {
			w.Header().Set("Access-Control-Allow-Methods", strings.Join(allow, ", "))
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			w.Header().Set("Access-Control-Max-Age", "600")
		}
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
	}
	return preflight
}

// event begins the audit of a request.
func (s *Service) event(r *http.Request, a Action) Event {
	return Event{Action: a, Remote: r.RemoteAddr}
}

// answer sends what a request came to, and makes its one record.
func (s *Service) answer(w http.ResponseWriter, e Event, out any, f *fault) {
	if f != nil {
		s.emit(f.audit(e))
		f.send(w)
		return
	}
	e.Allowed = true
	s.emit(e)
	if out == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	sendJSON(w, http.StatusOK, out)
}

// remote is the address of a request, not valid when the server gave another form.
func remote(r *http.Request) netip.AddrPort {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at
}

func readBody(r *http.Request, kind string) ([]byte, *fault) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != kind {
		return nil, refuse(http.StatusUnsupportedMediaType, codeMediaType, "request", "Content-Type is %q, wanted %s", clip(r.Header.Get("Content-Type")), kind)
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refuse(http.StatusRequestEntityTooLarge, codeTooLarge, "request", "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, codeTimeout, "slow-body", "the body came too slowly")
	case err != nil:
		return nil, bad("request", "the body cannot be read")
	case !utf8.Valid(body):
		return nil, bad("request", "the body is not valid UTF-8")
	}
	return body, nil
}

// readJSON is strict: one object, nothing unknown.
func readJSON(r *http.Request, v any) *fault {
	body, f := readBody(r, "application/json")
	if f != nil {
		return f
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		// The parser's words may hold a password.
		return bad("request", "the body is not the JSON that is wanted")
	}
	if _, err := d.Token(); err != io.EOF {
		return bad("request", "the body goes on after its JSON value")
	}
	return nil
}

// readForm takes each parameter once (RFC 6749, section 3.2).
func readForm(r *http.Request) (url.Values, *fault) {
	body, f := readBody(r, "application/x-www-form-urlencoded")
	if f != nil {
		return nil, f
	}
	return parseForm(string(body))
}

func parseForm(text string) (url.Values, *fault) {
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, bad("request", "the parameters are not form-encoded")
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, bad("request", "the parameter %q is there %d times", clip(name), len(values))
		}
	}
	return form, nil
}

func bearer(h http.Header) string {
	scheme, text, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(text)
}

// clip shortens what came from outside.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
