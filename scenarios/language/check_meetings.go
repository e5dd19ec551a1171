package language

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/signaling/meeting/policy"
	"github.com/callpath/callpath/topology"
)

// Bounds of a conference.
const (
	maxPeople = 16
	maxText   = 28 << 10
)

// callOnly and conferenceOnly are the steps of the two kinds of scenario; all others
// may be in both.
var (
	callOnly       = []string{"call", "answer", "hold", "resume", "hangup"}
	conferenceOnly = []string{"meeting", "group", "join", "leave", "admit", "remove", "role", "options", "policies", "end", "chat", "edit", "delete", "read", "customer-key"}
)

// conference is what the steps have made so far.
type conference struct {
	meetings map[string]*Meeting
	groups   map[string]bool
	last     string // the meeting or group made last
	isGroup  bool
	in       map[string]string // by participant: what it joined last
	messages map[string]bool
	off      map[string]bool
	stopped  map[string]bool // by host
	waited   time.Duration
}

// inConference are the steps that a conference may have.
func inConference() []string {
	return slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool { return slices.Contains(callOnly, kind) })
}

func (c *checker) checkConference(n *topology.Network) {
	state := &conference{
		meetings: map[string]*Meeting{}, groups: map[string]bool{}, in: map[string]string{},
		messages: map[string]bool{}, off: map[string]bool{}, stopped: map[string]bool{},
	}
	for i := range c.s.Steps {
		c.checkConferenceStep(fmt.Sprintf("steps[%d]", i), &c.s.Steps[i], state, n)
	}
	if n != nil && len(n.HostsWith(topology.MediaProcessor)) == 0 {
		c.report("topology", fmt.Sprintf("the network has no host with the role %s", topology.MediaProcessor))
	}
	c.checkWaits(state.waited)
}

func (c *checker) checkConferenceStep(path string, s *Step, state *conference, n *topology.Network) {
	kind, ok := c.oneKey(path, s)
	if !ok {
		return
	}
	if slices.Contains(callOnly, kind) {
		c.report(path, fmt.Sprintf("%s is a step of a call between two; this scenario has a conference", kind), inConference()...)
		return
	}
	switch {
	case s.Meeting != nil:
		c.checkMeeting(path+".meeting", s.Meeting, state)
	case s.Group != nil:
		c.checkGroup(path+".group", s.Group, state)
	case s.Join != nil:
		c.checkJoin(path+".join", s.Join, state)
	case s.Chat != nil:
		c.checkChat(path+".chat", s.Chat, state)
	case s.Read != nil:
		c.checkRead(path+".read", s.Read, state)
	case s.CustomerKey != nil:
		c.checkCustomerKey(path+".customer-key", s.CustomerKey)
	case s.Policies != nil:
		c.policies(path+".policies", s.Policies)
	case s.Connect != nil:
		c.checkConnect(path, s.Connect)
	case s.Wait != nil:
		state.waited += c.checkWait(path, s.Wait)
	case s.Change != nil:
		c.checkChange(path+".change", s.Change, n, false)
		c.checkService(path+".change", s.Change, state)
	default:
		c.checkAct(path, kind, s, state)
	}
}

// name wants the name of something new.
func (c *checker) newName(path, name, what string, taken bool) {
	c.text(path, name, true)
	switch {
	case name == "":
	case !scenarioName.MatchString(name):
		c.report(path, fmt.Sprintf("%q is no name of a %s; wanted lower-case letters, digits and hyphens between them", name, what))
	case taken:
		c.report(path, fmt.Sprintf("the name %q is taken", name))
	}
}

