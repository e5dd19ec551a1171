// Package participant is a person's client in a call: it signs in, calls or
// answers, gathers and trickles candidates (RFC 8838), renegotiates (RFC 3264,
// RFC 8829), sends real encoded media at the pace of a real client, and measures
// what it receives, each payload compared with what was sent.
//
// A Participant is the half that speaks with the signaling controller. The other
// half, which speaks with its peer, is an endpoint: package endpoint is the seam,
// modern (webrtc/v4) and older (dtls/v2) are the two that there are.
//
// In a meeting or a group call the other side is a media processor: one offer with an
// m-line for each stream that is sent or received, and one answer. Frames are marked
// then (package media), so that what arrives says whose it is, whatever the media
// processor has made of its numbers; and a participant whose media is lost restarts
// ICE or joins again by itself.
//
// It judges nothing: whether a call went as it should is for the runner and its
// expectations.
//
// Start reading at Participant; session.go is one call, transmission.go what is
// sent, reception.go what is received; conference.go and recover.go are about media
// processors.
package participant
