package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// conferenceStep carries out a step that only conferences have; handled is false for
// any other.
func (r *run) conferenceStep(ctx context.Context, step language.Step) (handled bool, err error) {
	switch {
	case step.Meeting != nil:
		return true, r.makeMeeting(ctx, step.Meeting)
	case step.Group != nil:
		return true, r.makeGroup(ctx, step.Group)
	case step.Join != nil:
		for _, name := range step.Join.By {
			if err := r.join(ctx, name, step.Join); err != nil {
				return true, fmt.Errorf("by %s: %w", name, err)
			}
		}
		return true, nil
	case step.Leave != nil:
		r.own("leave", step.Leave.By, "")
		r.book.leaves(step.Leave.By)
		return true, r.participants[step.Leave.By].Leave(ctx)
	case step.Policies != nil:
		r.own("policies", "administrator", "")
		return true, r.setPolicies(step.Policies)
	case step.Chat != nil:
		return true, r.chat(ctx, step.Chat)
	case step.Edit != nil:
		return true, r.edit(ctx, step.Edit)
	case step.Delete != nil:
		return true, r.delete(ctx, step.Delete)
	case step.Read != nil:
		return true, r.read(ctx, step.Read)
	case step.CustomerKey != nil:
		return true, r.customerKey(ctx, step.CustomerKey)
	case step.Connect != nil && r.scenario.Conference():
		return true, r.connectAll(ctx, step.Connect)
	}
	do := r.moderation(step)
	if do.act == nil {
		return false, nil
	}
	return true, r.moderate(ctx, step.Kind(), do)
}

// moderation is an act of one participant on a meeting.
type moderation struct {
	by, carried string
	act         func(ctx context.Context, c *signaling.Client, meeting string) error
}

func (r *run) moderation(step language.Step) moderation {
	each := func(who []string, act func(*signaling.Client, context.Context, string, string) error) func(context.Context, *signaling.Client, string) error {
		return func(ctx context.Context, c *signaling.Client, meeting string) error {
			for _, name := range who {
				if err := act(c, ctx, meeting, name); err != nil {
					return err
				}
			}
			return nil
		}
	}
	switch {
	case step.Admit != nil && len(step.Admit.Who) == 0:
		return moderation{step.Admit.By, "all", func(ctx context.Context, c *signaling.Client, m string) error { return c.AdmitAll(ctx, m) }}
	case step.Admit != nil:
		return moderation{step.Admit.By, fmt.Sprint(step.Admit.Who), each(step.Admit.Who, (*signaling.Client).Admit)}
	case step.Reject != nil && len(step.Reject.Who) > 0:
		return moderation{step.Reject.By, fmt.Sprint(step.Reject.Who), each(step.Reject.Who, (*signaling.Client).RejectParticipant)}
	case step.Remove != nil:
		return moderation{step.Remove.By, step.Remove.Who, each([]string{step.Remove.Who}, (*signaling.Client).RemoveParticipant)}
	case step.Role != nil:
		return moderation{step.Role.By, step.Role.Who + " is " + step.Role.Is, func(ctx context.Context, c *signaling.Client, m string) error {
			return c.SetRole(ctx, m, step.Role.Who, policy.Role(step.Role.Is))
		}}
	case step.Options != nil:
		return moderation{step.Options.By, fmt.Sprint(step.Options.Set), func(ctx context.Context, c *signaling.Client, m string) error {
			_, err := c.SetMeetingOptions(ctx, m, step.Options.Set)
			return err
		}}
	case step.End != nil:
		return moderation{step.End.By, "", func(ctx context.Context, c *signaling.Client, m string) error { return c.EndMeeting(ctx, m) }}
	}
	return moderation{}
}

// moderate does an act. One that the controller refuses by a rule is an outcome.
func (r *run) moderate(ctx context.Context, kind string, do moderation) error {
	r.own(kind, do.by, do.carried)
	in := r.book.joined(do.by)
	if in == "" {
		return fmt.Errorf("%s is in no meeting", do.by)
	}
	id, _ := r.book.id(in)
	err := do.act(ctx, r.participants[do.by].Signaling(), id)
	if r.book.denied(in, kind, do.by, err) {
		return nil
	}
	return err
}

