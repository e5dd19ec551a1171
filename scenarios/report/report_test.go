package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/report"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file in testdata; go test -update writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}

// read loads a run that was written as JSON: relayed passed, unmet did not, and
// refused passed by being refused.
func read(t *testing.T, name string) *result.Run {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	r := new(result.Run)
	if err := json.Unmarshal(data, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func all(t *testing.T) []*result.Run {
	return []*result.Run{read(t, "relayed"), read(t, "unmet"), read(t, "refused")}
}

// one is a format with its options.
type one func(io.Writer, []*result.Run) error

func asText(o report.Options) one {
	return func(w io.Writer, runs []*result.Run) error { return report.Text(w, runs, o) }
}

func write(t *testing.T, f one, runs ...*result.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b, runs); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportsOfRealRuns(t *testing.T) {
	for file, c := range map[string]struct {
		write one
		runs  []*result.Run
	}{
		"relayed.txt":         {asText(report.Options{}), []*result.Run{read(t, "relayed")}},
		"relayed-verbose.txt": {asText(report.Options{Width: 140, Verbose: true}), []*result.Run{read(t, "relayed")}},
		"unmet-color.txt":     {asText(report.Options{Width: 80, Color: true}), []*result.Run{read(t, "unmet")}},
		"several.txt":         {asText(report.Options{}), all(t)},
		"several.xml":         {report.JUnit, all(t)},
		"unmet.html":          {report.HTML, []*result.Run{read(t, "unmet")}},
		"refused.html":        {report.HTML, []*result.Run{read(t, "refused")}},
	} {
		golden(t, file, []byte(write(t, c.write, c.runs...)))
	}
}

func TestTextKeepsToItsWidth(t *testing.T) {
	for _, width := range []int{60, 100, 160} {
		for _, verbose := range []bool{false, true} {
			for i, line := range strings.Split(write(t, asText(report.Options{Width: width, Verbose: verbose}), all(t)...), "\n") {
				// A table has a least width, which needs some 100 columns.
				if n := utf8.RuneCountInString(line); n > width && width >= 100 {
					t.Errorf("width %d, line %d has %d columns: %s", width, i+1, n, line)
				}
			}
		}
	}
}

func TestOfManyRunsThoseThatPassedAreShort(t *testing.T) {
	runs := append(all(t), read(t, "relayed"))
	short := write(t, asText(report.Options{}), runs...)
	if strings.Contains(short, "SRTP_AEAD_AES_256_GCM  ECDSA P-256  mismatch") {
		t.Error("a passed run was shown at length")
	}
	for _, want := range []string{"✗ expect.mos of bob: wanted >= 4.2, seen opus 3.9 (loss-and-delay.yaml:31)", "4 runs: 3 passed, 1 failed"} {
		if !strings.Contains(short, want) {
			t.Errorf("no %q in\n%s", want, short)
		}
	}
	if long := write(t, asText(report.Options{Verbose: true}), runs...); len(long) < 3*len(short) {
		t.Errorf("verbose has %d bytes, short %d", len(long), len(short))
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name string
		run  result.Run
		text []string
		xml  string
	}{
		{"fault", result.Run{Scenario: "s", Error: "no such file"}, []string{"! fault s", "The run could not be carried out: no such file", "nothing expected"}, `<error message="no such file" type="fault">`},
		{"interrupted", result.Run{Scenario: "s", Interrupted: true}, []string{"! interrupted s", "The call was never made", "interrupted"}, `type="interrupted"`},
		{"rejected", result.Run{Scenario: "s", Call: result.Call{State: "rejected", Reason: "busy"}}, []string{"✓ passed s", "The call was rejected: busy"}, `<property name="call" value="rejected">`},
		{"failed", result.Run{Scenario: "s", Call: result.Call{State: "failed"}, Checks: []result.Expectation{{Key: "k", Wanted: "a", Seen: "b"}}},
			[]string{"✗ failed s", "The call failed", "1 of 1 expectations not met", "✗ k: wanted a, seen b"}, `<failure message="wanted a, seen b" type="expectation">`},
		{"direct", result.Run{Scenario: "s", Call: result.Call{State: "connected"}, Participants: []result.Participant{{Name: "a", Protocol: "udp", Flows: []topology.Flow{"5"}}}},
			[]string{"Connected: media went directly over udp, flow 5"}, `<property name="flows" value="5">`},
	} {
		text := write(t, asText(report.Options{}), &c.run)
		for _, want := range c.text {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, text)
			}
		}
		if got := write(t, report.JUnit, &c.run); !strings.Contains(got, c.xml) {
			t.Errorf("%s: no %s in\n%s", c.name, c.xml, got)
		}
		if page := write(t, report.HTML, &c.run); !strings.Contains(page, "</html>") {
			t.Errorf("%s: page\n%s", c.name, page)
		}
	}
}

