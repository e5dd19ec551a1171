// Package simulcast decides and does what a media processor does with video that comes in
// several layers: simulcast streams of one picture in several sizes (RFC 8853), and the
// temporal layers inside of a VP8 stream (RFC 7741).
//
//   - Codec.Inspect reads from a payload what has to be known of its frame: whether it is
//     a key frame (RFC 7741, RFC 6184), where it starts, VP8's picture id and layers;
//   - Meter and Ladder choose the layer that a receiver's bandwidth can carry, with
//     hysteresis, and Share divides the bandwidth among a receiver's slots;
//   - Stream makes one stream of whatever a slot shows: it changes layers and senders at
//     key frames only, and rewrites sequence numbers, timestamps, picture ids, TL0PICIDX
//     and KEYIDX so that the receiver's decoder sees no seam, across mutes and packets
//     that come late, and closes the gaps that dropped temporal layers leave;
//   - Requests limits how often a sender is asked for a key frame (RFC 4585, section
//     6.3.1), and asks again when none comes.
//
// Sequence numbers and timestamps are fanout.Timeline's work. In front of it Stream
// leaves out the numbers of dropped packets, and behind it the payload's own numbers are
// rewritten.
//
// Everything belongs to one goroutine, which hands in the time. What is called for each
// packet (Inspect, Meter.Add, Stream.Map, Numbers.Patch) allocates nothing.
//
// Not here: spatial layers inside of one stream (VP9 and AV1 SVC), H.264 temporal layers
// (they are not in its payload format), RTCP, and sending.
//
// Start reading at Stream.Map.
package simulcast
