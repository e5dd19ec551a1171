//go:build linux

package server_test

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/callpath/callpath/cmd/callpath/server"
)

const (
	inKernel    = "packets of bound channels are forwarded in the kernel"
	notInKernel = "nothing is forwarded in the kernel; all packets go through the sockets"
)

// A client that is not ours is served by the kernel, with the default quotas of
// bandwidth, and nothing remains of it when the server is killed.
func TestServeForwardsInTheKernel(t *testing.T) {
	client := uclient(t)
	p := startProcess(t, "--relay-peers-allow=127.0.0.0/8", "--relay-quota-allocations-per-user=1000", "--relay-kernel=lo")
	p.await("a line about the kernel", func() bool { return p.has(inKernel) != nil || p.has(notInKernel) != nil })
	p.mu.Lock()
	refused := p.has(notInKernel)
	p.mu.Unlock()
	if refused != nil {
		t.Skipf("nothing can be forwarded in the kernel here: %v", refused["error"])
	}
	peer := echoPeer(t)
	const sessions, messages = 5, 20
	out, err := execute(t, client, "-u", "alice", "-W", p.secret(), "-c", "-e", peer.Addr().String(), "-r", strconv.Itoa(int(peer.Port())),
		"-m", strconv.Itoa(sessions), "-n", strconv.Itoa(messages), "-l", "160", "-p", strconv.Itoa(int(p.at["udp"].Port())), p.at["udp"].Addr().String())
	if err != nil || !strings.Contains(out, "Total lost packets 0 ") {
		t.Errorf("packets were lost, or the client failed: %v\n%s", err, last(out, 8))
	}
	if n, _ := strconv.Atoi(p.metric("callpath_relay_kernel_packets_total")); n < 2*sessions*messages {
		t.Errorf("%d packets were forwarded in the kernel; wanted %d and more", n, 2*sessions*messages)
	}

	lo, err := net.InterfaceByName("lo")
	ok(t, err)
	attached := func() (ids []link.AttachedProgram) {
		t.Helper()
		found, err := link.QueryPrograms(link.QueryOptions{Target: lo.Index, Attach: ebpf.AttachTCXIngress})
		ok(t, err)
		return found.Programs
	}
	before := attached()
	if len(before) == 0 {
		t.Error("no program is attached to lo")
	}
	ok(t, p.cmd.Process.Kill())
	_ = p.wait()
	// Others of this kind may come and go meanwhile.
	gone := func() bool {
		now := attached()
		return slices.ContainsFunc(before, func(b link.AttachedProgram) bool {
			return !slices.ContainsFunc(now, func(n link.AttachedProgram) bool { return n.ID == b.ID })
		})
	}
	for deadline := time.Now().Add(patience); !gone(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the program stays attached after the server was killed")
		}
	}
}

func TestTheKernelIsNotUsedUnlessItCanBe(t *testing.T) {
	p := startServer(t, "--relay-kernel=no-such-interface")
	p.await("a line about the kernel", func() bool { return p.has(notInKernel) != nil })
	p.end()
	_, err := server.Load(server.Source{Flags: map[string]string{"relay-kernel": "auto,lo"}})
	if err == nil || !strings.Contains(err.Error(), `found ["auto" "lo"], wanted interfaces, or auto or off alone`) {
		t.Errorf("auto with an interface: %v", err)
	}
}
