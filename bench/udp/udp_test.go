//go:build linux

package udp_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/bench/udp"
)

var anywhere = netip.MustParseAddrPort("127.0.0.1:0")

func open(t *testing.T, o udp.Options) *udp.Socket {
	t.Helper()
	s, err := udp.Open(anywhere, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func connected(t *testing.T, o udp.Options) (from, to *udp.Socket) {
	t.Helper()
	from, to = open(t, o), open(t, o)
	if err := from.Connect(to.Local()); err != nil {
		t.Fatal(err)
	}
	return from, to
}

func await(t *testing.T, s *udp.Socket) {
	t.Helper()
	if ready, err := s.Wait(5000); !ready || err != nil {
		t.Fatalf("nothing arrived (%v)", err)
	}
}

func TestAddressIsWhatItWasMadeFrom(t *testing.T) {
	for _, want := range []string{"127.0.0.1:1", "192.0.2.77:65535", "0.0.0.0:0"} {
		at := netip.MustParseAddrPort(want)
		if got := udp.AddressOf(at).AddrPort(); got != at {
			t.Errorf("wanted %v, got %v", at, got)
		}
	}
}

func TestPacketsArriveOneByOne(t *testing.T) {
	from, to := connected(t, udp.Options{})
	buffer := make([]byte, 100)
	if _, _, err := to.Receive(buffer); !udp.Empty(err) {
		t.Fatalf("wanted an empty socket, got %v", err)
	}
	if err := from.Send([]byte("one")); err != nil {
		t.Fatal(err)
	}
	await(t, to)
	n, sender, err := to.Receive(buffer)
	if err != nil || string(buffer[:n]) != "one" || sender.AddrPort() != from.Local() {
		t.Fatalf("got %q from %v (%v), wanted \"one\" from %v", buffer[:n], sender.AddrPort(), err, from.Local())
	}
	if err := to.SendTo([]byte("two"), &sender); err != nil {
		t.Fatal(err)
	}
	await(t, from)
	if n, _, err := from.Receive(buffer); err != nil || string(buffer[:n]) != "two" {
		t.Fatalf("got %q (%v), wanted \"two\"", buffer[:n], err)
	}
}

func TestSendingToNobodyIsRefused(t *testing.T) {
	from, to := connected(t, udp.Options{})
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	_ = from.Send([]byte("lost"))
	await(t, from)
	if _, _, err := from.Receive(make([]byte, 10)); !udp.Refused(err) {
		t.Fatalf("wanted a refusal, got %v", err)
	}
}

func TestBatchesKeepTheirMessages(t *testing.T) {
	from, to := open(t, udp.Options{}), open(t, udp.Options{Stamp: true})
	address := udp.AddressOf(to.Local())
	outbox, inbox := udp.NewOutbox(4, 8), udp.NewInbox(8, 100)
	before := time.Now().Add(-time.Second)
	for _, pieces := range [][]string{{"a"}, {"b", "c"}, {"", "d"}} {
		if !outbox.Room(1, len(pieces)) {
			t.Fatal("no room")
		}
		outbox.Begin(&address, 0)
		for _, p := range pieces {
			outbox.Append([]byte(p))
		}
	}
	if outbox.Room(2, 1) || outbox.Empty() {
		t.Error("the outbox does not know what it holds")
	}
	if failed := outbox.Flush(from); failed != 0 || !outbox.Empty() {
		t.Fatalf("%d failed", failed)
	}
	await(t, to)
	n, err := inbox.Receive(to)
	if err != nil || n != 3 {
		t.Fatalf("wanted 3 messages, got %d (%v)", n, err)
	}
	for i, want := range []string{"a", "bc", "d"} {
		m := inbox.Message(i)
		if string(m.Data) != want || m.From.AddrPort() != from.Local() || m.Segment != 0 {
			t.Errorf("message %d: got %q from %v, segment %d", i, m.Data, m.From.AddrPort(), m.Segment)
		}
		if at := time.Unix(0, m.At); at.Before(before) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("message %d arrived at %v", i, at)
		}
	}
	if _, err := inbox.Receive(to); !udp.Empty(err) {
		t.Errorf("wanted nothing more, got %v", err)
	}
}

func TestRunsAreCutIntoPackets(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 5)[:45]
	for _, c := range []struct {
		name     string
		coalesce bool
		want     []int // sizes of messages
		segment  int
	}{
		{"by the kernel before the receiver", false, []int{10, 10, 10, 10, 5}, 0},
		{"by the receiver itself", true, []int{45}, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := connected(t, udp.Options{Coalesce: c.coalesce})
			outbox, inbox := udp.NewOutbox(1, 1), udp.NewInbox(8, 1000)
			outbox.Begin(nil, 10)
			outbox.Append(data)
			if failed := outbox.Flush(from); failed != 0 {
				t.Fatalf("%d failed", failed)
			}
			await(t, to)
			n, err := inbox.Receive(to)
			if err != nil {
				t.Fatal(err)
			}
			var sizes []int
			var all []byte
			for i := range n {
				m := inbox.Message(i)
				sizes, all = append(sizes, len(m.Data)), append(all, m.Data...)
				if m.Segment != c.segment {
					t.Errorf("segment %d, wanted %d", m.Segment, c.segment)
				}
			}
			if !slices.Equal(sizes, c.want) || !bytes.Equal(all, data) {
				t.Errorf("got %v, wanted %v", sizes, c.want)
			}
		})
	}
}

