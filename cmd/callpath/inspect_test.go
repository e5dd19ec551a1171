package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/inspect"
	"github.com/callpath/callpath/scenarios/result"
)

// inspected reads a report that inspect printed as JSON.
func inspected(t *testing.T, args ...string) inspect.Report {
	t.Helper()
	code, out, errOut := callpath(t, append([]string{"inspect", "--json"}, args...)...)
	if code != exitMet {
		t.Fatalf("inspect %s: exit code %d: %s", args, code, errOut)
	}
	var r inspect.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// The capture of a run shows what the run itself recorded: over each kind of way
// that a capture can see.
func TestACaptureAgreesWithItsRun(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	code, out, errOut := callpath(t, "run", "--quiet", "--json", "--jobs", "3", "--log-format", "json", "--pcap", in("r.pcapng"), "--keylog", in("r.keylog"),
		"fig2-intranet", "fig5-vpn-internal-relayed", "relay-tcp-3478")
	// A call that went otherwise than expected, as on a machine with too much to
	// do, is as good: the capture has to show that too.
	if code != exitMet && code != exitUnmet {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	var runs []result.Run
	if err := json.Unmarshal([]byte(out), &runs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("runs.json"), []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("runs.log"), []byte(errOut), 0o600); err != nil {
		t.Fatal(err)
	}
	fromJSON, fromLog := inspected(t, in("runs.json")), inspected(t, in("runs.log"))
	for _, run := range runs {
		got := inspected(t, "--keylog", in("r-"+run.Scenario+".keylog"), in("r-"+run.Scenario+".pcapng"))
		if len(got.Legs) != len(run.Participants) {
			t.Errorf("%s: %d legs, notes %q; want %d", run.Scenario, len(got.Legs), got.Notes, len(run.Participants))
		}
		for _, p := range run.Participants {
			t.Run(run.Scenario+"/"+p.Name, func(t *testing.T) {
				agree(t, leg(t, got, p.Host), p.Negotiation)
				same := leg(t, fromJSON, run.Scenario+"/"+p.Name)
				want := p.Negotiation
				want.Leg = same.Leg
				if g, w := indented(t, same.Record), indented(t, want); g != w {
					t.Errorf("from JSON: got\n%s\nwant\n%s", g, w)
				}
				if g, w := indented(t, leg(t, fromLog, same.Leg).Record), indented(t, want); g != w {
					t.Errorf("from the log: got\n%s\nwant\n%s", g, w)
				}
				if len(want.Descriptions) < 2 {
					t.Errorf("%d descriptions, want the offer and the answer", len(want.Descriptions))
				}
				for _, d := range want.Descriptions {
					if strings.Count(d.SDP, "a=ice-pwd:") == 0 || strings.Count(d.SDP, "a=ice-pwd:") != strings.Count(d.SDP, "a=ice-pwd:REDACTED") {
						t.Errorf("the %s %s has a password of ICE, or none was there:\n%s", d.Side, d.Kind, d.SDP)
					}
				}
			})
		}
	}
}

func leg(t *testing.T, r inspect.Report, name string) inspect.Leg {
	t.Helper()
	i := slices.IndexFunc(r.Legs, func(l inspect.Leg) bool { return l.Leg == name })
	if i < 0 {
		t.Fatalf("no leg %s", name)
	}
	return r.Legs[i]
}

func indented(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// agree compares what a capture showed of a leg with the run's own record.
func agree(t *testing.T, got inspect.Leg, want negotiation.Record) {
	t.Helper()
	if got.Verdict != want.Verdict {
		t.Errorf("verdict %q, want %q", got.Verdict, want.Verdict)
	}
	if len(got.DTLS) != len(want.DTLS) {
		t.Fatalf("%d handshakes, want %d", len(got.DTLS), len(want.DTLS))
	}
	for i, w := range want.DTLS {
		g := got.DTLS[i]
		parameters := func(d negotiation.DTLS) string {
			return fmt.Sprint(d.Role, d.Version, d.CipherSuite, d.Group, d.SignatureScheme, d.SRTPProfile, d.ExtendedMasterSecret, d.Complete, fingerprint(d.Peer))
		}
		if g, w := parameters(g), parameters(w); g != w {
			t.Errorf("handshake: %s, want %s", g, w)
		}
	}
	streams := func(rec negotiation.Record) map[string]uint64 {
		packets := map[string]uint64{}
		for _, s := range rec.SRTP {
			packets[fmt.Sprintf("%#x %s", s.SSRC, s.Direction)] = s.Packets
		}
		return packets
	}
	if g, w := fmt.Sprint(streams(got.Record)), fmt.Sprint(streams(want)); g != w {
		t.Errorf("packets by stream: %s, want %s", g, w)
	}
	// Without the descriptions a capture does not know a host candidate behind a
	// NAT by its signalled address.
	g, w := got.ICE.Selected, want.ICE.Selected
	if g == nil || w == nil {
		if g != w {
			t.Errorf("selected %v, want %v", g, w)
		}
		return
	}
	if g.Remote.Address != w.Remote.Address || g.Local.Address != w.Local.Address && g.Local.Related != w.Local.Address && g.Local.Address != w.Local.Related && g.Local.Related != w.Local.Related {
		t.Errorf("selected %+v, want %+v", *g, *w)
	}
}

func fingerprint(c *negotiation.Certificate) string {
	if c == nil {
		return ""
	}
	return c.Fingerprint
}

func TestInspectRefusesWhatItCannotRead(t *testing.T) {
	garbage := file(t, "garbage.pcap", "hello, world")
	run := file(t, "run.json", `{"scenario": "x", "participants": [{"name": "alice", "negotiation": {}}]}`)
	for name, tt := range map[string]struct {
		args []string
		code int
		text string
	}{
		"no file":           {nil, exitInput, "accepts 1 arg"},
		"a file that isn't": {[]string{"/nowhere/x.pcap"}, exitInput, "no such file"},
		"a directory":       {[]string{t.TempDir()}, exitInput, "regular file"},
		"garbage":           {[]string{garbage}, exitInput, "garbage.pcap: offset 0: no capture begins with the bytes 68 65 6c 6c; valid: a pcap or pcapng file"},
		"a bad address":     {[]string{"--local", "alice", run}, exitInput, `--local "alice": wanted an IP address`},
		"no SDP":            {[]string{"--sdp", "/nowhere/x.sdp", run}, exitInput, "no such file"},
		"no key log":        {[]string{"--keylog", "/nowhere/x.keylog", run}, exitInput, "no such file"},
		"another leg":       {[]string{"--leg", "bob", run}, exitInput, `--leg "bob" is not in`},
		"a leg, strictly":   {[]string{"--leg", "alice", "--strict", run}, exitUnmet, ""},
		"no legs, strictly": {[]string{"--strict", file(t, "none.json", "[]")}, exitUnmet, ""},
		"no legs to pick":   {[]string{"--leg", "bob", file(t, "none.json", "[]")}, exitInput, "valid: none"},
		"a leg, not so":     {[]string{run}, exitMet, ""},
	} {
		code, out, errOut := callpath(t, append([]string{"inspect"}, tt.args...)...)
		if code != tt.code || !strings.Contains(errOut, tt.text) || tt.text == "" && errOut != "" {
			t.Errorf("%s: exit code %d, %q, want %d, %q", name, code, errOut, tt.code, tt.text)
		}
		if (out != "") != (tt.text == "") {
			t.Errorf("%s: printed %q", name, out)
		}
	}
}

// What came before the end of a capture that was cut off is printed, and then what
// is wrong.
func TestInspectACaptureThatWasCutOff(t *testing.T) {
	whole := "\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + strings.Repeat("\x00", 8) + "\xff\xff\x00\x00\x65\x00\x00\x00" + // head
		strings.Repeat("\x00", 8) + "\x04\x00\x00\x00\x04\x00\x00\x00abcd" + // a packet
		strings.Repeat("\x00", 8) + "\x04\x00\x00\x00\x04\x00\x00\x00ab" // a half
	code, out, errOut := callpath(t, "inspect", file(t, "cut.pcap", whole))
	if code != exitInput || !strings.Contains(out, "pcap, 1 packets") || !strings.Contains(errOut, "cut.pcap: offset 44: the file ends at 62") {
		t.Errorf("exit code %d, printed %q, error %q", code, out, errOut)
	}
}

func TestInspectIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut strings.Builder
	code := execute(ctx, []string{"inspect", file(t, "run.json", `[{"scenario": "x", "participants": []}]`)}, &out, &errOut)
	if code != exitUnmet || !strings.Contains(errOut.String(), "interrupted") {
		t.Errorf("exit code %d, %q", code, errOut.String())
	}
}
