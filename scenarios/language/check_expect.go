package language

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/topology"
)

// The words of expectations.
var (
	outcomes = []string{CallConnected, CallRejected, CallFailed}
	// documented are the steps of a one-to-one call; package result, which is
	// above this one, has them as constants.
	documented = []string{"resolve", "allocate-caller", "invite", "notify", "allocate-callee", "answer", "checks", "telemetry"}
	flowWords  = []string{
		string(topology.Flow2), string(topology.Flow2Star), string(topology.Flow3),
		string(topology.Flow4), string(topology.Flow5), string(topology.Flow6),
	}
	candidateTypes = []string{"host", "srflx", "prflx", "relay"}
	versions       = []string{"DTLS 1.2", "DTLS 1.3"}
	dtlsRoles      = []string{"client", "server"}
	verdicts       = []string{"verified", "mismatch"}
	iceRoles       = []string{"controlling", "controlled"}
)

// need is how far a call must come before an expectation can be met.
type need uint8

const (
	needNothing need = iota
	needAnswer       // checks and handshake follow the answer
	needMedia
)

// needs says for each key what it needs; the others need nothing.
var needs = map[string]need{
	"pair": needAnswer, "relay-port": needAnswer, "ice-role": needAnswer,
	"dtls-version": needAnswer, "cipher-suite": needAnswer, "srtp-profile": needAnswer, "dtls-role": needAnswer,
	"certificate": needAnswer, "fingerprint": needAnswer, "extended-master-secret": needAnswer, "dtls-retransmissions": needAnswer,
	"flows": needMedia, "protocol": needMedia, "relayed": needMedia, "intact": needMedia,
	"loss": needMedia, "rtt": needMedia, "jitter": needMedia, "mos": needMedia, "bitrate": needMedia, "freezes": needMedia, "gap": needMedia,
	"setup-within": needMedia, "media-in-vpn": needMedia, "relay-saw-plaintext": needMedia,
}

// reached is how far a call with an outcome comes.
var reached = map[string]need{CallConnected: needMedia, CallFailed: needAnswer, CallRejected: needNothing}

func (c *checker) checkExpect() {
	e := &c.s.Expect
	if len(c.d.Keys("expect")) == 0 {
		c.report("expect", "nothing is expected; wanted at least the outcome, for example call: connected", "call")
		return
	}
	c.word("expect.call", e.Call, outcomes...)
	c.words("expect.steps", e.Steps, documented...)
	c.text("expect.reason", e.Reason, false)
	c.text("expect.relay-refused", e.RelayRefused, false)
	c.duration("expect.setup-within", e.SetupWithin, time.Millisecond, maxTimeout)
	if e.Violations != nil && *e.Violations < 0 {
		c.report("expect.violations", fmt.Sprintf("%d violations; wanted a number from 0", *e.Violations))
	}
	c.checkOneExpect("expect", &e.Each)
	if c.has("expect.participants") && len(c.d.Keys("expect.participants")) == 0 {
		c.report("expect.participants", "nobody is named", c.names()...)
	}
	for _, name := range c.d.Keys("expect.participants") {
		one, ok := e.Participants[name]
		if !ok {
			continue
		}
		path := "expect.participants." + name
		c.participant(path, name)
		if len(c.d.Keys(path)) == 0 {
			c.report(path, fmt.Sprintf("nothing is expected of %s", name))
		}
		c.checkOneExpect(path, &one)
		e.Participants[name] = one
	}
	c.checkConferenceExpect()
	if c.s.Conference() {
		c.checkConferenceOutcome()
		return
	}
	c.checkOutcome()
	if len(c.s.Participants) == 2 {
		c.contradictions()
	}
}

func (c *checker) checkOneExpect(path string, e *ParticipantExpect) {
	for _, list := range []struct {
		key   string
		flows *[]topology.Flow
	}{{"flows", &e.Flows}, {"signaling-flows", &e.SignalingFlows}} {
		at := path + "." + list.key
		if words := flowNames(*list.flows); len(words) > 0 {
			c.words(at, words, flowWords...)
		} else if c.has(at) {
			*list.flows = []topology.Flow{} // none, which is more than nothing said
		}
	}
	c.checkPair(path+".pair", e.Pair)
	for _, list := range []struct {
		key   string
		names *[]string
	}{{"hears", &e.Hears}, {"sees", &e.Sees}, {"slides", &e.Slides}} {
		at := path + "." + list.key
		c.people(at, *list.names)
		if len(*list.names) == 0 && c.has(at) {
			*list.names = []string{} // nobody, which is more than nothing said
		}
	}
	if n := c.s.Network; e.Processor != "" && n != nil && !slices.ContainsFunc(n.HostsWith(topology.MediaProcessor), func(h *topology.Host) bool { return h.Name == e.Processor }) {
		c.report(path+".processor", fmt.Sprintf("no media processor %q", e.Processor), hostsWith(n, topology.MediaProcessor)...)
	}
	c.word(path+".protocol", e.Protocol, transports...)
	if e.RelayPort == 0 && c.has(path+".relay-port") {
		c.report(path+".relay-port", "0 is not a port; wanted a number from 1 to 65535")
	}
	c.word(path+".dtls-version", e.DTLSVersion, versions...)
	c.word(path+".cipher-suite", e.CipherSuite, suites["v3"]...)
	c.word(path+".srtp-profile", e.SRTPProfile, append(profileWords(), profileNames()...)...)
	c.word(path+".dtls-role", e.DTLSRole, dtlsRoles...)
	c.word(path+".certificate", e.Certificate, keys...)
	c.word(path+".fingerprint", e.Fingerprint, verdicts...)
	c.word(path+".ice-role", e.ICERole, iceRoles...)
	c.text(path+".verdict", e.Verdict, false)
	for _, r := range e.ranges() {
		c.checkRange(path+"."+r.key, r.key, r.bounds)
	}
}

