//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callpath/callpath/bench/meeting"
)

// The load starts this program again to be its server: so the tests' own is.
func init() {
	if len(os.Args) == 2 && os.Args[1] == "load-server" {
		os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
}

// smallLoad runs the command with a load that any machine can take.
func smallLoad(t *testing.T, ctx context.Context, arguments ...string) (code int, out, errOut string) {
	t.Helper()
	return command(t, ctx, append([]string{"load", "--warm-up=300ms", "--duration=1s", "--ramp=50", "--max-loss=100", "--max-latency=10s"}, arguments...)...)
}

// The short form of what the README shows: all join, and each gets the streams of all
// others.
func TestLoadOfTheReadme(t *testing.T) {
	report := filepath.Join(t.TempDir(), "load.html")
	code, out, errOut := smallLoad(t, t.Context(), "--participants=8", "--senders=2", "--json", "--report", report)
	if code != exitMet {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	var r meeting.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	const streams = 8*7 + 2*1 + 6*2
	if r.Joins.Joined != 8 || len(r.Steps) != 1 || r.Steps[0].Streams != streams || r.Steps[0].Spent == nil || r.Steps[0].Spent.PerMillion <= 0 {
		t.Errorf("%s", out)
	}
	if page, err := os.ReadFile(report); err != nil || !strings.Contains(string(page), "8 participants in 1 meeting") {
		t.Errorf("the page: %v", err)
	}
	if !strings.Contains(errOut, "[1/8] joining") || !strings.Contains(errOut, "measuring, sent ") {
		t.Errorf("progress: %s", errOut)
	}
}

func TestLoadFailsWhenACriterionIsNotMet(t *testing.T) {
	code, out, errOut := smallLoad(t, t.Context(), "--participants=2", "--generator-share=0.003", "--max-latency=2ms", "-q")
	if code != exitUnmet || !strings.Contains(out, "✗ latency") && !strings.Contains(out, "✗  latency") || errOut != "" {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
}

func TestLoadThatIsInterruptedFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, out, errOut := smallLoad(t, ctx, "-q"); code != exitUnmet {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
}

func TestLoadRefusesWhatCannotBe(t *testing.T) {
	dir := t.TempDir()
	empty, secret := filepath.Join(dir, "empty"), filepath.Join(dir, "secret")
	for name, text := range map[string]string{empty: "", secret: "a secret of the shop with 32 bytes\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CALLPATH_STATE", filepath.Join(dir, "state"))
	for _, c := range []struct {
		arguments []string
		wanted    string
	}{
		{[]string{"--participants=0"}, "--participants 0: wanted more than 0"},
		{[]string{"--duration=0s"}, "--duration 0s: wanted more than 0"},
		{[]string{"--participants=1000000"}, "participants is"},
		{[]string{"--max-loss=101"}, "--max-loss 101: wanted 0 to 100"},
		{[]string{"--max-participants=20"}, "for --find-knee"},
		{[]string{"--find-knee", "--max-participants=5"}, "max-participants is"},
		{[]string{"--kind=heavy"}, `kind is "heavy"`},
		{[]string{"--transport=relay-tcp"}, "kind full"},
		{[]string{"--audio=false"}, "nobody sends"},
		{[]string{"--report", dir}, "is a directory"},
		{[]string{"--application=shop"}, "--server says which"},
		{[]string{"--server=http://x"}, "wanted https://HOST"},
		{[]string{"--server=https://127.0.0.1:1"}, "--application and --secret-file"},
		{[]string{"--server=https://127.0.0.1:1", "--application=shop"}, "--secret-file is empty"},
		{[]string{"--server=https://127.0.0.1:1", "--application=shop", "--secret-file", empty}, "has none"},
		{[]string{"--server=https://127.0.0.1:1", "--application=shop", "--secret-file", secret, "--tokens", empty}, "wanted one of them"},
		{[]string{"--server=https://127.0.0.1:1", "--tokens", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"--server=https://127.0.0.1:1", "--tokens", empty, "--ca", empty}, "no certificate"},
		{[]string{"argument"}, "unknown command"},
	} {
		if code, out, errOut := smallLoad(t, t.Context(), c.arguments...); code != exitInput || !strings.Contains(errOut, c.wanted) {
			t.Errorf("load %v: exit code %d, %q%q; wanted %d and %q", c.arguments, code, out, errOut, exitInput, c.wanted)
		}
	}
}

// Participants are users of an application's at a running server, and take part there as
// anybody does.
func TestLoadOnServe(t *testing.T) {
	dir := t.TempDir()
	secret, config, state := filepath.Join(dir, "shop.secret"), filepath.Join(dir, "callpath.yaml"), filepath.Join(dir, "state")
	for name, text := range map[string]string{
		secret: "a secret of the shop with 32 bytes", config: "identity:\n  applications: [{id: shop, secret: shop.secret}]\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	printed, out := io.Pipe()
	served := make(chan int, 1)
	go func() {
		served <- execute(ctx, []string{"serve", "--config", config, "--state", state, "--listen=127.0.0.1", "--relay-udp=0", "--relay-tcp=0",
			"--relay-tls=0", "--relay-dtls=0", "--processor-udp=0", "--signaling-https=0", "--admin-listen=127.0.0.1:0", "--log-level=error", "--drain=0s"}, out, io.Discard)
		_ = out.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-served; code != exitMet {
			t.Errorf("serve ended with %d", code)
		}
	})
	url := ""
	lines := bufio.NewScanner(printed)
	for url == "" && lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) > 1 && f[0] == "signaling" {
			url = f[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, printed) }() // until serve has ended
	if url == "" {
		t.Fatal("serve does not say where it is")
	}
	at := []string{"--server", url, "--ca", filepath.Join(state, "authority.pem"), "--json", "-q"}
	var r meeting.Report
	code, text, errOut := smallLoad(t, t.Context(), append(at, "--application=shop", "--secret-file", secret, "--participants=4", "--meetings=2", "--senders=1",
		"--server-process", fmt.Sprint(os.Getpid()))...)
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != exitMet || r.Steps[0].Streams != 4+2 || r.Steps[0].Spent.Memory == 0 {
		t.Errorf("exit code %d, %v: %s%s", code, err, text, errOut)
	}
	code, text, _ = smallLoad(t, t.Context(), append(at, "--application=shop", "--secret-file", secret, "--participants=2", "--kind=full", "--transport=relay-tls")...)
	if r = (meeting.Report{}); json.Unmarshal([]byte(text), &r) != nil || code != exitMet || r.Steps[0].Streams != 2 {
		t.Errorf("through the relay: exit code %d: %s", code, text)
	}
	// A server that lets nobody in is told with what it said.
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte("not.a.token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, text, _ = smallLoad(t, t.Context(), append(at, "--tokens", tokens, "--participants=2")...)
	if r = (meeting.Report{}); json.Unmarshal([]byte(text), &r) != nil || code != exitUnmet || r.Joins.Joined != 0 || !strings.Contains(text, "too few") {
		t.Errorf("with bad tokens: exit code %d: %s", code, text)
	}
}
