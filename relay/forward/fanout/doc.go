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
//
// # What it costs
//
// The floor is to seal as many packets, and to send as many by the same Sender:
//
//	go test -run '^$' -bench 'FanOut/profile/size/receivers=100$' -benchtime 1s ./relay/forward/fanout
//
// With 100 receivers on loopback (two cores of an AMD EPYC, Go 1.26, all profiles, 160
// and 1200 bytes), a packet out costs 0.97 to 1.04 of the floor. Sending is most of it:
// 2300 to 2800 ns, where sealing is 120 to 350 ns with AEAD and 290 to 1050 ns with
// AES_CM_128_HMAC_SHA1_80. With 500 receivers it is 0.95 to 1.03; with one, where opening
// is half of the work and not in the floor, up to 1.48.
//
// When eight packets come together and the Sender lets the kernel cut messages, a packet
// out costs 0.28 to 0.35 (160 bytes) and 0.34 to 0.38 (1200 bytes) of what it costs when
// the Sender gives the kernel each by itself, with AEAD; 0.35 and 0.50 with
// AES_CM_128_HMAC_SHA1_80.
//
// A receiver's stream takes 0.7 KB with AEAD and 1.9 KB with AES_CM_128_HMAC_SHA1_80, its
// keys, which all its streams share, 3.7 KB and 2.2 KB of allocations (-bench
// NewReceiver).
//
// # What did not pay
//
//   - Forwarding packets that came together one by one ("singly" in the same
//     benchmark): 1.01 to 1.04 in batches, since receivers' keys come and go; and nothing
//     is left for the kernel to cut: 2 to 3.6 times.
//   - Copying payloads into the batch and sealing them in place: 1.04 to 1.05 of sealing
//     with AEAD, 1.02 with AES_CM_128_HMAC_SHA1_80 (-bench Payload).
package fanout
