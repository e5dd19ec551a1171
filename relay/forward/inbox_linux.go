package forward

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// slots is how many datagrams, or runs of datagrams, a worker holds at once.
	slots = 256
	// slotSize is the longest run that the kernel puts together.
	slotSize = 1 << 16
	// stagger keeps the beginnings of the slots out of each other's cache lines,
	// of which those at the same place of a page share a set.
	stagger = 5 * 64
	// headroom is what stands free in front of each datagram: place for a header,
	// in a line of its own so that payloads begin aligned.
	headroom = 64
)

// inbox are a worker's receive buffers. They are used one after the other, and all
// again when what they hold has been sent.
type inbox struct {
	used    int
	memory  []byte
	msgs    [slots]unix.Mmsghdr
	iov     [slots]unix.Iovec
	names   [slots]unix.RawSockaddrInet6
	control [slots]control
}

// control has room for one ancillary message with an int.
type control struct {
	header unix.Cmsghdr
	value  [8]byte
}

// inboxSize is how many bytes of memory an inbox has. Most of it is never touched, as
// runs are seldom so long.
const inboxSize = slots * (slotSize + stagger + headroom)

// newInbox makes an inbox of inboxSize bytes of memory.
func newInbox(memory []byte) *inbox {
	in := &inbox{memory: memory}
	for i := range in.msgs {
		b := in.slot(i)
		in.iov[i].Base = &b[headroom]
		in.iov[i].SetLen(slotSize)
		h := &in.msgs[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&in.names[i]))
		h.Iov = &in.iov[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&in.control[i]))
	}
	return in
}

// outside returns memory that the collector of garbage does not count, and what gives it
// back. It sizes the heap by what lives in it, so that each worker's inbox would let it
// grow by as much again.
func outside(bytes int) (memory []byte, release func()) {
	m, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return make([]byte, bytes), func() {}
	}
	return m, func() { _ = unix.Munmap(m) }
}

func (in *inbox) slot(i int) []byte {
	at := i * (slotSize + stagger + headroom)
	return in.memory[at : at+headroom+slotSize]
}

// receive reads at most n datagrams or runs of them. They are those from in.used on
// until the caller counts them as used.
func (in *inbox) receive(s *socket, n int) (int, syscall.Errno) {
	for i := in.used; i < in.used+n; i++ {
		h := &in.msgs[i].Hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(int(unsafe.Sizeof(control{})))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.fd < 0 {
		return 0, unix.EBADF
	}
	return recvmmsg(s.fd, &in.msgs[in.used], n)
}

// run returns what is in slot i: who sent it, the datagrams one behind the other,
// and the size of each; only the last may be shorter.
func (in *inbox) run(i int) (from endpoint, data []byte, size int) {
	m := &in.msgs[i]
	n := int(m.Len)
	size = n
	if c := &in.control[i]; int(m.Hdr.Controllen) >= unix.CmsgLen(4) &&
		c.header.Level == unix.SOL_UDP && c.header.Type == unix.UDP_GRO {
		if s := int(*(*int32)(unsafe.Pointer(&c.value))); s > 0 {
			size = s
		}
	}
	return endpointOfRaw(&in.names[i]), in.slot(i)[headroom : headroom+n], size
}

// before returns the datagram at the beginning of slot i with n bytes in front.
func (in *inbox) before(i, n, size int) []byte { return in.slot(i)[headroom-n : headroom+size] }
