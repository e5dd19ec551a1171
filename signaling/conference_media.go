package signaling

import (
	"context"
	"slices"
	"time"

	"github.com/callpath/callpath/signaling/meeting/policy"
	"github.com/callpath/callpath/signaling/offeranswer"
)

// mediaWait bounds how long a media processor may take over an offer. It is shorter
// than what a client waits for an answer, which so learns of it.
const mediaWait = attemptTimeout - 2*time.Second

// offered is an offer to a media processor, checked before any lock is taken.
type offered struct {
	sdp     string
	mix     bool
	summary *offeranswer.Summary
	problem *Problem
}

func (c *Controller) offered(in mediaRequest) offered {
	d := c.describe(Description{Type: Offer, SDP: in.Offer}, nil, Offer)
	return offered{sdp: in.Offer, mix: in.Mix, summary: d.summary, problem: d.problem}
}

// sends is what the offer's author would send.
func (o *offered) sends() *media {
	m := &media{}
	for _, line := range o.summary.Media {
		switch {
		case line.Rejected || line.Direction != "sendrecv" && line.Direction != "sendonly":
		case line.Kind == "audio":
			m.audio = true
		case line.Kind == "video" && line.Slides:
			m.slides = true
		case line.Kind == "video":
			m.video = true
		}
	}
	return m
}

// forbids finds the right that somebody lacks for what they would send.
func (m *media) forbids(c policy.Case) (policy.Decision, bool) {
	for _, f := range []struct {
		sent bool
		may  func(policy.Case) policy.Decision
	}{{m.audio, policy.MayUseMicrophone}, {m.video, policy.MayUseCamera}, {m.slides, policy.MayPresent}} {
		if d := f.may(c); f.sent && d.Outcome != policy.Allowed {
			return d, true
		}
	}
	return policy.Decision{}, false
}

// mediaPlace is the rule that only those present have media.
func mediaPlace(place policy.Place) policy.Decision {
	return policy.Decision{Outcome: policy.Denied, Rule: policy.RulePlace, Value: string(place), Source: "meeting"}
}

