package language

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/document"
)

// Bounds of a scenario.
const (
	maxSteps   = 256
	maxBefore  = 64
	minTimeout = time.Second
	maxTimeout = 10 * time.Minute
	// maxWait bounds one step that waits.
	maxWait = 5 * time.Minute
	// defaultTimeout is what a scenario gets that sets none.
	defaultTimeout = time.Minute
)

// checker validates one scenario and collects what it finds.
type checker struct {
	d *document.Document
	s *Scenario
	// errs are the findings so far; the first decoded of them come from reading.
	errs    document.Errors
	decoded int
}

// report adds a finding, unless the value at path could not even be read: then
// that was said already.
func (c *checker) report(path, problem string, valid ...string) {
	for _, e := range c.errs[:c.decoded] {
		if within(e.Path, path) || within(path, e.Path) {
			return
		}
	}
	c.errs = append(c.errs, c.d.Error(path, problem, valid...))
}

// within is true when path is at or below ancestor.
func within(path, ancestor string) bool {
	rest, ok := strings.CutPrefix(path, ancestor)
	return ok && ancestor != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// has is true when the file states path.
func (c *checker) has(path string) bool { return c.d.Has(path) }

// word wants one of several words, or none.
func (c *checker) word(path, word string, valid ...string) {
	if word != "" && !slices.Contains(valid, word) || word == "" && c.has(path) {
		c.report(path, fmt.Sprintf("%q is not known", word), valid...)
	}
}

// words wants each of several words to be valid, and none twice. An empty list
// that stands in the file is refused.
func (c *checker) words(path string, words []string, valid ...string) {
	if len(words) == 0 && c.has(path) {
		c.report(path, "the list is empty", valid...)
	}
	for i, w := range words {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case !slices.Contains(valid, w):
			c.report(at, fmt.Sprintf("%q is not known", w), valid...)
		case slices.Contains(words[:i], w):
			c.report(at, fmt.Sprintf("%q stands twice", w))
		}
	}
}

// text wants something in a value that stands in the file.
func (c *checker) text(path, text string, required bool) {
	if strings.TrimSpace(text) != "" {
		return
	}
	if c.has(path) {
		c.report(path, "is empty")
	} else if required {
		c.report(path, "is missing")
	}
}

// duration wants a duration within bounds where the file states one.
func (c *checker) duration(path string, d Duration, low, high time.Duration) {
	if v := time.Duration(d); c.has(path) && (v < low || v > high) {
		c.report(path, fmt.Sprintf("%q is out of bounds; wanted from %s to %s", v, low, high))
	}
}

var (
	scenarioName    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	participantName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
)

// check validates what has been read.
func (c *checker) check() {
	c.text("scenario", c.s.Name, true)
	if c.s.Name != "" && (!scenarioName.MatchString(c.s.Name) || len(c.s.Name) > 80) {
		c.report("scenario", fmt.Sprintf("%q is not an identifier; wanted at most 80 lower-case letters, digits and hyphens between them", c.s.Name))
	}
	c.text("title", c.s.Title, true)
	if c.s.Seed == 0 && c.has("seed") {
		c.report("seed", "0 means no seed; wanted a number from 1")
	}
	c.duration("timeout", c.s.Timeout, minTimeout, maxTimeout)
	c.checkNetwork()
	c.checkParticipants()
	// Changes are tried on a copy, in the order in which they will happen.
	var changing *topology.Network
	if c.s.Network != nil {
		changing = c.s.Network.Clone()
	}
	if len(c.s.Before) > maxBefore {
		c.report("before", fmt.Sprintf("%d changes; wanted at most %d", len(c.s.Before), maxBefore))
	}
	for i := range c.s.Before {
		c.checkChange(fmt.Sprintf("before[%d]", i), &c.s.Before[i], changing, true)
	}
	c.checkRelay()
	c.policies("policies", &c.s.Policies)
	c.checkProtection()
	c.duration("lobby-timeout", c.s.LobbyTimeout, time.Millisecond, maxTimeout)
	if !c.s.Conference() {
		for _, key := range []string{"policies", "lobby-timeout", "data-loss-prevention"} {
			if c.has(key) {
				c.report(key, "is of meetings, and this scenario is a call between two")
			}
		}
	}
	c.checkSteps(changing)
	c.checkExpect()
}

// checkNetwork wants the services without which no call can be made.
func (c *checker) checkNetwork() {
	if c.s.Network == nil {
		return
	}
	for _, role := range []topology.Role{topology.SignalingController, topology.DNSServer} {
		if len(c.s.Network.HostsWith(role)) == 0 {
			c.report("topology", fmt.Sprintf("the network has no host with the role %s", role))
		}
	}
}

func (c *checker) checkRelay() {
	r := c.s.Relay
	if r.AllocationsPerUser == 0 && c.has("relay.allocations-per-user") || r.AllocationsPerUser < 0 {
		c.report("relay.allocations-per-user", fmt.Sprintf("%d allocations; wanted at least 1", r.AllocationsPerUser))
	}
	if c.s.Network == nil {
		return
	}
	for _, list := range []struct {
		path  string
		names []string
	}{{"relay.allow", r.Allow}, {"relay.deny", r.Deny}} {
		for i, name := range list.names {
			c.place(fmt.Sprintf("%s[%d]", list.path, i), name, c.s.Network)
		}
	}
}

// place wants the name of something with addresses.
func (c *checker) place(path, name string, n *topology.Network) {
	if _, err := n.Prefixes(name); err != nil {
		c.report(path, fmt.Sprintf("%q is no site, subnet (site/subnet), host, address or prefix", name), places(n)...)
	}
}

// places are the names that a rule may use.
func places(n *topology.Network) []string {
	var names []string
	for _, s := range n.Sites {
		names = append(names, s.Name)
		for _, sub := range s.Subnets {
			names = append(names, s.Name+"/"+sub.Name)
		}
	}
	return append(names, hosts(n)...)
}

func hosts(n *topology.Network) []string {
	var names []string
	for _, h := range n.Hosts {
		names = append(names, h.Name)
	}
	return names
}

func sites(n *topology.Network) []string {
	var names []string
	for _, s := range n.Sites {
		names = append(names, s.Name)
	}
	return names
}

func subnets(s *topology.Site) []string {
	var names []string
	for _, sub := range s.Subnets {
		names = append(names, sub.Name)
	}
	return names
}

// names of the participants, in order.
func (c *checker) names() []string {
	var names []string
	for _, p := range c.s.Participants {
		names = append(names, p.Name)
	}
	return names
}

// participant finds one by name and reports when there is none.
func (c *checker) participant(path, name string) *Participant {
	for i := range c.s.Participants {
		if c.s.Participants[i].Name == name {
			return &c.s.Participants[i]
		}
	}
	switch {
	case name == "" && !c.has(path):
		c.report(path, "is missing", c.names()...)
	case len(c.s.Participants) > 0:
		c.report(path, fmt.Sprintf("no participant %q", name), c.names()...)
	}
	return nil
}

// other is the participant at the other end of the call; nil when there is none.
func (c *checker) other(name string) *Participant {
	for i := range c.s.Participants {
		if c.s.Participants[i].Name != name {
			return &c.s.Participants[i]
		}
	}
	return nil
}

// sorted are the keys of a mapping in a fixed order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
