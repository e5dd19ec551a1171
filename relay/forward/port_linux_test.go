package forward

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/forward/fanout"
)

func newPort(t testing.TB) *Port {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPort(conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// receive waits for n datagrams and returns them as text.
func receive(t *testing.T, p *Port, n int) []string {
	t.Helper()
	var all []string
	for deadline := time.Now().Add(10 * time.Second); len(all) < n && time.Now().Before(deadline); {
		for _, d := range p.Receive(100 * time.Millisecond) {
			all = append(all, string(d.Data))
		}
	}
	if len(all) != n {
		t.Fatalf("%d datagrams came, wanted %d", len(all), n)
	}
	return all
}

func TestAPortSendsRunsAndReceivesDatagrams(t *testing.T) {
	a, b, c := newPort(t), newPort(t), newPort(t)
	batch := fanout.NewBatch(a, 64)
	var want []string
	add := func(to netip.AddrPort, data string) {
		room := batch.Room(len(data))
		batch.Add(to, room[:copy(room, data)])
	}
	for i := range 100 { // more than one batch, runs of one size and single ones between
		data := fmt.Sprintf("%03d", i)
		if i%10 == 9 {
			data += "longer"
		}
		add(b.Local(), data)
		want = append(want, data)
		if i%25 == 0 {
			add(c.Local(), "other")
		}
	}
	add(netip.MustParseAddrPort("[2001:db8::1]:9"), "to nobody: the socket is of IPv4")
	batch.Flush()
	if got := receive(t, b, len(want)); !slices.Equal(got, want) {
		t.Errorf("got %q, wanted %q", got, want)
	}
	receive(t, c, 4)
	if sent, unsent := batch.Sent(); sent != 104 || unsent != 1 {
		t.Errorf("sent %d and not %d, wanted 104 and 1", sent, unsent)
	}
}

func TestAPortReceivesWhereADatagramIsFrom(t *testing.T) {
	a, b := newPort(t), newPort(t)
	if err := a.WriteTo([]byte("hello"), b.Local()); err != nil {
		t.Fatal(err)
	}
	for {
		if got := b.Receive(time.Second); len(got) > 0 {
			if got[0].To != a.Local() || !bytes.Equal(got[0].Data, []byte("hello")) {
				t.Fatalf("got %q from %v, wanted hello from %v", got[0].Data, got[0].To, a.Local())
			}
			return
		}
	}
}

// A run that the kernel refuses as one goes out packet by packet.
func TestAPortSendsSinglyWhatIsNoRun(t *testing.T) {
	a, b := newPort(t), newPort(t)
	memory := []byte("onetwosix")
	batch := []fanout.Datagram{{To: b.Local(), Data: memory[:3]}, {To: b.Local(), Data: memory[3:6]}, {To: b.Local(), Data: memory[6:]}}
	if n, messages := a.gather(batch); n != 3 || messages != 1 {
		t.Fatalf("%d datagrams in %d messages, wanted 3 in 1", n, messages)
	}
	if sent := a.singly(0, 5 /* EIO */); sent != 3 || !a.whole.Load() {
		t.Fatalf("%d sent, wanted 3, and no runs from here on", sent)
	}
	if _, messages := a.gather(batch); messages != 3 {
		t.Fatalf("%d messages, wanted 3", messages)
	}
	if got := receive(t, b, 3); !slices.Equal(got, []string{"one", "two", "six"}) {
		t.Errorf("got %q", got)
	}
}

func TestWakeEndsReceive(t *testing.T) {
	p := newPort(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Receive(time.Hour)
	}()
	p.Wake()
	<-done
}

func TestAClosedPortSendsNothing(t *testing.T) {
	a, b := newPort(t), newPort(t)
	a.Close()
	if sent := a.Send([]fanout.Datagram{{To: b.Local(), Data: []byte("x")}}); sent != 0 {
		t.Errorf("%d sent", sent)
	}
	if err := a.WriteTo([]byte("x"), b.Local()); err == nil {
		t.Error("no error")
	}
}
