package server

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"reflect"
	"time"
)

// watchEvery is between two looks at the files that can change.
const watchEvery = 5 * time.Second

// watch reloads when it is asked to, and when files have changed.
func (s *Server) watch(ctx context.Context, reload <-chan os.Signal) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var last string // a file that stays wrong is told once
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-reload:
			asked = true
		case <-tick.C:
		}
		err := s.reload(asked)
		if err != nil && (asked || err.Error() != last) {
			s.log.Error("certificates, secrets and users not reloaded; the ones before stay in use", "error", err)
		}
		last = ""
		if err != nil {
			last = err.Error()
		}
	}
}

// reload reads certificates, secrets, and who may sign in, again and puts them to
// use, all or none.
func (s *Server) reload(tell bool) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	next, err := s.cfg.again()
	if err != nil {
		return err
	}
	m, err := s.keys.load(next)
	if err != nil {
		return err
	}
	old := s.current.Load()
	if tell || m.print != old.print {
		if !s.cfg.sameButForReload(next) {
			s.log.Warn("the configuration has changes that only a restart puts to use")
		}
	}
	if m.print == old.print {
		if tell {
			s.log.Info("certificates, secrets and users have not changed")
		}
		return nil
	}
	if s.identity != nil {
		// What can be refused is refused before anything is put to use.
		if err := s.keys.checkIdentity(&m.people); err != nil {
			return err
		}
	}
	if s.relay != nil {
		if err := s.relay.SetSecrets(m.secrets); err != nil {
			return err
		}
	}
	if s.identity != nil {
		if err := s.setPeople(&m.people, &old.people); err != nil {
			return err
		}
	}
	if s.controller != nil && !reflect.DeepEqual(m.policies, old.policies) {
		if err := s.controller.SetPolicies(m.policies); err != nil {
			return err
		}
	}
	s.current.Store(m)
	s.log.Info("certificates, secrets and users reloaded", "secrets", len(m.secrets), "users", len(m.people.accounts),
		"certificate_until", m.certificate.Leaf.NotAfter)
	return nil
}

// setPeople gives the issuer its users, applications and rules, and ends the tokens of
// users who have changed.
func (s *Server) setPeople(now, before *people) error {
	if err := s.identity.SetRules(now.rules); err != nil {
		return err
	}
	if err := s.identity.SetApplications(now.applications); err != nil {
		return err
	}
	if err := s.identity.SetUsers(now.users()); err != nil {
		return err
	}
	for _, id := range now.changed(before) {
		if err := s.identity.RevokeUser(id); err != nil {
			return err
		}
	}
	return nil
}

// again is the configuration as its file now has it.
func (c *Config) again() (*Config, error) {
	if c.source.File == "" {
		return c, nil
	}
	return Load(c.source)
}

// sameButForReload says whether other differs in nothing that needs a restart.
func (c *Config) sameButForReload(other *Config) bool {
	text := func(c Config) []byte {
		c.Identity.Users, c.Identity.Applications, c.Identity.Rules = nil, nil, nil
		c.Meetings, c.Chat.DLP = Meetings{Tenant: c.Meetings.Tenant}, ""
		b, err := json.Marshal(c)
		if err != nil { // nothing in it cannot be encoded
			return nil
		}
		return b
	}
	return bytes.Equal(text(*c), text(*other))
}
