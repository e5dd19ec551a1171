package udp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// header is the kernel's struct mmsghdr.
type header struct {
	unix.Msghdr
	size uint32
	_    [4]byte
}

// The control messages in use are one of UDP_SEGMENT on the way out, and one each
// of UDP_GRO and SCM_TIMESTAMPNS on the way in.
const (
	controlHeader = unix.SizeofCmsghdr
	controlOut    = controlHeader + 8
	controlIn     = controlHeader + 8 + controlHeader + 16
)

// Outbox collects messages that leave together, by one system call for all
// (sendmmsg). A message may be a run of packets of one size (UDP_SEGMENT), and is
// put together from pieces where they lie. It belongs to one goroutine.
type Outbox struct {
	headers []header
	to      []Address
	control [][controlOut]byte
	packets []packets
	pieces  []unix.Iovec
	n, used int // messages, pieces
}

// packets says how many a message is.
type packets struct{ bytes, segment int }

func (p packets) count() int {
	if p.segment == 0 {
		return 1
	}
	return (p.bytes + p.segment - 1) / p.segment
}

// NewOutbox has room for so many messages, of so many pieces in all.
func NewOutbox(messages, pieces int) *Outbox {
	return &Outbox{
		headers: make([]header, messages), to: make([]Address, messages),
		control: make([][controlOut]byte, messages),
		packets: make([]packets, messages), pieces: make([]unix.Iovec, pieces),
	}
}

// Room says whether so many messages, of so many pieces together, fit.
func (o *Outbox) Room(messages, pieces int) bool {
	return o.n+messages <= len(o.headers) && o.used+pieces <= len(o.pieces)
}

// Empty is true when there is nothing to send.
func (o *Outbox) Empty() bool { return o.n == 0 }

// Begin begins a message, whose pieces Append adds. A nil address is that which the
// socket is connected to. A segment above 0 has the kernel cut the message into
// packets of that size.
func (o *Outbox) Begin(to *Address, segment int) {
	h := &o.headers[o.n]
	h.Msghdr = unix.Msghdr{Iov: &o.pieces[o.used]}
	o.packets[o.n] = packets{segment: segment}
	if to != nil {
		o.to[o.n] = *to
		h.Name, h.Namelen = &o.to[o.n][0], uint32(len(to))
	}
	if segment > 0 {
		c := &o.control[o.n]
		binary.NativeEndian.PutUint64(c[0:], controlHeader+2)
		binary.NativeEndian.PutUint32(c[8:], unix.SOL_UDP)
		binary.NativeEndian.PutUint32(c[12:], unix.UDP_SEGMENT)
		binary.NativeEndian.PutUint16(c[16:], uint16(segment))
		h.Control = &c[0]
		h.SetControllen(controlOut)
	}
	o.n++
}

// Append adds a piece to the message that was begun last. The piece must stay as it
// is until Flush.
func (o *Outbox) Append(p []byte) {
	o.pieces[o.used].Base = unsafe.SliceData(p)
	o.pieces[o.used].SetLen(len(p))
	o.used++
	o.headers[o.n-1].Iovlen++
	o.packets[o.n-1].bytes += len(p)
}

// Flush sends what was collected and empties the outbox. It returns how many
// packets were not taken by the kernel.
func (o *Outbox) Flush(s *Socket) (failed int) {
	for sent := 0; sent < o.n; {
		r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&o.headers[sent])),
			uintptr(o.n-sent), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			sent += int(r)
		case errno == unix.EINTR:
		default:
			// The first of the rest is what failed; the others may not.
			failed += o.packets[sent].count()
			sent++
		}
	}
	o.n, o.used = 0, 0
	return failed
}

// Inbox receives messages together, by one system call for all (recvmmsg). It
// belongs to one goroutine and serves any number of sockets.
type Inbox struct {
	headers []header
	from    []Address
	control [][controlIn]byte
	pieces  []unix.Iovec
	size    int
}

// NewInbox has room for so many messages of up to size bytes.
func NewInbox(messages, size int) *Inbox {
	b := &Inbox{
		headers: make([]header, messages), from: make([]Address, messages),
		control: make([][controlIn]byte, messages), pieces: make([]unix.Iovec, messages), size: size,
	}
	store := make([]byte, messages*size)
	for i := range b.headers {
		b.pieces[i].Base = &store[i*size]
		b.pieces[i].SetLen(size)
		h := &b.headers[i]
		h.Iov, h.Iovlen = &b.pieces[i], 1
		h.Name, h.Control = &b.from[i][0], &b.control[i][0]
	}
	return b
}

// Receive takes what has arrived, as far as there is room, and returns how many
// messages that are.
func (b *Inbox) Receive(s *Socket) (n int, err error) {
	for i := range b.headers {
		b.headers[i].Namelen = uint32(len(Address{}))
		b.headers[i].SetControllen(controlIn)
	}
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&b.headers[0])),
			uintptr(len(b.headers)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Message is the i-th of those that Receive took.
func (b *Inbox) Message(i int) Message {
	h := &b.headers[i]
	m := Message{Data: unsafe.Slice(b.pieces[i].Base, h.size), From: b.from[i]}
	c := b.control[i][:h.Controllen]
	for len(c) >= controlHeader {
		size := int(binary.NativeEndian.Uint64(c))
		if size < controlHeader || size > len(c) {
			break
		}
		level, kind, body := binary.NativeEndian.Uint32(c[8:]), binary.NativeEndian.Uint32(c[12:]), c[controlHeader:size]
		switch {
		case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(body) >= 4:
			m.Segment = int(binary.NativeEndian.Uint32(body))
		case level == unix.SOL_SOCKET && kind == unix.SCM_TIMESTAMPNS && len(body) >= 16:
			m.At = int64(binary.NativeEndian.Uint64(body))*1e9 + int64(binary.NativeEndian.Uint64(body[8:]))
		}
		c = c[min(len(c), (size+7)&^7):]
	}
	return m
}