func (c *checker) checkPair(path string, pair []string) {
	if len(pair) != 2 {
		if c.has(path) {
			c.report(path, fmt.Sprintf("%d types; wanted two, local then remote, for example [host, relay]", len(pair)))
		}
		return
	}
	for i, choice := range pair {
		for _, t := range strings.Split(choice, "|") {
			if !slices.Contains(candidateTypes, t) {
				c.report(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%q is not a type of candidate", t), candidateTypes...)
			}
		}
	}
}

// checkRange reads a range in the unit of its key.
func (c *checker) checkRange(path, key string, r *Range) {
	if r == nil {
		return
	}
	unit := UnitOf(key)
	if err := r.read(unit); err != nil {
		c.report(path, err.Error(), unitForms[unit].examples...)
		return
	}
	if key == "mos" && !(Range{Min: r.Min, Max: r.Max}).overlaps(1, 4.5) {
		c.report(path, fmt.Sprintf("%s cannot be met: an opinion score lies from 1 to 4.5", r.Text(unit)))
	}
}

func (r Range) overlaps(low, high float64) bool {
	return (r.Min == nil || *r.Min <= high) && (r.Max == nil || *r.Max >= low)
}

// keyedRange is a range with its key.
type keyedRange struct {
	key    string
	bounds *Range
}

func (e *ParticipantExpect) ranges() []keyedRange {
	return []keyedRange{
		{"dtls-retransmissions", e.Retransmitted}, {"loss", e.Loss}, {"rtt", e.RTT}, {"jitter", e.Jitter}, {"mos", e.MOS},
		{"bitrate", e.Bitrate}, {"freezes", e.Freezes}, {"gap", e.Gap}, {"restarts", e.Restarts}, {"rejoins", e.Rejoins},
	}
}

// checkOutcome compares the outcome with the steps, and every other expectation
// with the outcome.
func (c *checker) checkOutcome() {
	e := c.s.Expect
	has := func(kind string) bool {
		return slices.ContainsFunc(c.s.Steps, func(s Step) bool { return s.Kind() == kind })
	}
	switch {
	case e.Call == CallConnected && !has("answer"):
		c.report("expect.call", "the call cannot be connected: no step answers it")
	case e.Call == CallRejected && !has("reject"):
		c.report("expect.call", "the call cannot be rejected: no step rejects it")
	case e.Call == CallFailed && has("reject"):
		c.report("expect.call", "the call cannot fail: a step rejects it", CallRejected)
	}
	if e.Reason != "" && e.Call != CallRejected && e.Call != CallFailed {
		c.report("expect.reason", "only a call that is rejected or fails has a reason; wanted call: rejected or call: failed beside it")
	}
	far, ok := reached[e.Call]
	if !ok {
		return
	}
	for _, path := range sorted(c.s.Lines) {
		key := path[strings.LastIndexByte(path, '.')+1:]
		if strings.Count(path, ".") == 2 || needs[key] <= far {
			continue // a participant's whole, or within reach
		}
		what := map[need]string{needAnswer: "an answer", needMedia: "media"}[needs[key]]
		c.report(path, fmt.Sprintf("contradicts call: %s, which has no %s", e.Call, strings.TrimPrefix(what, "an ")))
	}
}

func hostsWith(n *topology.Network, roles ...topology.Role) []string {
	var names []string
	for _, role := range roles {
		for _, h := range n.HostsWith(role) {
			names = append(names, h.Name)
		}
	}
	return names
}

func flowNames(flows []topology.Flow) []string {
	var names []string
	for _, f := range flows {
		names = append(names, string(f))
	}
	return names
}

// profileNames are the IANA names of the SRTP profiles.
func profileNames() []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.iana)
	}
	return names
}
