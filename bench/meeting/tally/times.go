package tally

import "time"

// Times are when a participant got how far; zero before.
type Times struct {
	// Answered is when ICE began, Selected when it had a path, Keyed when DTLS was
	// complete, FirstMedia when the first media packet came.
	Answered, Selected, Keyed, FirstMedia time.Time
}
