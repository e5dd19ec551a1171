package host_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/callpath/callpath/topology/sim/host"
)

func listenUDP(t testing.TB, h *host.Host, network, address string) *host.UDPConn {
	t.Helper()
	pc, err := h.ListenPacket(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	return pc.(*host.UDPConn)
}

func TestUDPDatagramsGoBothWays(t *testing.T) {
	for _, tt := range []struct{ name, network, listen, local, dial, from string }{
		{"IPv4 address", "udp", "198.51.100.2:3478", "198.51.100.2:3478", "198.51.100.2:3478", "192.0.2.1"},
		{"IPv6 address", "udp", "[2001:db8:2::2]:3478", "[2001:db8:2::2]:3478", "[2001:db8:2::2]:3478", "2001:db8:1::1"},
		{"all IPv4 addresses", "udp4", "0.0.0.0:3478", "0.0.0.0:3478", "198.51.100.2:3478", "192.0.2.1"},
		{"all IPv6 addresses", "udp6", "[::]:3478", "[::]:3478", "[2001:db8:2::2]:3478", "2001:db8:1::1"},
		{"both families, by IPv4", "udp", ":3478", "[::]:3478", "198.51.100.2:3478", "192.0.2.1"},
		{"both families, by IPv6", "udp", ":3478", "[::]:3478", "[2001:db8:2::2]:3478", "2001:db8:1::1"},
		{"both families, written [::]", "udp", "[::]:3478", "[::]:3478", "198.51.100.2:3478", "192.0.2.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, alice, bob := two(t)
			server := listenUDP(t, bob, tt.network, tt.listen)
			if got := server.LocalAddr().String(); got != tt.local {
				t.Errorf("local address %s, want %s", got, tt.local)
			}
			client, err := alice.DialContext(t.Context(), "udp", tt.dial)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Write([]byte("question")); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil || string(buf[:n]) != "question" {
				t.Fatalf("read %q, %v", buf[:n], err)
			}
			if want := netip.MustParseAddr(tt.from); from.Addr() != want {
				t.Errorf("from %s, want %s", from.Addr(), want)
			}
			if from.String() != client.LocalAddr().String() {
				t.Errorf("from %s, but the client is at %s", from, client.LocalAddr())
			}
			if _, err := server.WriteTo([]byte("answer"), net.UDPAddrFromAddrPort(from)); err != nil {
				t.Fatal(err)
			}
			n, err = client.Read(buf)
			if err != nil || string(buf[:n]) != "answer" {
				t.Fatalf("read %q, %v", buf[:n], err)
			}
		})
	}
}

func TestUDPErrorsAreThoseOfPackageNet(t *testing.T) {
	_, alice, bob := two(t)
	c := listenUDP(t, alice, "udp", "192.0.2.1:0")

	t.Run("deadline", func(t *testing.T) {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, _, err := c.ReadFrom(make([]byte, 10))
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		_ = c.SetReadDeadline(time.Time{})
	})
	t.Run("refused", func(t *testing.T) {
		d, err := alice.DialContext(t.Context(), "udp", "198.51.100.2:9")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, err := d.Write([]byte("anyone?")); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v, want ECONNREFUSED", err)
		}
	})
	t.Run("port in use", func(t *testing.T) {
		_, err := alice.ListenPacket(t.Context(), "udp", c.LocalAddr().String())
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("got %v, want EADDRINUSE", err)
		}
	})
	t.Run("address of another host", func(t *testing.T) {
		_, err := alice.ListenPacket(t.Context(), "udp", "198.51.100.2:0")
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("got %v, want EADDRNOTAVAIL", err)
		}
	})
	t.Run("write to connected", func(t *testing.T) {
		d, _ := bob.DialContext(t.Context(), "udp", "192.0.2.1:9")
		defer d.Close()
		_, err := d.(*host.UDPConn).WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9})
		if !errors.Is(err, net.ErrWriteToConnected) {
			t.Errorf("got %v, want ErrWriteToConnected", err)
		}
	})
	t.Run("write of unconnected", func(t *testing.T) {
		if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EDESTADDRREQ) {
			t.Errorf("got %v, want EDESTADDRREQ", err)
		}
	})
	t.Run("other family", func(t *testing.T) {
		_, err := c.WriteToUDPAddrPort([]byte("x"), netip.MustParseAddrPort("[2001:db8::9]:9"))
		if !errors.Is(err, syscall.EAFNOSUPPORT) {
			t.Errorf("got %v, want EAFNOSUPPORT", err)
		}
	})
	t.Run("too long", func(t *testing.T) {
		_, err := c.WriteToUDPAddrPort(make([]byte, 70000), netip.MustParseAddrPort("198.51.100.2:9"))
		if !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("got %v, want EMSGSIZE", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		d := listenUDP(t, alice, "udp", "192.0.2.1:0")
		done := make(chan error)
		go func() {
			_, _, err := d.ReadFrom(make([]byte, 10))
			done <- err
		}()
		_ = d.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: got %v, want ErrClosed", err)
		}
		if _, err := d.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(198, 51, 100, 2), Port: 9}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: got %v, want ErrClosed", err)
		}
		if err := d.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("close: got %v, want ErrClosed", err)
		}
		if err := d.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("deadline: got %v, want ErrClosed", err)
		}
	})
}
