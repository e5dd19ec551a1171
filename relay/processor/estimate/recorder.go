package estimate

import (
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// Recorder makes the feedback for one publisher's transport.
type Recorder struct {
	packets *twcc.Recorder
	begun   time.Time
	some    bool
}

// NewRecorder makes a Recorder. ssrc is what the feedback has as its sender.
func NewRecorder(ssrc uint32) *Recorder { return &Recorder{packets: twcc.NewRecorder(ssrc)} }

// Record says that a packet with a transport-wide sequence number has come. ssrc is its
// stream's.
func (r *Recorder) Record(ssrc uint32, seq uint16, now time.Time) {
	if !r.some {
		r.begun, r.some = now, true
	}
	r.packets.Record(ssrc, seq, now.Sub(r.begun).Microseconds())
}

// Build appends the feedback for what has come since the last call: nothing when nothing
// has. It is called every 50 to 100 ms; it allocates.
func (r *Recorder) Build(to []rtcp.Packet) []rtcp.Packet {
	for _, p := range r.packets.BuildFeedbackPacket() {
		if cc, ok := p.(*rtcp.TransportLayerCC); ok {
			cc.ReferenceTime &= 1<<24 - 1 // it wraps after 12 days
		}
		to = append(to, p)
	}
	return to
}