func (c *checker) checkMeeting(path string, m *Meeting, state *conference) {
	c.newName(path+".name", m.Name, "meeting", state.meetings[m.Name] != nil || state.groups[m.Name])
	if p := c.participant(path+".organizer", m.Organizer); p != nil && p.kind() != string(policy.Member) {
		c.report(path+".organizer", fmt.Sprintf("%s is %s; only members of the organisation organize meetings", p.Name, p.kind()))
	}
	c.people(path+".co-organizers", m.CoOrganizers)
	c.people(path+".presenters", m.Presenters)
	c.people(path+".invited", m.Invited)
	c.settings(path+".options", m.Options, optionWords())
	state.meetings[m.Name] = m
	state.last, state.isGroup = m.Name, false
}

func (c *checker) checkGroup(path string, g *Group, state *conference) {
	c.newName(path+".name", g.Name, "group", state.meetings[g.Name] != nil || state.groups[g.Name])
	c.participant(path+".by", g.By)
	c.people(path+".invited", g.Invited)
	if len(g.Invited) == 0 {
		c.report(path+".invited", "nobody is invited", c.names()...)
	}
	state.groups[g.Name] = true
	state.last, state.isGroup = g.Name, true
}

// checkJoin also fills in the conference that a join leaves out.
func (c *checker) checkJoin(path string, j *Join, state *conference) {
	by := path
	if len(c.d.Keys(path)) > 0 {
		by += ".by"
	}
	if len(j.By) == 0 {
		c.report(by, "nobody joins", c.names()...)
	}
	c.people(by, j.By)
	switch {
	case j.Meeting != "" && j.Group != "":
		c.report(path+".group", "stands beside a meeting; wanted one of the two")
	case j.Meeting != "" && state.meetings[j.Meeting] == nil:
		c.report(path+".meeting", fmt.Sprintf("no step above makes a meeting %q", j.Meeting), sorted(state.meetings)...)
	case j.Group != "":
		if !state.groups[j.Group] {
			c.newName(path+".group", j.Group, "group", state.meetings[j.Group] != nil)
		}
		state.groups[j.Group] = true
		state.last, state.isGroup = j.Group, true
	case j.Meeting == "" && state.last == "":
		c.report(path, "there is no meeting to join; wanted a step that makes one before, or group: NAME")
	case j.Meeting == "" && state.isGroup:
		j.Group = state.last
	case j.Meeting == "":
		j.Meeting = state.last
	}
	m := state.meetings[j.Meeting]
	for _, name := range j.By {
		state.in[name] = j.Meeting + j.Group
		p := c.find(name)
		if p != nil && p.Client == string(policy.Phone) && (m == nil || !m.SignalingOnly()) {
			c.reportOnce(by, fmt.Sprintf("%s calls from the telephone network, which has no media yet; wanted a meeting with media: false", name))
		}
	}
}

func (c *checker) checkChat(path string, chat *Chat, state *conference) {
	c.newName(path+".name", chat.Name, "message", state.messages[chat.Name])
	c.text(path+".text", chat.Text, true)
	if len(chat.Text) > maxText {
		c.report(path+".text", fmt.Sprintf("%d bytes; wanted at most %d", len(chat.Text), maxText))
	}
	c.checkChatter(path, "from", chat.From, chat.Meeting, state)
	if chat.Justification != "" && !chat.Override {
		c.report(path+".justification", "justifies nothing: wanted override: true beside it")
	}
	state.messages[chat.Name] = true
}

// checkChatter wants somebody who has joined a meeting, or a meeting by name.
func (c *checker) checkChatter(path, key, who, meeting string, state *conference) {
	p := c.participant(path+"."+key, who)
	switch {
	case meeting != "" && state.meetings[meeting] == nil:
		c.report(path+".meeting", fmt.Sprintf("no step above makes a meeting %q", meeting), sorted(state.meetings)...)
	case meeting == "" && p != nil && state.in[who] == "":
		c.report(path+"."+key, fmt.Sprintf("%s has joined nothing; wanted meeting: NAME beside it", who))
	}
}

func (c *checker) checkRead(path string, read *Read, state *conference) {
	c.newName(path+".name", read.Name, "history", state.messages[read.Name])
	c.checkChatter(path, "by", read.By, read.Meeting, state)
	state.messages[read.Name] = true
}

