package server_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/signaling/authority"
)

// issue writes a certificate of a new authority, and returns its files.
func issue(t *testing.T, dir string) (chain, key string) {
	t.Helper()
	root, err := authority.New(authority.Config{})
	ok(t, err)
	cert, err := root.Server("localhost")
	ok(t, err)
	certPEM, keyPEM, err := authority.Encode(cert)
	ok(t, err)
	chain, key = filepath.Join(dir, "chain.pem"), filepath.Join(dir, "chain.key")
	write(t, key, string(keyPEM))
	write(t, chain, string(certPEM))
	return chain, key
}

func write(t *testing.T, path, content string) {
	t.Helper()
	ok(t, os.WriteFile(path, []byte(content), 0o600))
}

// serial is that of the certificate which the TLS or HTTPS port shows.
func (p *target) serial(port string) string {
	p.t.Helper()
	conn, err := tls.Dial("tcp4", p.at[port].String(), &tls.Config{InsecureSkipVerify: true})
	ok(p.t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// reloads counts how often something was reloaded, and how often that failed.
func (p *target) reloads(message string) int {
	n := 0
	for _, r := range p.records {
		if r["msg"] == message {
			n++
		}
	}
	return n
}

const (
	reloaded    = "certificates, secrets and users reloaded"
	unchanged   = "certificates, secrets and users have not changed"
	notReloaded = "certificates, secrets and users not reloaded; the ones before stay in use"
)

func TestSIGHUPRotatesCertificatesAndSecrets(t *testing.T) {
	dir := t.TempDir()
	chain, key := issue(t, dir)
	oldFile, newFile := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	const first, second, third = "first secret of the relay", "second secret of the relay", "third secret of the relay"
	write(t, newFile, first+"\n")
	write(t, oldFile, second)
	p := startProcess(t, "--certificate-chain="+chain, "--certificate-key="+key, "--relay-secrets="+newFile+","+oldFile)
	credential := func(secret string) (string, string) {
		return turn.Credential([]byte(secret), "alice", "", time.Now().Add(time.Hour))
	}
	allocates := func(secret string) stun.ErrorCode {
		user, password := credential(secret)
		s := p.session("udp", user, password)
		code := codeOf(s.allocate())
		if code == 0 {
			s.free()
		}
		return code
	}
	user, password := credential(second)
	live := p.session("udp", user, password)
	live.mustAllocate()
	for secret, wanted := range map[string]stun.ErrorCode{first: 0, second: 0, third: 401} {
		if code := allocates(secret); code != wanted {
			t.Errorf("%s: %d, wanted %d", secret, code, wanted)
		}
	}
	before := p.serial("tls")

	write(t, newFile, third)
	write(t, oldFile, first)
	issue(t, dir)
	p.signal(syscall.SIGHUP)
	p.await("the reload", func() bool { return p.reloads(reloaded) == 1 })
	for secret, wanted := range map[string]stun.ErrorCode{first: 0, second: 401, third: 0} {
		if code := allocates(secret); code != wanted {
			t.Errorf("%s after the rotation: %d, wanted %d", secret, code, wanted)
		}
	}
	if code := codeOf(live.request(stun.MethodRefresh)); code != 401 {
		t.Errorf("refresh with a secret that is no more: %d, wanted 401", code)
	}
	for _, port := range []string{"tls", "https"} {
		if p.serial(port) == before {
			t.Errorf("the %s port shows the certificate of before", port)
		}
	}

	// What is wrong changes nothing.
	write(t, newFile, "short")
	p.signal(syscall.SIGHUP)
	p.await("the failed reload", func() bool { return p.reloads(notReloaded) == 1 })
	if code := allocates(third); code != 0 {
		t.Errorf("after a failed reload: %d", code)
	}
	write(t, newFile, third)
	p.signal(syscall.SIGHUP)
	p.await("nothing to reload", func() bool { return p.reloads(unchanged) == 1 })
	if err := p.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process has ended: %v", err)
	}
}

func TestChangedFilesAreNoticed(t *testing.T) {
	p := startServer(t)
	token := p.token("alice", p.password("alice"))
	write(t, filepath.Join(p.state, "users", "alice.password"), "another password of alice")
	p.await("the reload", func() bool { return p.reloads(reloaded) == 1 })
	if status := p.use(token); status != http.StatusUnauthorized {
		t.Errorf("a token from the password of before: %d, wanted 401", status)
	}
	if status := p.use(p.token("alice", "another password of alice")); status != http.StatusOK {
		t.Errorf("a token from the password of now: %d, wanted 200", status)
	}
}

func TestCertificatesAndSecretsAreKeptAndPrivate(t *testing.T) {
	first := startServer(t)
	private := map[string]bool{"authority.key": true, "certificate.key": true, "relay.secret": true, "alice.password": true, "bob.password": true, "keys.json": true,
		"signaling.store": true, "signaling.store.key": true, "customer-keys.vault": true}
	content := map[string]string{}
	ok(t, filepath.Walk(first.state, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			if info != nil && path != first.state && info.Mode().Perm() != 0o700 {
				t.Errorf("%s has mode %v, wanted 0700", path, info.Mode())
			}
			return err
		}
		if private[info.Name()] && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, wanted 0600", path, info.Mode())
		}
		delete(private, info.Name())
		if info.Mode()&os.ModeSocket != 0 {
			return nil
		}
		data, err := os.ReadFile(path)
		content[path] = string(data)
		return err
	}))
	if len(private) > 0 {
		t.Errorf("not made: %v", private)
	}
	certificate := first.serial("tls")
	first.end()
	second := startServer(t, "--state="+first.state)
	delete(content, filepath.Join(first.state, "signaling.store")) // each start writes to it
	for path, was := range content {
		data, err := os.ReadFile(path)
		ok(t, err)
		if string(data) != was {
			t.Errorf("%s was not kept", path)
		}
	}
	if certificate != second.serial("tls") {
		t.Error("the certificate was not kept")
	}
	second.end()
	// New names need a new certificate, from the same authority.
	third := startServer(t, "--state="+first.state, "--public=turn.example.org")
	if certificate == third.serial("tls") {
		t.Error("the certificate does not have the new name")
	}
	conn, err := tls.Dial("tcp4", third.at["tls"].String(), &tls.Config{RootCAs: first.roots(), ServerName: "turn.example.org"})
	ok(t, err)
	conn.Close()
	// No secret is printed or logged.
	for _, p := range []*target{first, second, third} {
		p.mu.Lock()
		all := strings.Join(p.said, "\n")
		for _, r := range p.records {
			for _, v := range r {
				if s, isText := v.(string); isText {
					all += "\n" + s
				}
			}
		}
		p.mu.Unlock()
		for path, secret := range content {
			if (strings.HasSuffix(path, ".secret") || strings.HasSuffix(path, ".password")) && strings.Contains(all, strings.TrimSpace(secret)) {
				t.Errorf("the secret in %s was told", path)
			}
		}
	}
}

func TestASecretForEverybodyIsComplainedOfOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	ok(t, os.WriteFile(file, []byte("a secret of the relay"), 0o600), os.Chmod(file, 0o644))
	p := startServer(t, "--relay-secrets="+file)
	p.reload <- syscall.SIGHUP
	p.await("nothing to reload", func() bool { return p.reloads(unchanged) == 1 })
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.reloads("secret can be read by everybody on this machine"); n != 1 {
		t.Errorf("complained %d times, wanted once", n)
	}
}
