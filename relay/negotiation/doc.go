// Package negotiation records what happened in ICE, TURN, DTLS and SRTP: as
// events while it happens, and as one Record per leg at the end. It reads
// packets; it takes part in nothing and knows no signaling.
//
// Start reading at Record, then at Recorder, which makes records of packets.
//
// Sources: RFC 8489 and 8656 (STUN, TURN), 8445 (ICE), 6347 and 5764 (DTLS-SRTP),
// 3550 and 3711 (RTP, SRTP), 8122 (fingerprints).
package negotiation
