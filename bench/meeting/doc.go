// Package meeting puts a load of synthetic participants on meetings: they sign in, join
// group calls through the signaling controller, connect to the media processor, and send
// and receive media until they leave.
//
// A participant is light (package light), of which many hundreds run on a CPU, or full, a
// pion/webrtc peer (package full). The server is one of the load's own, in a process of
// its own on loopback (package host), or any that speaks /v1.
//
// A measurement says two things apart: whether what was asked for of the server was met
// (Step.Criteria), and who could not do more when it was not (Step.Saturated). The
// generator's own lateness, what it did not send and what it did not read stand beside the
// loss; a server is blamed only for what was lost or late while the generator kept up.
//
// What it is not: a test of media quality, for which package scenarios decodes what it
// receives; or of real networks. Generator and server share this machine, unless the
// server is elsewhere.
//
// Start reading at Options and Run; then session.go, what joins and leaves, step.go, one
// measurement, and verdict.go.
package meeting
