// Package e2e_test calls from page to page: two pages of the web client in Debian's
// Chromium, or one of them in its Firefox, driven by playwright-core (call.mjs), through
// callpath serve as a process of its own, or through its parts in this process, on
// loopback. What the pages' panels say must be what the server saw.
//
// It needs node, npm, chromium and firefox-esr; without them it is skipped, but not in
// CI. To look
// at the pages: CALLPATH_PICTURES=FOLDER go test ./signaling/webclient/e2e
package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/relay/negotiation"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(buildDir)
		os.Exit(code)
	}))
}

// patience bounds one run of the browser.
const patience = 3 * time.Minute

// seen is what the pages showed, by user where it is a map.
type seen struct {
	Panels   map[string]map[string]string `json:"panels"`
	Advanced map[string]struct {
		Before int `json:"before"`
		After  int `json:"after"`
	} `json:"advanced"`
	// Shown is what the caller's picture is covered with, and the callee's notice.
	Shown   map[string]string   `json:"shown"`
	Focused string              `json:"focused"`
	Done    []string            `json:"done"`
	Logs    map[string][]string `json:"logs"`

	// silent are users whose browser, Firefox, does not show its own certificate.
	silent map[string]bool
}

func TestAllThatTwoPagesCanDoInACall(t *testing.T) {
	s := newServer(t)
	got := newDriver(t).run(t, s.url, s.passwords, options{Transport: "udp", ForceRelay: true, Thorough: true, Pictured: true, Name: "udp", TOTP: s.totp})
	if got.Focused != "accept" {
		t.Errorf("an incoming call has put the focus on %q, wanted accept", got.Focused)
	}
	if strings.Join(got.Done, " ") != "hold restart glare" {
		t.Errorf("done in the call: %v", got.Done)
	}
	for user, peer := range map[string]string{"alice": "bob", "bob": "alice"} {
		t.Run(user, func(t *testing.T) {
			agree(t, s, got, user, peer, "udp")
			telemetered(t, s, user, "udp")
		})
	}
}

func TestWhoHasNoDevicesIsCalledAllTheSame(t *testing.T) {
	s := newServer(t)
	got := newDriver(t).run(t, s.url, s.passwords, options{Transport: "any", Bare: true, Name: "bare", TOTP: s.totp})
	if frames := got.Advanced["bob"]; frames.After <= frames.Before {
		t.Errorf("frames of alice did not advance: %d, then %d", frames.Before, frames.After)
	}
	for user, want := range map[string]string{
		"alice": "No picture",
		"bob":   "No microphone and no camera (not found). You will still see and hear the other side.",
	} {
		if got.Shown[user] != want {
			t.Errorf("%s is shown %q, wanted %q", user, got.Shown[user], want)
		}
	}
	if panel := got.Panels["bob"]; panel["dtls-state"] != "connected" || panel["remote-match"] != "matches the certificate" {
		t.Errorf("bob's panel: %v", panel)
	}
}

// The modules' types stand in their comments; TypeScript reads them.
func TestTheTypesOfThePageAreSound(t *testing.T) {
	d := newDriver(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tsc := filepath.Join(d.folder, "node_modules", "typescript", "bin", "tsc")
	if out, err := exec.CommandContext(ctx, d.node, tsc, "--project", "tsconfig.json").CombinedOutput(); err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
}

// Modules that need no browser are tested by node's own runner.
func TestTheModulesWithoutABrowser(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, program(t, "node"), "--test", "modules.test.mjs").CombinedOutput(); err != nil {
		t.Errorf("node --test: %v\n%s", err, out)
	}
}

// allocation is one of a relay's.
type allocation struct{ transport, relay string }

// witness is a server that has seen a call.
type witness interface {
	// allocations are all that were made, by user.
	allocations() map[string][]allocation
	// record is what the relay saw of a user's leg between two addresses.
	record(t *testing.T, user, local, remote string) negotiation.Record
}

