package host_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/callpath/callpath/topology/sim/host"
)

// transfer sends a megabyte from c to p and compares.
func transfer(t *testing.T, c io.Writer, closeWrite func() error, p io.Reader) {
	t.Helper()
	sent := make([]byte, 1<<20)
	seed := rand.NewChaCha8([32]byte{1})
	_, _ = seed.Read(sent)
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		done <- errors.Join(err, closeWrite())
	}()
	got, err := io.ReadAll(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(got) != sha256.Sum256(sent) {
		t.Errorf("%d bytes arrived that differ from the %d that were sent", len(got), len(sent))
	}
}

func TestTCPDeliversTheStreamThroughLoss(t *testing.T) {
	s, alice, bob := two(t)
	c, p := connect(t, alice, bob, "198.51.100.2:0")
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(1, 2))
	s.watch(func(string, string, []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		return r.IntN(100) >= 2
	})
	transfer(t, c, c.CloseWrite, p)
}

func TestPacketsFitTheMTU(t *testing.T) {
	const mtu = 1300
	s := newSegment()
	interfaces := func(addresses ...string) []host.Interface {
		i := eth0(addresses...)
		i[0].MTU = mtu
		return i
	}
	alice := s.add(t, host.Config{Name: "alice-pc", Interfaces: interfaces("192.0.2.1/24", "2001:db8:1::1/64")})
	bob := s.add(t, host.Config{Name: "bob-pc", Interfaces: interfaces("198.51.100.2/24", "2001:db8:2::2/64")})
	var largest atomic.Int64
	s.watch(func(_, _ string, packet []byte) bool {
		for n := int64(len(packet)); ; {
			if old := largest.Load(); n <= old || largest.CompareAndSwap(old, n) {
				return true
			}
		}
	})
	for _, to := range []string{"198.51.100.2", "2001:db8:2::2"} {
		t.Run(to, func(t *testing.T) {
			c, p := connect(t, alice, bob, net.JoinHostPort(to, "0"))
			transfer(t, c, c.CloseWrite, p)

			in := listenUDP(t, bob, "udp", net.JoinHostPort(to, "0"))
			out := listenUDP(t, alice, "udp", ":0")
			sent := []byte(strings.Repeat("fragments", 500))
			if _, err := out.WriteTo(sent, in.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 9000)
			n, _, err := in.ReadFrom(got)
			if err != nil || !bytes.Equal(got[:n], sent) {
				t.Errorf("read %d bytes, %v; want the %d sent", n, err, len(sent))
			}
			if largest.Load() != mtu {
				t.Errorf("largest packet has %d bytes, want %d", largest.Load(), mtu)
			}
		})
	}
}

func TestTCPConnOptions(t *testing.T) {
	_, alice, bob := two(t)
	c, p := connect(t, alice, bob, "198.51.100.2:0")
	options := map[string]func() error{
		"keep-alive":        func() error { return c.SetKeepAlive(true) },
		"keep-alive period": func() error { return c.SetKeepAlivePeriod(time.Minute) },
		"no delay":          func() error { return c.SetNoDelay(true) },
		"linger":            func() error { return c.SetLinger(-1) },
		"read buffer":       func() error { return c.SetReadBuffer(1 << 16) },
		"write buffer":      func() error { return c.SetWriteBuffer(1 << 16) },
	}
	for name, set := range options {
		if err := set(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("empty read: %d, %v", n, err)
	}
	if n, err := c.ReadFrom(strings.NewReader("from a reader")); n != 13 || err != nil {
		t.Errorf("ReadFrom: %d, %v", n, err)
	}
	got := make([]byte, 13)
	if _, err := io.ReadFull(p, got); err != nil || string(got) != "from a reader" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := c.CloseRead(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read after CloseRead: %v, want EOF", err)
	}
	_ = c.Close()
	options["close read"], options["close write"] = c.CloseRead, c.CloseWrite
	options["empty read"] = func() error { _, err := c.Read(nil); return err }
	options["empty write"] = func() error { _, err := c.Write(nil); return err }
	for name, set := range options {
		if err := set(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: got %v, want ErrClosed", name, err)
		}
	}
}

// FuzzDeliver gives a host with open sockets whatever a network may bring.
// Nothing may panic, and the host must go on to work.
func FuzzDeliver(f *testing.F) {
	var seeds [][]byte
	s := newSegment()
	var mu sync.Mutex
	s.watch(func(_, _ string, packet []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		if len(seeds) < 40 {
			seeds = append(seeds, bytes.Clone(packet))
		}
		return true
	})
	alice := s.add(f, host.Config{Name: "alice-pc", Interfaces: eth0("192.0.2.1/24", "2001:db8:1::1/64")})
	bob := s.add(f, host.Config{Name: "bob-pc", Interfaces: eth0("198.51.100.2/24", "2001:db8:2::2/64")})
	for _, a := range []string{"198.51.100.2:443", "[2001:db8:2::2]:443"} {
		c, _ := connect(f, alice, bob, a)
		if _, err := c.Write([]byte("seed")); err != nil {
			f.Fatal(err)
		}
		u := listenUDP(f, alice, "udp", ":0")
		for _, port := range []uint16{3478, 9} {
			to := netip.AddrPortFrom(netip.MustParseAddrPort(a).Addr(), port)
			if _, err := u.WriteToUDPAddrPort(bytes.Repeat([]byte("x"), 2000), to); err != nil {
				f.Fatal(err)
			}
		}
	}
	listenUDP(f, bob, "udp", ":3478")
	listenTCP(f, bob, "tcp", ":443")
	mu.Lock()
	for _, packet := range seeds {
		f.Add(packet)
	}
	mu.Unlock()
	s.watch(func(string, string, []byte) bool { return false })
	f.Fuzz(func(t *testing.T, packet []byte) {
		bob.Deliver("eth0", packet)
		if c, err := bob.ListenPacket(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		} else {
			_ = c.Close()
		}
	})
}
