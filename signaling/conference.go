package signaling

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// conference is a meeting or a group call.
//
// It is changed on a copy, which is saved before anybody sees it (change). So a
// change waits for the store, and is not made under Controller.mu: turn is held
// for the whole of it, and Controller.mu inside it for what is in memory.
type conference struct {
	id      string // never changes, as the fields up to turn
	kind    string // KindMeeting or KindGroup
	subject string
	// creator is the organizer, or who made the group call, whose groups decide
	// which policy applies.
	creator string
	groups  []string
	// invited have the invite. In a restricted group call they and the creator
	// are all who may join.
	invited    []string
	restricted bool
	recording  bool
	created    time.Time

	// turn is held by who changes the conference.
	turn sync.Mutex
	// saved is the last state in the store, guarded by turn.
	saved []byte

	// Controller.mu guards the rest. The meeting that state points to is never
	// written to.
	state *meeting.Meeting
	ended time.Time
	// gone is true once the conference is forgotten.
	gone bool
	// media is of those whose offer a media processor has.
	media map[string]*media
	// early are layouts of those whose offer is just being answered.
	early map[string][]Slot
	// origins say whose candidate has an address (origin.go).
	origins origins
	// thread is true once the chat's is made.
	thread bool
	// lobby runs until the next wait in the lobby ends; idle until the conference
	// is forgotten.
	lobby, idle *timer
}

// media is what a participant sends and is shown.
type media struct {
	audio, video, slides bool // sent
	slots                []Slot
}

// named finds a conference of a kind. c.mu is held.
func (c *Controller) named(kind, id string) (*conference, *Problem) {
	if k := c.conferences[id]; k != nil && k.kind == kind {
		return k, nil
	}
	return nil, problem(CodeNotFound, "there is no %s %q", kind, clip(id))
}

// find is named without the lock held.
func (c *Controller) find(kind, id string) (*conference, *Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.named(kind, id)
}

// invites says whether somebody has the invite.
func (k *conference) invites(id string) bool {
	return slices.Contains(k.invited, id) || slices.Contains(k.state.Presenters, id) || slices.Contains(k.state.CoOrganizers, id)
}

// concerns says whether somebody may know of the conference: who made it, who has
// the invite, and who is there. c.mu is held.
func (k *conference) concerns(id string) bool {
	_, there := k.state.People[id]
	return there || id == k.creator || k.invites(id)
}

// records says whether recording is asked for. c.mu is held.
func (k *conference) records() bool { return k.recording || k.state.Options.RecordAutomatically }

// person is what the policies are told of a user. c.mu is held.
func (c *Controller) person(by actor, k *conference) policy.Person {
	p := policy.Person{ID: by.user.id, Client: policy.Client(by.user.client), Region: c.region(by.remote)}
	p.Kind, p.SignedIn = c.kindOf(by.user)
	if k != nil {
		p.Invited = k.invites(by.user.id)
	}
	return p
}

// kindOf is what a user is to the home tenant. Whom nobody vouches for is
// anonymous. c.mu is held.
func (c *Controller) kindOf(u *user) (kind policy.Kind, signedIn bool) {
	switch {
	case u.kind != "":
		kind = u.kind
	case u.tenant == "":
		kind = policy.Anonymous
	case u.tenant == c.policies.Organization.ID:
		kind = policy.Member
	case slices.Contains(c.policies.Trusted, u.tenant):
		kind = policy.Trusted
	default:
		kind = policy.Anonymous
	}
	return kind, kind == policy.Anonymous && u.tenant != ""
}

// region is where a client is.
func (c *Controller) region(remote string) string {
	if at, err := netip.ParseAddrPort(remote); err == nil && c.cfg.RegionOf != nil {
		if region := c.cfg.RegionOf(at.Addr().Unmap()); region != "" {
			return region
		}
	}
	return c.cfg.Region
}

// processor hosts a region's media; nil when nobody does.
func (c *Controller) processor(region string) MediaProcessor {
	if p := c.cfg.Processors[region]; p != nil {
		return p
	}
	if p := c.cfg.Processors[c.cfg.Region]; p != nil || len(c.cfg.Processors) != 1 {
		return p
	}
	for _, p := range c.cfg.Processors {
		return p
	}
	return nil
}

