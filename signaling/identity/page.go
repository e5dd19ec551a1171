package identity

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is the sign-in page. It works without a script.
type page struct {
	Title   string
	Problem string // in words, when there is one
	// Action is where the form goes; there is no form when it is empty. Fields
	// are what it carries, Secret what ties it to the browser, Step what ties
	// the one-time code to the password.
	Action string
	Fields [][2]string
	Secret string
	Step   string
	User   string
	// Nonce lets the page's own style pass its policy.
	Nonce string

	back string // the redirect URI, to which the form's answer may lead
	code string // the authorization code, once signed in
}

// page shows p. Its policy lets nothing in but its own style, and nothing out but
// the form, to us and by our redirect to the client (CSP 3: form-action covers the
// redirects after it, too).
func (s *Service) page(w http.ResponseWriter, status int, p page) {
	p.Nonce = nonce()
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		s.broken(err).send(w)
		return
	}
	action := ""
	if u, err := url.Parse(p.back); err == nil && p.back != "" {
		action = " " + u.Scheme + "://" + u.Host
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; form-action 'self'"+action+"; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
