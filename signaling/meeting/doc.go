// Package meeting is a scheduled Teams meeting: who organizes it, who is in it, who
// waits in its lobby, and what has happened. Package policy decides; this package
// keeps the state.
//
// A Meeting is a plain value, whose JSON is its saved state (Restore reads it). It
// has no goroutine, lock, clock, media or storage: time is handed in, what happened
// comes out as Events, and whoever owns the value sees to it that one caller at a
// time changes it. An act that is refused changes nothing.
//
// Where a person stands, and what the meeting is doing, are two tables (table.go),
// drawn in STATES.md.
//
// Start reading at Transitions, then Meeting.Join.
package meeting
