package inspect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
)

// Bounds of a log.
const (
	// maxLogLine is the longest line; that of a whole record may be some hundred
	// kilobytes.
	maxLogLine = 8 << 20
	// maxLogLegs bounds the legs of a log.
	maxLogLegs = 4096
)

// validLog says what is read line by line.
const validLog = "the log of callpath run --log-format json, or of callpath serve --negotiation-log"

// Relayed says of a leg in a relay's negotiation log which allocation it is of.
type Relayed struct {
	Allocation string         `json:"allocation"`
	Transport  string         `json:"transport"`
	Relay      netip.AddrPort `json:"relay"`
	Peer       netip.AddrPort `json:"peer"`
	// Stage is negotiation.Stage's name.
	Stage string `json:"stage,omitempty"`
	// CarriedBy is the leg over which the same ICE session went on, when it was not
	// this one: a path that ICE did not choose is no failure.
	CarriedBy string `json:"carried_by,omitempty"`
	// Until says why reading ended; empty while the leg is read.
	Until string `json:"until,omitempty"`
}

// entry is a line of a log, which may be of any part of the program.
type entry struct {
	Time       time.Time           `json:"time"`
	Message    string              `json:"msg"`
	Scenario   string              `json:"scenario"`
	Leg        string              `json:"leg"`
	Verdict    string              `json:"verdict"`
	Allocation string              `json:"allocation"`
	Transport  string              `json:"transport"`
	Relay      addrPort            `json:"relay"`
	Peer       addrPort            `json:"peer"`
	Stage      string              `json:"stage"`
	Until      string              `json:"until"`
	CarriedBy  string              `json:"carried_by"`
	Record     *negotiation.Record `json:"record"`

	// attrs are all of them, for events.
	attrs []byte
}

// logged is a leg in the making.
type logged struct {
	Leg
	scenario, name string
	// whole is set by the leg's record, which knows more than the events before it.
	whole bool
	last  string // event
}

type logKey struct{ scenario, name string }

// logs reads lines of JSON.
type logs struct {
	legs    []*logged
	open    map[logKey]*logged // without their record yet
	notes   []string
	first   time.Time
	last    time.Time
	foreign int // lines that are no JSON
	where   int // the first of these
}

// isLog tells whether the file's first line is one of several objects. A document of
// JSON, even if it is all in one line, is none.
func (r *reading) isLog() (bool, error) {
	f, err := r.src.Open()
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := bufio.NewReader(f)
	var first []byte
	for first == nil || len(bytes.TrimSpace(first)) == 0 {
		if first, err = line(b); err != nil && len(first) == 0 {
			return false, nil
		}
	}
	var e struct {
		Time, Msg *string
	}
	if json.Unmarshal(first, &e) != nil {
		return false, nil
	}
	if e.Time != nil && e.Msg != nil {
		return true, nil
	}
	next, _ := b.Peek(1)
	return len(next) > 0 && next[0] == '{', nil
}

var errLongLine = fmt.Errorf("a line of more than %d bytes", maxLogLine)

// line reads one, with its end. A last line without an end comes with io.EOF.
func line(b *bufio.Reader) ([]byte, error) {
	var whole []byte
	for {
		part, err := b.ReadSlice('\n')
		whole = append(whole, part...)
		switch {
		case !errors.Is(err, bufio.ErrBufferFull):
			return whole, err
		case len(whole) > maxLogLine:
			return whole[:0], errLongLine
		}
	}
}

