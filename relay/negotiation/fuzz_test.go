package negotiation_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

func tapePackets(tb testing.TB) (packets [][]byte) {
	tb.Helper()
	b, err := os.ReadFile("testdata/call.tape")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[0] == "packet" {
			packets = append(packets, fromHex(tb, f[3]))
		}
	}
	return packets
}

// Each input is cut into packets, which the recorder gets in both directions.
func FuzzPacket(f *testing.F) {
	for n, p := range tapePackets(f) {
		if n%7 == 0 {
			f.Add(p, p)
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		r := negotiation.NewRecorder(negotiation.Config{Keys: true, OnEvent: func(negotiation.Event) {}})
		r.Description(false, "offer", sdp("actpass", "abcd", "sha-256 00"))
		for _, outbound := range []bool{true, false} {
			r.Packet(epoch, outbound, first)
			r.Packet(epoch, outbound, second)
			// The same bytes as a payload.
			r.Packet(epoch, outbound, iptest.UDP(alice, bob, first[:min(len(first), 1<<15)]))
		}
		if _, err := json.Marshal(r.Record()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzStream(f *testing.F) {
	f.Add(allocateRequest, append(slices.Clone(allocateRequest), 0x40, 1, 0, 3, 1, 2, 3, 0), uint8(7))
	f.Add([]byte("GET / HTTP/1.1"), []byte{}, uint8(1))
	f.Fuzz(func(t *testing.T, out, in []byte, size uint8) {
		r := negotiation.NewRecorder(negotiation.Config{})
		relay := netip.MustParseAddrPort("203.0.113.1:443")
		for piece := range slices.Chunk(out, int(size)+1) {
			r.Stream(epoch, true, alice, relay, "tls", piece)
		}
		for piece := range slices.Chunk(in, int(size)+1) {
			r.Stream(epoch, false, alice, relay, "tls", piece)
		}
		if _, err := json.Marshal(r.Record()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDescription(f *testing.F) {
	f.Add(sdp("actpass", "abcd", "sha-256 00:11"), "candidate:1 1 udp 2130706431 10.0.0.10 50000 typ srflx raddr 10.0.0.1 rport 9", "CLIENT_RANDOM 00 00")
	f.Add("a=candidate:", "a=candidate:1 1 tcp 1 x.local 1 typ relay raddr", "")
	f.Fuzz(func(t *testing.T, text, line, key string) {
		r := negotiation.NewRecorder(negotiation.Config{Keys: true})
		r.Description(true, "offer", text)
		r.Description(false, text, line)
		r.Candidate(true, line)
		r.Candidate(false, line)
		r.KeyLog(key)
		r.Failure(line, key)
		rec := r.Record()
		if len(rec.ICE.Local) > 129 || len(rec.Problems) > 64 {
			t.Fatalf("%d candidates, %d problems", len(rec.ICE.Local), len(rec.Problems))
		}
		if _, err := json.Marshal(rec); err != nil {
			t.Fatal(err)
		}
	})
}
