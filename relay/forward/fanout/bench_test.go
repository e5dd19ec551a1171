package fanout_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/forward/srtp"
)

// BenchmarkPayload compares sealing a payload from where it is into a batch's memory
// with copying it there and sealing it in place; they take turns, 64 packets at a time.
func BenchmarkPayload(b *testing.B) {
	for _, p := range profiles {
		for _, size := range []int{160, 1200} {
			b.Run(fmt.Sprintf("profile=%v/size=%d", p, size), func(b *testing.B) {
				const turn, slot = 64, 1500
				s, payload, memory := keys(b, p, 1).Sealer(), make([]byte, size), make([]byte, turn*slot)
				seq := uint16(0)
				var took [2][]float64
				for b.Loop() {
					for copied := range took {
						start := time.Now()
						for i := range turn {
							buf, from := memory[i*slot:(i+1)*slot], payload
							clear(buf[:12])
							buf[0] = 0x80
							binary.BigEndian.PutUint16(buf[2:], seq)
							seq++
							if copied == 1 {
								from = buf[12 : 12+copy(buf[12:], payload)]
							}
							if _, err := s.RTP(buf[:12], from); err != nil {
								b.Fatal(err)
							}
						}
						took[copied] = append(took[copied], float64(time.Since(start).Nanoseconds())/turn)
					}
				}
				for i, name := range []string{"ns-direct", "ns-copied"} {
					slices.Sort(took[i])
					b.ReportMetric(took[i][len(took[i])/2], name)
				}
				b.ReportMetric(took[1][len(took[1])/2]/took[0][len(took[0])/2], "copied/direct")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkNewReceiver is for the memory of a receiver's stream, and that of its keys.
func BenchmarkNewReceiver(b *testing.B) {
	for _, p := range profiles {
		b.Run(fmt.Sprintf("stream/profile=%v", p), func(b *testing.B) {
			b.ReportAllocs()
			k, ssrc := keys(b, p, 1), uint32(0)
			packet := []byte{11: 0, 63: 0}
			packet[0] = 0x80
			for b.Loop() {
				s := k.Sealer()
				fanout.NewReceiver(fanout.ReceiverConfig{Sealer: s, SSRC: ssrc})
				binary.BigEndian.PutUint32(packet[8:], ssrc)
				ssrc++
				if _, err := s.RTP(packet[:12], nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("keys/profile=%v", p), func(b *testing.B) {
			b.ReportAllocs()
			key, salt := material(p, 1)
			for b.Loop() {
				if _, err := srtp.NewKeys(p, key, salt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