func TestJSONGoesThereAndBack(t *testing.T) {
	first := write(t, report.JSON, all(t)...)
	var runs []*result.Run
	if err := json.Unmarshal([]byte(first), &runs); err != nil {
		t.Fatal(err)
	}
	if second := write(t, report.JSON, runs...); second != first {
		t.Error("JSON that was read back is written differently")
	}
	if got := write(t, report.JSON); got != "[]\n" {
		t.Errorf("no runs: got %q, want []", got)
	}
}

// hostile is a run whose every text tries to break out of where it stands.
func hostile() *result.Run {
	const evil = "</text></svg><script>alert(1)</script>\x1b[2J\u202e\"'&\x00\n"
	at := netip.MustParseAddrPort("192.0.2.1:1")
	ms := result.Duration(time.Millisecond)
	way := topology.Way{{Kind: topology.HopHost, Name: evil}, {Kind: topology.HopTunnel, Name: evil}, {Kind: topology.HopRouter, Name: evil}, {Kind: topology.HopInternet}, {Kind: topology.HopEdge, Site: evil}, {Kind: topology.HopHost, Name: evil}}
	return &result.Run{
		Scenario: evil, Title: evil, File: evil, Call: result.Call{State: evil, Reason: evil}, Violations: []string{evil},
		Network: &topology.Network{Name: evil, Title: evil, Source: evil, Sites: []topology.Site{{Name: evil, Kind: topology.Internet, Subnets: []topology.Subnet{{Name: evil}},
			Firewall: &topology.Firewall{Rules: []topology.Rule{{Name: evil, Action: evil}}}}}, Hosts: []topology.Host{{Name: evil, Site: evil, Subnet: evil, Role: topology.Client}}},
		Steps:  []result.Step{{Name: evil, From: evil, To: "b", Carried: evil, Flows: []topology.Flow{evil}}, {Name: evil, From: evil, Carried: evil}, {Name: evil, From: "nobody", Carried: evil}},
		Legs:   []result.Leg{{From: evil, To: evil, Traffic: result.TrafficMedia, Media: 1, Way: way, Protocol: evil, Flows: []topology.Flow{evil}}},
		Checks: []result.Expectation{{Key: evil, About: evil, Wanted: evil, Seen: evil, Line: 1}, {Key: evil, Met: true}},
		Relay:  result.Relay{Allocations: 1, Payloads: map[string]uint64{evil: 1}, Refusals: []string{evil, evil, evil, evil}},
		Participants: []result.Participant{{
			Name: evil, Host: evil, Client: evil, Path: evil, Pair: [2]string{evil, evil}, Protocol: evil, Flows: []topology.Flow{evil}, Gap: ms, Restarts: 1,
			Streams: []result.Stream{{Kind: "video", Codec: evil, From: evil, Corrupt: 1, MOS: 4, Bitrate: 2e6, LossRate: 0.0001, MOSInputs: evil}},
			Series:  []result.Sample{{At: ms, RTT: ms, MOS: 4}, {At: 2 * ms, Loss: 0.5}, {At: 3 * ms, RTT: ms}},
			Negotiation: negotiation.Record{Verdict: evil, Problems: []string{evil},
				ICE:  negotiation.ICE{Role: evil, Why: evil, Local: []negotiation.Candidate{{Type: evil, Address: at, Protocol: evil, RelayProtocol: evil}}, Checks: []negotiation.Check{{Direction: evil, Result: evil, Relayed: true, UseCandidate: true}}},
				TURN: []negotiation.TURN{{Username: evil, Protocol: evil, Errors: []string{evil}}},
				DTLS: []negotiation.DTLS{{Role: evil, Version: evil, CipherSuite: evil, CipherSuitesOffered: []string{evil}, SRTPProfilesOffered: []string{evil}, MKI: evil, Setup: [2]string{evil, evil},
					Own: &negotiation.Certificate{Key: evil}, Peer: &negotiation.Certificate{Key: evil, Promised: evil}, Flights: []negotiation.Flight{{From: evil, Messages: []string{evil}}}, Alerts: []string{evil}}},
				SRTP: []negotiation.SRTP{{Direction: evil, AuthFailures: 1}}},
		}},
	}
}

