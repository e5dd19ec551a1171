// Package fanout passes on media from one sender to many receivers: an SRTP packet
// comes in, is opened once, and goes out to each receiver with a header of its own
// (SSRC, sequence number, timestamp, payload type, extension ids) and sealed with its
// keys. It knows no sessions, sockets or timers. It is what a media processor (SFU)
// does for each packet; everything that a session decides is told to it beforehand.
//
// A Source is a peer that sends, with a Track for each of its streams; each Track has
// Receivers. What is to be sent gathers in a Batch, which its owner flushes to a Sender:
// one that has a socket and sends many datagrams with one system call. All of these
// belong to one goroutine, which does between two rounds what others want of them, so
// nothing here is locked. A peer that gets streams from several goroutines has a Sealer
// for each, of the same Keys.
//
// # How a packet goes
//
// Source.Forward opens the packets in the buffers in which they came. Then each receiver
// gets its packets one after the other, sealed from the opened payload into the batch:
// the encryption itself is the only copy that is made of a payload. That order keeps a
// receiver's keys in the cache, and lays its packets side by side in memory, so that a
// Sender can give packets of one size to the kernel as one message (UDP_SEGMENT).
// Nothing is allocated for a packet.
//
// Not here: RTCP, which ends at the processor and is made anew by it; what needs the
// memory of packets (answers to NACK); and what needs the media's inside (layers of
// simulcast and SVC, transport-wide sequence numbers).
//
// Start reading at Source.Forward, then Receiver.put; Timeline is what makes several
// sources one stream.
package fanout
