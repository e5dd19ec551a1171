package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/authority"
	"github.com/callpath/callpath/signaling/chat/dlp"
)

const (
	authorityLifetime   = 10 * 365 * 24 * time.Hour
	certificateLifetime = 90 * 24 * time.Hour
	// renewBefore its end a certificate of ours is made anew.
	renewBefore = 30 * 24 * time.Hour

	minRelaySecret = 16
)

// material is what can change while the server runs. It is never changed itself.
type material struct {
	certificate *tls.Certificate
	// secrets are the relay's, the first of which makes credentials.
	secrets [][]byte
	// people are those of signaling.
	people people
	// policies are the organisation's; dlp is nil without rules.
	policies signaling.Policies
	dlp      *dlp.Policy
	// print is a fingerprint of all files.
	print [sha256.Size]byte
}

// keys reads certificates and secrets from the files that the configuration names,
// and makes those in the state directory that it does not name.
type keys struct {
	cfg   *Config
	state state
	// names are those of a certificate that is made.
	names []string
	log   *slog.Logger
	now   func() time.Time
	// warned are files whose mode was complained of. Loading is not concurrent.
	warned map[string]bool
	// hashes are of the passwords in files, by a hash of user and password.
	hashes map[[sha256.Size]byte]string
}

// reader reads a file.
type reader func(path string) ([]byte, error)

// load reads everything; what is missing in the state directory is made. now may be
// newer than k.cfg, which says where certificates and secrets are.
func (k *keys) load(now *Config) (*material, error) {
	id := &now.Identity
	print := sha256.New()
	read := func(path string) ([]byte, error) {
		data, err := readSmall(path)
		fmt.Fprintf(print, "%s\x00%d\x00", path, len(data))
		print.Write(data)
		return data, err
	}
	chain, key := k.cfg.Certificate.Chain, k.cfg.Certificate.Key
	if chain == "" {
		if err := k.certify(); err != nil {
			return nil, err
		}
		chain, key = k.state.path(fileCertificate), k.state.path(fileKey)
	}
	files := k.cfg.Relay.Secrets
	if len(files) == 0 {
		if _, err := k.state.keep(fileSecret, 0o600, newSecret); err != nil {
			return nil, fmt.Errorf("relay's secret: %w", err)
		}
		files = []string{k.state.path(fileSecret)}
	}
	users, err := k.firstUsers(id)
	if err != nil {
		return nil, err
	}
	m := &material{}
	if m.certificate, err = k.certificate(read, chain, key); err != nil {
		return nil, err
	}
	if m.secrets, err = k.relaySecrets(read, files); err != nil {
		return nil, err
	}
	if m.people, err = k.people(read, print, id, users); err != nil {
		return nil, err
	}
	meetings := now.Meetings
	meetings.Tenant = k.cfg.Meetings.Tenant // whose chats and meetings are stored
	section, err := json.Marshal(meetings)
	if err != nil {
		return nil, err
	}
	_, _ = print.Write(section) // a hash, which does not fail
	m.policies = meetings.policies(func(string, error) {})
	if m.dlp, err = readDLP(read, now.Chat.DLP); err != nil {
		return nil, err
	}
	m.print = [sha256.Size]byte(print.Sum(nil))
	return m, nil
}

// check reads the files that the configuration names, and makes nothing.
func (k *keys) check() error {
	var errs []error
	if k.cfg.Certificate.Chain != "" {
		_, err := k.certificate(readSmall, k.cfg.Certificate.Chain, k.cfg.Certificate.Key)
		errs = append(errs, err)
	}
	_, err := k.relaySecrets(readSmall, k.cfg.Relay.Secrets)
	errs = append(errs, err)
	_, err = readDLP(readSmall, k.cfg.Chat.DLP)
	errs = append(errs, err)
	p, err := k.people(readSmall, io.Discard, &k.cfg.Identity, k.cfg.Identity.Users)
	if err == nil {
		err = k.checkIdentity(&p)
	}
	return errors.Join(append(errs, err)...)
}

