// Package light is a participant of a meeting that costs little: many hundreds run on one
// CPU. What goes over the wire is real: ICE as the controlling agent of a lite peer with
// consent (RFC 8445, RFC 7675), DTLS with the certificate checked against the answer
// (RFC 5764), SRTP and SRTCP (RFC 3711, RFC 7714), sender and receiver reports (RFC 3550),
// retransmissions (RFC 4588) and key frames when they are asked for (RFC 4585). There is no
// media in it: payloads are filler of the right size behind a right payload header, sent by
// a clock, and what is received is opened, counted and thrown away. It has no jitter buffer,
// no decoder, no bandwidth estimation, and asks for nothing again that was lost.
//
// An Engine is one goroutine on one thread that has the sockets of all its Clients: one
// each, as a media processor knows clients by their addresses. It does what is due by its
// schedule, then reads what has come, in batches (package bench/udp). Only a DTLS
// handshake has a goroutine of its own. All state of a Client but what Client says
// otherwise belongs to the engine's goroutine.
//
// It works on Linux with IPv4. All clients of an engine have one certificate, since making
// one is no work of the server's.
//
// Start reading at Engine and Client; agent.go is ICE, publish.go what is sent, slots.go
// what is received.
package light
