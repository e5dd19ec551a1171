package signaling_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// processor answers every offer, and keeps who has media.
type processor struct {
	mu sync.Mutex
	// in is who has media, by conference and participant; log is what was called.
	in  map[string]map[string]bool
	log []string
	// before, when set, is called in Join; its error is the outcome.
	before func(context.Context) error
	// answer, when set, takes the place of the right one.
	answer string
}

func (p *processor) Join(ctx context.Context, conference, participant, offer string, mix bool) (string, error) {
	p.mu.Lock()
	before, answer := p.before, p.answer
	p.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return "", err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.in == nil {
		p.in = map[string]map[string]bool{}
	}
	if p.in[conference] == nil {
		p.in[conference] = map[string]bool{}
	}
	p.in[conference][participant] = true
	p.log = append(p.log, fmt.Sprintf("join %s mix=%v", participant, mix))
	if answer != "" {
		return answer, nil
	}
	// Each m-line the other way round.
	return strings.NewReplacer("a=setup:actpass", "a=setup:passive", "a=sendonly", "a=recvonly", "a=recvonly", "a=sendonly").Replace(offer), nil
}

func (p *processor) Leave(conference, participant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, "leave "+participant)
	delete(p.in[conference], participant)
}

func (p *processor) End(conference string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, "end")
	delete(p.in, conference)
}

// has is who has media in a conference.
func (p *processor) has(conference string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(p.in[conference])), " ")
}

func (p *processor) calls() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, ", ")
}

// disk is a store that outlives a controller.
type disk struct {
	mu      sync.Mutex
	records map[string]map[string][]byte
	saves   int
	failing error
}

func (d *disk) Save(bucket, key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failing != nil {
		return d.failing
	}
	if d.records == nil {
		d.records = map[string]map[string][]byte{}
	}
	if d.records[bucket] == nil {
		d.records[bucket] = map[string][]byte{}
	}
	d.records[bucket][key] = slices.Clone(value)
	d.saves++
	return nil
}

func (d *disk) Delete(bucket, key string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.records[bucket], key)
	return d.failing
}

func (d *disk) Each(bucket string, f func(string, []byte) error) error {
	d.mu.Lock()
	records := maps.Clone(d.records[bucket])
	d.mu.Unlock()
	for key, value := range records {
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = err
}

// copy is what a crash at this moment would leave.
func (d *disk) copy() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := &disk{records: map[string]map[string][]byte{}}
	for bucket, records := range d.records {
		out.records[bucket] = maps.Clone(records)
	}
	return out
}

var errDisk = errors.New("no space left on device")

// people are those of the meetings in tests: olga organizes them.
func people(cfg *signaling.Config) {
	for _, u := range []signaling.User{
		{ID: "olga", Client: "teams"}, {ID: "cora", Client: "teams"}, {ID: "mia", Client: "teams", Groups: []string{"sales"}},
		{ID: "gus", Client: "teams", Kind: policy.Guest}, {ID: "tom", Client: "teams", Tenant: "fabrikam"},
		{ID: "sam", Client: "teams", Tenant: "elsewhere"}, {ID: "ann", Client: "teams", Kind: policy.Anonymous},
		{ID: "zoe", Client: "acs"}, {ID: "pete", Client: "pstn", Kind: policy.Anonymous},
	} {
		u.Name, u.Secret = strings.ToTitle(u.ID), secret+u.ID
		cfg.Users = append(cfg.Users, u)
	}
	cfg.Policies.Trusted = []string{"fabrikam"}
}

// meetings is a world with media processors.
func meetings(t testing.TB, change func(*signaling.Config)) (*world, *processor) {
	t.Helper()
	p := &processor{}
	return newWorld(t, hosting(p, change)), p
}

func hosting(p *processor, change func(*signaling.Config)) func(*signaling.Config) {
	return func(cfg *signaling.Config) {
		people(cfg)
		cfg.Processors = map[string]signaling.MediaProcessor{"westeurope": p}
		if change != nil {
			change(cfg)
		}
	}
}

// meet schedules a meeting of olga's with options such as "AutoAdmittedUsers=Everyone".
func meet(t testing.TB, olga *signaling.Client, options string, invited ...string) string {
	t.Helper()
	in := signaling.MeetingRequest{Subject: "Weekly", Options: map[string]any{}, Invited: invited, CoOrganizers: []string{"cora"}}
	for pair := range strings.FieldsSeq(options) {
		name, value, _ := strings.Cut(pair, "=")
		in.Options[name] = value
		if value == "true" || value == "false" {
			in.Options[name] = value == "true"
		}
	}
	m, err := olga.CreateMeeting(ctx(t), in)
	if err != nil {
		t.Fatal(err)
	}
	return m.ID
}

func mustJoin(t testing.TB, c *signaling.Client, id string, want policy.Place) signaling.Admission {
	t.Helper()
	a, err := c.JoinMeeting(ctx(t), id)
	if err != nil || a.Place != want {
		t.Fatalf("join: got %+v, %v; wanted place %s", a, err, want)
	}
	return a
}

func mustMedia(t testing.TB, c *signaling.Client, id string) {
	t.Helper()
	if answer, err := c.MeetingMedia(ctx(t), id, offer().SDP, false); err != nil || !strings.Contains(answer, "a=setup:passive") {
		t.Fatalf("media: got %q, %v", answer, err)
	}
}

// mustBe checks a refusal by its code and rule.
func mustBe(t testing.TB, err error, code, rule string) {
	t.Helper()
	var p *signaling.Problem
	if !errors.As(err, &p) || p.Code != code || p.Rule != rule {
		t.Errorf("got %v, wanted %s by %q", err, code, rule)
	}
}

// until takes notifications up to one of a type that matches, which may be nil.
func until(t testing.TB, c *signaling.Client, want signaling.NotificationType, match func(signaling.Notification) bool) signaling.Notification {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case n, open := <-c.Notifications():
			switch {
			case !open:
				t.Fatalf("the notifications ended (%v), wanted %s", c.Err(), want)
			case n.Type == want && (match == nil || match(n)):
				return n
			}
		case <-deadline:
			t.Fatalf("no %s", want)
		}
	}
}

// about matches a notification with an entry of a participant at a place.
func about(id string, place policy.Place) func(signaling.Notification) bool {
	return func(n signaling.Notification) bool {
		return slices.ContainsFunc(n.Participants, func(p signaling.MeetingParticipant) bool { return p.Participant == id && p.Place == place })
	}
}

// audits are the decisions by a rule that were not about tokens.
func (w *world) audits(rule string) (out []signaling.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == signaling.EventAudit && e.Rule == rule {
			out = append(out, e)
		}
	}
	return out
}
