package signaling

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// Buckets of the store.
const (
	bucketMeetings = "signaling/meetings" // by ID
	bucketPolicies = "signaling/policies" // under keyPolicies
	keyPolicies    = "current"
)

// savedConference is a conference in the store.
type savedConference struct {
	Kind       string
	Subject    string    `json:",omitempty"`
	Creator    string    `json:",omitempty"`
	Groups     []string  `json:",omitempty"`
	Invited    []string  `json:",omitempty"`
	Restricted bool      `json:",omitempty"`
	Recording  bool      `json:",omitempty"`
	Created    time.Time `json:",omitzero"`
	Ended      time.Time `json:",omitzero"`
	Meeting    json.RawMessage
}

// savedPolicies are the policies in use, with those of Config at that time: when
// Config has others at a later start, it is Config that was changed last.
type savedPolicies struct {
	Configured, Current struct {
		Organization json.RawMessage
		Trusted      []string `json:",omitempty"`
	}
}

// save makes a state durable, unless it is the one that is. k.turn is held, or
// nobody else knows k.
func (c *Controller) save(k *conference, m *meeting.Meeting, ended time.Time) error {
	if c.cfg.Store == nil {
		return nil
	}
	state, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("signaling: meeting %s: %w", k.id, err)
	}
	data, err := json.Marshal(savedConference{Kind: k.kind, Subject: k.subject, Creator: k.creator, Groups: k.groups,
		Invited: k.invited, Restricted: k.restricted, Recording: k.recording, Created: k.created, Ended: ended, Meeting: state})
	if err != nil {
		return fmt.Errorf("signaling: meeting %s: %w", k.id, err)
	}
	if bytes.Equal(data, k.saved) {
		return nil
	}
	if err := c.cfg.Store.Save(bucketMeetings, k.id, data); err != nil {
		return fmt.Errorf("signaling: meeting %s is not saved: %w", k.id, err)
	}
	k.saved = data
	return nil
}

