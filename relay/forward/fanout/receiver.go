package fanout

import (
	"encoding/binary"
	"net/netip"

	"github.com/callpath/callpath/relay/forward/srtp"
)

// PayloadTypes says what each payload type becomes.
type PayloadTypes [128]uint8

// ReceiverConfig says what a receiver gets and how.
type ReceiverConfig struct {
	To netip.AddrPort
	// Sealer has the receiver's keys. It is used by the Source's goroutine.
	Sealer *srtp.Sealer
	// SSRC is what the stream has at the receiver.
	SSRC uint32
	// PayloadTypes and Extensions are translated when they are not nil. They are
	// read only, and may serve many receivers.
	PayloadTypes *PayloadTypes
	Extensions   *Extensions
	// Timeline is where the stream begins.
	Timeline Timeline
}

// Receiver is one stream to a receiver.
type Receiver struct {
	cfg ReceiverConfig
	// Timeline is the stream's, for mutes and switches.
	Timeline Timeline
	stats    ReceiverStats
}

// ReceiverStats count what was put into batches for a receiver.
type ReceiverStats struct {
	Packets uint64
	Bytes   uint64 // as sealed
	// Withheld were not for the receiver: muted, or older than its part of the stream.
	Withheld uint64
	// Failed could not be sealed; Err is why the last one was not.
	Failed uint64
	Err    error
}

// NewReceiver makes a Receiver, which gets nothing until it is in a Track.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	return &Receiver{cfg: cfg, Timeline: cfg.Timeline}
}

// To returns where the receiver is.
func (r *Receiver) To() netip.AddrPort { return r.cfg.To }

// Move says that the receiver is somewhere else now.
func (r *Receiver) Move(to netip.AddrPort) { r.cfg.To = to }

// Stats returns what has been put so far.
func (r *Receiver) Stats() ReceiverStats { return r.stats }

// put seals a packet for the receiver into the batch.
func (r *Receiver) put(b *Batch, p *packet) {
	seq, timestamp, ok := r.Timeline.Map(p.seq, p.timestamp)
	if !ok {
		r.stats.Withheld++
		return
	}
	buf := b.Room(len(p.header) + len(p.payload) + r.cfg.Sealer.Overhead())
	header := buf[:copy(buf, p.header)]
	if r.cfg.PayloadTypes != nil {
		header[1] = header[1]&0x80 | r.cfg.PayloadTypes[header[1]&0x7f]&0x7f
	}
	binary.BigEndian.PutUint16(header[2:], seq)
	binary.BigEndian.PutUint32(header[4:], timestamp)
	binary.BigEndian.PutUint32(header[8:], r.cfg.SSRC)
	if r.cfg.Extensions != nil {
		r.cfg.Extensions.Rewrite(header)
	}
	sealed, err := r.cfg.Sealer.RTP(header, p.payload)
	if err != nil {
		r.stats.Failed++
		r.stats.Err = err
		return
	}
	b.Add(r.cfg.To, sealed)
	r.stats.Packets++
	r.stats.Bytes += uint64(len(sealed))
}
