package server_test

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// uclient finds coturn's test client, which CI must have.
func uclient(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("turnutils_uclient")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("turnutils_uclient is not installed; it is in Debian's package coturn")
		}
		t.Skip("turnutils_uclient is not installed (Debian: coturn)")
	}
	return path
}

// echoPeer sends back whatever it gets, on loopback.
func echoPeer(t *testing.T) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(t, err)
	ok(t, pc.SetReadBuffer(4<<20))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

// A client that is not ours, in 50 sessions over each transport, to a peer and to each
// other, with channels and with Send indications, with the shared secret and with a
// credential that was made from it.
func TestCoturnClientRelaysThroughServe(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	client := uclient(t)
	const sessions, messages = 50, 10
	p := startProcess(t, "--relay-peers-allow=127.0.0.0/8", "--relay-quota-allocations-per-user=2000")
	peer := echoPeer(t)
	username, password := p.credential("bob")
	shared := []string{"-u", "alice", "-W", p.secret()}
	made := []string{"-u", username, "-w", password}
	totals := regexp.MustCompile(`tot_send_msgs=(\d+), tot_recv_msgs=(\d+)`)

	// Each run takes seconds whatever it does; more at once would measure the
	// machine.
	var group errgroup.Group
	group.SetLimit(4)
	for _, r := range []struct {
		name, transport string
		flags           []string
	}{
		{"channels over UDP", "udp", shared},
		{"indications over UDP, credential made before", "udp", append([]string{"-s"}, made...)},
		{"channels over TCP, credential made before", "tcp", append([]string{"-t"}, made...)},
		{"indications over TCP", "tcp", append([]string{"-t", "-s"}, shared...)},
		{"channels over TLS", "tls", append([]string{"-t", "-S"}, shared...)},
		{"indications over TLS", "tls", append([]string{"-t", "-S", "-s"}, shared...)},
		{"channels over DTLS", "dtls", append([]string{"-S"}, shared...)},
		{"indications over DTLS, credential made before", "dtls", append([]string{"-S", "-s"}, made...)},
		{"client to client over UDP", "udp", append([]string{"-y"}, shared...)},
		{"client to client over TCP", "tcp", append([]string{"-y", "-t"}, shared...)},
		{"client to client over TLS", "tls", append([]string{"-y", "-t", "-S"}, shared...)},
	} {
		group.Go(func() error {
			at := p.at[r.transport]
			flags := slices.Concat(r.flags, []string{"-c", "-e", peer.Addr().String(), "-r", strconv.Itoa(int(peer.Port())),
				"-m", strconv.Itoa(sessions), "-n", strconv.Itoa(messages), "-l", "160", "-z", "100",
				"-p", strconv.Itoa(int(at.Port())), at.Addr().String()})
			out, err := run(t, client, flags...)
			if err != nil {
				t.Errorf("%s: %v\n%s", r.name, err, last(out, 20))
				return nil
			}
			all := totals.FindAllStringSubmatch(out, -1)
			if len(all) == 0 || !strings.Contains(out, "Total lost packets 0 ") {
				t.Errorf("%s: packets were lost, or there are no totals:\n%s", r.name, last(out, 8))
				return nil
			}
			sent, got := all[len(all)-1][1], all[len(all)-1][2]
			if n, _ := strconv.Atoi(sent); n < sessions*messages || sent != got {
				t.Errorf("%s: %s messages sent, %s received; wanted %d and more, and as many back", r.name, sent, got, sessions*messages)
			}
			return nil
		})
	}
	_ = group.Wait()
	if n := p.metric("callpath_relay_dropped_packets_total"); n != "0" {
		t.Errorf("packets dropped: %s", n)
	}
	if _, body := p.get("/metrics"); strings.Contains(body, "alice") || strings.Contains(body, "bob") {
		t.Error("a metric holds a user's name")
	}
}

// last are the last n lines.
func last(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
