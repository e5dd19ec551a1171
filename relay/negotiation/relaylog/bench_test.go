package relaylog_test

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation/relaylog"
)

// BenchmarkPayload is one packet of media of a leg that is read, and one of a leg that
// is not.
func BenchmarkPayload(b *testing.B) {
	l := relaylog.New(relaylog.Config{Handler: slog.DiscardHandler, Sample: time.Hour, Most: time.Hour})
	defer l.Close()
	l.Allocated(relayA, "udp")
	packet := make([]byte, 1200)
	packet[0], packet[1] = 0x80, 96
	now := time.Now()
	for _, c := range []struct {
		name string
		at   netip.AddrPort
		read bool
	}{{"read", relayA, true}, {"not read", relayB, false}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for n := uint16(0); b.Loop(); n++ {
				binary.BigEndian.PutUint16(packet[2:], n)
				if l.Payload(now, c.at, peerA, true, packet) != c.read {
					b.Fatal("the leg is not what it should be")
				}
			}
		})
	}
}
