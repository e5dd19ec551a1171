package forward

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/fanout"
)

// Port is a UDP socket for one goroutine that receives datagrams, makes others of them,
// and sends these: many with one system call, in both directions, runs of one peer and
// one size as one message (UDP_GRO, UDP_SEGMENT). It is for media processors, as Core is
// for relays.
//
// Receive and Send belong to that goroutine. WriteTo and Wake may be called from any, and
// Close when Receive has returned for the last time.
type Port struct {
	socket *socket
	wait   *waiter
	wake   int // an eventfd
	in     *inbox
	pace   pace
	came   int // by the last Receive

	arrived []fanout.Datagram
	out     [portSlots]portMessage
	msgs    [portSlots]unix.Mmsghdr
	// whole is set when the kernel cannot cut messages.
	whole atomic.Bool
}

// portSlots is how many messages one system call sends.
const portSlots = 64

// portMessage is what a message to the kernel refers to.
type portMessage struct {
	name    sockaddr
	iov     unix.Iovec
	segment control
	packets int
}

// NewPort takes the socket out of the net package: conn is closed, its address lives on.
func NewPort(conn *net.UDPConn) (*Port, error) {
	p := &Port{wake: -1, in: newInbox(make([]byte, inboxSize))}
	var err error
	if p.wait, err = newWaiter(2); err != nil {
		return nil, err
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		p.Close()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if p.socket, err = takeSocket(conn); err != nil {
		p.Close()
		return nil, err
	}
	p.socket.grow(portBuffer)
	for _, fd := range []int{p.wake, p.socket.fd} {
		if err := p.wait.watch(fd); err != nil {
			p.Close()
			return nil, err
		}
	}
	for i := range p.msgs {
		h, m := &p.msgs[i].Hdr, &p.out[i]
		h.Iov = &m.iov
		h.SetIovlen(1)
		m.segment.header.Level, m.segment.header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		m.segment.header.SetLen(unix.CmsgLen(2))
		h.Control = (*byte)(unsafe.Pointer(&m.segment))
	}
	return p, nil
}

// portBuffer is the size of the socket's buffers that is asked for: a tenth of a second
// of 300 Mbit/s.
const portBuffer = 4 << 20

// Local is the socket's address.
func (p *Port) Local() netip.AddrPort { return p.socket.local }

// Wake makes Receive return at once, or the next one when none waits.
func (p *Port) Wake() { _, _ = unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// Receive returns what has come, waiting for it at most so long. It may return nothing
// before. The datagrams' memory is the caller's until the next call.
func (p *Port) Receive(most time.Duration) []fanout.Datagram {
	if p.came > 0 {
		p.pace.add(p.came, time.Now())
		p.pace.gather(p.came)
	}
	p.arrived, p.in.used = p.arrived[:0], 0
	if p.read(); p.came == 0 {
		p.await(most)
		p.read()
	}
	return p.arrived
}

// read takes what is there.
func (p *Port) read() {
	n, errno := p.in.receive(p.socket, slots)
	if errno != 0 {
		n = 0
	}
	p.came = n
	for i := range n {
		from, data, size := p.in.run(i)
		at := from.addrPort()
		for len(data) > 0 {
			one := data[:min(size, len(data))]
			data = data[len(one):]
			p.arrived = append(p.arrived, fanout.Datagram{To: at, Data: one[:len(one):len(one)]})
		}
	}
}

// await waits for the socket or for Wake.
func (p *Port) await(most time.Duration) {
	began := time.Now()
	n := p.wait.waitUntil(began.Add(most))
	p.pace.waited += time.Since(began)
	for _, e := range p.wait.events[:n] {
		if int(e.Fd) == p.wake {
			var b [8]byte
			_, _ = unix.Read(p.wake, b[:])
		}
	}
}

// Send sends a batch, as fanout.Sender says.
func (p *Port) Send(batch []fanout.Datagram) (sent int) {
	for len(batch) > 0 {
		n, messages := p.gather(batch)
		sent += p.flush(messages)
		batch = batch[n:]
	}
	return sent
}

// gather makes messages of the first n datagrams.
func (p *Port) gather(batch []fanout.Datagram) (n, messages int) {
	for n < len(batch) && messages < portSlots {
		first, m, h := batch[n], &p.out[messages], &p.msgs[messages].Hdr
		name, err := sockaddrOf(first.To, p.socket.v6)
		if err != nil || len(first.Data) == 0 {
			n++
			continue
		}
		m.name, m.packets = name, 1
		bytes := len(first.Data)
		for k := n + 1; k < len(batch) && !p.whole.Load() && m.packets < maxSegments; k++ {
			d := batch[k]
			if d.To != first.To || len(d.Data) != len(first.Data) || bytes+len(d.Data) > maxRun ||
				uintptr(unsafe.Pointer(unsafe.SliceData(d.Data))) != uintptr(unsafe.Pointer(unsafe.SliceData(first.Data)))+uintptr(bytes) {
				break
			}
			m.packets++
			bytes += len(d.Data)
		}
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&m.name.raw)), m.name.size
		m.iov.Base = unsafe.SliceData(first.Data)
		m.iov.SetLen(bytes)
		h.SetControllen(0)
		if m.packets > 1 {
			*(*uint16)(unsafe.Pointer(&m.segment.value)) = uint16(len(first.Data))
			h.SetControllen(int(unsafe.Sizeof(control{})))
		}
		n += m.packets
		messages++
	}
	return n, messages
}

// flush sends the gathered messages and returns how many datagrams that were.
func (p *Port) flush(messages int) (sent int) {
	p.socket.mu.RLock()
	defer p.socket.mu.RUnlock()
	waited := false
	for i := 0; i < messages && p.socket.fd >= 0; {
		n, errno := sendmmsg(p.socket.fd, &p.msgs[i], messages-i)
		switch {
		case errno == 0:
			for ; n > 0; n-- {
				sent += p.out[i].packets
				i++
			}
		case errno == unix.EINTR:
		case errno == unix.EAGAIN && !waited:
			waited = true
			p.socket.awaitRoom(sendPatience)
		default:
			sent += p.singly(i, errno)
			i++
		}
	}
	return sent
}

// singly sends the packets of a message that the kernel refused one by one: it may be
// refused for being several, when they are longer than the path allows or the interface
// cannot make checksums.
func (p *Port) singly(i int, errno syscall.Errno) (sent int) {
	m := &p.out[i]
	if m.packets == 1 {
		return 0
	}
	if errno == unix.EIO || errno == unix.EOPNOTSUPP || errno == unix.ENOPROTOOPT {
		p.whole.Store(true)
	}
	one := unix.Mmsghdr{Hdr: p.msgs[i].Hdr}
	one.Hdr.SetControllen(0)
	size := int(m.iov.Len) / m.packets
	m.iov.SetLen(size)
	first := m.iov.Base
	for k := range m.packets {
		m.iov.Base = (*byte)(unsafe.Add(unsafe.Pointer(first), k*size))
		if _, errno := sendmmsg(p.socket.fd, &one, 1); errno == 0 {
			sent++
		}
	}
	return sent
}

// WriteTo sends one datagram, and waits when the socket's buffer is full.
func (p *Port) WriteTo(b []byte, to netip.AddrPort) error {
	_, err := p.socket.writeTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

// Close closes the socket.
func (p *Port) Close() error {
	if p.socket != nil {
		p.socket.close()
	}
	if p.wake >= 0 {
		unix.Close(p.wake)
		p.wake = -1
	}
	p.wait.close()
	return nil
}
