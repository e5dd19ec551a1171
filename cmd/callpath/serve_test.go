package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs callpath in this process.
func command(t *testing.T, ctx context.Context, arguments ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(ctx, arguments, &o, &e)
	return code, o.String(), e.String()
}

func TestServeChecksAndPrintsItsConfiguration(t *testing.T) {
	code, printed, errOut := command(t, t.Context(), "serve", "--print-config")
	if code != exitMet || !strings.Contains(printed, "relay:") {
		t.Fatalf("--print-config: code %d, %q %q", code, printed, errOut)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "callpath.yaml")
	if err := os.WriteFile(file, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	state := "--state=" + filepath.Join(dir, "state")
	if code, out, errOut := command(t, t.Context(), "serve", "--check", "--config", file, state); code != exitMet || !strings.Contains(out, "valid") {
		t.Errorf("--check of what was printed: code %d, %q %q", code, out, errOut)
	}
	for _, c := range []struct {
		arguments []string
		wanted    string
	}{
		{[]string{"--check", "--drain=never"}, `--drain: found "never"`},
		{[]string{"--check", "--relay-secrets=" + filepath.Join(dir, "none")}, "no such file"},
		{[]string{"--config", filepath.Join(dir, "none.yaml")}, "no such file"},
		{[]string{"--log-level=loud"}, `"loud" is not known`},
		{[]string{"--no-such-flag"}, "unknown flag"},
		{[]string{"argument"}, "unknown command"},
	} {
		if code, _, errOut := command(t, t.Context(), append([]string{"serve", state}, c.arguments...)...); code != exitInput || !strings.Contains(errOut, c.wanted) {
			t.Errorf("serve %v: code %d, %q; wanted %d and %q", c.arguments, code, errOut, exitInput, c.wanted)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Error("a check has made the state directory")
	}
}

func TestServeRunsUntilItsContextEnds(t *testing.T) {
	arguments := []string{"serve", "--state=" + t.TempDir(), "--listen=127.0.0.1", "--relay-udp=0", "--relay-tcp=0",
		"--relay-tls=0", "--relay-dtls=0", "--processor-udp=0", "--signaling-https=0", "--admin-listen=127.0.0.1:0", "--log-format=json"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, out, errOut := command(t, ctx, arguments...)
	if code != exitMet {
		t.Fatalf("code %d: %s", code, errOut)
	}
	for _, wanted := range []string{"turn udp", "turn dtls", "https://127.0.0.1:", "alice (teams)", "turnutils_uclient -y", "drained in"} {
		if !strings.Contains(out, wanted) {
			t.Errorf("%q is not in\n%s", wanted, out)
		}
	}
	for line := range strings.Lines(errOut) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is not JSON: %s", line)
		}
	}
	// An address that this machine has not is a fault.
	if code, _, errOut := command(t, ctx, append(arguments, "--listen=192.0.2.77")...); code != exitFault || !strings.Contains(errOut, "192.0.2.77") {
		t.Errorf("an address of somebody else: code %d, %q", code, errOut)
	}
}

func TestExplainSaysWhetherAPeerIsAllowed(t *testing.T) {
	state := "--state=" + t.TempDir()
	for _, c := range []struct {
		arguments []string
		code      int
		wanted    string
	}{
		{[]string{"192.0.2.1"}, exitMet, "192.0.2.1: allowed: "},
		{[]string{"10.0.0.1:5000"}, exitUnmet, "10.0.0.1: denied by rule private: "},
		{[]string{"[2002:7f00:1::]:9"}, exitUnmet, "denied by rule loopback (6to4)"},
		{[]string{"--relay-peers-allow=10.0.0.0/8", "10.0.0.1"}, exitMet, "allowed by rule allow 10.0.0.0/8"},
		{[]string{"192.0.2.1", "169.254.169.254"}, exitUnmet, "169.254.169.254: denied by rule link-local"},
		{[]string{"--json", "127.0.0.9"}, exitUnmet, `"rule": "loopback"`},
		{[]string{"somewhere"}, exitInput, `"somewhere" is no address`},
		{[]string{"fe80::1%eth0"}, exitInput, "no zone"},
		{[]string{"--listen=somewhere", "192.0.2.1"}, exitInput, "--listen: found"},
		{nil, exitInput, "requires at least 1 arg"},
	} {
		code, out, errOut := command(t, t.Context(), append([]string{"explain", state}, c.arguments...)...)
		if code != c.code || !strings.Contains(out+errOut, c.wanted) {
			t.Errorf("explain %v: code %d, %q; wanted %d and %q", c.arguments, code, out+errOut, c.code, c.wanted)
		}
	}
}