// restoreConference reads what save has written.
func restoreConference(id string, data []byte) (*conference, error) {
	wrong := func(err error) (*conference, error) {
		return nil, fmt.Errorf("signaling: saved meeting %q: %w", clip(id), err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var s savedConference
	if err := d.Decode(&s); err != nil {
		return wrong(err)
	}
	m, err := meeting.Restore(s.Meeting)
	switch {
	case err != nil:
		return wrong(err)
	case m.ID != id:
		return wrong(fmt.Errorf("it is meeting %q", clip(m.ID)))
	case s.Kind != KindMeeting && s.Kind != KindGroup || m.Group != (s.Kind == KindGroup):
		return wrong(fmt.Errorf("it is of kind %q", clip(s.Kind)))
	case !validUserID(s.Creator):
		return wrong(fmt.Errorf("%q made it", clip(s.Creator)))
	case (m.Phase == meeting.Ended) != !s.Ended.IsZero():
		return wrong(errors.New("it has ended and has no end, or the reverse"))
	}
	return &conference{id: id, kind: s.Kind, subject: s.Subject, creator: s.Creator, groups: s.Groups, invited: s.Invited,
		restricted: s.Restricted, recording: s.Recording, created: s.Created, ended: s.Ended, saved: bytes.Clone(data),
		state: m, media: map[string]*media{}}, nil
}

// restore takes up what the store has: policies, then meetings under them. Those who
// were there have the time of a lost connection to come back.
func (c *Controller) restore() error {
	if c.cfg.Store == nil {
		return nil
	}
	if err := c.restorePolicies(); err != nil {
		return err
	}
	err := c.cfg.Store.Each(bucketMeetings, func(key string, value []byte) error {
		k, err := restoreConference(key, value)
		if err != nil {
			return err
		}
		c.conferences[k.id] = k
		c.owned[k.creator]++
		c.total++
		return nil
	})
	if err != nil {
		return fmt.Errorf("signaling: the store's meetings: %w", err)
	}
	all := slices.Collect(maps.Values(c.conferences))
	for _, k := range all { // from here on timers run
		if err := c.rule(k); err != nil && !errors.Is(err, errGone) {
			return err
		}
		if err := c.dismissStrangers(k); err != nil {
			return err
		}
		c.mu.Lock()
		for id := range k.state.People {
			c.enlist(k, id)
			c.watch(c.users[id])
		}
		c.schedule(k)
		c.mu.Unlock()
	}
	return nil
}

// dismissStrangers takes those out who are users no more. With a Verifier nobody
// knows who they are before their tokens come.
func (c *Controller) dismissStrangers(k *conference) error {
	if c.cfg.Verifier != nil {
		return nil
	}
	_, err := c.change(k, reasonLost, func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var events []meeting.Event
		for id := range k.state.People {
			if c.users[id] != nil {
				continue
			}
			e, err := m.Leave(now, id)
			if err != nil {
				return nil, err
			}
			events = append(events, e...)
		}
		return events, nil
	})
	return err
}

// stub is a user of whom only the ID is known until their token comes. c.mu is held.
func (c *Controller) stub(id string) *user {
	u := &user{id: id, box: c.newMailbox(), turn: newTurn(), seen: c.cfg.Now()}
	c.users[id] = u
	return u
}

func (c *Controller) restorePolicies() error {
	var saved savedPolicies
	err := c.cfg.Store.Each(bucketPolicies, func(key string, value []byte) error {
		if key != keyPolicies {
			return nil
		}
		return json.Unmarshal(value, &saved)
	})
	if err != nil {
		return fmt.Errorf("signaling: the store's policies: %w", err)
	}
	if saved.Current.Organization == nil {
		return nil // none was ever set
	}
	configured, err := policy.RestoreOrganization(saved.Configured.Organization)
	if err != nil {
		return fmt.Errorf("signaling: the store's policies: %w", err)
	}
	current, err := policy.RestoreOrganization(saved.Current.Organization)
	if err != nil {
		return fmt.Errorf("signaling: the store's policies: %w", err)
	}
	if same(Policies{configured, saved.Configured.Trusted}, c.policies) {
		c.policies = Policies{current, saved.Current.Trusted}
	}
	return nil
}

// same compares as the store keeps them.
func same(a, b Policies) bool {
	x, errX := json.Marshal(a.Organization)
	y, errY := json.Marshal(b.Organization)
	return errX == nil && errY == nil && bytes.Equal(x, y) && slices.Equal(a.Trusted, b.Trusted)
}

func (c *Controller) savePolicies(p Policies) error {
	if c.cfg.Store == nil {
		return nil
	}
	var s savedPolicies
	var err error
	if s.Configured.Organization, err = json.Marshal(c.cfg.Policies.Organization); err == nil {
		s.Current.Organization, err = json.Marshal(p.Organization)
	}
	s.Configured.Trusted, s.Current.Trusted = c.cfg.Policies.Trusted, p.Trusted
	var data []byte
	if err == nil {
		data, err = json.Marshal(s)
	}
	if err == nil {
		err = c.cfg.Store.Save(bucketPolicies, keyPolicies, data)
	}
	if err != nil {
		return fmt.Errorf("signaling: the policies are not saved: %w", err)
	}
	return nil
}

// SetPolicies replaces the policies, for good once it returns. They hold at once: for
// every join from now on, for those in a lobby whom they now refuse, and for the rights
// of those present (meeting.Meeting.SetOptions says which, and from where that is
// known). Nobody present is sent out, and who is trusted is what it was at their join.
// An error that names meetings says that those still have the policies of before, as
// theirs could not be stored: they get them when the policies are set again, or at the
// next start.
func (c *Controller) SetPolicies(p Policies) error {
	p, err := p.complete()
	if err != nil {
		return err
	}
	c.ruling.Lock() // one after the other
	defer c.ruling.Unlock()
	if err := c.savePolicies(p); err != nil {
		return err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return errors.New("signaling: the controller is closing")
	}
	c.policies = p
	c.audit(rulePolicies, true, "an administrator has replaced the policies", Event{})
	all := slices.Collect(maps.Values(c.conferences))
	c.mu.Unlock()
	return c.ruleAll(all)
}

// rulingAtOnce is how many meetings get new policies at a time: a store makes saves
// that come together durable together.
const rulingAtOnce = 32

func (c *Controller) ruleAll(all []*conference) error {
	next := make(chan *conference)
	failed := make([]error, min(rulingAtOnce, len(all)))
	var rulers sync.WaitGroup
	for i := range failed {
		rulers.Go(func() {
			for k := range next {
				if err := c.rule(k); err != nil && !errors.Is(err, errGone) {
					failed[i] = err // the last one of each is enough
				}
			}
		})
	}
	for _, k := range all {
		next <- k
	}
	close(next)
	rulers.Wait()
	return errors.Join(failed...)
}

// rule puts a meeting under the policies that apply to its organizer.
func (c *Controller) rule(k *conference) error {
	if k.kind == KindGroup {
		return nil
	}
	c.mu.Lock()
	rules, err := c.policies.Organization.Effective(k.creator, k.groups)
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("signaling: meeting %s of %s: %w", k.id, k.creator, err)
	}
	_, err = c.change(k, "", func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error) {
		if m.Phase == meeting.Ended || reflect.DeepEqual(m.Rules, rules) {
			return nil, nil
		}
		return m.SetRules(now, rules)
	})
	return err
}
