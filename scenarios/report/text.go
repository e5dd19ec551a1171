package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/callpath/callpath/scenarios/result"
)

// manyRuns is how many runs have to be for Text to show those that passed shortly.
const manyRuns = 4

// Text writes the runs for people: of each run its path, encryption, quality, steps
// and expectations, and at the end of several runs one line for each. Of four runs
// or more, those that passed are shown by their heads alone, unless it is verbose.
func Text(w io.Writer, runs []*result.Run, o Options) error {
	out := bufio.NewWriter(w)
	p := &printer{w: out, width: o.Width, color: o.Color}
	if p.width <= 0 {
		p.width = 100
	}
	p.width = max(p.width, 40)
	runs = cleaned(runs)
	for i, r := range runs {
		if i > 0 {
			p.line("")
		}
		p.head(r)
		if len(runs) >= manyRuns && verdictOf(r) == passed && !o.Verbose {
			continue
		}
		p.run(r, o.Verbose)
	}
	if len(runs) > 1 {
		p.summary(runs)
	}
	return out.Flush()
}

// printer writes lines. An error of the writer is kept by bufio until Flush.
type printer struct {
	w     *bufio.Writer
	width int
	color bool
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p *printer) paint(c color, s string) string {
	if !p.color || c == none || s == "" {
		return s
	}
	return string(c) + s + reset
}

func (p *printer) heading(s string) {
	p.line("")
	p.line("%s", p.paint(bold, s))
}

// paragraph writes wrapped text, with the first line after a mark.
func (p *printer) paragraph(mark cell, indent int, s string) {
	space, hang := strings.Repeat(" ", indent), utf8.RuneCountInString(mark.text)+1
	for i, line := range wrap(s, max(20, p.width-indent-hang)) {
		if i == 0 {
			p.line("%s%s %s", space, p.paint(mark.color, mark.text), line)
			continue
		}
		p.line("%s%s%s", space, strings.Repeat(" ", hang), line)
	}
}

// table writes a table with its caption as a heading; one without rows is left out.
func (p *printer) table(t *table) {
	if len(t.rows) == 0 {
		return
	}
	if t.caption != "" {
		p.heading(t.caption)
	}
	t.write(p, 2)
}

// verbose writes what the record of each leg holds, and the legs' ways.
func (p *printer) verbose(r *result.Run) {
	for i := range r.Participants {
		one := &r.Participants[i]
		n := &one.Negotiation
		p.table(candidates(one.Name, n))
		p.table(connectivity(r, one.Name, n))
		p.table(allocations(one.Name, n))
		for k := range n.DTLS {
			d := &n.DTLS[k]
			p.heading(handshakeTitle(one.Name, d))
			for _, fact := range dtlsFacts(d) {
				p.paragraph(cell{fmt.Sprintf("%-24s", fact[0]), dim}, 2, fact[1])
			}
			p.table(flights(r, d))
		}
		p.table(srtpStreams(one.Name, n))
	}
	p.table(legs(r))
}

// marks are the signs of verdicts.
var marks = map[verdict]cell{
	passed: {"✓", green}, failed: {"✗", red}, interrupted: {"!", yellow}, fault: {"!", red},
}

// head writes what a reader has to know of a run.
func (p *printer) head(r *result.Run) {
	v := verdictOf(r)
	p.line("%s %s", p.paint(marks[v].color, marks[v].text+" "+string(v)), p.paint(bold, r.Scenario))
	p.paragraph(text(" "), 0, r.Title)
	p.paragraph(text(" "), 0, headline(r))
	facts := []string{tally(r)}
	if r.Network != nil && r.Network.Name != "" {
		facts = append(facts, "topology "+r.Network.Name)
	}
	if r.Call.Setup != 0 {
		facts = append(facts, "set up in "+r.Call.Setup.String())
	}
	facts = append(facts, "took "+r.Duration.String(), fmt.Sprintf("seed %d", r.Seed))
	if r.Interrupted {
		facts = append(facts, "interrupted")
	}
	p.paragraph(text(" "), 0, strings.Join(facts, ", "))
}

func (p *printer) run(r *result.Run, verbose bool) {
	p.participants(r)
	p.encryption(r)
	p.quality(r)
	for _, t := range conferenceTables(r) {
		p.table(t)
	}
	if words := lobbyWords(r); words != "" {
		p.paragraph(text(" "), 0, words)
	}
	p.table(steps(r))
	p.relay(r, verbose)
	if verbose {
		p.verbose(r)
	}
	p.expectations(r)
	p.violations(r)
}

