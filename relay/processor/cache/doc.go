// Package cache is a media processor's memory of packets, on both of its sides, for the
// negative acknowledgements of RFC 4585, section 6.2.1:
//
//   - towards receivers, Cache keeps the last packets of a stream as they came, and
//     History what became of them for one receiver, with limits on how often and how
//     soon a packet is sent again;
//   - towards publishers, Missing finds what has not come, and says when to ask for it,
//     when to ask again, and when to give up.
//
// # How they fit together
//
// A publisher's stream has one Cache, whose packets all receivers share: opened, with the
// publisher's numbers. Each receiver's stream has a History, from the sequence numbers
// that the receiver knows to what makes the same packet anew: which Cache, the number
// there, and what was rewritten. A receiver of retransmissions in a stream of their own
// (RFC 4588) costs a few bytes a packet so. A receiver without that stream gets the
// sealed packet once more, since a sequence number may not be sealed twice (package
// relay/forward/srtp): its own Cache has those, filed under the receiver's numbers.
//
// Nothing here has a clock, a goroutine or a lock: one goroutine owns each value, and
// hands in the time. After the constructors nothing is allocated.
//
// Not here: RTCP itself, retransmission payloads, and round-trip times, which are handed in.
//
// Start reading at Cache.Put, History.Again and Missing.Due.
package cache
