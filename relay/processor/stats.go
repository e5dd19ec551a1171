package processor

import "maps"

// Stats are figures since the start, but for the first three, which are of now.
type Stats struct {
	Conferences, Participants int
	// Connected are the participants whose media flows.
	Connected int

	// PacketsIn are RTP packets that participants sent and that were authentic;
	// PacketsOut are those sent to receivers, as sealed for each. Bytes are UDP payload.
	PacketsIn, BytesIn   uint64
	PacketsOut, BytesOut uint64
	// Unsent could not be given to the socket.
	Unsent uint64
	// Nacked are packets that the processor asked publishers for, Retransmitted those
	// that it sent again. PLI counts requests for key frames in both directions.
	Nacked, Retransmitted uint64
	PLIReceived, PLISent  uint64
	// Switches counts changes of simulcast layer.
	Switches uint64
	// Drops counts datagrams that went no further, by reason.
	Drops map[Drop]uint64
}

// Drop is why a datagram went no further.
type Drop string

// The reasons.
const (
	DropGarbage     Drop = "garbage"        // of no protocol (RFC 7983), or malformed
	DropStranger    Drop = "stranger"       // media or DTLS from an address of nobody
	DropSTUN        Drop = "stun"           // a check that is not valid
	DropKeyless     Drop = "before-keys"    // media before the certificate was verified
	DropUnauthentic Drop = "unauthentic"    // SRTP or SRTCP that does not open
	DropReplayed    Drop = "replayed"       // was here before
	DropUnknown     Drop = "unknown-stream" // authentic, but of no m-line
	DropCodec       Drop = "codec"          // the receiver has not the sender's codec
	DropHandshakes  Drop = "handshakes"     // too many handshakes go on
	DropOverflow    Drop = "overflow"       // DTLS faster than it is taken
)

// add puts the figures of another socket to s.
func (s *Stats) add(o Stats) {
	s.Conferences += o.Conferences
	s.Participants += o.Participants
	s.Connected += o.Connected
	s.PacketsIn += o.PacketsIn
	s.BytesIn += o.BytesIn
	s.PacketsOut += o.PacketsOut
	s.BytesOut += o.BytesOut
	s.Unsent += o.Unsent
	s.Nacked += o.Nacked
	s.Retransmitted += o.Retransmitted
	s.PLIReceived += o.PLIReceived
	s.PLISent += o.PLISent
	s.Switches += o.Switches
	for reason, n := range o.Drops {
		s.Drops[reason] += n
	}
}

// clone returns a copy with a map of its own.
func (s Stats) clone() Stats {
	s.Drops = maps.Clone(s.Drops)
	return s
}