// checkAct validates a step by which a participant does something in the conference
// that it joined last.
func (c *checker) checkAct(path, kind string, s *Step, state *conference) {
	at, by, others := s.act()
	at = path + "." + at
	if c.participant(at, by) == nil {
		return
	}
	if state.in[by] == "" {
		c.report(at, fmt.Sprintf("%s has joined nothing", by))
	}
	base := path + "." + kind
	c.people(base+".who", others)
	switch {
	case s.Reject != nil && len(s.Reject.Who) == 0:
		c.report(base+".who", "is missing: whom the lobby is to lose", c.names()...)
	case s.Reject != nil && s.Reject.Reason != "":
		c.report(base+".reason", "a person in the lobby is given no reason")
	case s.Remove != nil && s.Remove.Who == "" || s.Role != nil && s.Role.Who == "":
		c.report(base+".who", "is missing", c.names()...)
	case s.Options != nil:
		c.settings(base+".set", s.Options.Set, optionWords())
		if len(s.Options.Set) == 0 && !c.has(base+".set") {
			c.report(base+".set", "is missing", sorted(optionWords().valid)...)
		}
	case s.Edit != nil:
		c.text(base+".text", s.Edit.Text, true)
		c.message(base+".message", s.Edit.Message, state)
	case s.Delete != nil:
		c.message(base+".message", s.Delete.Message, state)
	}
	if s.Role != nil {
		c.word(base+".is", s.Role.Is, string(policy.Presenter), string(policy.Attendee))
	}
	if p, ok := pairs[kind]; ok {
		c.checkPaired(at, by, p.state, p.begins, state.off)
	}
}

func (c *checker) message(path, name string, state *conference) {
	if !state.messages[name] {
		c.report(path, fmt.Sprintf("no step above sends a message %q", name), sorted(state.messages)...)
	}
}

// act is who does a step, where that stands, and to whom it is done.
func (s Step) act() (path, by string, others []string) {
	if path, by, ok := s.one(); ok && s.Reject == nil {
		return strings.TrimPrefix(path, "."), by, nil
	}
	switch {
	case s.Reject != nil:
		return "reject.by", s.Reject.By, s.Reject.Who
	case s.Admit != nil:
		return "admit.by", s.Admit.By, s.Admit.Who
	case s.Remove != nil:
		return "remove.by", s.Remove.By, named(s.Remove.Who)
	case s.Role != nil:
		return "role.by", s.Role.By, named(s.Role.Who)
	case s.Options != nil:
		return "options.by", s.Options.By, nil
	case s.Edit != nil:
		return "edit.by", s.Edit.By, nil
	case s.Delete != nil:
		return "delete.by", s.Delete.By, nil
	}
	return "", "", nil
}

func named(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// checkService validates the end of a service, against those that have ended.
func (c *checker) checkService(path string, change *Change, state *conference) {
	for _, one := range []struct {
		key string
		of  *Service
	}{{"stop", change.Stop}, {"start", change.Start}, {"hang", change.Hang}} {
		if one.of == nil {
			continue
		}
		switch stopped := state.stopped[one.of.Host]; {
		case one.key == "start" && !stopped:
			c.report(path+".start", fmt.Sprintf("%s runs already", one.of.Host))
		case one.key != "start" && stopped:
			c.report(path+"."+one.key, fmt.Sprintf("%s has ended already", one.of.Host))
		}
		state.stopped[one.of.Host] = one.key != "start"
	}
}

// kind is what the participant is to the organisation, with the default filled in.
func (p *Participant) kind() string {
	switch {
	case p.Person != "":
		return p.Person
	case p.Client == string(policy.Teams):
		return string(policy.Member)
	}
	return string(policy.Anonymous)
}

// find is participant without a report.
func (c *checker) find(name string) *Participant {
	for i := range c.s.Participants {
		if c.s.Participants[i].Name == name {
			return &c.s.Participants[i]
		}
	}
	return nil
}
