// Package negotiation records what happened in ICE, TURN, DTLS and SRTP: as
// events while it happens, and as one Record per leg at the end. It reads packets;
// it takes part in nothing, writes none, and knows no signaling. Its parsers, in
// wire, share no code with the stacks whose packets they read, so that a record is
// the word of a second witness. Only SRTP's tags are verified with a stack's code,
// when the leg's key log is at hand.
//
// Start reading at Record, then at Recorder, which makes records of packets:
//
//	Packet ─ wire/ip ─┬─ UDP ─────────────────────────┐
//	                  └─ TCP ─ wire/bytestream ─┐     ├─ payload ─┬─ STUN ─┬─ ICE checks (ice.go, why.go)
//	Stream (TLS to the relay) ──────────────────┴─────┘  ▲        │        └─ TURN (turn.go)
//	                                                     │        ├─ DTLS (association.go, handshake.go)
//	                     what is inside TURN is fed back ┘        └─ SRTP, SRTCP (srtp.go, keying.go)
//
// RelayView is the other end's view: what a transport relay can see in what it
// relays. Package relaylog is a relay's log of it, package inspect reads captures, runs
// and logs.
//
// Sources: RFC 7983 (which protocol a datagram is of), 8489 and 8656 (STUN, TURN),
// 8445 and 7675 (ICE, consent), 6347, 5764 and 5705 (DTLS-SRTP and its keys), 3550
// and 3711 (RTP, SRTP), 8122 (fingerprints), 8839 (candidates).
package negotiation
