package turn_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/callpath/callpath/relay/turn"
)

// coturn's own client mints its credential from the shared secret itself (-W), so
// this also proves that credentials follow the same convention. It takes seconds
// whatever it does, so all of its runs go on at the same time.
func TestCoturnClientRelaysWithoutLoss(t *testing.T) {
	program, err := exec.LookPath("turnutils_uclient")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("turnutils_uclient is not installed; it is in Debian's package coturn")
		}
		t.Skip("turnutils_uclient is not installed (Debian: coturn)")
	}
	if testing.Short() {
		t.Skip("takes seconds")
	}
	type run struct {
		name      string
		transport turn.Transport
		flags     []string
		sockets   int // per client; with RTCP there are two

		rig    *rig
		output []byte
		err    error
	}
	runs := []*run{
		{name: "channels over UDP", transport: turn.UDP, flags: []string{"-c"}, sockets: 1},
		{name: "indications over UDP", transport: turn.UDP, flags: []string{"-c", "-s"}, sockets: 1},
		{name: "channels over TCP", transport: turn.TCP, flags: []string{"-c", "-t"}, sockets: 1},
		{name: "indications over TCP", transport: turn.TCP, flags: []string{"-c", "-t", "-s"}, sockets: 1},
		{name: "channels over TLS", transport: turn.TLS, flags: []string{"-c", "-t", "-S"}, sockets: 1},
		{name: "sizes that need padding", transport: turn.TCP, flags: []string{"-c", "-t", "-l", "171"}, sockets: 1},
		{name: "reserved pairs of ports and extra requests", transport: turn.UDP, flags: []string{"-G"}, sockets: 2},
		{name: "datagrams that nobody may cut", transport: turn.UDP, flags: []string{"-c", "-s", "-g"}, sockets: 1},
		{name: "from client to client", transport: turn.UDP, flags: []string{"-c", "-y"}, sockets: 1},
	}
	const clients, messages = 2, 10
	peer := echoPair(t)
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	var group sync.WaitGroup
	for _, r := range runs {
		r.rig = newRig(t, nil)
		at := map[turn.Transport]netip.AddrPort{turn.UDP: r.rig.udp, turn.TCP: r.rig.tcp, turn.TLS: r.rig.tls}[r.transport]
		arguments := append(r.flags, "-u", "alice", "-W", string(secret), "-p", strconv.Itoa(int(at.Port())),
			"-e", peer.Addr().String(), "-r", strconv.Itoa(int(peer.Port())),
			"-m", strconv.Itoa(clients*r.sockets), "-n", strconv.Itoa(messages), "-z", "5", at.Addr().String())
		group.Go(func() { r.output, r.err = exec.CommandContext(ctx, program, arguments...).CombinedOutput() })
	}
	group.Wait()

	totals := regexp.MustCompile(`tot_send_msgs=(\d+), tot_recv_msgs=(\d+)`)
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) {
			if r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.output)
			}
			all := totals.FindAllSubmatch(r.output, -1)
			if len(all) == 0 {
				t.Fatalf("no totals in\n%s", r.output)
			}
			wanted := strconv.Itoa(clients * r.sockets * messages)
			if last := all[len(all)-1]; string(last[1]) != wanted || string(last[2]) != wanted {
				t.Errorf("%s messages sent, %s received; wanted %s\n%s", last[1], last[2], wanted, r.output)
			}
			if e := r.rig.await(turn.AllocationCreated, clients*r.sockets); e.User != "alice" || e.Transport != r.transport {
				t.Errorf("told as %v", e)
			}
			if n := r.rig.server.Stats().Unauthenticated; n != 0 {
				t.Errorf("requests that were not authenticated: %d", n)
			}
		})
	}
}

// echoPair is an echo on two neighbouring ports, for RTP and RTCP.
func echoPair(t *testing.T) netip.AddrPort {
	t.Helper()
	for range 100 {
		first, err := net.ListenPacket("udp4", "127.0.0.1:0")
		ok(t, err)
		at := addrPortOf(first.LocalAddr())
		second, err := net.ListenPacket("udp4", netip.AddrPortFrom(at.Addr(), at.Port()+1).String())
		if err != nil {
			first.Close()
			continue
		}
		echoOn(t, first)
		echoOn(t, second)
		return at
	}
	t.Fatal("no two neighbouring ports are free")
	return netip.AddrPort{}
}