func (r *run) makeMeeting(ctx context.Context, m *language.Meeting) error {
	r.own("meeting", m.Organizer, m.Name)
	made, err := r.participants[m.Organizer].Signaling().CreateMeeting(ctx, signaling.MeetingRequest{
		Subject: m.Name, Options: m.Options, Invited: m.Invited, CoOrganizers: m.CoOrganizers, Presenters: m.Presenters,
	})
	if err != nil {
		return err
	}
	r.book.add(m.Name, signaling.KindMeeting, made.ID, !m.SignalingOnly())
	return nil
}

func (r *run) makeGroup(ctx context.Context, g *language.Group) error {
	r.own("group", g.By, g.Name)
	made, err := r.participants[g.By].Signaling().CreateGroup(ctx, signaling.GroupRequest{Invited: g.Invited, Recording: g.Recording})
	r.book.add(g.Name, signaling.KindGroup, made.ID, true)
	if r.book.denied(g.Name, "group", g.By, err) {
		return nil
	}
	return err
}

// join has one participant ask to get in.
func (r *run) join(ctx context.Context, name string, j *language.Join) error {
	in := j.Meeting + j.Group
	id, withMedia := r.book.id(in)
	if id == "" && j.Group != "" {
		made, err := uuid.NewRandom()
		if err != nil {
			return err
		}
		id, withMedia = made.String(), true
		r.book.add(in, signaling.KindGroup, id, true)
	}
	if id == "" {
		return fmt.Errorf("%s was not made", in)
	}
	r.stepped(result.Step{Name: "join", At: result.Duration(time.Since(r.started)), From: name, To: serviceSignaling, Carried: in})
	p := r.participants[name]
	if err := r.awaitOut(ctx, name); err != nil {
		return err
	}
	r.book.joins(name, in)
	var err error
	if j.Group != "" {
		_, err = p.JoinGroup(ctx, id)
	} else {
		_, err = p.JoinMeeting(ctx, id, withMedia)
	}
	var problem *signaling.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusForbidden {
		return err
	}
	if p.Place() == policy.Present {
		r.book.denied(in, "media", name, err)
		r.book.silence(name)
	}
	return nil // of the door, the controller's events tell
}

// awaitOut waits until the client of somebody who is out of the conference that it
// joined last, for example because it was removed, has heard so.
func (r *run) awaitOut(ctx context.Context, name string) error {
	last := r.book.joined(name)
	for last != "" && !r.book.stands(last, name) && r.participants[name].Place() != policy.Outside {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("%s was not told that it is out of %s: %w", name, last, err)
		}
	}
	return nil
}

// setPolicies changes the policies as an administrator does; what is not said stays.
func (r *run) setPolicies(p *language.Policies) error {
	changed, err := mergePolicies(r.services.policies, *p)
	if err != nil {
		return err
	}
	r.services.policies = changed
	controller := r.services.controller()
	if controller == nil {
		return errors.New("no signaling controller runs")
	}
	return controller.SetPolicies(changed)
}

