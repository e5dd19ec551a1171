// Package endpoint is the seam between a participant and the protocol stack that
// carries its media: ICE, DTLS and SRTP, described by SDP. It declares what a
// stack offers (Endpoint) and tells (Events), and holds what all stacks share:
// dialling the relay over TLS with its plaintext shown to the recorder,
// certificates, names of cipher suites and profiles, and a logger.
//
// The stacks are in the packages modern (webrtc/v4) and older (dtls/v2, and
// turn/v3 towards the relay).
//
// Start reading at Endpoint and Config.
package endpoint
