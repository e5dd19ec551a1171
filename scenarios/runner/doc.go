// Package runner carries out one scenario: it builds the network in user space,
// starts the transport relay and the signaling controller on its hosts, lets the
// participants play the scenario's steps, and gathers what was seen into a
// result.Run. Everything that a run says of paths and flows comes from packets on
// their way through the network, never from what the scenario asked for.
//
// It does not judge (package expect does) and prints nothing (package report).
//
// Start reading at Run; then services.go, play.go, traffic.go and collect.go, in
// the order of a run.
package runner
