package processor

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward"
)

// threadTime is how long this thread has been on a processor.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	must(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t))
	return time.Duration(t.Nano())
}

// BenchmarkMeeting is a meeting of 50 participants, of whom five send video at 1 Mbit/s
// (packets of 1100 bytes, three at a time) and all send audio (50 packets of 80 bytes a
// second), to everybody else, over real sockets on loopback. A figure is the processor
// time of what a worker does for a packet that goes out, in the kernel too; clients'
// work is not in it. One operation is 20 ms of the meeting.
func BenchmarkMeeting(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(b, err)
	port, err := forward.NewPort(conn)
	must(b, err)
	defer port.Close()
	m := newManual(b, port, nil)
	const participants, senders = 50, 5
	var clients []*client
	var sockets []*net.UDPConn
	for i := range participants {
		s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(b, err)
		defer s.Close()
		must(b, s.SetReadBuffer(4096)) // nobody reads: the kernel throws away what comes
		lines := "a" + strings.Repeat("A", participants-1) + strings.Repeat("V", senders)
		if i < senders {
			lines = "av" + strings.Repeat("A", participants-1) + strings.Repeat("V", senders-1)
		}
		clients = append(clients, m.enter("meeting", fmt.Sprintf("p%d", i), lines, s.LocalAddr().(*net.UDPAddr).AddrPort()))
		sockets = append(sockets, s)
	}
	m.events()
	voice, image := make([]byte, 80), picture(1100)
	var took time.Duration
	var packets uint64
	before := m.stats
	round := func(k int) {
		send := func(i int, p []byte) {
			_, err := sockets[i].WriteToUDPAddrPort(p, port.Local())
			must(b, err)
		}
		n := 0
		for i, c := range clients {
			send(i, c.rtp(1000, 111, uint32(k)*960, []byte{0x10, 30}, voice))
			n++
			// 1 Mbit/s is 114 packets a second: three of a picture in each of three rounds of
			// four.
			if i < senders && k%4 != 3 {
				for range 3 {
					send(i, c.rtp(1001, 96, uint32(k)*1800, nil, image))
					n++
				}
			}
		}
		m.at = m.at.Add(20 * time.Millisecond)
		m.now = m.at
		start := threadTime(b)
		for n > 0 {
			arrived := port.Receive(tick)
			n -= len(arrived)
			for i := range arrived {
				m.receive(arrived[i].To, arrived[i].Data)
			}
			m.forward()
			m.pace()
			m.batch.Flush()
		}
		m.tick()
		m.batch.Flush()
		took += threadTime(b) - start
	}
	for k := range 10 {
		round(k) // slots are assigned
	}
	k := 10
	took, before = 0, m.stats
	b.ReportAllocs()
	for b.Loop() {
		round(k)
		k++
	}
	packets = m.stats.PacketsOut - before.PacketsOut
	if _, unsent := m.batch.Sent(); unsent > 0 {
		b.Errorf("%d packets were not sent", unsent)
	}
	if n := len(m.stats.Drops); n > 0 {
		b.Errorf("drops: %v", m.stats.Drops)
	}
	b.ReportMetric(took.Seconds()/float64(packets)*1e6, "cpu-s/Mpkt")
	b.ReportMetric(float64(packets)/float64(b.N), "pkt/op")
}

// A packet makes no garbage on its way from the socket to a batch for all receivers.
func TestForwardingAllocatesNothing(t *testing.T) {
	m := newManual(t, &still{}, nil)
	var clients []*client
	for i := range 4 {
		clients = append(clients, m.enter("meeting", fmt.Sprint("p", i), "avAAAVVV", addr(i)))
	}
	const rounds = 300
	var voices, images [][]byte
	for k := range rounds {
		voices = append(voices, clients[0].rtp(1000, 111, uint32(k)*960, []byte{0x10, 30}, make([]byte, 80)))
		images = append(images, clients[0].rtp(1001, 96, uint32(k)*3000, nil, picture(1100)))
	}
	k := 0
	round := func() {
		m.at = m.at.Add(20 * time.Millisecond)
		m.now = m.at
		m.receive(clients[0].at, voices[k])
		m.receive(clients[0].at, images[k])
		m.forward()
		m.pace() // what waits goes through the memory of what has gone
		m.batch.Flush()
		k++
	}
	for range 50 {
		round()
		if k == 10 {
			m.worker.tick() // slots are assigned
		}
	}
	before := m.stats.PacketsOut
	if n := testing.AllocsPerRun(200, round); n != 0 {
		t.Errorf("%v allocations for two packets", n)
	}
	if got := m.stats.PacketsOut - before; got < 200*6-30 { // some wait for their time
		t.Errorf("%d packets went out, wanted two to each of three others in each of 200 rounds", got)
	}
}
