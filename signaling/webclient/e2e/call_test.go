// Package e2e_test calls from page to page: two pages of the web client in Debian's
// Chromium, driven by playwright-core (call.mjs), through a controller and a relay on
// loopback. What the pages' panels say must be what the server saw.
//
// It needs node, npm and chromium; without them it is skipped, but not in CI. To look
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

	"github.com/callpath/callpath/relay/negotiation"
)

// patience bounds one run of the browser.
const patience = 3 * time.Minute

// seen is what the pages showed, by user where it is a map.
type seen struct {
	Panels   map[string]map[string]string `json:"panels"`
	Advanced map[string]struct {
		Before int `json:"before"`
		After  int `json:"after"`
	} `json:"advanced"`
	Focused string              `json:"focused"`
	Done    []string            `json:"done"`
	Logs    map[string][]string `json:"logs"`
}

func TestTwoPagesCallEachOtherThroughTheRelay(t *testing.T) {
	driver := newDriver(t)
	for _, c := range []struct {
		transport string
		thorough  bool
	}{{"udp", true}, {"tcp", false}, {"tls", false}} {
		t.Run(c.transport, func(t *testing.T) {
			s := newServer(t)
			got := driver.run(t, s, c.transport, c.thorough)
			if got.Focused != "accept" {
				t.Errorf("an incoming call has put the focus on %q, wanted accept", got.Focused)
			}
			if c.thorough && strings.Join(got.Done, " ") != "hold restart glare" {
				t.Errorf("done in the call: %v", got.Done)
			}
			for user, peer := range map[string]string{"alice": "bob", "bob": "alice"} {
				t.Run(user, func(t *testing.T) { agree(t, s, got, user, peer, c.transport) })
			}
		})
	}
}

// agree compares a user's panel with what the server saw of them.
func agree(t *testing.T, s *server, got seen, user, peer, transport string) {
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
			addresses[e.Relay.String()] = true
			if string(e.Transport) != transport {
				t.Errorf("%s has an allocation over %s, wanted %s only", user, e.Transport, transport)
			}
		}
		return addresses
	}
	fact("local-type", "relay")
	fact("remote-type", "relay")
	fact("relay-protocol", transport)
	fact("media-protocol", "udp")
	if addresses := relayed(user); !addresses[panel["local-address"]] {
		t.Errorf("the panel has local address %s; the relay gave %v", panel["local-address"], addresses)
	}
	if addresses := relayed(peer); !addresses[panel["remote-address"]] {
		t.Errorf("the panel has remote address %s; the relay gave %v", panel["remote-address"], addresses)
	}

	// The handshake passes the relay in clear, at least its beginning.
	record := s.recorders[user].Record()
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
	fact("local-match", "matches the certificate")
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
	if t.Failed() {
		t.Logf("events on the page:\n%s", strings.Join(got.Logs[user], "\n"))
	}
}

// driver is call.mjs with what it imports, in a folder of its own.
type driver struct{ node, chromium, folder string }

func newDriver(t *testing.T) driver {
	t.Helper()
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
		missing(t, "%s is not installed (Debian: apt-get install nodejs npm chromium)", name)
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

func (d driver) run(t *testing.T, s *server, transport string, thorough bool) seen {
	t.Helper()
	pictures := os.Getenv("CALLPATH_PICTURES")
	if pictures == "" {
		pictures = t.TempDir()
	}
	options, err := json.Marshal(map[string]any{
		"url": s.url, "chromium": d.chromium, "transport": transport, "users": s.secrets,
		"thorough": thorough, "pictures": pictures,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, d.node, "call.mjs", string(options))
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
	return got
}
