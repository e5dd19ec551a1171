// Package signaling is the signaling controller and its client: REST over HTTPS
// for what participants ask, a WebSocket for what they are told.
//
// The controller keeps users, bearer tokens, calls and each user's mailbox of
// notifications. It validates offers and answers (package offeranswer), walks
// each call through one table of states (package callstate, drawn in
// callstate/STATES.md), forwards descriptions and trickled candidates in order,
// and hands out ICE servers with time-limited credentials. It does not touch
// media, and it knows the transport relay only as the function Config.TURN.
//
// What it follows: offer/answer RFC 3264 with JSEP (RFC 8829, revised by
// RFC 9429), trickle ICE RFC 8838, SDP for DTLS-SRTP RFC 5763 and RFC 8842,
// WebSocket RFC 6455, bearer tokens RFC 6750, problem details RFC 9457, and
// OASIS Repeatable Requests 1.0 for requests that are sent again.
//
// One client at a time serves a user; the newest WebSocket wins. Identity is a
// shared secret and an opaque token; signed tokens take the place of the type
// tokens, which is the only thing that knows what a token is.
//
// Start reading at Config and Client; then call.go.
package signaling
