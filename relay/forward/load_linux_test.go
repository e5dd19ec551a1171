package forward_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/callpath/callpath/relay/turn"
	"github.com/pion/stun/v4"
	"golang.org/x/sys/unix"
)

// TestLoad measures what a relayed packet costs, side by side with others. It runs
// only when the environment asks for it, with the load as key=value pairs:
//
//	CALLPATH_LOAD="flows=50 rate=1000 rounds=5" go test -run TestLoad -v ./relay/forward
//
// Each round runs each subject once, in a process of its own, whose processor time
// (as the scheduler has it) is divided by the packets that came out.
func TestLoad(t *testing.T) {
	text, asked := os.LookupEnv("CALLPATH_LOAD")
	if !asked {
		t.Skip("CALLPATH_LOAD is not set")
	}
	l := load{flows: 50, rate: 1000, size: 200, burst: 1, seconds: 3, rounds: 3, toPeer: true, toClient: true}
	subjects := []string{"core", "pion", "coturn"}
	for _, pair := range strings.Fields(text) {
		key, value, _ := strings.Cut(pair, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "flows":
			l.flows = n
		case "rate": // packets of a flow and second, both ways together
			l.rate = n
		case "size":
			l.size = n
		case "burst":
			l.burst = n
		case "seconds":
			l.seconds = n
		case "rounds":
			l.rounds = n
		case "way":
			l.toPeer, l.toClient = value != "client", value != "peer"
		case "subjects":
			subjects = strings.Split(value, ",")
		default:
			t.Fatalf("load %q: valid are flows, rate, size, burst, seconds, rounds, way, subjects", pair)
		}
	}
	results := map[string][]result{}
	for range l.rounds {
		for _, s := range subjects {
			results[s] = append(results[s], l.run(t, s))
		}
	}
	for _, s := range subjects {
		median := func(of func(result) float64) float64 {
			var all []float64
			for _, r := range results[s] {
				all = append(all, of(r))
			}
			slices.Sort(all)
			return all[len(all)/2]
		}
		var all []string
		for _, r := range results[s] {
			all = append(all, fmt.Sprintf("%.2f", r.cost))
		}
		t.Logf("%-12s %6.3f us/packet  %7.0f packets/s  loss %5.2f %%  latency p50 %5.0f p99 %5.0f us  (costs %s)", s,
			median(func(r result) float64 { return r.cost }), median(func(r result) float64 { return r.rate }),
			median(func(r result) float64 { return 100 * r.loss }),
			median(func(r result) float64 { return r.p50 }), median(func(r result) float64 { return r.p99 }), strings.Join(all, " "))
	}
}

type load struct {
	flows, rate, size, burst, seconds, rounds int
	toPeer, toClient                          bool
}

type result struct{ cost, rate, loss, p50, p99 float64 }

// subject starts a relay in a process of its own.
func subject(t *testing.T, name string) (pid int, at netip.AddrPort, stop func()) {
	var cmd *exec.Cmd
	if name == "coturn" {
		port := freePort(t)
		at = netip.AddrPortFrom(loopback, port)
		cmd = exec.Command("turnserver", "-n", "--no-tls", "--no-dtls", "--no-cli", "--no-tcp",
			"-L", "127.0.0.1", "-E", "127.0.0.1", "--allow-loopback-peers", "-p", fmt.Sprint(port), "-r", realm,
			"--lt-cred-mech", "--use-auth-secret", "--static-auth-secret", string(secret),
			"--pidfile", filepath.Join(t.TempDir(), "pid"), "--log-file", "/dev/null", "--simple-log", "--no-stdout-log")
		cmd.Dir = t.TempDir()
		ok(t, cmd.Start())
	} else {
		cmd = exec.Command(os.Args[0], "-test.run", "^TestSubject$")
		cmd.Env = append(os.Environ(), "CALLPATH_SUBJECT="+name, "CALLPATH_LOAD=", "PAUSE="+strings.TrimPrefix(name, "core"))
		out, err := cmd.StdoutPipe()
		ok(t, err)
		cmd.Stderr = os.Stderr
		ok(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		ok(t, err)
		at = netip.MustParseAddrPort(strings.TrimSpace(line))
	}
	return cmd.Process.Pid, at, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func freePort(t *testing.T) uint16 {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ok(t, err)
	defer pc.Close()
	return addrPortOf(pc.LocalAddr()).Port()
}

func addrPortOf(a net.Addr) netip.AddrPort { return a.(*net.UDPAddr).AddrPort() }

// TestSubject is a relay as a process of TestLoad.
func TestSubject(t *testing.T) {
	name := os.Getenv("CALLPATH_SUBJECT")
	if name == "" {
		t.Skip("only for TestLoad")
	}
	var at netip.AddrPort
	if name == "pion" {
		at = stockRelay(t, turn.Lifetimes{})
	} else {
		at = ourRelay(t, turn.Lifetimes{})
	}
	fmt.Println(at)
	select {}
}

// processorTime is what all threads of a process have used.
func processorTime(pid int) (total time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(b), " ")
		n, _ := strconv.ParseInt(first, 10, 64)
		total += time.Duration(n)
	}
	return total
}

