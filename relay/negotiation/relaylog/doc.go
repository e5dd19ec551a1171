// Package relaylog is the negotiation log of a transport relay: what the relay can
// see of ICE, DTLS and SRTP in the payloads that it passes, one record for each thing
// that happened, and for each leg one verdict that says where its set-up stopped. It
// holds no keys and writes no payload, no user and no credential. It knows no TURN
// server: whoever has one tells it of allocations and payloads.
//
// A leg is what one allocation exchanges with one peer, seen from the allocation's
// client: "sent" and "own" are the client's, "received" and "peer" the other's. A call
// that both sides relay has a leg on each allocation.
//
// # What is read
//
// A leg is read from its first payload until media has flowed both ways for a sample
// (Config.Sample), or until it has been read for Config.Most. Then its last record is
// written, and Payload returns false, so that the relay can forward the rest the fast
// way. A leg whose payloads are none of the protocols is let go sooner. Loss, jitter
// and counts are therefore those of the beginning, and handshakes and restarts after
// it are not in the log.
//
// # Format
//
// Records go to a slog.Handler; as NDJSON (slog.JSONHandler) callpath inspect reads
// them. Each has time, level and msg, and of its leg:
//
//	leg         name of the leg, such as "5c1f-12.1": unique, and of no user
//	allocation  name of the allocation, "5c1f-12"; the audit log has the same relay address
//	transport   how the client reaches the relay: udp, tcp, tls or dtls
//	relay       the relayed transport address
//	peer        the peer's address
//
// The values of msg:
//
//	leg.begin    the first payload
//	ice.…, dtls.…, srtp.…, problem
//	             an event of negotiation, with its attributes; checks are at level debug.
//	             A leg has at most 512 of these, its record says how many more there were
//	leg.verdict  where the set-up stands: when it is done, when it got no further for
//	             Config.Stall, and when the leg ends. It comes again only when the leg
//	             went further later
//	leg.record   the end of reading, with all that is known
//	legs.skipped, records.dropped
//	             what the log's limits left out, with a count
//
// A verdict has stage and verdict, and as far as they are known: checks_sent,
// checks_answered, checks_received (counts of ICE checks); ice_ufrag, peer_ufrag;
// version, cipher_suite and srtp_profile of DTLS; own_fingerprint and
// peer_fingerprint, "sha-256 AB:CD:…", of the certificates on the wire, which DTLS 1.3
// hides; streams_sent, streams_received; carried_by, the leg over which the same ICE
// session went on, when it was not this one. The stages are those of
// negotiation.Stage:
//
//	nothing    neither checks nor DTLS nor SRTP
//	checks     no check of the client was answered
//	answered   checks were answered, DTLS never began here
//	handshake  DTLS began and was not done
//	keyed      DTLS is done, there is no SRTP
//	one-way    SRTP in one direction only
//	media      SRTP in both directions: the set-up is done
//
// The leg's record has the same, and until (why reading ended: sample, most, foreign,
// allocation or closed), payloads (counts by kind), packets_sent, packets_received
// and lost (SRTP packets, and gaps in what the client was sent), omitted, and record:
// the negotiation.Record as JSON.
//
// Start reading at Log, then leg.
package relaylog
