package capture_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/topology/sim/capture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// captured is one call of Captured.
type captured struct {
	time     time.Time
	host     string
	iface    string
	outbound bool
	packet   []byte
}

// udp4 and udp6 make packets that a reader of the file can dissect.
func udp4(t *testing.T, payload string) []byte {
	return serialized(t, &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP,
		SrcIP: []byte{192, 0, 2, 1}, DstIP: []byte{198, 51, 100, 2}}, payload)
}

func udp6(t *testing.T, payload string) []byte {
	a := []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
	return serialized(t, &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: a, DstIP: a}, payload)
}

func serialized(t *testing.T, ip interface {
	gopacket.SerializableLayer
	gopacket.NetworkLayer
}, payload string) []byte {
	t.Helper()
	udp := &layers.UDP{SrcPort: 50000, DstPort: 9}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		ip, udp, gopacket.Payload(payload)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func example(t *testing.T) []captured {
	at := time.Date(2026, 11, 24, 20, 0, 0, 123456789, time.UTC)
	return []captured{
		{at, "alice-pc", "eth0", true, udp4(t, "one")},
		{at.Add(time.Nanosecond), "bob-pc", "eth0", false, udp4(t, "one")},
		{at.Add(time.Second), "alice-pc", "vpn0", true, udp6(t, "three!")},
		{at.Add(2 * time.Second), "alice-pc", "eth0", false, udp4(t, "four")},
	}
}

func write(t *testing.T, out io.Writer, list []captured) {
	t.Helper()
	w, err := capture.New(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if err := w.Captured(c.time, c.host, c.iface, c.outbound, c.packet); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenReadsBack(t *testing.T) {
	var file bytes.Buffer
	want := example(t)
	write(t, &file, want)

	r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.LinkType() != layers.LinkTypeRaw {
		t.Errorf("link type %v, want %v", r.LinkType(), layers.LinkTypeRaw)
	}
	for i, c := range want {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if !bytes.Equal(data, c.packet) {
			t.Errorf("packet %d: got %x, want %x", i, data, c.packet)
		}
		if !ci.Timestamp.Equal(c.time) {
			t.Errorf("packet %d: at %s, want %s", i, ci.Timestamp, c.time)
		}
		direction := pcapgo.NgEpbFlagDirectionInbound
		if c.outbound {
			direction = pcapgo.NgEpbFlagDirectionOutbound
		}
		if opts.Flags == nil || opts.Flags.Direction != direction {
			t.Errorf("packet %d: flags %+v, want direction %d", i, opts.Flags, direction)
		}
		described, err := r.Interface(ci.InterfaceIndex)
		if err != nil {
			t.Fatal(err)
		}
		if name := c.host + "/" + c.iface; described.Name != name {
			t.Errorf("packet %d: interface %q, want %q", i, described.Name, name)
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("after the last packet: %v, want EOF", err)
	}
	if n := r.NInterfaces(); n != 3 {
		t.Errorf("%d interfaces, want 3", n)
	}
}

func TestWiresharkReadsIt(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must have tshark")
		}
		t.Skip("tshark is not installed")
	}
	path := filepath.Join(t.TempDir(), "run.pcapng")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, example(t))
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tshark, "-r", path, "-T", "fields", "-E", "separator=,",
		"-e", "frame.interface_name", "-e", "frame.packet_flags_direction", "-e", "udp.dstport", "-e", "udp.length").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := []string{
		"alice-pc/eth0,0x00000002,9,11",
		"bob-pc/eth0,0x00000001,9,11",
		"alice-pc/vpn0,0x00000002,9,14",
		"alice-pc/eth0,0x00000001,9,12",
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestConcurrentPacketsAreAllWritten(t *testing.T) {
	var file bytes.Buffer
	w, err := capture.New(&file)
	if err != nil {
		t.Fatal(err)
	}
	packet := udp4(t, "x")
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 100 {
				if err := w.Captured(time.Now(), fmt.Sprintf("host-%d", i%4), "eth0", true, packet); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		data, _, err := r.ReadPacketData()
		if err == io.EOF {
			break
		}
		if err != nil || !bytes.Equal(data, packet) {
			t.Fatalf("packet %d: %x, %v", n, data, err)
		}
	}
	if n != 800 || r.NInterfaces() != 4 {
		t.Errorf("%d packets on %d interfaces, want 800 on 4", n, r.NInterfaces())
	}
}

func TestFileWithoutPacketsIsValid(t *testing.T) {
	var file bytes.Buffer
	write(t, &file, nil)
	r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

func TestAfterClose(t *testing.T) {
	w, err := capture.New(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := w.Captured(time.Now(), "a", "b", true, []byte{0x45}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want os.ErrClosed", err)
	}
}

// full fails after some bytes, as a disk does.
type full struct{ left int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestErrorOfTheFileIsKept(t *testing.T) {
	for _, room := range []int{0, 10000} {
		w, err := capture.New(&full{left: room})
		if err != nil {
			t.Fatal(err)
		}
		packet := udp4(t, strings.Repeat("x", 1000))
		for range 100 {
			if err = w.Captured(time.Now(), "a", "b", true, packet); err != nil {
				break
			}
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("room for %d bytes: got %v, want the file's error", room, err)
		}
		if err := w.Captured(time.Now(), "a", "b", true, packet); !errors.Is(err, errFull) {
			t.Errorf("next packet: got %v, want the same error", err)
		}
		if err := w.Close(); !errors.Is(err, errFull) {
			t.Errorf("Close: got %v, want the same error", err)
		}
	}
}