// agree compares a user's panel with what the server saw of them.
func agree(t *testing.T, s witness, got seen, user, peer, transport string) {
	t.Helper()
	panel := got.Panels[user]
	fact := func(name, want string) {
		t.Helper()
		if panel[name] != want {
			t.Errorf("the panel has %s %q, wanted %q", name, panel[name], want)
		}
	}
	if frames := got.Advanced[user]; frames.After <= frames.Before {
		t.Errorf("frames of %s did not advance: %d, then %d", peer, frames.Before, frames.After)
	}

	// The relay's view: how the user reached it, and which address it gave.
	made := s.allocations()
	relayed := func(user string) map[string]bool {
		addresses := map[string]bool{}
		for _, e := range made[user] {
			addresses[e.relay] = true
			if e.transport != transport {
				t.Errorf("%s has an allocation over %s, wanted %s only", user, e.transport, transport)
			}
		}
		return addresses
	}
	fact("local-type", "relay")
	// A check that comes before its candidate was signalled makes a peer reflexive one
	// of the same address (RFC 8445, section 7.3.1.3), which browsers then hide.
	if remote := panel["remote-type"]; remote != "relay" && remote != "peer reflexive" {
		t.Errorf("the panel has remote-type %q, wanted relay, or peer reflexive", remote)
	}
	fact("relay-protocol", transport)
	fact("media-protocol", "udp")
	if addresses := relayed(user); !addresses[panel["local-address"]] {
		t.Errorf("the panel has local address %s; the relay gave %v", panel["local-address"], addresses)
	}
	remote := strings.Replace(panel["remote-address"], "(hidden)", "127.0.0.1", 1)
	if addresses := relayed(peer); !addresses[remote] {
		t.Errorf("the panel has remote address %s; the relay gave %v", panel["remote-address"], addresses)
	}

	// The handshake passes the relay in clear, at least its beginning.
	record := s.record(t, user, panel["local-address"], remote)
	i := len(record.DTLS) - 1
	if i < 0 {
		t.Fatalf("the relay saw no handshake; its verdict: %s", record.Verdict)
	}
	dtls := record.DTLS[i]
	fact("dtls-state", "connected")
	fact("dtls-version", dtls.Version)
	fact("dtls-cipher", dtls.CipherSuite)
	// What comes after the ServerHello of DTLS 1.3 is encrypted: of the profile, only
	// the client's choice is in clear.
	if dtls.SRTPProfile != "" {
		fact("srtp-profile", dtls.SRTPProfile)
	} else if !slices.Contains(dtls.SRTPProfilesOffered, panel["srtp-profile"]) {
		t.Errorf("the panel has SRTP profile %q; the relay saw %v offered", panel["srtp-profile"], dtls.SRTPProfilesOffered)
	}
	if !strings.HasPrefix(panel["roles"], "DTLS "+dtls.Role) {
		t.Errorf("the panel has roles %q; the relay saw DTLS %s", panel["roles"], dtls.Role)
	}
	if own := panel["local-match"]; own != "matches the certificate" && (!got.silent[user] || own != "checked by the browser only") {
		t.Errorf("the panel says of its own fingerprint: %s", own)
	}
	fact("remote-match", "matches the certificate")
	for side, certificate := range map[string]*negotiation.Certificate{"local": dtls.Own, "remote": dtls.Peer} {
		if certificate != nil && !strings.EqualFold(panel[side+"-fingerprint"], certificate.Fingerprint) {
			t.Errorf("the panel has the %s fingerprint %s; the relay saw %s", side, panel[side+"-fingerprint"], certificate.Fingerprint)
		}
	}
	if panel["remote-fingerprint"] != got.Panels[peer]["local-fingerprint"] {
		t.Errorf("the panel has the remote fingerprint %s; the peer's own is %s", panel["remote-fingerprint"], got.Panels[peer]["local-fingerprint"])
	}
	if len(record.SRTP) == 0 {
		t.Error("the relay saw no SRTP")
	}
	if t.Failed() {
		t.Logf("events on the page:\n%s", strings.Join(got.Logs[user], "\n"))
	}
}

