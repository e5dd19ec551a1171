package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// serving runs "callpath serve" on free ports of loopback for as long as the test
// runs, and returns its state directory and its issuer.
func serving(t *testing.T, more ...string) (state, issuer string) {
	t.Helper()
	state = t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	out, outWriter := io.Pipe()
	var running sync.WaitGroup
	running.Go(func() {
		arguments := append([]string{"serve", "--state=" + state, "--listen=127.0.0.1", "--relay-udp=", "--relay-tcp=", "--relay-tls=",
			"--relay-dtls=", "--signaling-https=0", "--admin-listen=", "--log-level=off"}, more...)
		var errOut bytes.Buffer
		if code := execute(ctx, arguments, outWriter, &errOut); code != exitMet {
			t.Errorf("serve: code %d: %s", code, errOut.String())
		}
		outWriter.Close()
	})
	said := bufio.NewScanner(out)
	for issuer == "" && said.Scan() {
		if at, ok := strings.CutPrefix(said.Text(), "  issuer "); ok {
			issuer = strings.TrimSpace(at)
		}
	}
	running.Go(func() { _, _ = io.Copy(io.Discard, out) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	if issuer == "" {
		t.Fatal("serve does not say what its issuer is")
	}
	return state, issuer
}

func TestATokenForAScript(t *testing.T) {
	state, issuer := serving(t)
	at := []string{"identity", "token", "--state=" + state, "--issuer=" + issuer}
	code, token, errOut := callpath(t, append(at, "alice")...)
	if code != exitMet || strings.Count(token, ".") != 2 || strings.Count(token, "\n") != 1 {
		t.Fatalf("code %d, %q %q; wanted a token on a line", code, token, errOut)
	}
	hashed := file(t, "hashed", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$c3Vt")
	for _, c := range []struct {
		name      string
		arguments []string
		code      int
		wanted    string
	}{
		{"a wrong password", append(at, "--password-file="+file(t, "wrong", "a wrong password"), "alice"), exitUnmet, "unknown user or wrong password"},
		{"a scope that there is not", append(at, "--scope=video", "alice"), exitUnmet, "scope"},
		{"a code that nobody wants", append(at, "--code=123456", "bob"), exitMet, ""},
		{"a hash for a password", append(at, "--password-file="+hashed, "alice"), exitInput, "has its hash only"},
		{"no password", append(at, "--password-file="+file(t, "empty", "\n"), "alice"), exitInput, "wanted one line"},
		{"no such file", append(at, "--password-file=/nowhere/at/all", "alice"), exitInput, "no such file"},
		{"no authority", append(at, "--ca="+hashed, "alice"), exitInput, "has no certificate"},
		{"an authority that is not the server's", []string{"identity", "token", "--state=" + t.TempDir(), "--issuer=" + issuer,
			"--password-file=" + file(t, "password", "a password"), "alice"}, exitFault, "certificate"},
		{"nobody", at, exitInput, "accepts 1 arg"},
		{"a user whose password is not known here", append(at, "carol"), exitInput, "carol.password"},
		{"an issuer over http", []string{"identity", "token", "--state=" + state, "--issuer=http://127.0.0.1", "alice"}, exitInput, "wanted https://HOST"},
		{"no issuer", []string{"identity", "token", "--state=" + state, "--signaling-https=", "alice"}, exitInput, "there is no issuer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errOut := callpath(t, c.arguments...)
			if code != c.code || !strings.Contains(errOut, c.wanted) {
				t.Errorf("code %d, %q %q; wanted %d and %q", code, out, errOut, c.code, c.wanted)
			}
		})
	}
}

func TestAnOperatorsCommandsReachTheRunningServer(t *testing.T) {
	state, _ := serving(t)
	in := "--state=" + state
	first := strings.TrimSpace(do(t, exitMet, "keys", in))
	do(t, exitMet, "rotate", in)
	if keys := strings.Fields(do(t, exitMet, "keys", in)); len(keys) != 2 || keys[0] != first {
		t.Errorf("keys %v after the rotation of %s", keys, first)
	}
	do(t, exitMet, "withdraw", in, first)
	if out := do(t, exitFault, "withdraw", in, first); !strings.Contains(out, "no such key") {
		t.Errorf("withdrawn twice: %s", out)
	}
	do(t, exitMet, "revoke", in, "alice")
	if out := do(t, exitFault, "revoke", in, "no user"); !strings.Contains(out, "is no user's ID") {
		t.Errorf("revoked nobody: %s", out)
	}
	if out := do(t, exitFault, "rotate", "--state="+t.TempDir()); !strings.Contains(out, "no server runs with the state directory") {
		t.Errorf("without a server: %s", out)
	}
	do(t, exitInput, "revoke", in)
	do(t, exitInput, "rotate", in, "--drain=never")
}

// do runs a command of identity.
func do(t *testing.T, wanted int, arguments ...string) string {
	t.Helper()
	code, out, errOut := callpath(t, append([]string{"identity"}, arguments...)...)
	if code != wanted {
		t.Errorf("identity %v: code %d, wanted %d: %s", arguments, code, wanted, errOut)
	}
	return out + errOut
}

// What the commands make is what the server takes.
func TestAHashAndASecondFactorSignAUserIn(t *testing.T) {
	const password = "a password of carol"
	root := newRoot(io.Discard, io.Discard)
	var hash bytes.Buffer
	root.SetArgs([]string{"identity", "hash"})
	root.SetIn(strings.NewReader(password + "\n"))
	root.SetOut(&hash)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	code, secret, url := callpath(t, "identity", "totp", "carol")
	if code != exitMet || !strings.HasPrefix(url, "otpauth://totp/callpath:carol?") {
		t.Fatalf("totp: code %d, %q", code, url)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "callpath.yaml")
	for name, text := range map[string]string{
		config:                           "identity:\n  users:\n    - {id: carol, kind: teams, hash: \"" + strings.TrimSpace(hash.String()) + "\", totp: carol.totp}\n",
		filepath.Join(dir, "carol.totp"): secret,
		filepath.Join(dir, "password"):   password,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	state, issuer := serving(t, "--config="+config)
	at := []string{"identity", "token", "--config=" + config, "--state=" + state, "--issuer=" + issuer}
	if code, _, errOut := callpath(t, append(at, "carol")...); code != exitInput || !strings.Contains(errOut, "only the hash") {
		t.Errorf("without a password: code %d, %q", code, errOut)
	}
	at = append(at, "--password-file="+filepath.Join(dir, "password"))
	if code, _, errOut := callpath(t, append(at, "carol")...); code != exitUnmet || !strings.Contains(errOut, "one-time code") {
		t.Errorf("without a code: code %d, %q", code, errOut)
	}
	otp, err := totp.GenerateCode(strings.TrimSpace(secret), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if code, token, errOut := callpath(t, append(at, "--code="+otp, "carol")...); code != exitMet || token == "" {
		t.Errorf("with both factors: code %d, %q", code, errOut)
	}
	if code, _, errOut := callpath(t, append(at, "--code="+otp, "carol")...); code != exitUnmet {
		t.Errorf("with a used code: code %d, %q", code, errOut)
	}
}
