package negotiation

import (
	"fmt"
	"slices"
)

// verdict says in one line how far the set-up came. It looks from the end: what
// came later shows that what is before it worked.
func (r *Recorder) verdict(rec Record) string {
	for _, stage := range stages {
		if text := stage(r, rec); text != "" {
			return text
		}
	}
	return "nothing was seen"
}

// stages are the steps of a set-up, the last first. Each says how far it came, or
// nothing when it was not reached.
var stages = []func(*Recorder, Record) string{
	(*Recorder).srtpVerdict,
	(*Recorder).dtlsVerdict,
	(*Recorder).checksVerdict,
	(*Recorder).gatheringVerdict,
}

func (r *Recorder) srtpVerdict(rec Record) string {
	var streams [2]int
	var verified, failed, packets uint64
	for _, s := range rec.SRTP {
		if s.Packets == 0 {
			continue
		}
		streams[index(s.Direction == directionName(true))]++
		packets += s.Packets
		verified += s.Verified
		failed += s.AuthFailures
	}
	if packets == 0 {
		return ""
	}
	flows := fmt.Sprintf("%d streams sent, %d received", streams[0], streams[1])
	mismatch := mismatches(rec)
	switch {
	case mismatch:
		return "SRTP flows although the peer's certificate is not the one promised: " + flows
	case verified == 0 && failed > 0:
		return "SRTP flows but none of it verifies: " + flows
	case streams[0] == 0 || streams[1] == 0:
		return "SRTP flows one way only: " + flows
	case verified == packets:
		return "SRTP flows: " + flows + ", every packet verified"
	case verified > 0:
		return fmt.Sprintf("SRTP flows: %s, %d of %d packets verified", flows, verified, packets)
	}
	return "SRTP flows: " + flows + ", not verified for lack of keys"
}

// mismatches is true when the peer showed another certificate than was promised in
// the latest handshake.
func mismatches(rec Record) bool {
	if len(rec.DTLS) == 0 {
		return false
	}
	peer := rec.DTLS[len(rec.DTLS)-1].Peer
	return peer != nil && !peer.Matched && peer.Promised != ""
}

func (r *Recorder) dtlsVerdict(rec Record) string {
	if len(rec.DTLS) == 0 {
		return ""
	}
	d := rec.DTLS[len(rec.DTLS)-1]
	a := r.dtls.all[len(r.dtls.all)-1]
	told := ""
	for _, f := range r.failures {
		if f.layer == "dtls" {
			told = f.text
		}
	}
	switch {
	case mismatches(rec):
		return "DTLS failed: fingerprint mismatch"
	case !d.Complete && len(d.Alerts) > 0:
		return "DTLS failed: alert from the " + d.Alerts[0]
	case told != "":
		return "DTLS failed: " + told
	case d.Complete:
		return "DTLS done but no SRTP"
	case len(d.Flights) == 1:
		return fmt.Sprintf("DTLS stopped after %s: no answer", a.lastMessage)
	case len(d.Flights) > 0:
		return fmt.Sprintf("DTLS stopped after %s of the %s", a.lastMessage, a.lastFrom)
	}
	return "DTLS stopped before a whole message"
}

func (r *Recorder) checksVerdict(rec Record) string {
	sent, answered := 0, 0
	var refusals []string
	for _, c := range rec.ICE.Checks {
		if c.Direction != directionName(true) {
			continue
		}
		sent++
		switch c.Result {
		case succeeded:
			answered++
		case noAnswer:
		default:
			if !slices.Contains(refusals, c.Result) {
				refusals = append(refusals, c.Result)
			}
		}
	}
	switch {
	case answered > 0:
		return "ICE checks answered but DTLS never began"
	case len(refusals) > 0:
		return "ICE checks sent, all refused: " + list(refusals)
	case sent > 0:
		return "ICE checks sent, none answered"
	case len(rec.ICE.Checks) > 0:
		return "ICE checks received, none sent"
	}
	return ""
}

func (r *Recorder) gatheringVerdict(rec Record) string {
	switch {
	case len(rec.ICE.Local) == 0 && (len(rec.ICE.Remote) > 0 || r.sides.side[0].known || len(rec.TURN) > 0):
		return "ICE gathered no candidates"
	case len(rec.ICE.Local) > 0 && len(rec.ICE.Remote) == 0:
		return "ICE gathered candidates, but those of the peer never came"
	case len(rec.ICE.Local) > 0:
		return "ICE gathered candidates but sent no checks"
	}
	return ""
}

// findings are the problems told while things happened, and those that the record
// as a whole shows.
func (r *Recorder) findings(rec Record) []string {
	all := slices.Clone(r.journal.problems)
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, s := range r.requests.silentServers() {
		add("STUN server %v did not answer", s)
	}
	for _, d := range rec.DTLS {
		promised := func(side string, c *Certificate, known bool) {
			switch {
			case c == nil || c.Matched || !known:
			case c.Promised == "":
				add("the %s SDP promised no fingerprint", side)
			default:
				add("the %s certificate's fingerprint %s is not in the SDP, which promised %s", side, c.Fingerprint, c.Promised)
			}
		}
		promised("local", d.Own, r.sides.side[0].known)
		promised("remote", d.Peer, r.sides.side[1].known)
		if wrong := wrongRole(d); wrong != "" {
			add("the leg was DTLS %s although its SDP said setup:%s", d.Role, wrong)
		}
	}
	for _, s := range rec.SRTP {
		if s.Replayed > 0 && s.Direction == directionName(false) {
			add("%d packets of SSRC %#08x came twice: replayed, or doubled by the network", s.Replayed, s.SSRC)
		}
		if s.AuthFailures > 0 {
			add("%d packets of SSRC %#08x %s do not verify: tampered with, of another key, or not SRTP", s.AuthFailures, s.SSRC, s.Direction)
		}
		if s.RTCP.AuthFailures > 0 {
			add("%d RTCP packets of SSRC %#08x %s do not verify: tampered with, of another key, or not SRTCP", s.RTCP.AuthFailures, s.SSRC, s.Direction)
		}
	}
	return all
}

// wrongRole is the leg's setup attribute when it contradicts the role that the leg
// took (RFC 8842, section 5.2).
func wrongRole(d DTLS) string {
	setup := d.Setup[0]
	if setup == "active" && d.Role == sideNames[1] || setup == "passive" && d.Role == sideNames[0] {
		return setup
	}
	return ""
}
