package turn_test

import (
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
)

// BenchmarkRelayed is one payload of 1,000 bytes to a peer and back, by the forwarding
// core and by the engine, where a flow goes that is watched. The client and the peer
// are in the same process; what they cost is in both figures.
func BenchmarkRelayed(b *testing.B) {
	for _, c := range []struct {
		name   string
		change func(*turn.Config)
	}{
		{"forwarded", func(*turn.Config) {}},
		{"watched", func(c *turn.Config) { c.Watch = func(turn.Relayed) bool { return true } }},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := newRig(b, c.change)
			w := r.wire(r.credential("alice", "call-1"))
			w.mustAllocate()
			if code := codeOf(w.channel(0x4000, echo(b))); code != 0 {
				b.Fatalf("channel refused with %d", code)
			}
			frame := append([]byte{0x40, 0, 0x03, 0xe8}, make([]byte, 1000)...)
			buf := make([]byte, 2048)
			ok(b, w.conn.SetReadDeadline(time.Now().Add(time.Minute)))
			const window = 16 // in flight
			b.SetBytes(1000)
			for n := 0; b.Loop(); n++ {
				_, err := w.conn.Write(frame)
				ok(b, err)
				if n >= window {
					_, err := w.conn.Read(buf)
					ok(b, err)
				}
			}
		})
	}
}