// host hands the offer of somebody present to the media processor. It is called
// without locks, in the user's turn, so that nobody joins twice at once.
func (c *Controller) host(by actor, k *conference, o offered) (string, *Problem) {
	c.mu.Lock()
	p, processor, came := c.mayOffer(by, k, o)
	c.mu.Unlock()
	if p != nil {
		return "", p
	}
	ctx, cancel := context.WithTimeout(c.ctx, mediaWait)
	defer cancel()
	answer, err := processor.Join(ctx, k.id, by.user.id, o.sdp, o.mix)
	// A processor that says no goes on as before; one that did not answer in time, or
	// answered wrongly, may do anything.
	said := err != nil && ctx.Err() == nil
	if err == nil {
		err = checkMediaAnswer(o.summary, answer)
	}
	c.mu.Lock()
	a, there := k.state.People[by.user.id]
	there = there && a.Order == came && a.Place == policy.Present
	var d policy.Decision
	if there && err == nil {
		// The rights may have changed meanwhile.
		if lacks, denied := o.sends().forbids(k.state.Case(a.Person)); denied {
			d = lacks
		} else {
			c.hosted(by, k, o, answer)
		}
	}
	had := there && k.media[by.user.id] != nil
	c.mu.Unlock()
	if there && err == nil && d.Rule == "" {
		return answer, nil
	}
	if !had || !said {
		// Nobody else knows of that media, so nobody else would end it.
		processor.Leave(k.id, by.user.id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if had && !said && k.media[by.user.id] != nil {
		delete(k.media, by.user.id)
		c.connected(by.user)
	}
	switch {
	case ctx.Err() != nil:
		return "", problem(CodeUnavailable, "the media processor has not answered")
	case err != nil:
		c.cfg.Log.Error("signaling: no media", "meeting", k.id, "user", by.user.id, "error", err)
		return "", problem(CodeMedia, "the media processor has not taken the offer: %s", clip(err.Error()))
	case d.Rule != "":
		return "", c.forbid(by, k, d, "media")
	default:
		return "", c.forbid(by, k, mediaPlace(k.state.Case(policy.Person{ID: by.user.id}).Place), "media")
	}
}

// mayOffer decides on an offer. c.mu is held.
func (c *Controller) mayOffer(by actor, k *conference, o offered) (*Problem, MediaProcessor, uint64) {
	a := k.state.People[by.user.id]
	switch {
	case a.Place != policy.Present:
		place := a.Place
		if place == "" {
			place = policy.Outside
		}
		return c.forbid(by, k, mediaPlace(place), "media"), nil, 0
	case o.problem != nil:
		if o.problem.Code == CodePlaintextMedia || o.problem.Code == CodeSDES {
			c.audit(ruleDTLSSRTP, false, o.problem.Detail, by.in(k))
		}
		return o.problem, nil, 0
	}
	if d, denied := o.sends().forbids(k.state.Case(a.Person)); denied {
		return c.forbid(by, k, d, "media"), nil, 0
	}
	processor := c.processor(k.state.Region)
	if processor == nil {
		return problem(CodeUnavailable, "region %q has no media processor", k.state.Region), nil, 0
	}
	c.audit(ruleDTLSSRTP, true, "every m-line is DTLS-SRTP with a fingerprint", by.in(k))
	return nil, processor, a.Order
}

// relayed decides on TURN credentials for a conference: only for those present, as
// nobody else has media there. c.mu is held.
func (c *Controller) relayed(by actor, in iceServersRequest) (Event, *Problem) {
	kind, id := KindMeeting, in.Meeting
	if id == "" {
		kind, id = KindGroup, in.Group
	}
	k, p := c.named(kind, id)
	if p != nil {
		return Event{}, p
	}
	if place := k.state.Case(policy.Person{ID: by.user.id}).Place; place != policy.Present {
		return Event{}, c.forbid(by, k, mediaPlace(place), "relaying")
	}
	return by.in(k), nil
}

// checkMediaAnswer holds a processor to what peers are held to.
func checkMediaAnswer(offer *offeranswer.Summary, text string) error {
	answer, err := offeranswer.Parse(offeranswer.Answer, text)
	if err != nil {
		return err
	}
	return offeranswer.CheckAnswer(offer, answer)
}

// hosted notes that a processor has somebody's media. c.mu is held, as for all that
// follows.
func (c *Controller) hosted(by actor, k *conference, o offered, answer string) {
	k.origins.description(o.sdp, by.user.id)
	k.origins.description(answer, "the media processor")
	m, old := o.sends(), k.media[by.user.id]
	if old != nil {
		m.slots = old.slots
	} else if early := k.early[by.user.id]; early != nil {
		m.slots = early
	}
	delete(k.early, by.user.id)
	k.media[by.user.id] = m
	e := by.in(k)
	e.Kind, e.Region, e.Carried = EventMedia, k.state.Region, "offer, "+plural(o.summary.Candidates, "candidate")
	c.emit(e)
	if old == nil {
		c.connected(by.user)
	}
}

// dropMedia forgets somebody's media, and returns what ends it.
func (c *Controller) dropMedia(k *conference, region, id string) []func() {
	delete(k.early, id)
	if k.media[id] != nil {
		delete(k.media, id)
		c.emit(Event{Kind: EventMedia, Meeting: k.id, User: id, Region: region, Carried: "media ended"})
	}
	processor := c.processor(region)
	if processor == nil {
		return nil
	}
	// Also for who has none: an offer may be under way.
	return []func(){func() { processor.Leave(k.id, id) }}
}

// endMedia forgets all media, and returns what ends it.
func (c *Controller) endMedia(k *conference, region string) func() {
	k.media, k.early, k.origins = map[string]*media{}, nil, origins{}
	processor := c.processor(region)
	if processor == nil {
		return func() {}
	}
	return func() { processor.End(k.id) }
}

// curb ends the media of somebody who has lost the right to send some of it. A new
// offer brings back the rest.
func (c *Controller) curb(k *conference, id string) []func() {
	m := k.media[id]
	if m == nil {
		return nil
	}
	d, denied := m.forbids(k.state.Case(policy.Person{ID: id}))
	if !denied {
		return nil
	}
	c.audit(d.Rule, false, "media that is sent has lost its right: "+because(d), Event{Meeting: k.id, User: id})
	c.inform(k, id, Notification{Type: NotifyMeetingMediaEnded, Rule: d.Rule, Reason: because(d)})
	return c.dropMedia(k, k.state.Region, id)
}

// maxSlots bounds a layout.
const maxSlots = 1024

// MediaLayout tells a participant who is on which slot; the adapter of the media
// processor calls it, from any goroutine, also while Join is under way. The layout of
// somebody who is not present is dropped.
func (c *Controller) MediaLayout(conference, participant string, slots []Slot) {
	slots = slices.Clone(slots[:min(len(slots), maxSlots)])
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.conferences[conference]
	if c.closed || k == nil || k.state.People[participant].Place != policy.Present {
		return
	}
	if m := k.media[participant]; m != nil {
		m.slots = slots
	} else {
		if k.early == nil {
			k.early = map[string][]Slot{}
		}
		k.early[participant] = slots
	}
	c.inform(k, participant, Notification{Type: NotifyMeetingLayout, Slots: slots})
}
