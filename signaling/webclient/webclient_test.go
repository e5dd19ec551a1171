package webclient_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/webclient"
)

// get asks the handler for a path as it stands, without a client's cleaning of it.
func get(t *testing.T, target string, change func(*http.Request)) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://callpath.test/", nil)
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.RequestURI = u, target
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	handler(t, webclient.Config{Issuer: "https://callpath.test/calls", Client: "web"}).ServeHTTP(w, r)
	return w.Result()
}

func handler(t *testing.T, cfg webclient.Config) http.Handler {
	t.Helper()
	h, err := webclient.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var link = regexp.MustCompile(`(?:src|href)="(assets/[^"]+)"`)

// links are the paths of the assets that the page names.
func links(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, m := range link.FindAllStringSubmatch(body(t, get(t, "/", nil)), -1) {
		found = append(found, "/"+m[1])
	}
	return found
}

func TestThePageIsAskedForAgainAndItsAssetsAreKept(t *testing.T) {
	page := get(t, "/", nil)
	if page.StatusCode != http.StatusOK || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the page: status %d, type %q", page.StatusCode, page.Header.Get("Content-Type"))
	}
	if got := page.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("the page: Cache-Control %q, wanted no-cache", got)
	}
	again := get(t, "/", func(r *http.Request) { r.Header.Set("If-None-Match", page.Header.Get("ETag")) })
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("the page that the client has: status %d, wanted 304", again.StatusCode)
	}
	assets := links(t)
	if len(assets) != 3 {
		t.Fatalf("the page names %v, wanted icon, style and main module", assets)
	}
	for _, a := range assets {
		r := get(t, a, nil)
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", a, r.StatusCode)
		}
		if got := r.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", a, got)
		}
	}
}

// Modules name each other by relative paths, below the hash of all of them.
func TestEveryModuleAndElementThatIsNamedIsThere(t *testing.T) {
	imports := regexp.MustCompile(`from '\./([^']+)'`)
	ids := regexp.MustCompile(`byId\('([^']+)'\)`)
	page := body(t, get(t, "/", nil))
	main := links(t)[slices.IndexFunc(links(t), func(l string) bool { return strings.HasSuffix(l, "main.js") })]
	want := []string{"main.js"}
	checked := map[string]bool{}
	for len(want) > 0 {
		name := want[0]
		want = want[1:]
		if checked[name] {
			continue
		}
		checked[name] = true
		r := get(t, path.Dir(main)+"/"+name, nil)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Fatalf("%s: status %d, type %q", name, r.StatusCode, r.Header.Get("Content-Type"))
		}
		source := body(t, r)
		for _, m := range imports.FindAllStringSubmatch(source, -1) {
			want = append(want, m[1])
		}
		for _, m := range ids.FindAllStringSubmatch(source, -1) {
			if !strings.Contains(page, ` id="`+m[1]+`"`) {
				t.Errorf("%s uses the element %q, which the page does not have", name, m[1])
			}
		}
	}
	files, err := os.ReadDir("static")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if path.Ext(f.Name()) == ".js" && !checked[f.Name()] {
			t.Errorf("%s is in no page", f.Name())
		}
	}
}

func TestThePolicyAllowsNothingInlineAndNothingForeign(t *testing.T) {
	for _, target := range []string{"/", links(t)[0], "/none"} {
		h := get(t, target, nil).Header
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
				"connect-src 'self' wss://callpath.test; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
				"require-trusted-types-for 'script'; trusted-types 'none'",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Permissions-Policy":           "camera=(self), microphone=(self), geolocation=(), display-capture=(self)",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, wanted %q", target, name, got, want)
			}
		}
	}
	// What the policy forbids must not be in the page.
	page := body(t, get(t, "/", nil))
	for name, pattern := range map[string]string{
		"an inline script":  `<script[^>]*>[^<]`,
		"an inline style":   `<style|\sstyle=`,
		"an event handler":  `\son[a-z]+=`,
		"a foreign address": `(?:src|href)="(?:https?:)?//`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("the page has %s: %q", name, found)
		}
	}
}

