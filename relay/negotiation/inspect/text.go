package inspect

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/callpath/callpath/relay/negotiation"
)

// Text writes a Report for people: for each leg its verdict and what is wrong, and
// then what it consists of. Lines are as long as they have to be. What came from
// the network can't move a terminal's cursor.
func (r *Report) Text(w io.Writer, color bool) error {
	out := bufio.NewWriter(w)
	p := &printer{w: out, color: color}
	p.head(r)
	for i := range r.Legs {
		p.leg(&r.Legs[i])
	}
	return out.Flush()
}

// printer writes lines. An error of the writer is kept by bufio until Flush.
type printer struct {
	w     *bufio.Writer
	color bool
	since time.Time // what the leg's times are counted from
}

const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// plain replaces what could move a terminal's cursor, hide text or turn it round.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return '·'
		}
		return r
	}, s)
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintln(p.w, plain(fmt.Sprintf(format, args...)))
}

// marked writes a line after a coloured mark.
func (p *printer) marked(indent, color, mark, format string, args ...any) {
	if p.color {
		mark = color + mark + reset
	}
	fmt.Fprintf(p.w, "%s%s %s\n", indent, mark, plain(fmt.Sprintf(format, args...)))
}

// table writes rows in columns under a title; one without rows is left out.
func (p *printer) table(title string, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	p.line("")
	p.line("  %s", title)
	var aligned strings.Builder
	t := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	if head != nil {
		rows = append([][]string{head}, rows...)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = plain(cell)
		}
		fmt.Fprintf(t, "    %s\n", strings.Join(cells, "\t"))
	}
	_ = t.Flush() // to a strings.Builder, which has no errors
	for line := range strings.Lines(aligned.String()) {
		fmt.Fprintln(p.w, strings.TrimRight(line, " \n"))
	}
}

