package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/diagram"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

// page is made once; it is not changed after.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"class": func(c color) string { return classes[c] },
}).Parse(pageSource))

// classes are the colours of cells on a page.
var classes = map[color]string{bold: "strong", dim: "dim", red: "bad", green: "good", yellow: "warn"}

// HTML writes the runs as one page that needs nothing beside itself: no script, no
// font, no image from elsewhere. The drawings are SVG, made here.
func HTML(w io.Writer, runs []*result.Run) error {
	runs = cleaned(runs)
	v := pageView{Style: template.CSS(pageStyle), Several: len(runs) > 1}
	count := map[verdict]int{}
	for i, r := range runs {
		count[verdictOf(r)]++
		v.Runs = append(v.Runs, viewOf(r, i, len(runs) > 1))
	}
	v.Title = counts(len(runs), count)
	if len(runs) == 1 {
		v.Title = runs[0].Scenario + " " + string(verdictOf(runs[0]))
	}
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// pageView is what the template shows.
type pageView struct {
	Title   string
	Style   template.CSS
	Several bool
	Runs    []runView
}

// runView is one run.
type runView struct {
	Anchor, Scenario, Title, Headline, Tally, File string
	Verdict                                        verdict
	Mark                                           string
	Open                                           bool
	Facts                                          []fact
	Topology, Ladder                               template.HTML
	Charts                                         []template.HTML
	Legend                                         []legendView
	People                                         []personView
	Checks                                         []checkView
	Violations, Refusals                           []string
	Relay                                          string
	Quality, Steps, Legs, Samples                  gridView
	// Conference are the tables of meetings, and Lobby what is said of who waited.
	Conference []gridView
	Lobby      string
	// For the overview of several runs.
	Call, Pairs, Flows, Setup, Took string
}

type fact struct{ Name, Value string }

// legendView tells the participants' lines apart.
type legendView struct {
	Name, Color, Dash string
}

// personView is one participant.
type personView struct {
	Name, Host, Client, Path, Why, Verdict string
	Color                                  template.CSS
	Media, Signaling                       []topology.Flow
	Facts                                  []fact
	Fingerprint                            string
	Verified                               bool
	Problems                               []string
	Candidates, Connectivity               gridView
	Allocations, Streams                   gridView
	Handshakes                             []handshakeView
}

type handshakeView struct {
	Title   string
	Facts   []fact
	Flights gridView
}

// checkView is an expectation.
type checkView struct {
	Name, Wanted, Seen, Where string
	Met                       bool
}

// gridView is a table.
type gridView struct {
	Caption string
	Head    []string
	Rows    [][]cellView
}

type cellView struct {
	Text  string
	Color color
}

// grid turns a table into what the template shows.
func grid(t *table) gridView {
	g := gridView{Caption: t.caption, Head: t.head}
	for _, row := range t.rows {
		cells := make([]cellView, len(row))
		for i, c := range row {
			cells[i] = cellView{c.text, c.color}
		}
		g.Rows = append(g.Rows, cells)
	}
	return g
}

func viewOf(r *result.Run, i int, several bool) runView {
	v := verdictOf(r)
	view := runView{
		Anchor: fmt.Sprintf("run-%d", i+1), Scenario: r.Scenario, Title: r.Title, Headline: headline(r), Tally: tally(r), File: r.File,
		Verdict: v, Mark: marks[v].text, Open: !several || v != passed,
		Call: orNone(r.Call.State), Pairs: pathsOf(r), Flows: flowsOf(r), Setup: duration(r.Call.Setup), Took: r.Duration.String(),
		Ladder:     template.HTML(ladder(r)), // made by ladder, which escapes
		Violations: r.Violations, Refusals: r.Relay.Refusals,
		Relay: relayWords(r.Relay), Quality: grid(quality(r)), Steps: grid(steps(r)), Legs: grid(legs(r)), Samples: grid(samples(r)),
	}
	view.Facts = factsOf(r)
	for _, t := range conferenceTables(r) {
		if len(t.rows) > 0 {
			view.Conference = append(view.Conference, grid(t))
		}
	}
	view.Lobby = lobbyWords(r)
	if r.Network != nil && len(r.Network.Sites) > 0 {
		// Made by SVG, which escapes.
		view.Topology = template.HTML(diagram.SVG(r.Network, diagram.Options{Flows: true, Paths: litPaths(r)}))
	}
	for _, c := range charts(r) {
		view.Charts = append(view.Charts, template.HTML(c)) // made by draw, which escapes
	}
	for i := range r.Participants {
		if len(r.Participants[i].Series) > 0 {
			view.Legend = append(view.Legend, legendView{r.Participants[i].Name, personColor(i), personDashes[i%len(personDashes)]})
		}
		view.People = append(view.People, personOf(r, i))
	}
	// What was not met stands first: it is what a reader of a page looks for.
	for _, met := range []bool{false, true} {
		for _, c := range r.Checks {
			if c.Met == met {
				view.Checks = append(view.Checks, checkOf(r, c))
			}
		}
	}
	return view
}

// factsOf are the figures at the head of a run.
func factsOf(r *result.Run) []fact {
	facts := []fact{{"Call", orNone(r.Call.State)}, {"Media crossed", "–"}, {"Candidate pairs", pathsOf(r)}, {"Set up in", duration(r.Call.Setup)}, {"Took", r.Duration.String()}}
	if f := flowsOf(r); f != "–" {
		facts[1].Value = "flow " + f
	}
	if r.Network != nil && r.Network.Name != "" {
		facts = append(facts, fact{"Topology", r.Network.Name})
	}
	facts = append(facts, fact{"Seed", fmt.Sprint(r.Seed)})
	if !r.Started.IsZero() {
		facts = append(facts, fact{"Started", r.Started.UTC().Format("2006-01-02 15:04:05 UTC")})
	}
	return facts
}

func checkOf(r *result.Run, c result.Expectation) checkView {
	v := checkView{Name: expected(c), Wanted: c.Wanted, Seen: c.Seen, Met: c.Met}
	if c.Line > 0 {
		v.Where = fmt.Sprintf("%s:%d", r.File, c.Line)
	}
	return v
}

func personOf(r *result.Run, i int) personView {
	p := &r.Participants[i]
	n := &p.Negotiation
	d := handshake(n)
	v := personView{
		Name: p.Name, Host: p.Host, Client: p.Client, Path: orNone(p.Path), Why: n.ICE.Why, Verdict: n.Verdict,
		Color: template.CSS(personColor(i)), Media: p.Flows, Signaling: p.SignalingFlows,
		Problems:    n.Problems,
		Fingerprint: fingerprint(d), Verified: fingerprint(d) == "verified",
		Candidates: grid(candidates(p.Name, n)), Connectivity: grid(connectivity(r, p.Name, n)),
		Allocations: grid(allocations(p.Name, n)), Streams: grid(srtpStreams(p.Name, n)),
	}
	add := func(name, value string) {
		if value != "" && value != "–" {
			v.Facts = append(v.Facts, fact{name, value})
		}
	}
	if d != nil {
		add("DTLS", strings.TrimSpace(d.Version+" as "+d.Role))
		add("Cipher suite", d.CipherSuite)
		add("SRTP", d.SRTPProfile)
		if d.Peer != nil {
			add("Peer's certificate", d.Peer.Key)
		}
	}
	for _, s := range p.Streams {
		words := []string{"loss " + percent(s.LossRate), "jitter " + duration(s.Jitter), rate(s.Bitrate)}
		if s.MOS > 0 {
			words = append(words, "MOS "+mos(s.MOS)+" (estimated)")
		}
		add("Received "+s.Codec, strings.Join(words, ", "))
	}
	add("Longest gap", duration(p.Gap))
	if p.Restarts > 0 {
		add("ICE restarts", fmt.Sprint(p.Restarts))
	}
	for k := range n.DTLS {
		h := handshakeView{Title: handshakeTitle(p.Name, &n.DTLS[k]), Flights: grid(flights(r, &n.DTLS[k]))}
		for _, row := range dtlsFacts(&n.DTLS[k]) {
			h.Facts = append(h.Facts, fact{row[0], row[1]})
		}
		v.Handshakes = append(v.Handshakes, h)
	}
	return v
}

// samples lists the figures of the charts, for those who want numbers.
func samples(r *result.Run) *table {
	t := &table{head: []string{"", "at", "loss", "RTT", "jitter", "bitrate", "MOS (est.)"}}
	for _, p := range r.Participants {
		for _, s := range p.Series {
			at := result.Duration(time.Duration(s.At).Round(time.Millisecond))
			t.add(cell{p.Name, bold}, text(at.String()), text(percent(s.Loss)), text(duration(s.RTT)), text(duration(s.Jitter)), text(rate(s.Bitrate)), text(mos(s.MOS)))
		}
	}
	return t
}