func TestOnlyAHostNameGetsIntoThePolicy(t *testing.T) {
	for host, want := range map[string]string{
		"Localhost:8443":           "connect-src 'self' wss://localhost:8443;",
		"[::1]:8443":               "connect-src 'self' wss://[::1]:8443;",
		"192.0.2.1":                "connect-src 'self' wss://192.0.2.1;",
		"a; script-src *":          "connect-src 'self';",
		"evil.example *":           "connect-src 'self';",
		"*":                        "connect-src 'self';",
		"*.example":                "connect-src 'self';",
		"a.example/path":           "connect-src 'self';",
		"a.example:port":           "connect-src 'self';",
		strings.Repeat("a", 2_000): "connect-src 'self';",
		"":                         "connect-src 'self';",
	} {
		r := get(t, "/", func(r *http.Request) { r.Host = host })
		if policy := r.Header.Get("Content-Security-Policy"); !strings.Contains(policy, want) {
			t.Errorf("host %.40q: the policy is %q, wanted it to have %q", host, policy, want)
		}
	}
}

func TestNothingElseCanBeRead(t *testing.T) {
	main := links(t)[2]
	for _, target := range []string{
		"/index.html", "/static/index.html", "/main.js", "/assets/", "/assets/main.js", "/assets/old/main.js",
		path.Dir(main), path.Dir(main) + "/", path.Dir(main) + "/index.html", path.Dir(main) + "/../main.js",
		"/../webclient.go", "/..%2fwebclient.go", "/assets/..%2f..%2fwebclient.go", "/assets/../../../../etc/passwd",
		"/%2e%2e/webclient.go", "//", "/./", main + "/", main + "%00", strings.ToUpper(main), `/assets/..\..\webclient.go`,
	} {
		r := get(t, target, nil)
		if r.StatusCode != http.StatusNotFound || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, Cache-Control %q, wanted 404 and no-store", target, r.StatusCode, r.Header.Get("Cache-Control"))
		}
		if text := body(t, r); text != "there is no such page\n" {
			t.Errorf("%s: got %q", target, text)
		}
	}
}

func TestOnlyReadingIsPossible(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		r := get(t, "/", func(r *http.Request) { r.Method = method })
		if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
	r := get(t, "/", func(r *http.Request) { r.Method = http.MethodHead })
	if r.StatusCode != http.StatusOK || body(t, r) != "" {
		t.Errorf("HEAD: status %d, wanted 200 without a body", r.StatusCode)
	}
}

func TestThePageIsToldWhereToSignIn(t *testing.T) {
	r := get(t, "/settings.json", nil)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("status %d, header %v", r.StatusCode, r.Header)
	}
	if got, want := body(t, r), `{"issuer":"https://callpath.test/calls","path":"/calls","client":"web","external_only":false,"external":[]}`; got != want {
		t.Errorf("got %s, wanted %s", got, want)
	}
}

// Only the origin of an issuer that is configured gets into the policy.
func TestAnotherIssuerMayBeAskedWhenItIsConfigured(t *testing.T) {
	h := handler(t, webclient.Config{Issuer: "https://callpath.test", Client: "web", External: []webclient.External{
		{Name: "contoso", Issuer: "https://Login.Contoso.example/tenant/v2.0", Client: "abc"}}})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://callpath.test/", nil))
	if policy := w.Result().Header.Get("Content-Security-Policy"); !strings.Contains(policy, "connect-src 'self' wss://callpath.test https://login.contoso.example; ") {
		t.Errorf("the policy is %q", policy)
	}
}

func TestConfigurationsThatAreRefusedByName(t *testing.T) {
	const good = "https://callpath.test"
	for want, cfg := range map[string]webclient.Config{
		`Issuer is ""`:            {Client: "web"},
		`Issuer is "http://x"`:    {Issuer: "http://x", Client: "web"},
		`Issuer is "https://*"`:   {Issuer: "https://*", Client: "web"},
		"Config.Client":           {Issuer: good},
		"External.Issuer of evil": {Issuer: good, Client: "web", External: []webclient.External{{Name: "evil", Issuer: "https://a; script-src *", Client: "x"}}},
		"nobody could sign in":    {Issuer: good, Client: "web", ExternalOnly: true},
		"lacks Client or Name":    {Issuer: good, Client: "web", External: []webclient.External{{Name: "contoso", Issuer: good}}},
	} {
		if _, err := webclient.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
