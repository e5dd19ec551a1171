package runner

import (
	"io"
	"net"
	"testing"
	"time"
)

// While a gate is shut, datagrams are lost in both directions, and streams stand still.
func TestAGateThatIsShutLetsNothingThrough(t *testing.T) {
	g := newGate()
	open := func() net.PacketConn {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	client, raw := open(), open()
	server := g.packets(raw)
	send := func(from, to net.PacketConn, text string) {
		t.Helper()
		if n, err := from.WriteTo([]byte(text), to.LocalAddr()); err != nil || n != len(text) {
			t.Fatalf("%q: %d, %v", text, n, err)
		}
	}
	receive := func(at net.PacketConn) string {
		t.Helper()
		b := make([]byte, 100)
		if err := at.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := at.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	send(client, server, "1")
	if got := receive(server); got != "1" {
		t.Errorf("got %q", got)
	}
	g.shut()
	g.shut()
	if !g.hangs() {
		t.Error("a gate that is shut does not hang")
	}
	send(server, client, "lost")
	read := make(chan string)
	go func() { read <- receive(server) }()
	send(client, server, "lost too")
	time.Sleep(50 * time.Millisecond) // for a reader that would take it
	g.open()
	g.open()
	send(server, client, "2")
	if got := receive(client); got != "2" {
		t.Errorf("got %q, wanted only what was sent when the gate was open", got)
	}
	send(client, server, "3")
	// What came while the gate was shut may still lie in the socket.
	if got := <-read; got != "3" && got != "lost too" {
		t.Errorf("got %q", got)
	}
}

func TestAStreamStandsStillAtAGateThatIsShut(t *testing.T) {
	g := newGate()
	plain, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := g.listener(plain)
	client, err := net.Dial("tcp4", plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("a listener that is closed accepts")
	}
	if err := server.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	g.shut()
	got := make(chan string)
	go func() {
		b := make([]byte, 4)
		_, _ = io.ReadFull(server, b)
		_, _ = server.Write([]byte("pong"))
		got <- string(b)
	}()
	if _, err := client.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	select {
	case text := <-got:
		t.Errorf("%q got through", text)
	case <-time.After(50 * time.Millisecond):
	}
	g.open()
	if text := <-got; text != "ping" {
		t.Errorf("got %q", text)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "pong" {
		t.Errorf("got %q, %v", b, err)
	}
	// A connection that is closed waits no longer.
	g.shut()
	ended := make(chan error)
	go func() { _, err := server.Read(b); ended <- err }()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a read of a closed connection succeeds")
	}
	_ = client.Close()
}
