package relaylog_test

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation/relaylog"
)

// Whatever peers send through a relay, its log goes on. An input is a row of payloads,
// each after a byte for its length; their parity says which way they go, and whose they
// are.
func FuzzPayload(f *testing.F) {
	check := []byte{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 6, 0, 3, 'a', ':', 'b', 0}
	hello := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	media := []byte{0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}
	var row []byte
	for _, p := range [][]byte{check, hello, media, media, nil} {
		row = append(append(row, byte(len(p))), p...)
	}
	f.Add(row)
	f.Fuzz(func(t *testing.T, row []byte) {
		l := relaylog.New(relaylog.Config{Handler: slog.NewJSONHandler(&buffer{}, nil), Legs: 3})
		l.Allocated(relayA, "udp")
		for n := 0; len(row) > 0; n++ {
			size := min(int(row[0]), len(row)-1)
			peer := netip.AddrPortFrom(peerA.Addr(), uint16(n/2%4+1))
			l.Payload(time.Now(), relayA, peer, n%2 == 0, row[1:1+size])
			row = row[1+size:]
		}
		l.Deleted(relayA)
		l.Close()
	})
}
