// Package runner carries out one scenario: it builds the network in user space,
// starts transport relays, media processors and the signaling controller on its
// hosts, lets the participants play the scenario's steps, and gathers what was seen
// into a result.Run. Everything that a run says of paths and flows comes from packets
// on their way through the network, never from what the scenario asked for.
//
// It is also what stands between the controller and the media processors, which know
// nothing of each other: see fleet. Services can die, hang and come back while the
// steps go on.
//
// It does not judge (package expect does) and prints nothing (package report).
//
// Start reading at Run; then services.go, play.go, traffic.go and gather.go, in the
// order of a run. Of meetings and group calls, conference.go has the steps, and book.go
// who was where.
package runner
