//go:build linux

package namespace_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

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

func made(t *testing.T) *namespace.Namespace {
	t.Helper()
	n, err := namespace.New()
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("namespaces need root's rights: %v", err)
	}
	ok(t, err)
	t.Cleanup(n.Close)
	return n
}

func end(n *namespace.Namespace, prefix string) namespace.End {
	return namespace.End{Namespace: n, Name: "wire", Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}}
}

const patience = 20 * time.Second

// Hosts that are joined reach each other and nothing else, and what one sends as one
// message for the card to cut arrives packet by packet as on a wire.
func TestPacketsCrossAWire(t *testing.T) {
	a, b := made(t), made(t)
	near, far := end(a, "192.0.2.1/24"), end(b, "192.0.2.2/24")
	ok(t, namespace.Join(near, far))
	for _, e := range []namespace.End{near, far} {
		ok(t, e.OneByOne())
		ok(t, e.Merging())
		ok(t, e.ChecksumsInPackets())
	}
	ok(t, a.Route(netip.MustParsePrefix("198.51.100.0/24"), netip.MustParseAddr("192.0.2.2")))
	ok(t, b.Route(netip.MustParsePrefix("198.51.100.0/24"), netip.Addr{}))
	receiver, err := b.ListenPacket(t.Context(), "udp4", "198.51.100.77:5000")
	ok(t, err)
	defer receiver.Close()
	ok(t, receiver.SetReadDeadline(time.Now().Add(patience)))
	sender, err := a.ListenPacket(t.Context(), "udp4", "192.0.2.1:0")
	ok(t, err)
	defer sender.Close()
	raw, err := sender.(*net.UDPConn).SyscallConn()
	ok(t, err)
	ok(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 4) }))
	ok(t, err)
	_, err = sender.WriteTo([]byte("one.two.last"), receiver.LocalAddr())
	ok(t, err)
	buf := make([]byte, 100)
	for _, want := range []string{"one.", "two.", "last"} {
		n, from, err := receiver.ReadFrom(buf)
		ok(t, err)
		if string(buf[:n]) != want || from.String() != sender.LocalAddr().String() {
			t.Errorf("wanted %q from %v, got %q from %v", want, sender.LocalAddr(), buf[:n], from)
		}
	}
	// Who can take merged packets gets them so.
	raw, err = receiver.(*net.UDPConn).SyscallConn()
	ok(t, err)
	ok(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) }))
	ok(t, err)
	_, err = sender.WriteTo([]byte("one.two.last"), receiver.LocalAddr())
	ok(t, err)
	if n, _, err := receiver.ReadFrom(buf); err != nil || string(buf[:n]) != "one.two.last" {
		t.Errorf("merged: wanted all three at once, got %q, %v", buf[:n], err)
	}
	if _, err := sender.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("203.0.113.1:1"))); err == nil {
		t.Error("a host reaches what it has no route to")
	}
}

// A path stands for a namespace in other processes, and a goroutine can be in one.
func TestANamespaceIsFoundByItsPath(t *testing.T) {
	n := made(t)
	addresses := func() string {
		all, err := net.InterfaceAddrs()
		ok(t, err)
		var text []string
		for _, a := range all {
			text = append(text, a.String())
		}
		return strings.Join(text, " ")
	}
	ok(t, namespace.Within(n.Path(), func() error {
		if got := addresses(); got != "127.0.0.1/8 ::1/128" {
			t.Errorf("addresses within: %q", got)
		}
		return nil
	}))
	done := make(chan error)
	go func() {
		err := n.Enter()
		if got := addresses(); got != "127.0.0.1/8 ::1/128" {
			t.Errorf("addresses of one who entered: %q", got)
		}
		done <- err
	}()
	ok(t, <-done)
}

func TestErrorsNameWhatIsWrong(t *testing.T) {
	a, b := made(t), made(t)
	ok(t, namespace.Join(end(a, "192.0.2.1/24"), end(b, "192.0.2.2/24")))
	for name, err := range map[string]error{
		"veth pair wire":     namespace.Join(end(a, "192.0.2.1/24"), end(b, "192.0.2.2/24")),
		"route to":           a.Route(netip.MustParsePrefix("198.51.100.0/24"), netip.MustParseAddr("203.0.113.1")),
		"none: segmentation": namespace.End{Namespace: a, Name: "none"}.OneByOne(),
		"none: merging":      namespace.End{Namespace: a, Name: "none"}.Merging(),
		"none: checksums":    namespace.End{Namespace: a, Name: "none"}.ChecksumsInPackets(),
		"/no/such/namespace": namespace.Within("/no/such/namespace", func() error { return nil }),
		"enter":              namespace.Within("/dev/null", func() error { return nil }),
		"itself":             a.Do(func() error { return errors.New("itself") }),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("wanted an error with %q, got %v", name, err)
		}
	}
	a.Close()
	a.Close()
}