func TestWhatIsNotTakenIsCountedInPackets(t *testing.T) {
	s := open(t, udp.Options{})
	outbox := udp.NewOutbox(4, 4)
	outbox.Begin(nil, 0) // not connected: no destination
	outbox.Append(make([]byte, 10))
	outbox.Begin(nil, 10)
	outbox.Append(make([]byte, 25))
	if failed := outbox.Flush(s); failed != 4 {
		t.Errorf("%d packets failed, wanted 4", failed)
	}
}

func TestWhatNobodyReadsIsCountedAsDropped(t *testing.T) {
	from, to := connected(t, udp.Options{Buffer: 4096})
	const sent = 200
	for range sent {
		if err := from.Send(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	inbox := udp.NewInbox(sent, 1000)
	n, err := inbox.Receive(to)
	if err != nil {
		t.Fatal(err)
	}
	if dropped := to.Dropped(); int(dropped)+n != sent || dropped == 0 {
		t.Errorf("%d received and %d dropped of %d", n, dropped, sent)
	}
}

func TestPollerTellsWhichSocketsAreReady(t *testing.T) {
	if err := udp.Precise(); err != nil {
		t.Fatal(err)
	}
	p, err := udp.NewPoller(4)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	from, to := connected(t, udp.Options{})
	for i, s := range []*udp.Socket{from, to} {
		if err := p.Add(s, int32(10+i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, wait := range []time.Duration{0, time.Millisecond} {
		if n, err := p.Wait(wait); n != 0 || err != nil {
			t.Fatalf("%d ready (%v), wanted none", n, err)
		}
	}
	if err := from.Send([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{-1, time.Minute, 0} {
		if n, err := p.Wait(wait); n != 1 || err != nil || p.Ready(0) != 11 {
			t.Errorf("%d ready (%v), the first %d; wanted one, 11", n, err, p.Ready(0))
		}
	}
}

func TestOpenRefusesWhatItCannotHave(t *testing.T) {
	for _, at := range []string{"[::1]:0", "192.0.2.1:0"} {
		if s, err := udp.Open(netip.MustParseAddrPort(at), udp.Options{}); err == nil {
			_ = s.Close()
			t.Errorf("opened %s", at)
		}
	}
	taken := open(t, udp.Options{})
	if s, err := udp.Open(taken.Local(), udp.Options{}); err == nil {
		_ = s.Close()
		t.Error("opened an address twice")
	}
}
