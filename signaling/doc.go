// Package signaling is the signaling controller and its client: REST over HTTPS
// for what participants ask, a WebSocket for what they are told.
//
// The controller keeps users, bearer tokens, calls and each user's mailbox of
// notifications. It validates offers and answers (package offeranswer), walks
// each call through one table of states (package callstate, drawn in
// callstate/STATES.md), forwards descriptions and trickled candidates in order,
// and hands out ICE servers with time-limited credentials. It does not touch
// media: it knows the transport relay only as the function Config.TURN, and media
// processors as Config.Processors.
//
// Meetings are Teams meetings with a lobby, roles, options and the organisation's
// policies (package meeting and its policy), group calls those of Azure
// Communication Services, in which nobody waits. Whoever is present hands an offer
// to the media processor of the region of the first who came in; whoever waits in
// the lobby has no media, no relay credentials tied to the meeting, no roster and no chat
// (credentials for a call of one's own, everybody gets). Chats are
// package chat's. Meetings, lobbies, roles, options and policies are in Config.Store
// before a request is acknowledged, so that they survive a crash; group calls too.
//
//	POST /v1/sign-in                  user and secret for a token
//	POST /v1/ice-servers              credentials for the next call, whose ID it reserves,
//	                                  or for {"meeting"|"group": ID}, by who is present
//	GET  /v1/ice-servers?call=ID      credentials for a call
//	POST /v1/calls                    invite
//	GET  /v1/calls/{id}               state, for its two participants
//	POST /v1/calls/{id}/answer        the callee's answer
//	POST /v1/calls/{id}/reject        or refusal
//	POST /v1/calls/{id}/candidates    trickled candidates
//	POST /v1/calls/{id}/description   re-offer, its answer, or rollback
//	POST /v1/calls/{id}/hangup        in any state
//	POST /v1/calls/{id}/telemetry     any JSON, until shortly after the end
//	GET  /v1/notifications?after=SEQ&mailbox=ID  WebSocket, resumed after what was taken last
//
//	POST  /v1/meetings                         schedule
//	GET   /v1/meetings/{id}                    for whom it concerns
//	PATCH /v1/meetings/{id}/options            those that are named; by a host
//	POST  /v1/meetings/{id}/join               present, in the lobby, or refused with the rule
//	POST  /v1/meetings/{id}/leave | end
//	GET   /v1/meetings/{id}/participants       the roster; with the lobby for moderators
//	POST  /v1/meetings/{id}/participants/{participant}/remove | role
//	POST  /v1/meetings/{id}/lobby/{participant}/admit | reject
//	POST  /v1/meetings/{id}/lobby/admit-all
//	POST  /v1/meetings/{id}/media              an offer for the media processor's answer
//	GET   /v1/meetings/{id}/layout             who is on which slot
//	POST  /v1/groups                           a group call for those named, or a recorded call of two
//	POST  /v1/groups/{id}/join | leave | media and GET …, …/participants, …/layout, as above
//	GET   /v1/meetings/{id}/messages?after=N   also before=N, limit=N; and POST
//	PATCH /v1/meetings/{id}/messages/{message} and DELETE
//	POST  /v1/threads                          a chat apart from meetings; its messages as above
//
// A call of two that is recorded is a group call of two: the media processor is
// chosen by what processing is needed, not by head count. What would write the
// recording is not here.
//
// The bodies are in wire.go and meeting_wire.go. Everything but the sign-in needs the token as
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
// with the scope "voip", or "chat" for chats, of which the controller knows only the
// Bearer.
//
// Start reading at Config; then rest.go for how a request comes in, act.go for
// what it does to a call, mailbox.go and websocket.go for how the other side
// hears of it. For meetings, read conference.go on from conference and its method
// change, then conference_act.go, conference_event.go and conference_media.go. The
// client starts at Client.
package signaling
