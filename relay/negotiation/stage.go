package negotiation

import "fmt"

// Stage is how far the set-up of a leg came, in the order of its steps. Its texts
// are those of records and logs.
type Stage uint8

// The stages. Whoever stopped before StageMedia was stopped by what leads to the
// next one.
const (
	// StageNothing: no ICE check, no DTLS and no media was seen.
	StageNothing Stage = iota
	// StageChecks: there were ICE checks, but none of the leg's own was answered.
	StageChecks
	// StageAnswered: a check of the leg was answered, but DTLS never began.
	StageAnswered
	// StageHandshake: DTLS began, and was not done.
	StageHandshake
	// StageKeyed: DTLS was done, but no SRTP was seen.
	StageKeyed
	// StageOneWay: SRTP was seen in one direction only.
	StageOneWay
	// StageMedia: SRTP was seen in both directions.
	StageMedia
)

var stageNames = [...]string{"nothing", "checks", "answered", "handshake", "keyed", "one-way", "media"}

// String is the stage's name.
func (s Stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return fmt.Sprintf("stage %d", uint8(s))
}

// Stage is how far the record's set-up came. The Verdict says the same in words, and
// why.
func (rec Record) Stage() Stage {
	stage := StageNothing
	for _, c := range rec.ICE.Checks {
		stage = max(stage, StageChecks)
		if c.Direction == directionName(true) && c.Result == succeeded {
			stage = StageAnswered
		}
	}
	if n := len(rec.DTLS); n > 0 {
		stage = StageHandshake
		if rec.DTLS[n-1].Complete {
			stage = StageKeyed
		}
	}
	var flows [2]bool
	for _, s := range rec.SRTP {
		if s.Packets > 0 {
			flows[index(s.Direction == directionName(true))] = true
		}
	}
	switch {
	case flows[0] && flows[1]:
		stage = StageMedia
	case flows[0] || flows[1]:
		stage = StageOneWay
	}
	return stage
}