func (p *printer) participants(r *result.Run) {
	if len(r.Participants) == 0 {
		return
	}
	p.heading("Path")
	t := &table{head: []string{"", "host", "client", "path", "pair", "media", "signaling", "protocol"}}
	for i := range r.Participants {
		one := &r.Participants[i]
		t.add(cell{one.Name, bold}, text(one.Host), text(one.Client), text(orNone(one.Path)), text(orNone(pairOf(one))),
			text(orNone(flowList(one.Flows))), text(orNone(flowList(one.SignalingFlows))), text(orNone(one.Protocol)))
	}
	t.write(p, 2)
	for _, one := range r.Participants {
		if why := one.Negotiation.ICE.Why; why != "" {
			p.paragraph(text(" "), 0, one.Name+": "+why)
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func (p *printer) encryption(r *result.Run) {
	t := &table{head: []string{"", "DTLS", "role", "cipher suite", "SRTP profile", "certificate", "fingerprint"}}
	for i := range r.Participants {
		one := &r.Participants[i]
		d := handshake(&one.Negotiation)
		if d == nil {
			continue
		}
		certificate := "–"
		if d.Peer != nil {
			certificate = d.Peer.Key
		}
		verified := fingerprint(d)
		mark := red
		if verified == "verified" {
			mark = green
		}
		t.add(cell{one.Name, bold}, text(orNone(d.Version)), text(orNone(d.Role)), text(orNone(d.CipherSuite)),
			text(orNone(d.SRTPProfile)), text(certificate), cell{verified, mark})
	}
	if len(t.rows) > 0 {
		p.heading("Encryption, as the wire showed it; certificate and fingerprint are the peer's")
		t.write(p, 2)
	}
	for i := range r.Participants {
		one := &r.Participants[i]
		if v := one.Negotiation.Verdict; v != "" {
			p.paragraph(text(" "), 0, one.Name+": "+v)
		}
		for _, problem := range one.Negotiation.Problems {
			p.paragraph(cell{"!", yellow}, 0, one.Name+": "+problem)
		}
	}
}

func (p *printer) quality(r *result.Run) {
	t := quality(r)
	if len(t.rows) == 0 {
		return
	}
	p.table(t)
	for _, one := range r.Participants {
		if one.Gap != 0 || one.Restarts != 0 {
			p.paragraph(text(" "), 0, fmt.Sprintf("%s: longest time without media %s, %d ICE restarts", one.Name, one.Gap, one.Restarts))
		}
	}
}

func (p *printer) relay(r *result.Run, verbose bool) {
	y := r.Relay
	if y.Allocations == 0 && y.Packets == 0 && len(y.Refusals) == 0 {
		return
	}
	p.heading("Transport relay, its own view")
	p.paragraph(text(" "), 0, relayWords(y))
	const most = 3
	for i, refusal := range y.Refusals {
		if i == most && !verbose {
			p.paragraph(text(" "), 0, fmt.Sprintf("and %d more refusals", len(y.Refusals)-most))
			break
		}
		p.paragraph(cell{"!", yellow}, 0, "refused: "+refusal)
	}
}

// relayWords sums up what the relay did.
func relayWords(y result.Relay) string {
	kinds := make([]string, 0, len(y.Payloads))
	for kind := range y.Payloads {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%d %s", y.Payloads[kind], kind)
	}
	words := fmt.Sprintf("%d allocations; %d packets relayed", y.Allocations, y.Packets)
	if len(kinds) > 0 {
		words += " (" + strings.Join(kinds, ", ") + ")"
	}
	return words + fmt.Sprintf("; plaintext in %d of %d packets searched", y.Plaintext, y.Searched)
}

func (p *printer) expectations(r *result.Run) {
	if len(r.Checks) == 0 {
		return
	}
	p.heading("Expectations")
	// What was not met stands last, where the eye is when the run has ended.
	t := &table{head: []string{"", "expected of", "wanted", "seen"}, keep: 1}
	for _, c := range r.Checks {
		if c.Met {
			t.add(cell{"✓", green}, text(expected(c)), text(c.Wanted), text(c.Seen))
		}
	}
	t.write(p, 2)
	for _, c := range r.Checks {
		if c.Met {
			continue
		}
		where := ""
		if c.Line > 0 {
			where = fmt.Sprintf(" (%s:%d)", r.File, c.Line)
		}
		p.paragraph(cell{"✗", red}, 2, fmt.Sprintf("%s: wanted %s, seen %s%s", expected(c), c.Wanted, c.Seen, where))
	}
}

// expected names an expectation, and whom it is about where its key does not.
func expected(c result.Expectation) string {
	if c.About == "" || strings.Contains(c.Key, "."+c.About+".") {
		return c.Key
	}
	return c.Key + " of " + c.About
}

func (p *printer) violations(r *result.Run) {
	if len(r.Violations) == 0 {
		return
	}
	p.heading("Violations of what holds in every call")
	for _, v := range r.Violations {
		p.paragraph(cell{"!", red}, 2, v)
	}
}

// summary has one line a run, and how many passed.
func (p *printer) summary(runs []*result.Run) {
	p.heading("Summary")
	t := &table{head: []string{"", "scenario", "call", "path", "flows", "set-up", "took", "met"}, keep: 1}
	count := map[verdict]int{}
	for _, r := range runs {
		v := verdictOf(r)
		count[v]++
		t.add(cell{marks[v].text + " " + string(v), marks[v].color}, text(r.Scenario), text(r.Call.State), text(pathsOf(r)),
			text(flowsOf(r)), text(duration(r.Call.Setup)), text(r.Duration.String()), text(fmt.Sprintf("%d of %d", len(r.Checks)-unmet(r), len(r.Checks))))
	}
	t.write(p, 2)
	p.line("")
	p.line("%s", p.paint(bold, counts(len(runs), count)))
}

// counts is "12 runs: 10 passed, 2 failed".
func counts(all int, count map[verdict]int) string {
	var parts []string
	for _, v := range []verdict{passed, failed, interrupted, fault} {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	return fmt.Sprintf("%d runs: %s", all, strings.Join(parts, ", "))
}

// pathsOf are the different pairs of a run's participants.
func pathsOf(r *result.Run) string {
	var all []string
	for i := range r.Participants {
		if pair := pairOf(&r.Participants[i]); pair != "" && !slices.Contains(all, pair) {
			all = append(all, pair)
		}
	}
	return orNone(strings.Join(all, ", "))
}

// flowsOf are the flows that the media of a run crossed.
func flowsOf(r *result.Run) string {
	var all []string
	for _, p := range r.Participants {
		for _, f := range p.Flows {
			if !slices.Contains(all, string(f)) {
				all = append(all, string(f))
			}
		}
	}
	slices.Sort(all)
	return orNone(strings.Join(all, ", "))
}
