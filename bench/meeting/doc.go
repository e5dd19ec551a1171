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
// # What it found
//
// On two cores of an AMD EPYC (Zen 4), Go 1.26, of which other programs took 0.93:
//
//	callpath load --participants 50 --senders 5
//
// has 50 participants in one meeting hear and see each other: 3,100 packets a second go in
// and 152,000 come out, of which none of 1.5 million was lost, with a pacing error of 0.4
// ms (p50) and 6.9 ms (p99). The server took 0.64 CPUs, 4.2 CPU seconds for a million
// packets forwarded, and 109 MB; the generator 0.42 CPUs. When the machine has no time
// left a million costs less, 2.2 to 3.5, since more packets come together and leave as one
// message, and all are late.
//
// A generator of 500 participants in 100 meetings of voice (callpath load -n 500 -m 100)
// took 0.36 CPUs to send 25,000 and to receive 100,000 packets a second.
//
// Start reading at Options and Run; then session.go, what joins and leaves, step.go, one
// measurement, and verdict.go.
package meeting
