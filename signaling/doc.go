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
//	POST /v1/sign-in                  user and secret for a token
//	POST /v1/ice-servers              credentials for the next call, whose ID it reserves
//	GET  /v1/ice-servers?call=ID      credentials for a call
//	POST /v1/calls                    invite
//	GET  /v1/calls/{id}               state, for its two participants
//	POST /v1/calls/{id}/answer        the callee's answer
//	POST /v1/calls/{id}/reject        or refusal
//	POST /v1/calls/{id}/candidates    trickled candidates
//	POST /v1/calls/{id}/description   re-offer, its answer, or rollback
//	POST /v1/calls/{id}/hangup        in any state
//	POST /v1/calls/{id}/telemetry     any JSON, until shortly after the end
//	GET  /v1/notifications?after=SEQ  WebSocket, resumed after what was taken last
//
// The bodies are in wire.go. Everything but the sign-in needs the token as
// "Authorization: Bearer"; a page, whose WebSocket cannot have that header, sends
// it as the subprotocol "bearer.TOKEN" beside "callpath.v1". A client
// acknowledges notifications by {"ack": SEQ}: the invite's acknowledgement makes
// the call ring, the answer's makes it connected.
//
// What it follows: offer/answer RFC 3264 with JSEP (RFC 8829, revised by
// RFC 9429), trickle ICE RFC 8838, SDP for DTLS-SRTP RFC 5763 and RFC 8842,
// WebSocket RFC 6455, bearer tokens RFC 6750, problem details RFC 9457, and
// OASIS Repeatable Requests 1.0 for requests that are sent again.
//
// One client at a time serves a user; the newest WebSocket wins. Who that is, is
// known in one of two ways. By Config.Users, as scenarios have it: a shared secret
// for an opaque token, of which the type tokens alone knows. Or by Config.Verifier,
// as package identity has it for real clients: an issuer's signed access token,
// with the scope "voip", of which the controller knows only the Bearer.
//
// Start reading at Config; then rest.go for how a request comes in, act.go for
// what it does to a call, mailbox.go and websocket.go for how the other side
// hears of it. The client starts at Client.
package signaling
