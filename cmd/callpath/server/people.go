package server

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/access"
	"github.com/callpath/callpath/signaling/identity/user"
)

// people are who may sign in and under which rules, with what the files hold.
type people struct {
	accounts     []account
	applications []identity.Application
	rules        []access.Rule
}

// account is a user with where the password is.
type account struct {
	user.User
	// file holds the password; empty when the configuration has its hash.
	file string
	// mark changes with the password and the second factor.
	mark [sha256.Size]byte
}

// minPassword is package user's.
const minPassword = 8

// minApplicationSecret is package identity's.
const minApplicationSecret = 32

func (p *people) users() []user.User {
	out := make([]user.User, len(p.accounts))
	for i, a := range p.accounts {
		out[i] = a.User
	}
	return out
}

// changed are the users of before whose tokens must end: who have another password or
// second factor now, as whoever knew the old one may hold tokens, and who are gone or
// disabled, whose tokens must not be good again once they are back.
func (p *people) changed(before *people) []string {
	now := map[string]account{}
	for _, a := range p.accounts {
		now[a.ID] = a
	}
	var ids []string
	for _, old := range before.accounts {
		if a, there := now[old.ID]; !there || a.mark != old.mark || a.Disabled && !old.Disabled {
			ids = append(ids, old.ID)
		}
	}
	return ids
}

// people reads the files of the users and applications of id.
func (k *keys) people(read reader, print io.Writer, id *Identity, users []User) (people, error) {
	section, err := json.Marshal(id)
	if err != nil {
		return people{}, err
	}
	_, _ = print.Write(section) // a hash, which does not fail
	p := people{rules: id.rules()}
	hashes := map[[sha256.Size]byte]string{}
	for _, u := range users {
		a, err := k.account(read, u, hashes)
		if err != nil {
			return people{}, fmt.Errorf("user %s: %w", u.ID, err)
		}
		p.accounts = append(p.accounts, a)
	}
	k.hashes = hashes
	for _, a := range id.Applications {
		secret, err := k.secret(read, a.Secret, minApplicationSecret)
		if err != nil {
			return people{}, fmt.Errorf("application %s: %w", a.ID, err)
		}
		p.applications = append(p.applications, identity.Application{ID: a.ID, Secret: string(secret), Scopes: a.Scopes})
	}
	return p, nil
}

// account reads one user's files. hashes gets the hash of a password, so that
// looking at a file again does not cost one.
func (k *keys) account(read reader, u User, hashes map[[sha256.Size]byte]string) (account, error) {
	a := account{file: u.Password, User: user.User{ID: u.ID, Name: u.Name, Kind: u.Kind, Groups: u.Groups,
		Password: u.Hash, Scopes: u.Scopes, Disabled: u.Disabled}}
	proof := u.Hash
	if u.Password != "" {
		text, err := k.secret(read, u.Password, minPassword)
		if err != nil {
			return a, fmt.Errorf("password: %w", err)
		}
		proof = string(text)
		if a.Password, err = k.hash(u.ID, proof, hashes); err != nil {
			return a, fmt.Errorf("password in %s: %w", u.Password, err)
		}
	}
	if u.TOTP != "" {
		text, err := k.secret(read, u.TOTP, 1)
		if err != nil {
			return a, fmt.Errorf("second factor: %w", err)
		}
		a.TOTP = strings.ReplaceAll(string(text), " ", "") // as apps show it
	}
	a.mark = sha256.Sum256([]byte(proof + "\x00" + a.TOTP))
	return a, nil
}

// hash is that of a password, or the text itself when it is one.
func (k *keys) hash(id, text string, hashes map[[sha256.Size]byte]string) (string, error) {
	if strings.HasPrefix(text, "$argon2id$") {
		return text, nil
	}
	key := sha256.Sum256([]byte(id + "\x00" + text))
	hashed, known := k.hashes[key]
	if !known {
		var err error
		if hashed, err = user.Hash(text); err != nil {
			return "", err
		}
	}
	hashes[key] = hashed
	return hashed, nil
}

// firstUsers are the configured ones, or two to begin with, whose passwords are made
// and kept.
func (k *keys) firstUsers(id *Identity) ([]User, error) {
	switch {
	case len(k.cfg.Signaling.HTTPS) == 0:
		return nil, nil
	case len(id.Users)+len(id.External)+len(id.Applications) > 0:
		return id.Users, nil
	}
	users := []User{
		{ID: "alice", Name: "Alice", Kind: user.Teams},
		{ID: "bob", Name: "Bob", Kind: user.ACS},
	}
	for i, u := range users {
		if _, err := k.state.keep(fileUser(u.ID), 0o600, newSecret); err != nil {
			return nil, fmt.Errorf("password of user %s: %w", u.ID, err)
		}
		users[i].Password = k.state.path(fileUser(u.ID))
	}
	return users, nil
}