// connectAll waits until everybody present has what the others send. That they have
// not is an outcome, and later steps may mend it.
func (r *run) connectAll(ctx context.Context, step *language.Connect) error {
	within := time.Duration(step.Within)
	if within == 0 {
		within = defaultConnect
	}
	waiting, stop := context.WithTimeout(ctx, within)
	defer stop()
	group, waiting := errgroup.WithContext(waiting)
	for _, spec := range r.scenario.Participants {
		group.Go(func() error {
			if err := r.awaitOthers(waiting, spec); err != nil {
				return err
			}
			if r.hasMedia(spec.Name) {
				r.mu.Lock()
				r.call.connected[spec.Name] = time.Now()
				r.mu.Unlock()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		r.fail(fmt.Errorf("within %s: %w", within, err))
	}
	return ctx.Err()
}

// hasMedia is true for who is in a conference, as the controller has it, though its
// client may not know yet, and was not refused what it sends.
func (r *run) hasMedia(name string) bool {
	return r.book.isIn(r.book.joined(name), name) && !r.book.isSilent(name)
}

// awaitOthers waits until a participant has got what those beside it send, as far as
// its slots go.
func (r *run) awaitOthers(ctx context.Context, spec language.Participant) error {
	p := r.participants[spec.Name]
	in := r.book.joined(spec.Name)
	if _, withMedia := r.book.id(in); !withMedia || !r.hasMedia(spec.Name) {
		return nil
	}
	before := p.Heard()
	err := p.AwaitHeard(ctx, func(h participant.Heard) bool {
		h = h.Since(before)
		wanted := map[string][]string{}
		for _, other := range r.scenario.Participants {
			if other.Name == spec.Name || r.book.joined(other.Name) != in || !r.hasMedia(other.Name) {
				continue
			}
			if r.participants[other.Name].Listens() {
				continue
			}
			for _, kind := range sends(other) {
				wanted[kind] = append(wanted[kind], other.Name)
			}
		}
		if spec.Mix {
			if len(wanted[media.Audio]) > 0 && h.Mixed == 0 {
				return false
			}
			delete(wanted, media.Audio)
		}
		limit := r.slots(spec)
		return enough(h, wanted, limit.Audio, media.Audio) && enough(h, wanted, limit.Video, media.Video, media.Slides)
	})
	if err != nil {
		return fmt.Errorf("%w; %s", err, r.recorders[spec.Name].Record().Verdict)
	}
	return nil
}

// enough is true when all of some kinds who are wanted have come, or as many as there
// are slots.
func enough(h participant.Heard, wanted map[string][]string, slots int, kinds ...string) bool {
	have, want := 0, 0
	for _, kind := range kinds {
		of := h.Of(kind)
		for _, name := range wanted[kind] {
			want++
			if slices.Contains(of, name) {
				have++
			}
		}
	}
	return have >= min(want, slots)
}

// sends are the kinds of media that a participant sends.
func sends(p language.Participant) []string {
	var kinds []string
	formats, err := endpoint.Sent(p)
	if err != nil {
		return nil // it would have been refused before
	}
	for _, f := range formats {
		kinds = append(kinds, f.Kind)
	}
	if p.Screen != "" {
		kinds = append(kinds, media.Slides)
	}
	return kinds
}

// slots are how many m-lines of each kind a participant's offer receives on: enough
// for all others, unless the scenario says how many.
func (r *run) slots(p language.Participant) endpoint.Conference {
	others, screens := 0, 0
	for _, other := range r.scenario.Participants {
		if other.Name != p.Name {
			others++
			if other.Screen != "" {
				screens++
			}
		}
	}
	n := max(others, 1)
	if p.Slots > 0 {
		n = p.Slots
	}
	c := endpoint.Conference{Audio: n, Video: n + screens}
	if p.Mix {
		c.Audio = 1
	}
	return c
}

// leaveAll ends what is left of the conferences.
func (r *run) leaveAll(ctx context.Context) {
	if r.services.controller() == nil {
		return // it has died, and nobody can be told
	}
	for name, p := range r.participants {
		if p.Place() == policy.Outside {
			continue
		}
		if err := p.Leave(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("conference.leave_failed", "participant", name, "error", err.Error())
		}
	}
}

// conferenceOutcome is the state in which the conferences of a run ended up.
func (c *callProgress) conferenceOutcome(connects bool) result.Call {
	switch {
	case c.failed != "":
		return result.Call{State: "failed", Reason: c.failed}
	case len(c.connected) > 0:
		return result.Call{State: "connected"}
	case connects:
		return result.Call{State: "failed", Reason: "nobody had media before the steps ended"}
	}
	return result.Call{State: "none"}
}
