package association_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/relay/association"
	"github.com/callpath/callpath/signaling/authority"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// echo is a DTLS server that sends back what it gets. ended receives a value for each
// connection that has ended.
type echo struct {
	at    *net.UDPAddr
	roots *authority.Authority
	ended chan struct{}
	inner *association.Listener
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	root, err := authority.New(authority.Config{})
	ok(t, err)
	cert, err := root.Server("localhost")
	ok(t, err)
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(t, err)
	inner := association.Listen(pc)
	ln, err := dtls.NewListenerWithOptions(inner, dtls.WithCertificates(cert))
	ok(t, err)
	e := &echo{at: pc.LocalAddr().(*net.UDPAddr), roots: root, ended: make(chan struct{}, 16), inner: inner}
	var running sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			running.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
				e.ended <- struct{}{}
			})
		}
	})
	t.Cleanup(func() {
		ok(t, ln.Close())
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return e
}

// dial makes a client on the socket, which several may use one after the other.
func (e *echo) dial(t *testing.T, pc net.PacketConn) *dtls.Conn {
	t.Helper()
	conn, err := dtls.ClientWithOptions(pc, e.at, dtls.WithRootCAs(e.roots.Pool()), dtls.WithServerName("localhost"))
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ok(t, conn.HandshakeContext(ctx))
	return conn
}

func says(t *testing.T, conn net.Conn, word string) {
	t.Helper()
	ok(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(conn, word)
	ok(t, err)
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	ok(t, err)
	if string(buf[:n]) != word {
		t.Fatalf("got %q back, wanted %q", buf[:n], word)
	}
}

// deaf is a socket whose Close does not close, so that its address is used again.
type deaf struct{ net.PacketConn }

func (deaf) Close() error { return nil }

func client(t *testing.T) net.PacketConn {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ok(t, err)
	t.Cleanup(func() { pc.Close() })
	return pc
}

// muted is a socket on which nothing is sent any more once mute is closed: a client
// that vanishes says no goodbye.
type muted struct {
	net.PacketConn
	mute chan struct{}
}

func (m muted) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case <-m.mute:
		return len(p), nil
	default:
		return m.PacketConn.WriteTo(p, to)
	}
}

func (muted) Close() error { return nil }

// RFC 6347, section 4.2.8.
func TestANewClientTakesTheAddressOfOneThatVanished(t *testing.T) {
	e := newEcho(t)
	pc := client(t)
	gone := make(chan struct{})
	first := e.dial(t, muted{pc, gone})
	says(t, first, "first")
	close(gone)
	first.Close()
	ok(t, pc.SetReadDeadline(time.Time{}))
	second := e.dial(t, deaf{pc})
	says(t, second, "second")
	select {
	case <-e.ended:
	case <-time.After(patience):
		t.Error("the association of the client that vanished lives on")
	}
	second.Close()
	<-e.ended
}

// A ClientHello that anybody can send in a client's name does not end its association.
func TestAForgedHelloEndsNothing(t *testing.T) {
	e := newEcho(t)
	pc := client(t)
	conn := e.dial(t, deaf{pc})
	says(t, conn, "before")
	hello := capturedHello(t)
	for range 3 {
		_, err := pc.WriteTo(hello, e.at)
		ok(t, err)
	}
	says(t, conn, "after")
	// Garbage is for nobody.
	for _, garbage := range [][]byte{nil, {22}, make([]byte, 100), append([]byte{22, 0xfe, 0xfd}, make([]byte, 9)...), {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1}} {
		_, err := pc.WriteTo(garbage, e.at)
		ok(t, err)
	}
	says(t, conn, "after garbage")
	conn.Close()
	<-e.ended
}

// capturedHello is the first datagram of a client.
func capturedHello(t *testing.T) []byte {
	t.Helper()
	server := client(t)
	conn, err := dtls.ClientWithOptions(client(t), server.LocalAddr(), dtls.WithInsecureSkipVerify(true))
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = conn.HandshakeContext(ctx)
	}()
	buf := make([]byte, 2000)
	n, _, err := server.ReadFrom(buf)
	ok(t, err)
	cancel()
	<-done
	conn.Close()
	return buf[:n]
}

func TestCloseWaitsForNobodyAndLeavesNothing(t *testing.T) {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(t, err)
	l := association.Listen(pc)
	// Two that wait to be accepted, one that was.
	hello := capturedHello(t)
	for range 3 {
		_, err := client(t).WriteTo(hello, pc.LocalAddr())
		ok(t, err)
	}
	accepted, from, err := l.Accept()
	ok(t, err)
	if accepted.LocalAddr().String() != pc.LocalAddr().String() || from == nil {
		t.Errorf("accepted on %v from %v", accepted.LocalAddr(), from)
	}
	ok(t, accepted.SetDeadline(time.Now().Add(patience)))
	ok(t, accepted.SetWriteDeadline(time.Time{}))
	buf := make([]byte, 2000)
	n, _, err := accepted.ReadFrom(buf)
	ok(t, err)
	if string(buf[:n]) != string(hello) {
		t.Error("the first datagram is not the client's")
	}
	ok(t, l.Close())
	ok(t, l.Close())
	if _, _, err := l.Accept(); err == nil {
		t.Error("a closed listener accepts")
	}
	if _, err := accepted.WriteTo([]byte("goodbye"), from); err != nil {
		t.Errorf("an accepted association cannot speak after the listener's end: %v", err)
	}
	ok(t, accepted.Close())
	ok(t, accepted.Close())
	if _, err := pc.WriteTo([]byte("x"), pc.LocalAddr()); err == nil {
		t.Error("the socket is still open")
	}
}

// FuzzDeliver gives the listener arbitrary datagrams beside a client that talks.
func FuzzDeliver(f *testing.F) {
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})
	f.Add([]byte{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{})
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(f, err)
	l := association.Listen(pc)
	f.Cleanup(func() { l.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		sender, err := net.Dial("udp4", pc.LocalAddr().String())
		ok(t, err)
		defer sender.Close()
		_, err = sender.Write(data)
		ok(t, err)
		_, err = sender.Write([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})
		ok(t, err)
		a, _, err := l.Accept()
		ok(t, err)
		ok(t, a.Close())
	})
}
