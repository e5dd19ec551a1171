package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

// The tables of what the record of each leg holds, for text and page alike.

// candidates lists the ICE candidates of both sides.
func candidates(name string, n *negotiation.Record) *table {
	t := &table{caption: name + ": ICE candidates, " + orNone(n.ICE.Role), head: []string{"", "type", "address", "protocol", "related", "priority"}}
	for side, list := range [][]negotiation.Candidate{n.ICE.Local, n.ICE.Remote} {
		for _, c := range list {
			t.add(cell{[]string{"local", "remote"}[side], dim}, text(c.Type), text(c.Address.String()), text(candidateProtocol(c)), text(related(c)), text(fmt.Sprint(c.Priority)))
		}
	}
	return t
}

// candidateProtocol is that of a candidate; a relay's has the one to the relay too.
func candidateProtocol(c negotiation.Candidate) string {
	if c.RelayProtocol != "" {
		return c.Protocol + ", relay over " + c.RelayProtocol
	}
	return c.Protocol
}

func related(c negotiation.Candidate) string {
	if !c.Related.IsValid() {
		return ""
	}
	return c.Related.String()
}

// since is a time of a record as time since the start of the run.
func since(r *result.Run, t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return result.Duration(t.Sub(r.Started)).String()
}

// connectivity lists the ICE checks.
func connectivity(r *result.Run, name string, n *negotiation.Record) *table {
	t := &table{caption: name + ": connectivity checks", head: []string{"at", "", "local", "remote", "result", "RTT", "sent"}}
	for _, c := range n.ICE.Checks {
		mark := none
		if c.Result == "succeeded" {
			mark = green
		}
		t.add(text(since(r, c.Time)), cell{c.Words(), dim}, text(c.Local.String()), text(c.Remote.String()), cell{c.Result, mark},
			text(duration(result.Duration(c.RTT))), text(fmt.Sprint(c.Sent)))
	}
	return t
}

// allocations lists those on the relay.
func allocations(name string, n *negotiation.Record) *table {
	t := &table{caption: name + ": allocations on the relay", head: []string{"server", "protocol", "relayed", "mapped", "user", "bytes out, in", "errors"}}
	for _, a := range n.TURN {
		t.add(text(a.Server.String()), text(a.Protocol), text(addrPort(a.Relayed)), text(addrPort(a.Mapped)), text(orNone(a.Username)),
			text(fmt.Sprintf("%d, %d", a.SentBytes, a.ReceivedBytes)), text(strings.Join(a.Errors, "; ")))
	}
	return t
}

func addrPort(a interface {
	IsValid() bool
	String() string
}) string {
	if !a.IsValid() {
		return "–"
	}
	return a.String()
}

// handshakeTitle names a handshake by its ends.
func handshakeTitle(name string, d *negotiation.DTLS) string {
	return fmt.Sprintf("%s: DTLS handshake as %s, %s – %s", name, orNone(d.Role), addrPort(d.Local), addrPort(d.Remote))
}

// flights lists the messages of a handshake.
func flights(r *result.Run, d *negotiation.DTLS) *table {
	t := &table{head: []string{"at", "from", "messages"}}
	for _, f := range d.Flights {
		t.add(text(since(r, f.Time)), text(f.From), text(strings.Join(f.Messages, ", ")))
	}
	for _, alert := range d.Alerts {
		t.add(text(""), cell{"alert", red}, cell{alert, red})
	}
	return t
}

// dtlsFacts are what was negotiated and what was offered, as names and values.
func dtlsFacts(d *negotiation.DTLS) [][2]string {
	complete := "no"
	if d.Complete {
		complete = "after " + result.Duration(d.Duration).String()
	}
	return append(d.Facts(), [2]string{"retransmissions", fmt.Sprint(d.Retransmissions)}, [2]string{"complete", complete})
}

// srtpStreams lists the streams of a leg, by SSRC and direction.
func srtpStreams(name string, n *negotiation.Record) *table {
	t := &table{caption: name + ": SRTP streams", head: []string{"SSRC", "", "type", "packets", "bytes", "lost", "replayed", "verified", "failed"}}
	for _, s := range n.SRTP {
		t.add(text(fmt.Sprintf("0x%08x", s.SSRC)), cell{s.Direction, dim}, text(fmt.Sprint(s.PayloadType)), text(fmt.Sprint(s.Packets)), text(fmt.Sprint(s.Bytes)),
			text(fmt.Sprint(s.Lost)), text(fmt.Sprint(s.Replayed)), text(fmt.Sprint(s.Verified)), failures(s.AuthFailures))
	}
	return t
}

// failures is a count that should be zero.
func failures(n uint64) cell {
	if n > 0 {
		return cell{fmt.Sprint(n), red}
	}
	return text("0")
}

// legs lists the ways that packets took.
func legs(r *result.Run) *table {
	t := &table{caption: "Ways that packets took", head: []string{"traffic", "from → to", "flows", "protocol", "packets", "bytes", "way"}}
	for _, l := range r.Legs {
		t.add(text(string(l.Traffic)), text(l.From+" → "+l.To), text(flowList(l.Flows)), text(l.Protocol), text(fmt.Sprint(l.Packets)), text(fmt.Sprint(l.Bytes)), text(wayWords(l.Way)))
	}
	return t
}

// wayWords names the places of a way between its ends.
func wayWords(w topology.Way) string {
	var places []string
	for i, h := range w {
		switch {
		case h.Kind == topology.HopHost && (i == 0 || i == len(w)-1):
		case h.Kind == topology.HopInternet:
			places = append(places, "internet")
		case h.Kind == topology.HopEdge:
			places = append(places, h.Site)
		case h.Kind == topology.HopTunnel:
			places = append(places, "tunnel "+h.Name)
		default:
			places = append(places, h.Name)
		}
	}
	return strings.Join(places, " › ")
}
