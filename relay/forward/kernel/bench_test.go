//go:build linux

package kernel

import (
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// BenchmarkProgram sends packets from one host to another by this one, and tells what
// of that the program's own time is, by the kernel's books.
func BenchmarkProgram(b *testing.B) {
	for _, size := range []int{60, 160, 1200} {
		for _, way := range []string{"to peer", "to client"} {
			b.Run(fmt.Sprintf("%d bytes %s", size, way), func(b *testing.B) {
				h := newHost(b, Config{Interfaces: []string{"wire"}, Channels: 10})
				books, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
				ok(b, err)
				defer books.Close()
				_, err = h.Bind(flow4.channel())
				ok(b, err)
				client, peer := h.socket(b, flow4.client), h.socket(b, flow4.peer)
				ok(b, peer.SetReadBuffer(1<<10))
				ok(b, client.SetReadBuffer(1<<10))
				from, to, packet := client, flow4.server, data(number, random(size))
				if way == "to client" {
					from, to, packet = peer, flow4.relay, random(size)
				}
				program := h.collection.Programs["forward"]
				before, err := program.Stats()
				ok(b, err)
				for b.Loop() {
					_, err := from.WriteToUDPAddrPort(packet, to)
					ok(b, err)
				}
				after, err := program.Stats()
				ok(b, err)
				n := after.RunCount - before.RunCount
				b.ReportMetric(float64((after.Runtime-before.Runtime)/time.Nanosecond)/float64(n), "program-ns/op")
			})
		}
	}
}