// view is what a user may know of a conference; who waits in the lobby knows little.
// c.mu is held.
func (k *conference) view(reader string) Meeting {
	m := k.state
	v := Meeting{ID: k.id, Kind: k.kind, Subject: k.subject, Phase: m.Phase, Place: policy.Outside, Recording: k.records(), Created: k.created, Ended: k.ended}
	if a, ok := m.People[reader]; ok {
		v.Place = a.Place
	}
	if v.Place == policy.Lobby {
		return v
	}
	v.Region = m.Region
	v.Organizer, v.CoOrganizers, v.Presenters = m.Organizer, m.CoOrganizers, m.Presenters
	if reader == k.creator || slices.Contains(m.CoOrganizers, reader) {
		v.Invited = k.invited
	}
	if k.kind == KindMeeting {
		options := m.Options
		v.Options = &options
	}
	return v
}

// entry is one line of the roster. c.mu is held.
func (c *Controller) entry(k *conference, a meeting.Attendance) MeetingParticipant {
	cs := k.state.Case(a.Person)
	e := MeetingParticipant{Participant: a.Person.ID, Kind: cs.Kind(), Client: string(a.Person.Client), Place: a.Place,
		Since: a.Since, AwaitsStart: a.AwaitsStart, Connection: "reconnecting", Media: k.media[a.Person.ID] != nil}
	if a.Place == policy.Present {
		e.Role, _ = policy.RoleOf(cs)
		e.Rights = rightsOf(cs)
	}
	if u := c.users[a.Person.ID]; u != nil {
		e.Name = u.name
		if u.session != nil {
			e.Connection = "connected"
		}
	}
	return e
}

// rightsOf is what somebody present may do.
func rightsOf(c policy.Case) []string {
	rights := []string{}
	for _, r := range []struct {
		name string
		may  func(policy.Case) policy.Decision
	}{{RightMicrophone, policy.MayUseMicrophone}, {RightCamera, policy.MayUseCamera}, {RightPresent, policy.MayPresent},
		{RightChat, policy.MayChat}, {RightDialOut, policy.MayDialOut}} {
		if r.may(c).Outcome == policy.Allowed {
			rights = append(rights, r.name)
		}
	}
	return rights
}

// roster is those who are there; with the lobby for those who may admit. c.mu is held.
func (c *Controller) roster(k *conference, reader string) []MeetingParticipant {
	out := []MeetingParticipant{}
	for _, a := range k.state.In(policy.Present) {
		out = append(out, c.entry(k, a))
	}
	if k.state.MayAdmit(reader) {
		for _, a := range k.state.In(policy.Lobby) {
			out = append(out, c.entry(k, a))
		}
	}
	return out
}

// step changes a meeting, and says what happened.
type step func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error)

var errGone = errors.New("the conference is over and forgotten")

// change does one step: on a copy, which is saved before anybody sees it. A step that
// is refused, or cannot be saved, changes nothing. Neither lock is held before.
func (c *Controller) change(k *conference, reason string, do step) ([]meeting.Event, error) {
	k.turn.Lock()
	defer k.turn.Unlock()
	c.mu.Lock()
	m, gone, now := k.state.Clone(), k.gone, c.cfg.Now()
	c.mu.Unlock()
	if gone {
		return nil, errGone
	}
	events, err := do(m, now)
	if err != nil {
		return nil, err
	}
	ended := k.ended
	if m.Phase == meeting.Ended && ended.IsZero() {
		ended = now.Round(0).UTC()
	}
	if err := c.save(k, m, ended); err != nil {
		return nil, err
	}
	c.mu.Lock()
	k.ended = ended
	afterwards := c.apply(k, m, events, reason)
	c.mu.Unlock()
	for _, f := range afterwards {
		f()
	}
	return events, nil
}

// background runs f in a goroutine that Close waits for. c.mu is held, and the
// controller is not closed.
func (c *Controller) background(f func()) {
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		f()
	}()
}

