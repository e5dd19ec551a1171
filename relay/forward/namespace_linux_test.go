package forward_test

import (
	"context"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespace is a network of its own, with nothing but lo. The goroutine of a test
// that is in one keeps its thread, which ends with it.
type namespace struct{ fd int }

// newNamespace makes a network namespace, or skips the test.
func newNamespace(t testing.TB) namespace {
	t.Helper()
	runtime.LockOSThread()
	home := current(t)
	defer unix.Close(home)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace can be made here: %v", err)
	}
	n := namespace{current(t)}
	t.Cleanup(func() { unix.Close(n.fd) })
	lo, err := netlink.LinkByName("lo")
	ok(t, err)
	ok(t, netlink.LinkSetUp(lo))
	ok(t, unix.Setns(home, unix.CLONE_NEWNET))
	return n
}

func current(t testing.TB) int {
	t.Helper()
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	ok(t, err)
	return fd
}

// enter has the goroutine be in n until it ends.
func (n namespace) enter(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	ok(t, unix.Setns(n.fd, unix.CLONE_NEWNET))
}

// in has the goroutine, which is in a namespace already, do one thing in n.
func (n namespace) in(t testing.TB, do func()) {
	t.Helper()
	home := current(t)
	defer unix.Close(home)
	ok(t, unix.Setns(n.fd, unix.CLONE_NEWNET))
	do()
	ok(t, unix.Setns(home, unix.CLONE_NEWNET))
}

// listen opens a socket in n from any goroutine.
func (n namespace) listen(ctx context.Context, network, address string) (net.PacketConn, error) {
	type opened struct {
		conn net.PacketConn
		err  error
	}
	done := make(chan opened)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			done <- opened{nil, os.NewSyscallError("setns", err)}
			return
		}
		conn, err := (&net.ListenConfig{}).ListenPacket(ctx, network, address)
		done <- opened{conn, err}
	}()
	o := <-done
	return o.conn, o.err
}
