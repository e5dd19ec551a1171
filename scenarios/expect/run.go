package expect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

type whole = language.Expect

// runRows are the expectations about the whole run.
var runRows = []row[whole, result.Run]{
	{"call", checkCall},
	{"steps", checkSteps},
	piece("reason",
		func(e *whole) string { return e.Reason },
		func(r *result.Run) []string { return []string{r.Call.Reason} }),
	{"setup-within", checkSetup},
	truth("media-in-vpn",
		func(e *whole) *bool { return e.MediaInVPN },
		mediaInVPN),
	truth("relay-saw-plaintext",
		func(e *whole) *bool { return e.RelaySawPlaintext },
		func(r *result.Run) fact { return plaintext(r, r.Relay.Searched > 0) }),
	piece("relay-refused",
		func(e *whole) string { return e.RelayRefused },
		func(r *result.Run) []string { return r.Relay.Refusals }),
	truth("relay-unused",
		func(e *whole) *bool { return e.RelayUnused },
		relayUnused),
	truth("processor-allocated",
		func(e *whole) *bool { return e.ProcessorAllocated },
		processorAllocated),
	truth("processor-used",
		func(e *whole) *bool { return e.ProcessorUsed },
		processorUsed),
	truth("lobby-crossed",
		func(e *whole) *bool { return e.LobbyCrossed },
		lobbyCrossed),
	{"violations", checkViolations},
}

func checkCall(e *whole, r *result.Run) (outcome, bool) {
	switch {
	case e.Call == "":
		return outcome{}, false
	case r.Call.State == "":
		return nothing(e.Call), true
	}
	o := outcome{wanted: e.Call, seen: r.Call.State, met: r.Call.State == e.Call}
	if r.Call.Reason != "" {
		o.seen += ": " + r.Call.Reason
	}
	return o, true
}

// checkSteps wants documented steps in an order; others may lie between, and a
// step may be seen more than once.
func checkSteps(e *whole, r *result.Run) (outcome, bool) {
	if len(e.Steps) == 0 {
		return outcome{}, false
	}
	o := outcome{wanted: strings.Join(e.Steps, ", ")}
	steps := slices.Clone(r.Steps)
	slices.SortStableFunc(steps, func(a, b result.Step) int { return int(a.At - b.At) })
	var names []string
	next := 0
	for _, s := range steps {
		if result.Number(s.Name) == 0 {
			continue
		}
		names = append(names, s.Name)
		if next < len(e.Steps) && s.Name == e.Steps[next] {
			next++
		}
	}
	if len(names) == 0 {
		return nothing(o.wanted), true
	}
	o.seen, o.met = strings.Join(names, ", "), next == len(e.Steps)
	return o, true
}

func checkSetup(e *whole, r *result.Run) (outcome, bool) {
	limit, setup := time.Duration(e.SetupWithin), time.Duration(r.Call.Setup)
	if limit == 0 {
		return outcome{}, false
	}
	if setup <= 0 {
		return nothing("<= " + limit.String()), true
	}
	return outcome{
		wanted: "<= " + limit.String(),
		seen:   setup.Round(time.Millisecond).String(),
		met:    setup <= limit,
	}, true
}

// mediaInVPN looks at the ways that the packets really took.
func mediaInVPN(r *result.Run) fact {
	var f fact
	var tunnels []string
	for _, l := range r.Legs {
		if l.Traffic != result.TrafficMedia && l.Media == 0 {
			continue
		}
		f.known = true
		for _, hop := range l.Way {
			if hop.Kind == topology.HopTunnel {
				f.is = true
				tunnels = append(tunnels, fmt.Sprintf("%d packets from %s to %s in %s", l.Packets, l.From, l.To, hop.Name))
			}
		}
	}
	f.why = strings.Join(tunnels, "; ")
	return f
}

// plaintext is what the relay found in what it relayed.
func plaintext(r *result.Run, known bool) fact {
	return fact{
		known: known,
		is:    r.Relay.Plaintext > 0,
		why:   fmt.Sprintf("%d of %d packets", r.Relay.Plaintext, r.Relay.Searched),
	}
}

// relayUnused looks for media in what the relay relayed. Checks (STUN) on pairs
// with a relay candidate are a part of ICE, whichever pair is selected.
func relayUnused(r *result.Run) fact {
	var media uint64
	for kind, n := range r.Relay.Payloads {
		if kind != "stun" {
			media += n
		}
	}
	return fact{
		known: r.Error == "",
		is:    media == 0,
		why:   fmt.Sprintf("%d payloads of media", media),
	}
}

func checkViolations(e *whole, r *result.Run) (outcome, bool) {
	if e.Violations == nil {
		return outcome{}, false
	}
	return violations(*e.Violations, r), true
}

func violations(wanted int, r *result.Run) outcome {
	o := outcome{
		wanted: fmt.Sprint(wanted),
		seen:   fmt.Sprint(len(r.Violations)),
		met:    len(r.Violations) == wanted,
	}
	if len(r.Violations) > 0 {
		o.seen += ": " + strings.Join(r.Violations, "; ")
	}
	return o
}
