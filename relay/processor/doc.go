// Package processor is the media processor of group calls and meetings: a selective
// forwarding unit (RFC 7667, section 3.7), which passes on each participant's audio,
// video and screen to the others, and a mixer of audio (section 3.4) for who asks for it.
// It has public addresses and needs no relay on its side. It knows no signaling: who may
// be in a conference has been decided when Join is called.
//
// # Slots
//
// A participant makes one offer, and gets one answer. Each m-line on which it receives
// is a slot, with one SSRC for as long as it lasts; the processor puts other participants
// on slots, and rewrites what it passes on into one stream. So nothing is negotiated when
// people come, go, or begin to speak. Audio is of all others when there are slots enough,
// and otherwise of those who spoke last; video is of shared screens first, then of those
// who spoke last, then of the others as they came. Config.OnLayout tells who is where.
//
// # One goroutine for a conference
//
// A socket has a worker, and a conference lives on one of them, so that all that a packet
// touches belongs to one goroutine and nothing is locked for it:
//
//	                  RFC 7983
//	port.Receive ─┬─ STUN ── icelite.Request ── leg.checked       addresses, consent
//	              ├─ DTLS ── association (a goroutine) ── leg.secured     keys
//	              ├─ SRTP ── srtp.Opener ── track, layer ─┬─ slot.put ── fanout.Batch ── port.Send
//	              │                                       └─ mixing
//	              └─ SRTCP ─ leg.control                  reports, NACK, PLI, bandwidth
//
// Packets that came together go out receiver by receiver, so that the kernel can take
// runs of them. Nothing is allocated for a packet (TestForwardingAllocatesNothing).
//
// # Who is let in
//
// A leg begins with ICE, of which this is the lite side (package icelite): media and DTLS
// are taken only from addresses from which a valid check came, and are sent to the one
// that was nominated. A leg without ICE (Join.Latching) has the address from which a
// handshake comes to its end. DTLS is 1.2, with a certificate that must be that of the
// offer's fingerprint; before that is verified, no packet of media is taken from a leg or
// sent to it. What ends a leg stands in one table (legTable).
//
// # RTCP
//
// It ends here on both sides. Receivers get sender reports of their slots, whose times are
// the processor's; publishers get receiver reports, transport-wide feedback, NACK and PLI.
// What a receiver asks for again comes in a stream of retransmissions (RFC 4588), from a
// memory that all receivers of a stream share; an m-line without that has no NACK. Key
// frames are asked for at most twice a second. Of simulcast each receiver gets the layer
// that its bandwidth can carry (packages estimate and simulcast); a slot of which not even
// the lowest layer fits has none until there is room, but for the most important one. That,
// and streams without simulcast, are sent with fewer frames then, where they have temporal
// layers (VP8). Bursts of video are spread over the time that the path needs (pacer).
//
// # What it costs
//
// A meeting of 50 participants, of whom five send video at 1 Mbit/s and all send audio, to
// everybody else, which is 148,000 packets out a second:
//
//	go test -run '^$' -bench Meeting -benchtime 2s ./relay/processor
//
// On two shared cores of an AMD EPYC, over loopback: 3.1 to 4.3 CPU seconds for a million
// packets out, of which about 70 % are the kernel's sendmsg, 10 % sealing, and 20 % all
// else. The same meeting with real ICE and DTLS, paced, for five seconds, clients on the
// same cores: 750,190 packets out, 750,190 received.
//
//	CALLPATH_MEETING=50x5x5s go test -run TestMeeting -v ./relay/processor
//
// # What it does not do
//
// It does not transcode for one stream: a receiver without the sender's codec gets
// nothing of it on a slot, but hears it in the mix. The mix is made in the worker's
// goroutine, so that many mixes of Opus want more sockets. It gives publishers no REMB,
// only transport-wide feedback. A leg without ICE is latched once: a peer that moves, or
// shakes hands anew, makes a new offer. There are no spatial layers of SVC, no data
// channels, no ICE over TCP (a TURN relay in front turns that into UDP), and no state
// that outlives the process.
//
// Start reading at Processor.Join, then worker.run, leg.rtp, slot.put.
package processor
