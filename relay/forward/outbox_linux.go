package forward

import (
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxSegments is what all kernels with UDP_SEGMENT cut a message into.
	maxSegments = 64
	// maxRun bounds the bytes of a run: less than a UDP datagram can have.
	maxRun = 65000
	// hints is the size of the table of open runs, a power of two.
	hints = 256
	// sendPatience is how long a worker waits for a full send buffer.
	sendPatience = time.Millisecond
)

// outbox gathers what a worker is to send, and sends it: packets of one flow in
// runs that are one message to the kernel (UDP_SEGMENT), messages of one socket in
// one system call. Packets of a flow keep their order; flows may pass each other.
type outbox struct {
	// whole is set when the kernel cannot cut messages: each packet is its own.
	whole *atomic.Bool
	used  int
	runs  [slots]run
	msgs  [slots]unix.Mmsghdr
	iov   [slots][2 * maxSegments]unix.Iovec
	// segment tells the kernel where to cut.
	segment [slots]control
	// heads are the ChannelData headers of a run's full packets and of its last.
	heads [slots][2][headerChannelData]byte
	// hint is where a flow's latest run is, if it is.
	hint [hints]uint8
}

// run is packets of one flow of the same size, of which the last may be shorter.
type run struct {
	socket *socket
	flow   *flow
	count  *counter
	// open is set while the run can take more packets.
	open             bool
	size             int // of a packet as sent
	packets, iovs    int
	payload, message int // bytes
}

func newOutbox(whole *atomic.Bool) *outbox {
	o := &outbox{whole: whole}
	for i := range o.msgs {
		c := &o.segment[i]
		c.header.Level, c.header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		c.header.SetLen(unix.CmsgLen(2))
		o.msgs[i].Hdr.Iov = &o.iov[i][0]
		o.msgs[i].Hdr.Control = (*byte)(unsafe.Pointer(c))
	}
	return o
}

// toPeer adds a payload on its way to a flow's peer.
func (o *outbox) toPeer(s *socket, f *flow, payload []byte) {
	i := o.place(s, f, &f.toPeer, &f.to, len(payload))
	o.append(i, payload)
	o.runs[i].payload += len(payload)
}

// toClient adds a payload on its way to the client. When framed is not nil it is
// the payload with room for the header in front.
func (o *outbox) toClient(s *socket, f *flow, to *sockaddr, payload, framed []byte) {
	i := o.place(s, f, &f.toClient, to, headerChannelData+len(payload))
	r := &o.runs[i]
	r.payload += len(payload)
	if framed != nil {
		putHeader(framed, f.channel, len(payload))
		o.append(i, framed)
		return
	}
	head := &o.heads[i][0]
	if !r.open && r.packets > 1 {
		head = &o.heads[i][1] // a shorter last packet
	}
	putHeader(head[:], f.channel, len(payload))
	o.append(i, head[:])
	o.append(i, payload)
}

// place returns the run for a packet of size bytes, counted as part of it already.
func (o *outbox) place(s *socket, f *flow, c *counter, to *sockaddr, size int) int {
	at := &o.hint[f.id%hints]
	if i := int(*at); i < o.used {
		if r := &o.runs[i]; r.flow == f && r.open && size <= r.size && size > 0 && r.message+size <= maxRun {
			r.packets++
			r.message += size
			r.open = size == r.size && r.packets < maxSegments
			return i
		}
	}
	i := o.used
	o.used++
	*at = uint8(i)
	o.runs[i] = run{socket: s, flow: f, count: c, open: size > 0 && !o.whole.Load(), size: size, packets: 1, message: size}
	h := &o.msgs[i].Hdr
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(&to.raw)), to.size
	return i
}

func (o *outbox) append(i int, p []byte) {
	r := &o.runs[i]
	v := &o.iov[i][r.iovs]
	v.Base = unsafe.SliceData(p)
	v.SetLen(len(p))
	r.iovs++
}

func (o *outbox) full() bool { return o.used == slots }

// flush sends everything.
func (o *outbox) flush() {
	for i := 0; i < o.used; i++ {
		r, h := &o.runs[i], &o.msgs[i].Hdr
		h.SetIovlen(r.iovs)
		h.SetControllen(0)
		if r.packets > 1 {
			*(*uint16)(unsafe.Pointer(&o.segment[i].value)) = uint16(r.size)
			h.SetControllen(int(unsafe.Sizeof(control{})))
		}
		r.count.sent(r.packets, r.payload)
	}
	for i := 0; i < o.used; {
		s, j := o.runs[i].socket, i+1
		for j < o.used && o.runs[j].socket == s {
			j++
		}
		o.send(s, i, j)
		i = j
	}
	o.used = 0
}

// send sends the messages from i up to j, which are all of one socket.
func (o *outbox) send(s *socket, i, j int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	waited := false
	for i < j {
		if s.fd < 0 {
			o.runs[i].count.failed(o.runs[i].packets, o.runs[i].payload)
			i++
			continue
		}
		n, errno := sendmmsg(s.fd, &o.msgs[i], j-i)
		switch {
		case errno == 0:
			i += n
		case errno == unix.EINTR:
		case errno == unix.EAGAIN && !waited:
			waited = true
			s.awaitRoom(sendPatience)
		default:
			o.failed(s, i, errno)
			i++
		}
	}
}

// failed deals with a message that the kernel refuses. A run may be refused for
// being one: when its packets are longer than the path allows, or when the
// interface cannot make checksums.
func (o *outbox) failed(s *socket, i int, errno syscall.Errno) {
	r := &o.runs[i]
	if r.packets == 1 {
		r.count.failed(1, r.payload)
		return
	}
	if errno == unix.EIO || errno == unix.EOPNOTSUPP || errno == unix.ENOPROTOOPT {
		o.whole.Store(true)
	}
	m := unix.Mmsghdr{Hdr: o.msgs[i].Hdr}
	m.Hdr.SetControllen(0)
	overhead := (r.message - r.payload) / r.packets
	for first, sent := 0, 0; first < r.iovs; {
		n, bytes := 0, 0
		for first+n < r.iovs && bytes < min(r.size, r.message-sent) {
			bytes += int(o.iov[i][first+n].Len)
			n++
		}
		m.Hdr.Iov = &o.iov[i][first]
		m.Hdr.SetIovlen(n)
		if _, errno := sendmmsg(s.fd, &m, 1); errno != 0 {
			r.count.failed(1, bytes-overhead)
		}
		first += n
		sent += bytes
	}
}
