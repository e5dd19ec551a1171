// Package description reads a client's SDP offer and makes the media processor's answer
// (RFC 3264, 8829, 8866). It is a function of texts, without network, time or state.
//
// An offer must have, and Parse refuses with the reason what has not:
//
//   - one transport: all media in one BUNDLE group (RFC 9143), unless there is only one
//     m-line, and rtcp-mux (RFC 5761) on each;
//   - DTLS-SRTP (RFC 5763): a=fingerprint, a=setup of actpass or active, as the processor
//     is passive, and a UDP/TLS/RTP/SAVP or SAVPF protocol. SDES (a=crypto) is refused;
//   - ICE credentials (RFC 8839), or none at all for a peer without ICE.
//
// Single m-lines that cannot be answered, such as a data channel or audio without a
// common codec, are rejected in the answer with port 0; the others are taken.
//
// Codecs are Opus, PCMU, PCMA and G.722 for audio, VP8 and H.264 (packetization mode 1)
// for video, and rtx (RFC 4588) for those. The client's payload types and extension ids
// are used in both directions.
//
// The client's m-lines that receive are slots: each gets one constant SSRC and msid, so
// that who is shown on it can change without another offer.
//
// Start reading at Offer, then Parse, then Offer.Answer.
package description
