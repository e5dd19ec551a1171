package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/diagram"
)

// maxLit bounds the paths that are lit up for each kind of traffic; a drawing with
// more cannot be read.
const maxLit = 4

// litPaths are the ways that media and signaling took, from the legs. Both
// directions between two hosts are one path, named after the participant at its end.
// Of several ways between the same hosts, for example before and after a host moved,
// each is one, the busiest first.
func litPaths(r *result.Run) []diagram.Path {
	return append(litTraffic(r, result.TrafficMedia), litTraffic(r, result.TrafficSignaling)...)
}

func litTraffic(r *result.Run, traffic result.Traffic) []diagram.Path {
	type found struct {
		leg     result.Leg
		packets uint64
	}
	var all []found
	for _, l := range r.Legs {
		if l.Traffic != traffic || len(l.Way) < 2 || (traffic == result.TrafficMedia && l.Media == 0) {
			continue
		}
		key := wayKey(l.Way)
		i := slices.IndexFunc(all, func(f found) bool { return wayKey(f.leg.Way) == key })
		if i < 0 {
			all = append(all, found{leg: l})
			i = len(all) - 1
		}
		all[i].packets += l.Packets
		if person(r, all[i].leg.From) == "" {
			all[i].leg = l // drawn from the participant on
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(b.packets, a.packets) })
	all = all[:min(len(all), maxLit)]
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.leg.From, b.leg.From) })
	var paths []diagram.Path
	for _, f := range all {
		paths = append(paths, diagram.Path{Label: litLabel(r, f.leg), Media: traffic == result.TrafficMedia, Way: f.leg.Way})
	}
	return paths
}

// wayKey is the same for both directions of a way.
func wayKey(w topology.Way) string {
	forth, back := make([]string, len(w)), make([]string, len(w))
	for i, h := range w {
		name := h.Site + "/" + h.Name
		forth[i], back[len(w)-1-i] = name, name
	}
	return min(strings.Join(forth, ">"), strings.Join(back, ">"))
}

// person is the participant on a host; empty when there is none.
func person(r *result.Run, host string) string {
	for _, p := range r.Participants {
		if p.Host == host {
			return p.Name
		}
	}
	return ""
}

// litLabel names a path, for example "alice: media" or "alice – bob: media".
func litLabel(r *result.Run, l result.Leg) string {
	var who []string
	for _, host := range []string{l.From, l.To} {
		if name := person(r, host); name != "" {
			who = append(who, name)
		}
	}
	if len(who) == 0 {
		who = []string{l.From}
	}
	return strings.Join(who, " – ") + ": " + string(l.Traffic)
}