// log reads a log to its end, or to what is wrong in it.
func (r *reading) log() (*Report, error) {
	f, err := r.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l := &logs{open: map[logKey]*logged{}}
	b := bufio.NewReaderSize(f, 64<<10)
	broken := error(nil)
	for n := 1; broken == nil; n++ {
		if n%interruptStep == 0 && r.ctx.Err() != nil {
			return nil, r.ctx.Err()
		}
		text, err := line(b)
		if len(bytes.TrimSpace(text)) > 0 {
			if wrong := l.line(n, text); wrong != nil {
				broken = r.failed(fmt.Errorf("line %d: %w; valid: %s", n, wrong, validLog))
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && broken == nil {
			broken = r.failed(fmt.Errorf("line %d: %w", n, err))
		}
	}
	if len(l.legs) == 0 {
		if broken == nil {
			broken = r.failed(fmt.Errorf("no line is about a leg; valid: %s", validLog))
		}
		return nil, broken
	}
	return l.report(r.src.Name), broken
}

// line takes one line.
func (l *logs) line(n int, text []byte) error {
	if text = bytes.TrimSpace(text); text[0] != '{' {
		// Standard error has other things too.
		if l.foreign++; l.foreign == 1 {
			l.where = n
		}
		return nil
	}
	e := entry{attrs: text}
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	if e.Message == "" || e.Time.IsZero() {
		return errors.New(`an object without "time" and "msg"`)
	}
	if l.first.IsZero() {
		l.first = e.Time
	}
	l.last = e.Time
	if e.Leg == "" {
		return nil // of something else
	}
	key := logKey{e.Scenario, e.Leg}
	g := l.open[key]
	if g == nil {
		if len(l.legs) == maxLogLegs {
			if note := fmt.Sprintf("more than %d legs: only the first are here", maxLogLegs); !slices.Contains(l.notes, note) {
				l.notes = append(l.notes, note)
			}
			return nil
		}
		g = &logged{scenario: e.Scenario, name: e.Leg, Leg: Leg{Record: negotiation.Record{Leg: e.Leg, Started: e.Time}}}
		l.open[key], l.legs = g, append(l.legs, g)
	}
	return l.take(key, g, &e)
}

// take gives a line to its leg.
func (l *logs) take(key logKey, g *logged, e *entry) error {
	if e.Allocation != "" {
		relayed := &Relayed{Allocation: e.Allocation, Transport: e.Transport, Relay: e.Relay.AddrPort, Peer: e.Peer.AddrPort,
			Stage: e.Stage, CarriedBy: e.CarriedBy, Until: e.Until}
		if g.Relayed != nil && relayed.Stage == "" {
			relayed.Stage, relayed.CarriedBy = g.Relayed.Stage, g.Relayed.CarriedBy
		}
		g.Relayed = relayed
	}
	switch e.Message {
	case negotiation.EventRecord:
		if e.Record == nil {
			return fmt.Errorf("a %s without a record", negotiation.EventRecord)
		}
		g.Record, g.whole = *e.Record, true
		delete(l.open, key) // what comes of this name later is another leg
	case negotiation.EventVerdict:
		g.Verdict = e.Verdict
	case negotiation.EventBegin:
	default:
		g.last = e.Message
		return g.event(e)
	}
	return nil
}

// report makes a Report of the legs.
func (l *logs) report(file string) *Report {
	out := &Report{File: file, Format: "log", First: l.first, Last: l.last, Legs: []Leg{}, Notes: l.notes}
	if l.foreign > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%d lines that are no JSON were passed over, the first is line %d", l.foreign, l.where))
	}
	scenarios := map[string]bool{}
	for _, g := range l.legs {
		scenarios[g.scenario] = true
	}
	seen := map[string]int{}
	for _, g := range l.legs {
		name := g.name
		if len(scenarios) > 1 && g.scenario != "" {
			name = g.scenario + "/" + name
		}
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s (%d)", name, seen[name])
		}
		leg := g.Leg
		leg.Leg = name
		if !g.whole {
			leg.Problems = append(leg.Problems, "the log has no last record of this leg: here is what its events tell, without the counts of its streams")
			if leg.Verdict == "" {
				leg.Verdict = "no verdict yet, the last event is " + orNone(g.last)
			}
		} else if !leg.notChosen() {
			leg.Findings = findings(leg.Record, nil)
		}
		out.Legs = append(out.Legs, leg)
	}
	return out
}
