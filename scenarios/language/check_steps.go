package language

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/topology"
)

// phase is how far the call of a scenario has come, as its steps are read.
type phase uint8

const (
	idle    phase = iota // nobody has called
	ringing              // a call has been made
	up                   // it was answered
	over                 // it was rejected or ended
)

var phaseWords = [...]string{
	idle: "nobody has called", ringing: "the call has not been answered", up: "the call has been answered", over: "the call is over",
}

// stepOrder is the table of which step may be in which phase, and which phase
// follows. A phase that is not there is out of order.
var stepOrder = map[string]map[phase]phase{
	"call":        {idle: ringing},
	"answer":      {ringing: up},
	"reject":      {ringing: over},
	"connect":     {up: up},
	"hold":        {up: up},
	"resume":      {up: up},
	"mute":        {up: up},
	"unmute":      {up: up},
	"restart-ice": {up: up},
	"hangup":      {ringing: over, up: over},
	"wait":        {idle: idle, ringing: ringing, up: up},
	"change":      {idle: idle, ringing: ringing, up: up},
}

// kinds are the steps' keys, in the order of the model.
var kinds = append([]string{"call", "answer", "reject", "connect", "hold", "resume", "mute", "unmute", "hangup", "restart-ice", "wait", "change"},
	conferenceOnly...)

// one is the participant of a step that has one, and the path to its name.
func (s Step) one() (path, name string, ok bool) {
	switch {
	case s.Answer != nil:
		return ".answer", s.Answer.By, true
	case s.Reject != nil:
		return ".reject", s.Reject.By, true
	}
	for _, one := range []*One{s.Hold, s.Resume, s.Mute, s.Unmute, s.Hangup, s.Restart, s.Leave, s.End} {
		if one != nil {
			return "." + s.Kind(), one.By, true
		}
	}
	return "", "", false
}

// played is the call as the steps have made it so far.
type played struct {
	phase  phase
	callee string
	// off holds "on hold alice" and "muted bob" while they are.
	off    map[string]bool
	waited time.Duration
}

// pairs are the steps that begin something and end it.
var pairs = map[string]struct {
	state  string
	begins bool
}{
	"hold": {"on hold", true}, "resume": {"on hold", false},
	"mute": {"muted", true}, "unmute": {"muted", false},
}

func (c *checker) checkSteps(n *topology.Network) {
	steps := c.s.Steps
	switch {
	case len(steps) == 0 && !c.has("steps"):
		c.report("steps", "is missing")
		return
	case len(steps) == 0:
		c.report("steps", "there are no steps; wanted at least a call")
		return
	case len(steps) > maxSteps:
		c.report("steps", fmt.Sprintf("%d steps; wanted at most %d", len(steps), maxSteps))
		return
	}
	if c.s.Conference() {
		c.checkConference(n)
		return
	}
	play := &played{off: map[string]bool{}}
	for i := range steps {
		c.checkStep(fmt.Sprintf("steps[%d]", i), &steps[i], play, n)
	}
	if !slices.ContainsFunc(steps, func(s Step) bool { return s.Call != nil }) {
		c.report("steps", "nobody calls; wanted a step such as call: {from: alice, to: bob}")
	}
	c.checkWaits(play.waited)
}

// checkWaits compares what the steps wait for with the timeout.
func (c *checker) checkWaits(waited time.Duration) {
	limit := time.Duration(c.s.Timeout)
	if limit == 0 {
		limit = defaultTimeout
	}
	if waited >= limit {
		c.report("steps", fmt.Sprintf("the steps wait for %s in all; wanted less than the timeout of %s", waited, limit))
	}
}

// oneKey wants a step to do one thing that there is.
func (c *checker) oneKey(path string, s *Step) (kind string, ok bool) {
	switch keys := c.d.Keys(path); {
	case len(keys) == 0:
		c.report(path, "the step does nothing; wanted a mapping with one key", kinds...)
	case len(keys) > 1:
		c.report(path, fmt.Sprintf("the step has the keys %s; wanted one: each step does one thing", strings.Join(keys, ", ")))
	default:
		kind = s.Kind()
	}
	return kind, kind != "" // an unknown key was reported
}

func (c *checker) checkStep(path string, s *Step, play *played, n *topology.Network) {
	kind, ok := c.oneKey(path, s)
	if !ok {
		return
	}
	if slices.Contains(conferenceOnly, kind) {
		c.report(path, fmt.Sprintf("%s is a step of a conference; this scenario is a call between two", kind), inPhase(play.phase)...)
		return
	}
	next, ok := stepOrder[kind][play.phase]
	if !ok {
		c.report(path, fmt.Sprintf("%s is out of order: %s", kind, phaseWords[play.phase]), inPhase(play.phase)...)
		// What follows is judged as if the step had been in order.
		for _, p := range stepOrder[kind] {
			next = max(next, p)
		}
	}
	play.phase = next
	if at, name, ok := s.one(); ok {
		c.checkOne(path+at, kind, name, play)
	}
	switch {
	case s.Call != nil:
		c.checkCall(path+".call", s.Call)
		play.callee = s.Call.To
	case s.Connect != nil:
		c.checkConnect(path, s.Connect)
	case s.Wait != nil:
		play.waited += c.checkWait(path, s.Wait)
	case s.Change != nil:
		c.checkChange(path+".change", s.Change, n, false)
	}
}

func (c *checker) checkConnect(path string, connect *Connect) {
	c.duration(path+".connect.within", connect.Within, time.Millisecond, maxWait)
	if within := time.Duration(connect.Within); within < 0 || within > maxWait {
		c.report(path+".connect", fmt.Sprintf("%q is out of bounds; wanted from 1ms to %s", within, maxWait))
	}
}

func (c *checker) checkWait(path string, wait *Wait) time.Duration {
	if d := time.Duration(wait.For); d <= 0 || d > maxWait {
		c.report(path+".wait", fmt.Sprintf("%q is out of bounds; wanted more than 0s and at most %s", d, maxWait))
	}
	return min(time.Duration(wait.For), maxWait)
}

// inPhase are the steps that may be in a phase.
func inPhase(p phase) []string {
	return slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool {
		_, ok := stepOrder[kind][p]
		return !ok
	})
}

func (c *checker) checkCall(path string, call *Call) {
	from, to := c.participant(path+".from", call.From), c.participant(path+".to", call.To)
	if from != nil && from == to {
		c.report(path+".to", fmt.Sprintf("%s cannot call itself", call.To))
	}
}

// checkOne validates a step of one participant.
func (c *checker) checkOne(path, kind, name string, play *played) {
	at := path
	if len(c.d.Keys(path)) > 0 {
		at += ".by"
	}
	if c.participant(at, name) == nil {
		return
	}
	if (kind == "answer" || kind == "reject") && play.callee != "" && name != play.callee {
		c.report(at, fmt.Sprintf("%q is not called", name), play.callee)
	}
	if kind == "reject" && c.has(path+".who") {
		c.report(path+".who", "is of the lobby of a conference; this scenario is a call between two")
	}
	if p, ok := pairs[kind]; ok {
		c.checkPaired(at, name, p.state, p.begins, play.off)
	}
}

// checkPaired wants what begins not to have begun, and what ends to have.
func (c *checker) checkPaired(at, name, what string, begins bool, off map[string]bool) {
	state := what + " " + name
	if off[state] == begins {
		words := map[bool]string{true: "already", false: "not"}
		c.report(at, fmt.Sprintf("%s is %s %s", name, words[begins], what))
	}
	off[state] = begins
}
