package server

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of the state directory. All but the certificates have mode 0600.
const (
	fileRoot        = "authority.pem"
	fileRootKey     = "authority.key"
	fileCertificate = "certificate.pem"
	fileKey         = "certificate.key"
	fileSecret      = "relay.secret"
	// directoryIdentity holds what the issuer must find again, and its socket.
	directoryIdentity = "identity"
)

// state is the directory of what the server makes and keeps.
type state string

func (s state) path(name string) string { return filepath.Join(string(s), name) }

// keep returns the file's content, and makes it first when it is not there. Of two
// servers that start at once, both get what one of them has made.
func (s state) keep(name string, mode fs.FileMode, content func() ([]byte, error)) ([]byte, error) {
	for {
		data, err := os.ReadFile(s.path(name))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
		if data, err = content(); err != nil {
			return nil, err
		}
		if err := s.write(name, mode, data, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}

// replace writes the file, whole or not at all.
func (s state) replace(name string, mode fs.FileMode, data []byte) error {
	return s.write(name, mode, data, os.Rename)
}

func (s state) write(name string, mode fs.FileMode, data []byte, settle func(from, to string) error) error {
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // it has mode 0600
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(data)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("state: writing %s: %w", path, err)
	}
	return settle(file.Name(), path)
}

// newSecret makes one that nobody can guess, as text.
func newSecret() ([]byte, error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("no randomness: %w", err)
	}
	return []byte(base64.RawURLEncoding.EncodeToString(raw) + "\n"), nil
}
