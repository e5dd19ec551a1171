// Package full is a participant of a meeting that is a whole WebRTC peer, of
// github.com/pion/webrtc: with its ICE, also through a transport relay, its jitter of
// timers and goroutines, its interceptors for NACK, reports and transport-wide congestion
// control. It costs many times what package light does, so that a generator of full
// participants saturates early; it is there to load what light ones do not do.
//
// What is sent and received is filler, as there, and counted by the same rules.
//
// Start reading at Group and Client.
package full
