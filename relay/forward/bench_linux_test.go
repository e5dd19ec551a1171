package forward

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

func BenchmarkTable(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			t := newTable[*flow]()
			keys := make([]endpoint, n)
			for i := range keys {
				keys[i] = endpoint{lo: mappedIPv4 | uint64(0x0a000000+i*7), port: uint16(40000 + i)}
				t.set(keys[i], new(flow))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if t.get(keys[i%n]) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}

func BenchmarkFlowByChannel(b *testing.B) { benchmarkFlows(b, (*flows).byChannelOf) }
func BenchmarkFlowByPeer(b *testing.B)    { benchmarkFlows(b, (*flows).byPeerOf) }

func (f *flows) byChannelOf(x *flow) *flow { return f.byChannel(x.channel) }
func (f *flows) byPeerOf(x *flow) *flow    { return f.byPeer(x.peer) }

func benchmarkFlows(b *testing.B, find func(*flows, *flow) *flow) {
	for _, n := range []int{1, 8, 128} {
		b.Run(fmt.Sprintf("channels=%d", n), func(b *testing.B) {
			var all []*flow
			for i := range n {
				all = append(all, &flow{channel: uint16(minChannel + i), peer: endpoint{lo: mappedIPv4 | uint64(0x0a000000+i), port: 5000}})
			}
			f := newFlows(all)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if find(f, all[i%n]) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}

func BenchmarkSendIndication(b *testing.B) {
	p := indication(netip.MustParseAddrPort("192.0.2.7:4711"), make([]byte, 160))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := send(p); !ok {
			b.Fatal("not read")
		}
	}
}

// BenchmarkRewrite is all that is done with a packet between two system calls.
func BenchmarkRewrite(b *testing.B) {
	f := &flow{channel: minChannel, peer: endpoint{lo: mappedIPv4 | 0x0a000001, port: 5000}}
	r := &Relay{socket: &socket{fd: -1}}
	r.flows.Store(newFlows([]*flow{f}))
	var whole atomic.Bool
	w := &worker{in: newInbox(make([]byte, inboxSize)), toPeers: newOutbox(&whole)}
	clients := newTable[*Relay]()
	client := endpoint{lo: mappedIPv4 | 0x0a000002, port: 6000}
	clients.set(client, r)
	frame := w.in.before(0, headerChannelData, 200)
	putHeader(frame, minChannel, 200)
	b.Run("to peer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !clients.get(client).toPeer(w, frame) {
				b.Fatal("not forwarded")
			}
			if w.toPeers.full() || w.toPeers.runs[0].packets == maxSegments {
				w.toPeers.used = 0
			}
		}
	})
	b.Run("to client", func(b *testing.B) {
		out, name := newOutbox(&whole), new(sockaddr)
		b.ReportAllocs()
		for b.Loop() {
			f := r.flows.Load().byPeer(f.peer)
			out.toClient(r.socket, f, name, frame[headerChannelData:], frame)
			if out.full() || out.runs[0].packets == maxSegments {
				out.used = 0
			}
		}
	})
}

// BenchmarkForward is the whole way over loopback, by this goroutine alone: what
// the sender, the worker and the kernel do for one packet each.
func BenchmarkForward(b *testing.B) {
	for _, flows := range []int{1, 50, 1000} {
		for _, burst := range []int{1, 16} {
			b.Run(fmt.Sprintf("to peer/flows=%d/burst=%d", flows, burst), func(b *testing.B) { benchmarkForward(b, flows, burst, true) })
			b.Run(fmt.Sprintf("to client/flows=%d/burst=%d", flows, burst), func(b *testing.B) { benchmarkForward(b, flows, burst, false) })
		}
	}
}

func benchmarkForward(b *testing.B, n, burst int, toPeer bool) {
	const size = 200
	fail := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	open := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		fail(err)
		return c
	}
	at := func(c net.PacketConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }
	core, err := New(Config{Workers: 1})
	fail(err)
	defer core.Close()
	l, err := core.Listen(open())
	fail(err)
	peer := open()
	defer peer.Close()
	var relays []*Relay
	var sources []*socket
	var names []sockaddr
	var sinks []*socket
	for range n {
		client := open()
		r, err := l.Relay(Allocation{Client: at(client), Conn: open()})
		fail(err)
		fail(r.Bind(Binding{Channel: minChannel, Peer: at(peer)}))
		s, err := takeSocket(client)
		fail(err)
		defer s.close()
		relays, sources, sinks = append(relays, r), append(sources, s), append(sinks, s)
	}
	peerSocket, err := takeSocket(peer)
	fail(err)
	defer peerSocket.close()
	// The worker goes to rest, and this goroutine does its work.
	core.workers[0].stop()
	core.running.Wait()
	w := core.workers[0]
	w.unwatch(w.wake)

	overhead := headerChannelData
	if !toPeer {
		overhead = 0
		for _, r := range relays {
			name, err := sockaddrOf(at(r), false)
			fail(err)
			names = append(names, name)
		}
	} else {
		name, err := sockaddrOf(at(l), false)
		fail(err)
		names = append(names, name)
		sinks = []*socket{peerSocket}
	}
	var whole atomic.Bool
	source, drain := newOutbox(&whole), newInbox(make([]byte, inboxSize))
	packet := make([]byte, overhead+size)
	if toPeer {
		binary.BigEndian.PutUint32(packet, minChannel<<16|size)
	}
	out := make([]flow, n)
	for i := range out {
		out[i].id = uint32(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for done, next := 0, 0; done < b.N; {
		// As many flows as a pass of the worker has places for.
		first := next
		for range min(n, batch) {
			s, name := peerSocket, &names[0]
			if toPeer {
				s = sources[next]
			} else {
				name = &names[next]
			}
			for range burst {
				i := source.place(s, &out[next], &out[next].toPeer, name, len(packet))
				source.append(i, packet)
			}
			next = (next + 1) % n
			done += burst
		}
		source.flush()
		for {
			k := w.poll()
			for i := range k {
				w.sources.get(int(w.events[i].Fd)).ready(w)
			}
			w.flush()
			if k == 0 {
				break
			}
		}
		for i := range min(len(sinks), batch) {
			for {
				if k, errno := drain.receive(sinks[(first+i)%len(sinks)], slots); errno != 0 || k < slots {
					break
				}
			}
		}
	}
	b.StopTimer()
	t := core.Totals()
	if got := t.ToPeer.Packets + t.ToClient.Packets; got < uint64(b.N)*9/10 {
		b.Errorf("of %d packets only %d were forwarded", b.N, got)
	}
}
