//go:build linux

package generator

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/kernel/namespace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// able skips a test where the system does not let the generator work.
func able(t *testing.T, err error) {
	t.Helper()
	for _, reason := range []error{unix.EPERM, ebpf.ErrNotSupported} {
		if errors.Is(err, reason) {
			t.Skipf("needs root, and Linux 6.6 or later: %v", err)
		}
	}
	ok(t, err)
}

const patience = 20 * time.Second

var (
	near = netip.MustParseAddr("192.0.2.1")
	far  = netip.MustParseAddr("192.0.2.2")
)

// wire is two hosts and what is between them.
func wire(t *testing.T) (from, to Place) {
	t.Helper()
	var ends []namespace.End
	for _, address := range []netip.Addr{near, far} {
		n, err := namespace.New()
		able(t, err)
		t.Cleanup(n.Close)
		ends = append(ends, namespace.End{Namespace: n, Name: "wire", Prefixes: []netip.Prefix{netip.PrefixFrom(address, 24)}})
	}
	ok(t, namespace.Join(ends[0], ends[1]))
	// Without, an interface of this kind has nowhere to receive frames.
	ok(t, ends[1].Merging())
	return Place{ends[0].Namespace, "wire"}, Place{ends[1].Namespace, "wire"}
}

// flows sends a packet by n sockets to one, and returns what a capture saw of them.
func flows(t *testing.T, from, to Place, n int, payload []byte) (net.PacketConn, []Frame) {
	t.Helper()
	receiver, err := to.ListenPacket(t.Context(), "udp4", netip.AddrPortFrom(far, 0).String())
	ok(t, err)
	t.Cleanup(func() { _ = receiver.Close() })
	ok(t, receiver.SetDeadline(time.Now().Add(patience)))
	var c *Capture
	ok(t, from.Do(func() (err error) {
		c, err = NewCapture(from.Interface)
		return err
	}))
	defer c.Close()
	for range n {
		s, err := from.ListenPacket(t.Context(), "udp4", netip.AddrPortFrom(near, 0).String())
		ok(t, err)
		defer s.Close()
		for range 2 { // of which one is of no use
			_, err = s.WriteTo(payload, receiver.LocalAddr())
			ok(t, err)
			_, _, err = receiver.ReadFrom(make([]byte, 100))
			ok(t, err)
		}
	}
	frames, err := c.Frames(far, n, time.Now().Add(patience))
	ok(t, err)
	return receiver, frames
}

// send sends until something of n flows has arrived.
func send(t *testing.T, g *Generator, n int) Result {
	t.Helper()
	for until := time.Now().Add(patience); ; {
		r, err := g.Send(5000, 20*time.Millisecond)
		able(t, err)
		if r.Received > r.Sent || r.Sent > 100 {
			t.Fatalf("sent at most 100, and received no more than that: got %+v", r)
		}
		if r.Flows >= n || time.Now().After(until) {
			return r
		}
	}
}

func TestFlowsAreSentInTurnAndCounted(t *testing.T) {
	from, to := wire(t)
	_, frames := flows(t, from, to, 5, []byte("hello, world"))
	g, err := Open(Config{Frames: frames, From: from, To: to})
	able(t, err)
	defer g.Close()
	if r := send(t, g, 5); r.Flows != 5 {
		t.Errorf("wanted frames of 5 flows, got %+v", r)
	}
}

// At the clients only ChannelData is the sink's. What it leaves shows what the frames
// are: the receiver's kernel has checked their sums.
func TestFramesAreSound(t *testing.T) {
	from, to := wire(t)
	receiver, frames := flows(t, from, to, 3, []byte("hello, world"))
	_, channel := flows(t, from, to, 1, []byte("\x40\x00\x00\x08hello123"))
	g, err := Open(Config{Frames: append(frames, channel...), From: from, To: to, AtClients: true})
	able(t, err)
	defer g.Close()
	if r := send(t, g, 1); r.Flows != 1 || r.Received >= r.Sent {
		t.Errorf("wanted ChannelData alone to be counted, got %+v", r)
	}
	seen := make(map[string]bool)
	for buf := make([]byte, 100); len(seen) < 3; {
		n, sender, err := receiver.ReadFrom(buf)
		ok(t, err)
		if !bytes.Equal(buf[:n], make([]byte, 12)) {
			t.Fatalf("wanted 12 zeros, got %x", buf[:n])
		}
		seen[sender.String()] = true
	}
}

func TestReceiveHasAThread(t *testing.T) {
	from, to := wire(t)
	ok(t, to.Do(func() error {
		return errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("sysfs", "/sys", "sysfs", 0, ""))
	}))
	able(t, to.Do(func() error { return Receive("wire", 0) }))
	_, frames := flows(t, from, to, 2, []byte("hello, world"))
	g, err := Open(Config{Frames: frames, From: from, To: to})
	able(t, err)
	defer g.Close()
	if r := send(t, g, 2); r.Flows != 2 {
		t.Errorf("wanted frames of 2 flows, got %+v", r)
	}
	if err := to.Do(func() error { return Receive("none", 0) }); err == nil {
		t.Error("an interface that does not exist has a thread")
	}
}

func TestUrgeTakesAProcess(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	ok(t, err)
	ok(t, cmd.Start())
	defer func() {
		ok(t, in.Close())
		ok(t, cmd.Wait())
	}()
	able(t, Urge(cmd.Process.Pid))
	attr, err := unix.SchedGetAttr(cmd.Process.Pid, 0)
	ok(t, err)
	if attr.Policy != unix.SCHED_RR || attr.Priority != worker {
		t.Errorf("wanted policy %d, priority %d, got %+v", unix.SCHED_RR, worker, attr)
	}
}

