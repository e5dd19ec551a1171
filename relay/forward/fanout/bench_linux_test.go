package fanout_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/forward/srtp"
)

// socket is a Sender on an IPv4 socket: the least that a batched one does.
type socket struct {
	fd int
	// cut lets the kernel cut what is for one receiver into packets (UDP_SEGMENT).
	cut   bool
	msgs  []mmsghdr
	iovs  []unix.Iovec
	names []unix.RawSockaddrInet4
	sizes []segment
}

type mmsghdr struct {
	hdr  unix.Msghdr
	size uint32
	_    [4]byte
}

// segment is the control message with the size of packets.
type segment struct {
	header unix.Cmsghdr
	size   uint16
	_      [6]byte
}

func newSocket(b *testing.B, datagrams int, cut bool) *socket {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(fd) })
	s := &socket{
		fd: fd, cut: cut, msgs: make([]mmsghdr, datagrams), iovs: make([]unix.Iovec, datagrams),
		names: make([]unix.RawSockaddrInet4, datagrams), sizes: make([]segment, datagrams),
	}
	for i := range s.msgs {
		h, c := &s.msgs[i].hdr, &s.sizes[i]
		s.names[i].Family = unix.AF_INET
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.names[i])), unix.SizeofSockaddrInet4
		h.Iov, h.Iovlen = &s.iovs[i], 1
		c.header.Level, c.header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		c.header.SetLen(unix.CmsgLen(2))
		h.Control = (*byte)(unsafe.Pointer(c))
	}
	return s
}

func (s *socket) Send(batch []fanout.Datagram) int {
	messages := 0
	for i := 0; i < len(batch); messages++ {
		d, n := batch[i], 1
		for s.cut && i+n < len(batch) && batch[i+n].To == d.To && len(batch[i+n].Data) == len(d.Data) && (n+1)*len(d.Data) < 65000 {
			n++
		}
		h := &s.msgs[messages].hdr
		h.Controllen = 0
		if n > 1 {
			s.sizes[messages].size = uint16(len(d.Data))
			h.SetControllen(int(unsafe.Sizeof(segment{})))
		}
		s.names[messages].Addr = d.To.Addr().As4()
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&s.names[messages].Port))[:], d.To.Port())
		s.iovs[messages].Base = unsafe.SliceData(d.Data)
		s.iovs[messages].SetLen(n * len(d.Data))
		i += n
	}
	for sent := 0; sent < messages; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msgs[sent])), uintptr(messages-sent), 0, 0, 0)
		if errno != 0 {
			return 0
		}
		sent += int(n)
	}
	return len(batch)
}

