package fanout

import "net/netip"

// Datagram is a sealed packet and where it goes.
type Datagram struct {
	To   netip.AddrPort
	Data []byte
}

// Sender sends datagrams. Those of one receiver stand side by side, in the slice and in
// memory.
type Sender interface {
	// Send sends a batch in its order, and returns how many it could send. It does
	// not keep the memory.
	Send(batch []Datagram) (sent int)
}

const (
	// defaultDatagrams is what one system call takes without holding up the first
	// datagram for long.
	defaultDatagrams = 64
	// datagramSize is what a datagram has on average room for.
	datagramSize = 1500
	// largest is the largest UDP payload, and what sealing may make it longer.
	largest = 65507 + 64
)

// Batch is what is to be sent. One goroutine uses it, for all of its Sources.
type Batch struct {
	sender    Sender
	datagrams []Datagram
	memory    []byte
	used      int

	sent, unsent uint64
}

// NewBatch makes a batch that holds so many datagrams before it sends them without
// being told to; 0 is 64.
func NewBatch(sender Sender, datagrams int) *Batch {
	if datagrams <= 0 {
		datagrams = defaultDatagrams
	}
	return &Batch{
		sender:    sender,
		datagrams: make([]Datagram, 0, datagrams),
		memory:    make([]byte, max(datagrams*datagramSize, largest)),
	}
}

// Flush sends what is there. Its owner calls it when it has forwarded what came in and
// before it waits.
func (b *Batch) Flush() {
	if len(b.datagrams) == 0 {
		return
	}
	sent := b.sender.Send(b.datagrams)
	b.sent += uint64(sent)
	b.unsent += uint64(len(b.datagrams) - sent)
	b.datagrams = b.datagrams[:0]
	b.used = 0
}

// Sent returns how many datagrams the Sender has sent, and how many it could not.
func (b *Batch) Sent() (sent, unsent uint64) { return b.sent, b.unsent }

// Room returns memory for a datagram of at most size bytes, which Add puts in. It may
// send what is there already, whose memory is free then.
func (b *Batch) Room(size int) []byte {
	if len(b.datagrams) == cap(b.datagrams) || b.used+size > len(b.memory) {
		b.Flush()
	}
	return b.memory[b.used : b.used+size : b.used+size]
}

// Add puts a datagram in that stands at the beginning of what Room has returned since the
// last Add.
func (b *Batch) Add(to netip.AddrPort, data []byte) {
	b.datagrams = append(b.datagrams, Datagram{To: to, Data: data})
	b.used += len(data)
}