func (l load) run(t *testing.T, name string) result {
	pid, at, stop := subject(t, name)
	defer stop()
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(t, err)
	defer peer.Close()
	g := &generator{load: l, peer: detach(t, peer)}
	defer unix.Close(g.peer)
	for range l.flows {
		conn, relayed := quickClient(t, at, addrPortOf(peer.LocalAddr()))
		fd := detach(t, conn)
		conn.Close()
		defer unix.Close(fd)
		g.clients = append(g.clients, fd)
		g.relayed = append(g.relayed, unix.SockaddrInet4{Port: int(relayed.Port()), Addr: relayed.Addr().As4()})
	}
	return g.run(pid)
}

// detach is a descriptor that the runtime does not poll.
func detach(t *testing.T, conn *net.UDPConn) int {
	_ = conn.SetReadBuffer(4 << 20)
	_ = conn.SetWriteBuffer(4 << 20)
	raw, err := conn.SyscallConn()
	ok(t, err)
	var fd int
	ok(t, raw.Control(func(old uintptr) { fd, err = unix.Dup(int(old)) }))
	ok(t, err)
	return fd
}

// quickClient allocates and binds channel 0x4000 to peer.
func quickClient(t *testing.T, at, peer netip.AddrPort) (*net.UDPConn, netip.AddrPort) {
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(at))
	ok(t, err)
	_, password := turn.Credential(secret, "alice", "", time.Unix(2000000000, 0))
	var nonce stun.Nonce
	buf := make([]byte, 2048)
	request := func(method stun.Method, attributes ...stun.Setter) *stun.Message {
		for range 200 {
			setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
			if nonce != nil {
				setters = append(setters, stun.NewUsername(username), stun.NewRealm(realm), nonce, stun.NewLongTermIntegrity(username, realm, password))
			}
			m := stun.MustBuild(setters...)
			_, _ = conn.Write(m.Raw)
			_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			n, err := conn.Read(buf)
			response := &stun.Message{Raw: buf[:n]}
			if err != nil {
				time.Sleep(20 * time.Millisecond) // it may not listen yet
				continue
			}
			if response.Decode() != nil || response.TransactionID != m.TransactionID {
				continue
			}
			if response.Type.Class == stun.ClassErrorResponse {
				if nonce.GetFrom(response) != nil {
					t.Fatalf("%s refused: %v", method, response)
				}
				continue
			}
			return response
		}
		t.Fatalf("no answer to %s", method)
		return nil
	}
	m := request(stun.MethodAllocate, attribute{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}})
	var relayed stun.XORMappedAddress
	ok(t, relayed.GetFromAs(m, stun.AttrXORRelayedAddress))
	request(stun.MethodChannelBind, attribute{stun.AttrChannelNumber, []byte{0x40, 0, 0, 0}}, peerAddress(peer))
	addr, _ := netip.AddrFromSlice(relayed.IP)
	return conn, netip.AddrPortFrom(addr.Unmap(), uint16(relayed.Port))
}

// generator sends at the intended times and receives.
type generator struct {
	load
	peer    int
	clients []int
	relayed []unix.SockaddrInet4

	measuring      atomic.Bool
	ending         atomic.Bool
	sent, received atomic.Int64
	latencies      [20000]int64 // by microseconds
	measured       int64
}

var epoch = time.Now()

func (g *generator) run(pid int) result {
	sinkDone, sendDone := make(chan struct{}), make(chan struct{})
	go func() { defer close(sinkDone); g.sink() }()
	go func() { defer close(sendDone); g.source() }()
	time.Sleep(500 * time.Millisecond)
	g.measuring.Store(true)
	began, cpu, sent, received := time.Now(), processorTime(pid), g.sent.Load(), g.received.Load()
	time.Sleep(time.Duration(g.seconds) * time.Second)
	seconds := time.Since(began).Seconds()
	used := processorTime(pid) - cpu
	outSent, out := g.sent.Load()-sent, g.received.Load()-received
	g.measuring.Store(false)
	g.ending.Store(true)
	<-sendDone
	<-sinkDone
	r := result{cost: used.Seconds() * 1e6 / float64(out), rate: float64(out) / seconds, loss: max(0, 1-float64(out)/float64(outSent))}
	var n int64
	for us, count := range g.latencies {
		n += count
		if r.p50 == 0 && n >= g.measured/2 {
			r.p50 = float64(us)
		}
		if r.p99 == 0 && n >= g.measured*99/100 {
			r.p99 = float64(us)
			break
		}
	}
	return r
}

