package tally

import (
	"time"

	"github.com/callpath/callpath/bench/loader"
)

// Tally is what was counted over some time. It is for one goroutine at a time.
type Tally struct {
	// Sent are the media packets that the generator sent; Unsent those that it had no
	// time for, or that the system did not take from it.
	Sent, Unsent uint64
	// Bytes are those of the RTP payloads sent.
	Bytes uint64
	// Received are the media packets that came, and Expected those that should have, by
	// the sequence numbers of the streams; both of intervals that have ended. Late ones
	// count where they came, so that Received may be more than Expected for a moment.
	Received, Expected uint64
	// Unread are packets that reached the generator's machine and that the generator was
	// too slow to read; they are among the lost.
	Unread uint64
	// Stray are packets that are of no stream of the load, or do not open.
	Stray uint64
	// Retransmitted are packets that were sent again for a NACK, KeyFrames those asked
	// for by PLI or FIR.
	Retransmitted, KeyFrames uint64

	// Latency is from when a packet was due to when its copy came; Pacing from when it
	// was due to when it was sent.
	Latency, Pacing *loader.Histogram
	// RTT are round trips between a participant and the server by RTCP.
	RTT *loader.Histogram
	// Jitter is that of each stream at the end of each interval.
	Jitter *loader.Histogram

	// voice counts intervals of voice that are alike.
	voice map[interval]uint64
	// Streams counts the streams on which something came.
	Streams int
}

// New makes an empty one.
func New() *Tally {
	return &Tally{
		Latency: loader.NewHistogram(), Pacing: loader.NewHistogram(),
		RTT: loader.NewHistogram(), Jitter: loader.NewHistogram(),
		voice: make(map[interval]uint64),
	}
}

// Add adds another one's figures. Streams is the larger, as the streams are the same when
// one goes on where the other ended; AddBeside is for others.
func (t *Tally) Add(o *Tally) {
	streams := max(t.Streams, o.Streams)
	t.AddBeside(o)
	t.Streams = streams
}

// AddBeside adds the figures of other participants at the same time.
func (t *Tally) AddBeside(o *Tally) {
	t.Sent += o.Sent
	t.Unsent += o.Unsent
	t.Bytes += o.Bytes
	t.Received += o.Received
	t.Expected += o.Expected
	t.Unread += o.Unread
	t.Stray += o.Stray
	t.Retransmitted += o.Retransmitted
	t.KeyFrames += o.KeyFrames
	t.Streams += o.Streams
	t.Latency.Merge(o.Latency)
	t.Pacing.Merge(o.Pacing)
	t.RTT.Merge(o.RTT)
	t.Jitter.Merge(o.Jitter)
	for i, n := range o.voice {
		t.voice[i] += n
	}
}

// Lost is how many packets did not come.
func (t *Tally) Lost() uint64 { return t.Expected - min(t.Received, t.Expected) }

// Loss is the share of the packets expected that did not come, 0 to 1.
func (t *Tally) Loss() float64 {
	if t.Expected == 0 {
		return 0
	}
	return float64(t.Lost()) / float64(t.Expected)
}

// Sending takes a packet that was sent, at a time and so much later than it was due.
func (t *Tally) Sending(late time.Duration, payload int) {
	t.Sent++
	t.Bytes += uint64(payload)
	t.Pacing.Add(int64(late))
}
