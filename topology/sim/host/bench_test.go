package host_test

import (
	"io"
	"testing"

	"github.com/callpath/callpath/topology/sim/host"
)

// BenchmarkUDP sends datagrams of 1200 bytes from one host to another, as fast
// as they are taken: a window of datagrams under way keeps queues from
// overflowing.
//
//	go test -run '^$' -bench . ./topology/sim/host
func BenchmarkUDP(b *testing.B) {
	_, alice, bob := two(b)
	in := listenUDP(b, bob, "udp4", "198.51.100.2:3478")
	out, err := alice.DialContext(b.Context(), "udp", "198.51.100.2:3478")
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	const size = 1200
	window := make(chan struct{}, 256)
	done := make(chan error, 1)
	b.SetBytes(size)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		buf := make([]byte, 2*size)
		for range b.N {
			if _, _, err := in.ReadFromUDPAddrPort(buf); err != nil {
				done <- err
				return
			}
			<-window
		}
		done <- nil
	}()
	payload := make([]byte, size)
	for range b.N {
		window <- struct{}{}
		if _, err := out.Write(payload); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}

// BenchmarkTCP sends one stream from one host to another.
func BenchmarkTCP(b *testing.B) {
	_, alice, bob := two(b)
	c, peer := connect(b, alice, bob, "198.51.100.2:0")
	const size = 64 << 10
	done := make(chan error, 1)
	b.SetBytes(size)
	b.ResetTimer()
	go func() {
		_, err := io.Copy(io.Discard, struct{ io.Reader }{io.LimitReader(peer, int64(b.N)*size)})
		done <- err
	}()
	payload := make([]byte, size)
	for range b.N {
		if _, err := c.Write(payload); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

var _ io.ReaderFrom = (*host.TCPConn)(nil)
