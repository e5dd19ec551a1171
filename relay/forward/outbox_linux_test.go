package forward

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a socket of the core and where it sends to.
func pair(t *testing.T) (*socket, *net.UDPConn, sockaddr) {
	t.Helper()
	var conns []*net.UDPConn
	for range 2 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	s, err := takeSocket(conns[0])
	if err != nil {
		t.Fatal(err)
	}
	name, err := sockaddrOf(conns[1].LocalAddr().(*net.UDPAddr).AddrPort(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(); conns[1].Close() })
	return s, conns[1], name
}

func read(t *testing.T, c *net.UDPConn) []byte {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// Packets make one message while they may; the message tells where the kernel cuts.
func TestPacketsOfAFlowMakeRuns(t *testing.T) {
	for _, c := range []struct {
		name  string
		whole bool
		sizes []int
		runs  []int // packets in each
	}{
		{"same size", false, []int{5, 5, 5}, []int{3}},
		{"the last is shorter", false, []int{5, 5, 3}, []int{3}},
		{"after a shorter one comes another run", false, []int{5, 3, 5}, []int{2, 1}},
		{"a longer one does not fit", false, []int{3, 5}, []int{1, 1}},
		{"empty ones stand alone", false, []int{0, 0, 5, 0}, []int{1, 1, 1, 1}},
		{"no more than the kernel takes", false, bytesOf(70, 1), []int{64, 6}},
		{"no longer than a datagram", false, bytesOf(60, 1400), []int{46, 14}},
		{"the kernel cannot cut", true, []int{5, 5, 5}, []int{1, 1, 1}},
	} {
		var whole atomic.Bool
		whole.Store(c.whole)
		s, peer, name := pair(t)
		_ = peer.SetReadBuffer(1 << 20)
		f := &flow{channel: minChannel, to: name, id: 7}
		o := newOutbox(&whole)
		for i, size := range c.sizes {
			o.toPeer(s, f, bytes.Repeat([]byte{byte(i)}, size))
		}
		var runs []int
		for i := range o.used {
			runs = append(runs, o.runs[i].packets)
		}
		if len(runs) != len(c.runs) {
			t.Errorf("%s: wanted runs of %v packets, got %v", c.name, c.runs, runs)
			continue
		}
		for i := range runs {
			if runs[i] != c.runs[i] {
				t.Errorf("%s: wanted runs of %v packets, got %v", c.name, c.runs, runs)
			}
		}
		o.flush()
		for i, size := range c.sizes {
			if got := read(t, peer); !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, size)) {
				t.Fatalf("%s: packet %d: wanted %d bytes, got %d: %x", c.name, i, size, len(got), got)
			}
		}
	}
}

func bytesOf(n, size int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = size
	}
	return all
}

// A run that the kernel refuses goes out packet by packet, and no runs are made any
// more when that is the interface's fault.
func TestARefusedRunGoesOutPacketByPacket(t *testing.T) {
	var whole atomic.Bool
	s, peer, name := pair(t)
	f := &flow{channel: minChannel, to: name}
	o := newOutbox(&whole)
	payloads := []string{"first", "other", "end"}
	for i, p := range payloads {
		framed := append(make([]byte, headerChannelData), p...)
		if i > 0 {
			framed = nil
		}
		o.toClient(s, f, &name, []byte(p), framed)
	}
	r := &o.runs[0]
	r.count.sent(r.packets, r.payload)
	o.failed(s, 0, unix.EINVAL)
	if whole.Load() {
		t.Error("runs are given up for a run that was too long for the path")
	}
	o.failed(s, 0, unix.EIO)
	if !whole.Load() {
		t.Error("runs are not given up where the interface cannot have them")
	}
	for range 2 {
		for _, p := range payloads {
			channel, got, ok := channelData(read(t, peer))
			if !ok || channel != minChannel || string(got) != p {
				t.Errorf("wanted %q in channel 0x%04x, got %q in 0x%04x", p, minChannel, got, channel)
			}
		}
	}
	if got, want := f.toClient.load(), (Count{Packets: 3, Bytes: 13}); got != want {
		t.Errorf("counted: wanted %+v, got %+v", want, got)
	}
	// What cannot be sent at all is counted as dropped.
	s.close()
	o.used = 1
	o.flush()
	if got, want := f.toClient.load(), (Count{Packets: 3, Bytes: 13, Dropped: 3, DroppedBytes: 13}); got != want {
		t.Errorf("counted after closing: wanted %+v, got %+v", want, got)
	}
}

// A packet that is too long for any datagram is dropped, and those after it are not.
func TestAnImpossiblePacketIsDropped(t *testing.T) {
	var whole atomic.Bool
	s, peer, name := pair(t)
	bad := name
	bad.raw.Port = 0 // nothing can be sent there
	f, g := &flow{to: bad, id: 1}, &flow{to: name, id: 2}
	o := newOutbox(&whole)
	o.toPeer(s, f, []byte("to nowhere"))
	o.toPeer(s, f, []byte("to nowhere"))
	o.toPeer(s, g, []byte("to somebody"))
	o.flush()
	if got := read(t, peer); string(got) != "to somebody" {
		t.Errorf("wanted the packet after the impossible one, got %q", got)
	}
	if got, want := f.toPeer.load(), (Count{Dropped: 2, DroppedBytes: 20}); got != want {
		t.Errorf("counted: wanted %+v, got %+v", want, got)
	}
}

// Every descriptor has its place, up to a million.
func TestADirectoryFindsSourcesByDescriptor(t *testing.T) {
	var d directory
	for _, fd := range []int{0, 5, 1023, 1024, pageSize*maxPages - 1} {
		if d.get(fd) != nil {
			t.Errorf("%d: found in an empty directory", fd)
		}
		if !d.set(fd, stopper{}) || d.get(fd) != (stopper{}) {
			t.Errorf("%d: not found", fd)
		}
		if !d.set(fd, nil) || d.get(fd) != nil {
			t.Errorf("%d: still found", fd)
		}
	}
	if d.set(pageSize*maxPages, stopper{}) {
		t.Error("a descriptor that is too high was taken")
	}
}
