package signaling

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callpath/callpath/signaling/callstate"
	"github.com/callpath/callpath/signaling/offeranswer"
)

// described is a description and the candidates beside it, checked before the
// controller's lock is taken.
type described struct {
	Description
	summary    *offeranswer.Summary // nil for a rollback
	candidates []Candidate
	problem    *Problem
}

// describe checks a description, whose type must be one of valid.
func (c *Controller) describe(d Description, candidates []Candidate, valid ...DescriptionType) described {
	out := described{Description: d, candidates: candidates}
	switch {
	case !slices.Contains(valid, d.Type):
		words := make([]string, len(valid))
		for i, v := range valid {
			words[i] = string(v)
		}
		out.problem = problem(CodeBadRequest, "description.type is %q; valid here: %s", clip(string(d.Type)), strings.Join(words, ", "))
	case len(d.SDP) > c.cfg.Limits.SDP:
		out.problem = problem(CodeTooLarge, "description.sdp has %d bytes, at most %d are taken", len(d.SDP), c.cfg.Limits.SDP)
	case d.Type == Rollback && d.SDP != "":
		out.problem = problem(CodeBadRequest, "description.sdp must be empty in a rollback")
	case d.Type != Rollback:
		summary, err := offeranswer.Parse(offeranswer.Kind(d.Type), d.SDP)
		if err != nil {
			out.problem = badDescription(err)
			break
		}
		out.summary = summary
	}
	if out.problem == nil {
		out.problem = c.checkCandidates(candidates)
	}
	return out
}

// event is what the description does to a call that has been answered.
func (d *described) event() callstate.Event {
	switch d.Type {
	case Offer:
		return callstate.Offer
	case Answer:
		return callstate.Reanswer
	default:
		return callstate.Rollback
	}
}

// carried says in words what the description brings.
func (d *described) carried() string {
	n := countCandidates(d.candidates)
	if d.summary != nil {
		n += d.summary.Candidates
	}
	return fmt.Sprintf("%s, %s", d.Type, plural(n, "candidate"))
}

// Bounds of a candidate's other fields: the ufrag's is RFC 8839's (section 5.4).
const (
	maxMID   = 64
	maxUfrag = 256
)

func (c *Controller) checkCandidates(candidates []Candidate) *Problem {
	if len(candidates) > c.cfg.Limits.Candidates {
		return problem(CodeTooMany, "%d candidates at once, at most %d are taken", len(candidates), c.cfg.Limits.Candidates)
	}
	for i, candidate := range candidates {
		err := offeranswer.CheckCandidate(candidate.Candidate)
		switch {
		case err != nil:
		case candidate.SDPMid != nil && len(*candidate.SDPMid) > maxMID:
			err = fmt.Errorf("sdpMid has %d bytes, at most %d are taken", len(*candidate.SDPMid), maxMID)
		case candidate.UsernameFragment != nil && len(*candidate.UsernameFragment) > maxUfrag:
			err = fmt.Errorf("usernameFragment has %d bytes, at most %d are taken", len(*candidate.UsernameFragment), maxUfrag)
		}
		if err != nil {
			return problem(CodeBadCandidate, "candidates[%d]: %s", i, err)
		}
	}
	return nil
}

// countCandidates leaves out the marks of end-of-candidates.
func countCandidates(candidates []Candidate) int {
	n := 0
	for _, c := range candidates {
		if c.Candidate != "" {
			n++
		}
	}
	return n
}

func carriedCandidates(candidates []Candidate) string {
	n := countCandidates(candidates)
	switch {
	case n == len(candidates):
		return plural(n, "candidate")
	case n == 0:
		return "end of candidates"
	default:
		return plural(n, "candidate") + " and their end"
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// clip keeps a client's text short where a message quotes it.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// carried says in words what a notification brought.
func (n *Notification) carried() string {
	switch {
	case n.Description != nil:
		return string(n.Description.Type)
	case len(n.Candidates) > 0:
		return carriedCandidates(n.Candidates)
	default:
		return n.Reason
	}
}