// sinks are receivers' sockets on loopback. Nobody reads: once their small buffers are
// full, the kernel throws away what comes.
func sinks(b *testing.B, n int) []netip.AddrPort {
	all := make([]netip.AddrPort, n)
	for i := range all {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		if err := c.SetReadBuffer(4096); err != nil {
			b.Fatal(err)
		}
		all[i] = c.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	return all
}

// cpu is the time that this thread has been on a processor, in and out of the kernel.
func cpu(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// BenchmarkFanOut compares the way of a packet from one sender to many receivers with
// its floor: sealing as many packets (in place, with a key for each receiver), and
// sending as many sealed ones to the same sockets by the same Sender. The three take
// turns; a figure is the processor time for each outgoing packet, the median of all
// turns. singly is the way when packets that came together are forwarded one by one.
// Reading the clock is in each of the three, so the floor has it twice: with one receiver
// that is up to a tenth.
func BenchmarkFanOut(b *testing.B) {
	for _, p := range profiles {
		for _, size := range []int{160, 1200} {
			for _, receivers := range []int{1, 10, 100, 500} {
				for _, send := range []string{"batched", "segmented"} {
					for _, burst := range []int{1, 8} {
						if send == "segmented" && burst == 1 {
							continue // there is nothing to cut
						}
						b.Run(fmt.Sprintf("profile=%v/size=%d/receivers=%d/burst=%d/send=%s", p, size, receivers, burst, send), func(b *testing.B) {
							fanOut(b, p, size, receivers, burst, send == "segmented")
						})
					}
				}
			}
		}
	}
}

func fanOut(b *testing.B, p srtp.Profile, size, receivers, burst int, cut bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ReportAllocs()
	const headerSize, most = 12, 64
	to, out := sinks(b, receivers), newSocket(b, most, cut)
	batch := fanout.NewBatch(out, most)
	source := fanout.NewSource(keys(b, p, 0).Opener(srtp.OpenerConfig{}), batch)
	sealers := make([]*srtp.Sealer, receivers)
	for i := range to {
		k := keys(b, p, i)
		sealers[i] = k.Sealer()
		source.Track(0).Add(fanout.NewReceiver(fanout.ReceiverConfig{To: to[i], Sealer: k.Sealer(), SSRC: 1 << 31}))
	}
	in := keys(b, p, 0).Sealer()
	// What the floor sends lies in memory as what a Batch sends.
	length := headerSize + size + p.Overhead()
	memory, sealed := make([]byte, most*length), make([]fanout.Datagram, receivers*burst)
	for i := range sealed {
		at := i % most * length
		sealed[i] = fanout.Datagram{To: to[i/burst], Data: memory[at : at+length]}
	}
	packets, buf := make([][]byte, burst), make([]byte, headerSize+size, 1500)
	for i := range packets {
		packets[i] = make([]byte, headerSize+size, 1500)
	}
	seq := uint16(0)
	header := func(p []byte, seq uint16) {
		clear(p[:headerSize])
		p[0] = 0x80
		binary.BigEndian.PutUint16(p[2:], seq)
	}
	arrive := func() {
		for i := range packets {
			header(packets[i], seq)
			var err error
			if packets[i], err = in.RTP(packets[i][:headerSize], packets[i][headerSize:headerSize+size]); err != nil {
				b.Fatal(err)
			}
			seq++
		}
	}
	sealings := uint16(0)
	turns := []func(){
		func() {
			source.Forward(packets)
			batch.Flush()
		},
		func() {
			for _, s := range sealers {
				for i := range burst {
					header(buf, sealings+uint16(i))
					if _, err := s.RTP(buf[:headerSize], buf[headerSize:]); err != nil {
						b.Fatal(err)
					}
				}
			}
			sealings += uint16(burst)
		},
		func() {
			for rest := sealed; len(rest) > 0; {
				n := min(most, len(rest))
				out.Send(rest[:n])
				rest = rest[n:]
			}
		},
		func() {
			for i := range packets {
				source.Forward(packets[i : i+1])
			}
			batch.Flush()
		},
	}
	took := make([][]float64, len(turns))
	round := func() {
		for i, turn := range turns {
			if i == 0 || i == 3 {
				arrive()
			}
			start := cpu(b)
			turn()
			took[i] = append(took[i], float64((cpu(b)-start).Nanoseconds())/float64(receivers*burst))
		}
	}
	round() // the streams begin, and memory is touched
	for i := range took {
		took[i] = make([]float64, 0, 1<<20)
	}
	for b.Loop() {
		round()
	}
	if sent, unsent := batch.Sent(); unsent > 0 || sent == 0 {
		b.Fatalf("%d sent, %d not", sent, unsent)
	}
	median := make([]float64, len(turns))
	for i := range took {
		slices.Sort(took[i])
		median[i] = took[i][len(took[i])/2]
	}
	b.ReportMetric(median[0], "ns/packet")
	b.ReportMetric(median[1], "ns-seal")
	b.ReportMetric(median[2], "ns-send")
	b.ReportMetric(median[0]/(median[1]+median[2]), "x-floor")
	if burst > 1 {
		b.ReportMetric(median[3], "ns-singly")
	}
	b.ReportMetric(0, "ns/op")
}