func TestNothingBreaksOutOfAReport(t *testing.T) {
	r := hostile()
	for _, verbose := range []bool{false, true} {
		for _, c := range write(t, asText(report.Options{Verbose: verbose}), r, r) {
			if c < ' ' && c != '\n' || c == '\u202e' {
				t.Fatalf("text holds the character %U", c)
			}
		}
	}
	page := write(t, report.HTML, r, r)
	if strings.Contains(page, "<script") || strings.ContainsAny(page, "\x1b\x00\u202e") {
		t.Error("page holds what the run tried")
	}
	xmlText := write(t, report.JUnit, r)
	d := xml.NewDecoder(strings.NewReader(xmlText))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("JUnit: %v\n%s", err, xmlText)
		}
	}
}

var outside = regexp.MustCompile(`(?i)(src|href|action|data|srcset)\s*=\s*"([^"#]|#[^r])|url\(|@import|<script|<iframe|<object|javascript:`)

func TestPageNeedsNothingBesideItself(t *testing.T) {
	page := write(t, report.HTML, all(t)...)
	for _, hit := range outside.FindAllString(page, -1) {
		if hit != `href="d` { // the empty icon, data:,
			t.Errorf("page refers outside: %s", hit)
		}
	}
	for _, want := range []string{`href="#run-1"`, `id="run-1"`, `lang="en"`, "<title>callpath: 3 runs: 2 passed, 1 failed</title>"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestPageLightsUpTheWayAndDrawsTheSteps(t *testing.T) {
	page := write(t, report.HTML, read(t, "relayed"))
	for _, want := range []string{
		"alice: media", "flow 3: alice-pc → home edge → internet → communication-services edge → relay",
		"flow 2*, 4: alice-pc → tunnel office-vpn", `aria-label="Steps of the call"`, "invite, offer, 4 candidates",
		`aria-label="Loss"`, `aria-label="Round-trip time"`, `aria-label="Bitrate received"`, "verified",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
}

// A browser is the judge of a page; where there is none, the test is left out.
func TestBrowserFindsNoFault(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("no chromium")
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(write(t, report.HTML, all(t)...)), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--enable-logging=stderr", "--dump-dom", "file://"+file)
	var dom, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &dom, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, log.String())
	}
	if strings.Contains(log.String(), "CONSOLE") {
		t.Errorf("console:\n%s", log.String())
	}
	if n := strings.Count(dom.String(), "<svg"); n < 15 {
		t.Errorf("%d drawings in the page, wanted those of three runs", n)
	}
}

// failing is a writer that is full.
type failing struct{}

var errFull = errors.New("full")

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestErrorsOfTheWriterAreReturned(t *testing.T) {
	for name, f := range map[string]one{"text": asText(report.Options{}), "json": report.JSON, "junit": report.JUnit, "html": report.HTML} {
		if err := f(failing{}, all(t)); !errors.Is(err, errFull) {
			t.Errorf("%s: got %v, want %v", name, err, errFull)
		}
	}
}
