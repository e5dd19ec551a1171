package language

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/document"
)

// Load reads and validates a scenario file. An error about what the file says is
// of type document.Errors and holds every finding; any other is about reading.
func Load(file string) (*Scenario, error) {
	data, err := document.Read(file)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return Parse(file, data)
}

// Parse reads and validates a scenario; file names it in errors, which are of type
// document.Errors.
func Parse(file string, data []byte) (*Scenario, error) {
	d, err := document.Parse(file, data)
	if err != nil {
		return nil, err
	}
	c := &checker{d: d}
	var f form
	c.add(d.Decode(&f))
	c.decoded = len(c.errs)
	c.s = &f.Scenario
	c.s.File = file
	c.s.Lines = lines(d)
	for i := range c.s.Steps {
		c.s.Steps[i].Line, _ = d.At(fmt.Sprintf("steps[%d]", i))
	}
	c.s.Participants = inOrder(d.Keys("participants"), f.Participants)
	c.s.Network = c.network(f.Topology)
	c.check()
	if len(c.errs) > 0 {
		slices.SortStableFunc(c.errs, func(a, b *document.Error) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, c.errs
	}
	return c.s, nil
}

// form is a scenario as it stands in a file.
type form struct {
	Scenario `yaml:",inline"`
	// Topology is a name or an inline network.
	Topology any `yaml:"topology"`
	// Participants is a mapping; Scenario has them in order.
	Participants map[string]Participant `yaml:"participants"`
}

func inOrder(names []string, all map[string]Participant) []Participant {
	var ordered []Participant
	for _, name := range names {
		if p, ok := all[name]; ok {
			p.Name = name
			ordered = append(ordered, p)
		}
	}
	return ordered
}

// lines finds the line of each expectation.
func lines(d *document.Document) map[string]int {
	found := map[string]int{}
	add := func(path string) {
		for _, key := range d.Keys(path) {
			found[path+"."+key], _ = d.At(path + "." + key)
		}
	}
	add("expect")
	for _, name := range d.Keys("expect.participants") {
		add("expect.participants." + name)
	}
	for _, list := range []string{"expect.meetings", "expect.messages"} {
		for _, name := range d.Keys(list) {
			add(list + "." + name)
			add(list + "." + name + ".people")
		}
	}
	return found
}

// network reads the topology; it is nil when there is an error in it.
func (c *checker) network(from any) *topology.Network {
	switch from := from.(type) {
	case string:
		n, err := topology.Named(from)
		if err != nil {
			c.report("topology", fmt.Sprintf("no topology %q in the catalogue", from), topology.Catalog()...)
			return nil
		}
		return n
	case map[string]any:
		n, err := topology.FromDocument(c.d, "topology")
		if err != nil {
			c.add(err)
			return nil
		}
		return n
	case nil:
		c.report("topology", "is missing: the name of a catalogue entry, or a network", topology.Catalog()...)
	default:
		c.report("topology", fmt.Sprintf("%v is neither a name nor a network", from), topology.Catalog()...)
	}
	return nil
}

// add takes the findings of another.
func (c *checker) add(err error) {
	if err == nil {
		return
	}
	if several, ok := errors.AsType[document.Errors](err); ok {
		c.errs = append(c.errs, several...)
		return
	}
	c.errs = append(c.errs, c.d.Error("", err.Error()))
}