func (k *keys) certificate(read reader, chain, key string) (*tls.Certificate, error) {
	chainPEM, err := read(chain)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	keyPEM, err := read(key)
	if err != nil {
		return nil, fmt.Errorf("certificate's key: %w", err)
	}
	pair, err := tls.X509KeyPair(chainPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", chain, key, err)
	}
	if now := k.now(); now.After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("certificate %s expired on %s", chain, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &pair, nil
}

func (k *keys) relaySecrets(read reader, files []string) ([][]byte, error) {
	var secrets [][]byte
	for _, file := range files {
		secret, err := k.secret(read, file, minRelaySecret)
		if err != nil {
			return nil, fmt.Errorf("relay's secret: %w", err)
		}
		if slices.ContainsFunc(secrets, func(s []byte) bool { return bytes.Equal(s, secret) }) {
			return nil, fmt.Errorf("relay's secret: %s is the same as another", file)
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// secret reads a secret from a file, without the end of its line.
func (k *keys) secret(read reader, file string, least int) ([]byte, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	secret := bytes.TrimRight(data, "\r\n")
	switch {
	case len(secret) < least:
		return nil, fmt.Errorf("%s has %d bytes, wanted %d or more", file, len(secret), least)
	case bytes.ContainsAny(secret, "\r\n"):
		return nil, fmt.Errorf("%s has several lines, wanted one", file)
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o004 != 0 && !k.warned[file] {
		k.warned[file] = true
		k.log.Warn("secret can be read by everybody on this machine", "file", file, "mode", info.Mode().Perm().String())
	}
	return secret, nil
}

// readSmall keeps a path that names something huge, or endless, from filling memory.
func readSmall(path string) ([]byte, error) {
	const most = 1 << 20
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > most:
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", path, info.Size(), most)
	}
	return os.ReadFile(path)
}

// certify sees to it that there is a certificate of ours, for our names, that lasts.
func (k *keys) certify() error {
	root, err := k.authority()
	if err != nil {
		return err
	}
	if k.lasts(root) {
		return nil
	}
	cert, err := root.Server(k.names...)
	if err != nil {
		return err
	}
	certPEM, keyPEM, err := authority.Encode(cert)
	if err != nil {
		return err
	}
	if err := k.state.replace(fileKey, 0o600, keyPEM); err != nil {
		return err
	}
	return k.state.replace(fileCertificate, 0o644, certPEM)
}

// lasts says whether the certificate on disk will do.
func (k *keys) lasts(root *authority.Authority) bool {
	pair, err := tls.LoadX509KeyPair(k.state.path(fileCertificate), k.state.path(fileKey))
	if err != nil {
		return false
	}
	if k.now().Add(renewBefore).After(pair.Leaf.NotAfter) {
		return false
	}
	return !slices.ContainsFunc(k.names, func(name string) bool { return !root.Signed(pair.Leaf, name) })
}

// authority is the kept one, or a new one.
func (k *keys) authority() (*authority.Authority, error) {
	cert, err := os.ReadFile(k.state.path(fileRoot))
	if errors.Is(err, os.ErrNotExist) {
		if err := k.newAuthority(); err != nil {
			return nil, err
		}
		cert, err = os.ReadFile(k.state.path(fileRoot))
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	key, err := os.ReadFile(k.state.path(fileRootKey))
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	root, err := authority.Load(authority.Config{Lifetime: certificateLifetime, Now: k.now}, cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.state.path(fileRoot), err)
	}
	return root, nil
}

// newAuthority makes one. The key is written first: without its certificate it is
// no authority yet.
func (k *keys) newAuthority() error {
	root, err := authority.New(authority.Config{Name: "callpath serve", Lifetime: authorityLifetime, Now: k.now})
	if err != nil {
		return err
	}
	key, err := root.Key()
	if err != nil {
		return err
	}
	if err := k.state.replace(fileRootKey, 0o600, key); err != nil {
		return err
	}
	return k.state.replace(fileRoot, 0o644, root.PEM())
}