// frame is one of UDP.
func frame(t *testing.T, payload []byte) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: near.AsSlice(), DstIP: far.AsSlice()}
	udp := &layers.UDP{SrcPort: 1, DstPort: 2}
	ok(t, udp.SetNetworkLayerForChecksum(ip))
	b := gopacket.NewSerializeBuffer()
	ok(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4},
		ip, udp, gopacket.Payload(payload)))
	return b.Bytes()[:payloadAt+len(payload)]
}

func TestACapturedFrameHasAPayloadOfZeros(t *testing.T) {
	for name, test := range map[string]struct{ payload, want string }{
		"data":                  {"some media, perhaps", strings.Repeat("\x00", 19)},
		"ChannelData":           {"\x40\x01\x00\x05media", "\x40\x01\x00\x05\x00\x00\x00\x00\x00"},
		"like ChannelData":      {"\x40\x01\x00\x04media", strings.Repeat("\x00", 9)},
		"an odd number":         {"\x7f\xff\x00\x03odd", "\x7f\xff\x00\x03\x00\x00\x00"},
		"like STUN, other data": {"\x00\x01\x00\x00\x21\x12\xa4\x43abcd", strings.Repeat("\x00", 12)},
	} {
		t.Run(name, func(t *testing.T) {
			got, from, to, fine := blank(frame(t, []byte(test.payload)))
			if !fine || from != netip.AddrPortFrom(near, 1) || to != netip.AddrPortFrom(far, 2) {
				t.Fatalf("wanted a flow from %v to %v, got one from %v to %v, %v", near, far, from, to, fine)
			}
			if string(got[payloadAt:]) != test.want {
				t.Errorf("wanted %x, got %x", test.want, got[payloadAt:])
			}
			sum := words([]byte{0, unix.IPPROTO_UDP}) + words(got[udpAt-8:udpAt]) + words(got[udpAt+4:udpAt+6]) + words(got[udpAt:])
			if fold(sum) != 0xffff {
				t.Errorf("the checksum of %x is wrong", got)
			}
		})
	}
}

func TestOtherFramesAreNotCaptured(t *testing.T) {
	with := func(at int, value ...byte) []byte {
		f := frame(t, []byte("some media, perhaps"))
		copy(f[at:], value)
		return f
	}
	for name, f := range map[string][]byte{
		"nothing": nil, "short": frame(t, []byte("abc")), "ARP": with(12, 8, 6), "IP options": with(14, 0x46),
		"TCP": with(23, unix.IPPROTO_TCP), "padding": append(with(0), 0),
		"STUN": frame(t, []byte("\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl")),
	} {
		if _, _, _, fine := blank(f); fine {
			t.Errorf("%s is taken for a packet of a flow: %x", name, f)
		}
	}
}

func TestErrorsNameWhatIsWrong(t *testing.T) {
	from, to := wire(t)
	_, frames := flows(t, from, to, 1, []byte("hello, world"))
	for want, cfg := range map[string]Config{
		"0 flows; valid: 1":   {From: from, To: to},
		"frame 1 has 3 bytes": {Frames: append(frames, Frame("abc")), From: from, To: to},
		"sink on none":        {Frames: frames, From: from, To: Place{to.Namespace, "none"}},
	} {
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("wanted an error with %q, got %v", want, err)
		}
	}
	g, err := Open(Config{Frames: frames, From: Place{from.Namespace, "none"}, To: to})
	able(t, err)
	defer g.Close()
	if _, err := g.Send(1000, time.Millisecond); err == nil {
		t.Error("frames leave by an interface that does not exist")
	}
	if _, err := NewCapture("none"); err == nil || !strings.Contains(err.Error(), "capture") {
		t.Errorf("capture on an interface that does not exist: %v", err)
	}
	c, err := NewCapture("lo")
	ok(t, err)
	defer c.Close()
	nobody := netip.MustParseAddr("203.0.113.254")
	if _, err := c.Frames(nobody, 1, time.Now().Add(10*time.Millisecond)); err == nil || !strings.Contains(err.Error(), "saw 0 of 1") {
		t.Errorf("capture where nothing is: %v", err)
	}
	if r := (Result{}); r.Loss() != 0 || r.Short() != 0 {
		t.Errorf("loss of nothing: %v, %v", r.Loss(), r.Short())
	}
	if r := (Result{Sent: 300, Received: 150, Skipped: 100}); r.Loss() != 0.5 || r.Short() != 0.25 {
		t.Errorf("wanted half lost and a quarter not sent, got %v, %v", r.Loss(), r.Short())
	}
}

// The object that is committed is what the source says.
func TestTheObjectIsMadeOfItsSource(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	ok(t, err)
	_, line, _ := strings.Cut(string(doc), "//go:generate ")
	command := strings.Fields(strings.SplitN(line, "\n", 2)[0])
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skipf("the object is compared where its compiler is: %v", err)
	}
	_, err = os.ReadFile("bpf/frames.c") // so that go test knows when it has changed
	ok(t, err)
	made := filepath.Join(t.TempDir(), "frames.o")
	command[len(command)-1] = made
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	source, err := os.ReadFile(made)
	ok(t, err)
	for _, name := range []string{"emit", "count_at_peers", "count_at_clients"} {
		if !bytes.Equal(instructions(t, object, name), instructions(t, source, name)) {
			t.Errorf("%s is not that of the source: run go generate", name)
		}
	}
}

func instructions(t *testing.T, object []byte, name string) []byte {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	ok(t, err)
	var b bytes.Buffer
	all := spec.Programs[name].Instructions
	for i := range all {
		b.WriteString(all[i].Reference())
		all[i].Metadata = asm.Metadata{}
	}
	ok(t, all.Marshal(&b, binary.LittleEndian))
	return b.Bytes()
}