func (p *printer) head(r *Report) {
	text := fmt.Sprintf("%s: %s", r.File, r.Format)
	if r.Packets > 0 {
		text += fmt.Sprintf(", %d packets", r.Packets)
	}
	if !r.First.IsZero() {
		text += fmt.Sprintf(" in %s from %s", r.Last.Sub(r.First).Round(time.Millisecond), r.First.UTC().Format("2006-01-02 15:04:05.000 MST"))
	}
	p.line("%s, %s", text, count(len(r.Legs), "leg"))
	for _, note := range r.Notes {
		p.marked("", yellow, "!", "%s", note)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (p *printer) leg(l *Leg) {
	p.since = l.Started
	p.line("")
	switch {
	case !flows(l.Record) && !l.notChosen():
		p.marked("", red, "✗", "%s: %s", l.Leg, l.Verdict)
	case l.Troubled():
		p.marked("", yellow, "!", "%s: %s", l.Leg, l.Verdict)
	default:
		p.marked("", green, "✓", "%s: %s", l.Leg, l.Verdict)
	}
	for _, text := range l.Problems {
		p.marked("  ", yellow, "!", "%s", text)
	}
	for _, text := range l.Findings {
		p.marked("  ", yellow, "!", "%s", text)
	}
	p.relayed(l.Relayed)
	p.path(&l.ICE)
	p.descriptions(l.Descriptions)
	p.servers(l)
	p.candidates(&l.ICE)
	p.checks(l.ICE.Checks)
	for i := range l.DTLS {
		p.handshake(&l.DTLS[i])
	}
	p.streams(l.SRTP)
}

// path writes the selected pair.
func (p *printer) path(ice *negotiation.ICE) {
	var rows [][]string
	if s := ice.Selected; s != nil {
		nominated := ""
		if s.Nominated {
			nominated = ", nominated"
		}
		rows = append(rows, []string{"selected", fmt.Sprintf("%s → %s%s", candidate(s.Local), candidate(s.Remote), nominated)})
		rows = append(rows, []string{"why", ice.Why})
	}
	if ice.Role != "" {
		rows = append(rows, []string{"agent", fmt.Sprintf("%s, ufrag %s, peer's %s, %s", ice.Role, orNone(ice.LocalUfrag), orNone(ice.PeerUfrag), count(ice.Restarts, "restart"))})
	}
	if c := ice.Consent; c != (negotiation.Consent{}) {
		rows = append(rows, []string{"consent", fmt.Sprintf("%d sent, %d answered, %d received", c.Sent, c.Answered, c.Received)})
	}
	p.table("ICE", nil, rows)
}

func candidate(c negotiation.Candidate) string {
	text := fmt.Sprintf("%s %v", c.Type, c.Address)
	if c.RelayProtocol != "" {
		text += " over " + c.RelayProtocol
	}
	return text
}

// servers writes allocations and transactions.
func (p *printer) servers(l *Leg) {
	var rows [][]string
	for _, a := range l.TURN {
		state := "kept"
		switch {
		case a.Deleted:
			state = "deleted"
		case !a.Relayed.IsValid():
			state = "none"
		}
		rows = append(rows, []string{a.Server.String(), a.Protocol, a.Client.String(), address(a.Relayed), address(a.Mapped),
			orNone(a.Username), fmt.Sprintf("%d, %d", a.SentBytes, a.ReceivedBytes), fmt.Sprint(len(a.Channels)), state, strings.Join(a.Errors, "; ")})
	}
	p.table("TURN allocations", []string{"server", "over", "client", "relayed", "mapped", "user", "bytes out, in", "channels", "state", "errors"}, rows)
	rows = nil
	for _, t := range l.Transactions {
		text := t.Text
		if t.Count > 1 {
			text += fmt.Sprintf(" (%d times)", t.Count)
		}
		rows = append(rows, []string{p.at(t.Time), t.What, text})
	}
	p.table("STUN and TURN transactions", nil, p.most(rows))
}

// maxRows is how many rows of a table are written.
const maxRows = 60

// most cuts rows that nobody would read.
func (p *printer) most(rows [][]string) [][]string {
	if len(rows) <= maxRows {
		return rows
	}
	return append(rows[:maxRows:maxRows], []string{fmt.Sprintf("and %d more, in the JSON", len(rows)-maxRows)})
}

func address(a interface {
	IsValid() bool
	String() string
}) string {
	if !a.IsValid() {
		return "–"
	}
	return a.String()
}

// at is a time of the leg, since its first packet.
func (p *printer) at(t time.Time) string {
	if t.IsZero() || p.since.IsZero() {
		return "–"
	}
	return fmt.Sprintf("%+.3f s", t.Sub(p.since).Seconds())
}

func (p *printer) candidates(ice *negotiation.ICE) {
	var rows [][]string
	for side, list := range [][]negotiation.Candidate{ice.Local, ice.Remote} {
		for _, c := range list {
			related := ""
			if c.Related.IsValid() {
				related = "related to " + c.Related.String()
			}
			rows = append(rows, []string{[]string{"local", "remote"}[side], c.Type, c.Address.String(), c.Protocol, fmt.Sprint(c.Priority), related})
		}
	}
	p.table("Candidates", []string{"", "type", "address", "protocol", "priority"}, p.most(rows))
}

// checkRow is what checks of a pair have in common; agents repeat those that fail
// under new transactions.
type checkRow struct {
	how           string
	local, remote netip.AddrPort
	result        string
}

func (p *printer) checks(all []negotiation.Check) {
	type sum struct {
		first            time.Time
		checks, requests int
		rtt              time.Duration // the shortest
	}
	sums := map[checkRow]*sum{}
	var order []checkRow
	good := 0
	for _, c := range all {
		row := checkRow{c.Words(), c.Local, c.Remote, c.Result}
		s := sums[row]
		if s == nil {
			s = &sum{first: c.Time}
			sums[row], order = s, append(order, row)
		}
		s.checks++
		s.requests += c.Sent
		if c.RTT > 0 && (s.rtt == 0 || c.RTT < s.rtt) {
			s.rtt = c.RTT
		}
		if c.Result == succeeded {
			good++
		}
	}
	var rows [][]string
	for _, row := range order {
		s, rtt := sums[row], ""
		if s.rtt > 0 {
			rtt = milliseconds(s.rtt)
		}
		rows = append(rows, []string{p.at(s.first), row.how, address(row.local), address(row.remote), row.result, fmt.Sprint(s.checks), fmt.Sprint(s.requests), rtt})
	}
	p.table(fmt.Sprintf("ICE checks: %d of %d succeeded", good, len(all)),
		[]string{"first", "", "local", "remote", "result", "checks", "requests", "RTT"}, p.most(rows))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func (p *printer) handshake(d *negotiation.DTLS) {
	var rows [][]string
	add := func(name, value string) { rows = append(rows, []string{name, value}) }
	for _, fact := range d.Facts() {
		add(fact[0], fact[1])
	}
	state := "not complete"
	if d.Complete {
		state = "complete after " + milliseconds(d.Duration)
	}
	add("handshake", fmt.Sprintf("%s, %s repeated", state, count(d.Retransmissions, "message")))
	for _, f := range d.Flights {
		add(p.at(f.Time), fmt.Sprintf("%s: %s", f.From, strings.Join(f.Messages, ", ")))
	}
	for _, alert := range d.Alerts {
		add("alert", alert)
	}
	p.table(fmt.Sprintf("DTLS as %s, %s – %s", orNone(d.Role), address(d.Local), address(d.Remote)), nil, rows)
}

func (p *printer) streams(all []negotiation.SRTP) {
	var rows [][]string
	for _, s := range all {
		lost, jitter := "", ""
		if s.Direction == received && s.Packets > 0 {
			lost = fmt.Sprintf("%d (%.1f %%)", s.Lost, 100*float64(s.Lost)/float64(s.Packets+s.Lost))
		}
		if s.Jitter > 0 {
			jitter = milliseconds(s.Jitter)
		}
		rows = append(rows, []string{fmt.Sprintf("0x%08x", s.SSRC), s.Direction, fmt.Sprint(s.PayloadType), fmt.Sprint(s.Packets), fmt.Sprint(s.Bytes),
			milliseconds(s.Last.Sub(s.First)), orDash(lost), orDash(jitter), fmt.Sprint(s.Replayed), fmt.Sprint(s.Verified), fmt.Sprint(s.AuthFailures), fmt.Sprint(s.RTCP.Packets)})
	}
	p.table("SRTP streams", []string{"SSRC", "", "type", "packets", "bytes", "for", "lost", "jitter", "replayed", "verified", "failed", "RTCP"}, p.most(rows))
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
