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

	"github.com/callpath/callpath/relay/turn"
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
	type run struct {
		name, transport string
		flags           []string
		made            bool // the credential, before the client starts
		server          *process
	}
	runs := []*run{
		{name: "channels over UDP", transport: "udp"},
		{name: "indications over UDP", transport: "udp", flags: []string{"-s"}, made: true},
		{name: "channels over TCP", transport: "tcp", flags: []string{"-t"}, made: true},
		{name: "indications over TCP", transport: "tcp", flags: []string{"-t", "-s"}},
		{name: "channels over TLS", transport: "tls", flags: []string{"-t", "-S"}},
		{name: "indications over TLS", transport: "tls", flags: []string{"-t", "-S", "-s"}, made: true},
		{name: "channels over DTLS", transport: "dtls", flags: []string{"-S"}},
		{name: "indications over DTLS", transport: "dtls", flags: []string{"-S", "-s"}, made: true},
		{name: "client to client over UDP", transport: "udp", flags: []string{"-y"}},
		{name: "client to client over TCP", transport: "tcp", flags: []string{"-y", "-t"}},
		{name: "client to client over TLS", transport: "tls", flags: []string{"-y", "-t", "-S"}},
		{name: "client to client over DTLS", transport: "dtls", flags: []string{"-y", "-S"}},
	}
	// A server each, as the client leaves its allocations behind, and the next may get
	// the port of one.
	for _, r := range runs {
		r.server = startProcess(t, "--relay-peers-allow=127.0.0.0/8", "--relay-quota-allocations-per-user=1000")
	}
	const sessions, messages = 50, 10
	peer := echoPeer(t)
	totals := regexp.MustCompile(`tot_send_msgs=(\d+), tot_recv_msgs=(\d+)`)
	// Each run takes seconds whatever it does; more at once would measure the
	// machine.
	var group errgroup.Group
	group.SetLimit(6)
	for _, r := range runs {
		credential := []string{"-u", "alice", "-W", r.server.secret()}
		if r.made {
			username, password := r.server.credential("alice")
			credential = []string{"-u", username, "-w", password}
		}
		group.Go(func() error {
			at := r.server.at[r.transport]
			flags := slices.Concat(r.flags, credential, []string{"-c", "-e", peer.Addr().String(), "-r", strconv.Itoa(int(peer.Port())),
				"-m", strconv.Itoa(sessions), "-n", strconv.Itoa(messages), "-l", "160", "-z", "100",
				"-p", strconv.Itoa(int(at.Port())), at.Addr().String()})
			out, err := execute(t, client, flags...)
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
	for _, r := range runs {
		if n := r.server.metric("callpath_relay_dropped_packets_total"); n != "0" {
			t.Errorf("%s: packets dropped: %s", r.name, n)
		}
		if _, body := r.server.get("/metrics"); strings.Contains(body, "alice") {
			t.Error("a metric holds a user's name")
		}
		r.server.mu.Lock()
		for _, refusal := range r.server.audited(0) {
			// The client may ask for what it has, and then on another socket with
			// the nonce of before.
			if rule := refusal["rule"]; rule != turn.RuleAllocation && rule != turn.RuleNonceForeign {
				t.Errorf("%s: refused: %v", r.name, refusal)
			}
		}
		r.server.mu.Unlock()
	}
}

// last are the last n lines.
func last(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