// telemetered compares what a page has sent at the end of its call.
func telemetered(t *testing.T, s *server, user, transport string) {
	t.Helper()
	var telemetry struct {
		Path struct {
			Local struct {
				Type          string `json:"type"`
				RelayProtocol string `json:"relay_protocol"`
			} `json:"local"`
		} `json:"path"`
		Totals struct {
			FramesDecoded int `json:"framesDecoded"`
		} `json:"totals"`
	}
	if err := json.Unmarshal(s.telemetry()[user], &telemetry); err != nil {
		t.Fatalf("telemetry %q: %v", s.telemetry()[user], err)
	}
	if local := telemetry.Path.Local; local.Type != "relay" || local.RelayProtocol != transport || telemetry.Totals.FramesDecoded == 0 {
		t.Errorf("telemetry: %+v, wanted a relay over %s and frames", telemetry, transport)
	}
}

// driver is call.mjs with what it imports, in a folder of its own.
type driver struct{ node, chromium, folder string }

func newDriver(t *testing.T) driver {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	d := driver{node: program(t, "node"), chromium: program(t, "chromium"), folder: t.TempDir()}
	npm := program(t, "npm")
	for _, name := range []string{"package.json", "package-lock.json", "call.mjs"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d.folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = d.folder
	if out, err := install.CombinedOutput(); err != nil {
		missing(t, "playwright-core cannot be installed by npm: %v\n%s", err, out)
	}
	return d
}

// program finds a program that the test needs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "%s is not installed (Debian: apt-get install nodejs npm chromium firefox-esr)", name)
	}
	return path
}

// missing skips the test, but not in CI, where everything must be there.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// options are those of call.mjs.
type options struct {
	Transport  string            `json:"transport"`
	ForceRelay bool              `json:"forceRelay"`
	Thorough   bool              `json:"thorough"`
	Bare       bool              `json:"bare"`
	TOTP       map[string]string `json:"totp"`
	// Provider is the other issuer to sign in with.
	Provider string `json:"provider"`
	// Interrupt is a command to run before the call, which makes all tokens void.
	Interrupt []string `json:"interrupt"`
	// Pictured takes pictures of the call, whose files begin with Name.
	Pictured bool   `json:"pictured"`
	Name     string `json:"name"`

	URL      string `json:"url"`
	Chromium string `json:"chromium"`
	// Firefox is the caller's browser when it is not empty; DTLS12 keeps it from DTLS 1.3.
	Firefox string `json:"firefox"`
	DTLS12  bool   `json:"dtls12"`

	Caller    string            `json:"caller"`
	Callee    string            `json:"callee"`
	Passwords map[string]string `json:"passwords"`
	Pictures  string            `json:"pictures"`
	Linger    int               `json:"linger"`
}

// run calls bob from alice's page.
func (d driver) run(t *testing.T, url string, passwords map[string]string, o options) seen {
	t.Helper()
	o.URL, o.Chromium, o.Passwords = url, d.chromium, passwords
	if o.Caller == "" {
		o.Caller, o.Callee = "alice", "bob"
	}
	if o.Pictures = os.Getenv("CALLPATH_PICTURES"); o.Pictures != "" {
		o.Linger = 10_000
	} else {
		o.Pictures = t.TempDir()
	}
	argument, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, d.node, "call.mjs", string(argument))
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.folder, &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it closes its browser
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("call.mjs: %v\n%s", err, stderr.String())
	}
	var got seen
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatalf("call.mjs said %q: %v", stdout.String(), err)
	}
	got.silent = map[string]bool{o.Caller: o.Firefox != ""}
	return got
}