func (g *generator) source() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0)
	frame := make([]byte, g.burst*(g.size+4))
	control := make([]byte, unix.CmsgSpace(2))
	header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	header.Level, header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	header.SetLen(unix.CmsgLen(2))
	iov := unix.Iovec{Base: &frame[0]}
	m := unix.Msghdr{Iov: &iov, Iovlen: 1}
	name := unix.RawSockaddrInet4{Family: unix.AF_INET}
	interval := float64(time.Second) * float64(g.burst) / float64(g.flows*g.rate)
	began := time.Since(epoch)
	for i := 0; !g.ending.Load(); i++ {
		due := began + time.Duration(float64(i)*interval)
		for now := time.Since(epoch); now < due; now = time.Since(epoch) {
			ts := unix.NsecToTimespec(int64(min(due-now, 20*time.Microsecond)))
			_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
		}
		flow := i % g.flows
		toPeer := g.toPeer && (!g.toClient || i/g.flows%2 == 0)
		fd, segment := g.peer, g.size
		m.Name, m.Namelen = nil, 0
		if toPeer {
			fd, segment = g.clients[flow], g.size+4
		} else {
			a := &g.relayed[flow]
			name.Addr = a.Addr
			binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], uint16(a.Port))
			m.Name, m.Namelen = (*byte)(unsafe.Pointer(&name)), unix.SizeofSockaddrInet4
		}
		for k := range g.burst {
			p := frame[k*segment:]
			if toPeer {
				binary.BigEndian.PutUint32(p, 0x4000<<16|uint32(g.size))
				p = p[4:]
			}
			binary.LittleEndian.PutUint64(p, uint64(due))
		}
		iov.SetLen(g.burst * segment)
		m.Control = nil
		m.SetControllen(0)
		if g.burst > 1 {
			*(*uint16)(unsafe.Pointer(&control[unix.CmsgLen(0)])) = uint16(segment)
			m.Control = &control[0]
			m.SetControllen(len(control))
		}
		_, _, _ = unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m)), 0)
		g.sent.Add(int64(g.burst))
	}
}

// sink receives all, one system call for what a socket has.
func (g *generator) sink() {
	runtime.LockOSThread()
	poll, _ := unix.EpollCreate1(0)
	defer unix.Close(poll)
	for _, fd := range append(slices.Clone(g.clients), g.peer) {
		_ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
		_ = unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	const slots = 64
	msgs := make([]unix.Mmsghdr, slots)
	iov := make([]unix.Iovec, slots)
	control := make([][24]byte, slots)
	buf := make([]byte, slots<<16)
	for i := range msgs {
		iov[i].Base = &buf[i<<16]
		iov[i].SetLen(1 << 16)
		msgs[i].Hdr.Iov, msgs[i].Hdr.Iovlen = &iov[i], 1
		msgs[i].Hdr.Control = &control[i][0]
	}
	events := make([]unix.EpollEvent, 256)
	for !g.ending.Load() {
		n, _ := unix.EpollWait(poll, events, 50)
		for _, e := range events[:max(n, 0)] {
			at := 4
			if int(e.Fd) == g.peer {
				at = 0
			}
			for i := range msgs {
				msgs[i].Hdr.SetControllen(24)
			}
			k, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(e.Fd), uintptr(unsafe.Pointer(&msgs[0])), slots, unix.MSG_DONTWAIT, 0, 0)
			if errno != 0 {
				continue
			}
			now := time.Since(epoch)
			packets := 0
			for i := range int(k) {
				size := int(msgs[i].Len)
				segment := size
				if h := (*unix.Cmsghdr)(unsafe.Pointer(&control[i])); msgs[i].Hdr.Controllen >= 20 && h.Type == unix.UDP_GRO {
					segment = int(*(*int32)(unsafe.Pointer(&control[i][16])))
				}
				count := (size + segment - 1) / segment
				packets += count
				if g.measuring.Load() {
					late := now - time.Duration(binary.LittleEndian.Uint64(buf[i<<16+at:]))
					g.latencies[min(max(0, late.Microseconds()), int64(len(g.latencies)-1))] += int64(count)
					g.measured += int64(count)
				}
			}
			g.received.Add(int64(packets))
		}
	}
}