// schedule sets the timers of a conference by its state. c.mu is held.
func (c *Controller) schedule(k *conference) {
	c.stop(k.lobby)
	c.stop(k.idle)
	k.lobby, k.idle = nil, nil
	if c.closed || k.gone {
		return
	}
	if at, ok := k.state.Deadline(); ok {
		// The wait is by the machine's clock, the deadline by Config.Now's.
		k.lobby = c.after(max(0, at.Sub(c.cfg.Now())), func() { c.background(func() { c.tick(k, at) }) })
	}
	keep := time.Duration(-1)
	switch {
	case k.state.Phase == meeting.Ended:
		keep = c.cfg.Limits.KeepMeetings - c.cfg.Now().Sub(k.ended)
	case k.kind == KindGroup && len(k.state.People) == 0:
		keep = c.cfg.Limits.KeepEnded
	default:
		return
	}
	k.idle = c.after(max(0, keep), func() { c.background(func() { c.forget(k) }) })
}

// tick sends those away whose wait in the lobby is over.
func (c *Controller) tick(k *conference, at time.Time) {
	_, err := c.change(k, "", func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error) {
		if now.Before(at) {
			now = at
		}
		return m.Tick(now), nil
	})
	if c.complain(k, "tick", err) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.closed && !k.gone {
			c.stop(k.lobby)
			k.lobby = c.after(storeRetry, func() { c.background(func() { c.tick(k, at) }) })
		}
	}
}

// storeRetry is after what time a change is tried again that could not be stored, and that
// nobody else would make again.
const storeRetry = 5 * time.Second

// forget removes a conference that has ended, or a group call in which nobody is.
func (c *Controller) forget(k *conference) {
	if k.kind == KindGroup {
		// Or who makes it anew in this moment would have it deleted from the store.
		c.grouping.Lock()
		defer c.grouping.Unlock()
	}
	k.turn.Lock()
	defer k.turn.Unlock()
	c.mu.Lock()
	over := k.state.Phase == meeting.Ended || k.kind == KindGroup && len(k.state.People) == 0
	if k.gone || !over {
		c.mu.Unlock()
		return
	}
	k.gone = true
	c.stop(k.lobby)
	c.stop(k.idle)
	delete(c.conferences, k.id)
	c.disown(k)
	c.mu.Unlock()
	if c.cfg.Store != nil {
		c.complain(k, "delete", c.cfg.Store.Delete(bucketMeetings, k.id))
	}
}

// complain logs what nobody waits for the outcome of, and says whether it failed.
func (c *Controller) complain(k *conference, what string, err error) (failed bool) {
	if failed = err != nil && !errors.Is(err, errGone); failed {
		c.cfg.Log.Error("signaling: a meeting was not changed", "meeting", k.id, "change", what, "error", err)
	}
	return failed
}

// depart takes somebody whose connection was lost out of a conference.
func (c *Controller) depart(k *conference, u *user) {
	_, err := c.change(k, reasonLost, func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error) {
		c.mu.Lock()
		back := u.present()
		c.mu.Unlock()
		if _, there := m.People[u.id]; back || !there {
			return nil, nil
		}
		return m.Leave(now, u.id)
	})
	if c.complain(k, "leave", err) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.closed {
			c.after(storeRetry, func() { c.background(func() { c.depart(k, u) }) })
		}
	}
}

// turn lets one request at a time act for a user, where requests wait for the store
// or a media processor. The zero turn is not usable.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take is false when ctx ended first.
func (t turn) take(ctx context.Context) bool {
	select {
	case t <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t turn) give() { <-t }

// checkPeople checks a list of user IDs.
func checkPeople(field string, ids []string) *Problem {
	if len(ids) > meeting.MaxPeople {
		return problem(CodeBadRequest, "%s has %d people, at most %d are taken", field, len(ids), meeting.MaxPeople)
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if !validUserID(id) {
			return problem(CodeBadRequest, "%s has %q, wanted users' IDs", field, clip(id))
		}
		if seen[id] {
			return problem(CodeBadRequest, "%s has %q twice", field, id)
		}
		seen[id] = true
	}
	return nil
}

// checkSubject keeps a subject to one line.
func checkSubject(s string) *Problem {
	if p := checkReason(s); p != nil {
		p.Detail = strings.Replace(p.Detail, "reason", "subject", 1)
		return p
	}
	return nil
}
