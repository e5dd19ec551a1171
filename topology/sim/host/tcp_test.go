package host_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/callpath/callpath/topology/sim/host"
)

func listenTCP(t testing.TB, h *host.Host, network, address string) net.Listener {
	t.Helper()
	l, err := h.Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// connect returns the two ends of a TCP connection.
func connect(t testing.TB, from, to *host.Host, address string) (client, server *host.TCPConn) {
	t.Helper()
	l := listenTCP(t, to, "tcp", address)
	c, err := from.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c.(*host.TCPConn), s.(*host.TCPConn)
}

func TestTCPConnBehavesAsNetConn(t *testing.T) {
	for _, address := range []string{"198.51.100.2:0", "[2001:db8:2::2]:0"} {
		t.Run(address, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				_, alice, bob := two(t)
				c, s := connect(t, alice, bob, address)
				return c, s, func() { _ = alice.Close(); _ = bob.Close() }, nil
			})
		})
	}
}

func TestTCPErrorsAreThoseOfPackageNet(t *testing.T) {
	_, alice, bob := two(t)
	t.Run("refused", func(t *testing.T) {
		_, err := alice.DialContext(t.Context(), "tcp", "198.51.100.2:9")
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v, want ECONNREFUSED", err)
		}
	})
	t.Run("port in use", func(t *testing.T) {
		l := listenTCP(t, bob, "tcp", ":443")
		_, err := bob.Listen(t.Context(), "tcp", l.Addr().String())
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("got %v, want EADDRINUSE", err)
		}
	})
	t.Run("end of stream", func(t *testing.T) {
		c, s := connect(t, alice, bob, "198.51.100.2:0")
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v, want EOF", err)
		}
		if _, err := s.Write([]byte("late")); err != nil {
			t.Errorf("the other direction must stay open: %v", err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		c, s := connect(t, alice, bob, "198.51.100.2:0")
		if err := c.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want ECONNRESET", err)
		}
	})
}
