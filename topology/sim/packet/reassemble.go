package packet

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Limits of a Reassembler.
const (
	reassemblyTimeout = 30 * time.Second // RFC 1122, section 3.3.2, asks for 60 to 120 of a host
	maxIncomplete     = 64               // packets in the making
	maxFragments      = 1024             // of one packet
	maxPacket         = 65535
)

// Reassembler puts fragments together, so that a NAT or firewall sees the ports of
// each (RFC 4787, REQ-14: out of order too). The zero value is ready. It is safe
// for concurrent use, and bounded in what it keeps.
type Reassembler struct {
	mu      sync.Mutex
	pending map[fragmentKey]*incomplete
}

type fragmentKey struct {
	source, destination netip.Addr
	protocol            Protocol
	id                  uint32
}

type incomplete struct {
	since  time.Time
	pieces []piece // by offset, without overlap
	end    int     // of the payload; 0 until the last fragment has come
	size   int     // of the payload bytes that are here
	head   []byte  // what stands before the first fragment's payload
}

type piece struct {
	offset int
	data   []byte
}

// Whole is a packet that was put together.
type Whole struct {
	Data []byte
	// Largest is the size of its largest fragment, to which it may be split again
	// without making any larger than the sender did (RFC 8200 lets no router
	// choose).
	Largest int
	// ID is the identification that its fragments had.
	ID uint32
}

// Add takes a fragment and returns the whole packet once it is complete. What
// overlaps is dropped with all that belongs to it (RFC 5722).
func (r *Reassembler) Add(p Packet, now time.Time) (Whole, bool) {
	if !p.IsFragment() {
		return Whole{Data: p.data, Largest: p.Len()}, true
	}
	key := fragmentKey{source: p.SourceAddr(), destination: p.DestinationAddr()}
	start := p.transport
	if p.version == 4 {
		key.protocol = p.protocol
		key.id = uint32(binary.BigEndian.Uint16(p.data[4:]))
	} else {
		start = p.fragmentHeader + 8
		key.id = binary.BigEndian.Uint32(p.data[p.fragmentHeader+4:])
	}
	payload := p.data[start:]
	if p.more && len(payload)%8 != 0 || len(payload) == 0 || p.offset+len(payload)+start > maxPacket {
		return Whole{}, false
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = make(map[fragmentKey]*incomplete)
	}
	in := r.pending[key]
	if in == nil {
		r.makeRoom(now)
		in = &incomplete{since: now}
		r.pending[key] = in
	}
	if !in.add(p, start, payload) {
		delete(r.pending, key)
		return Whole{}, false
	}
	if in.head == nil || in.end == 0 || in.size != in.end {
		return Whole{}, false
	}
	delete(r.pending, key)
	return in.whole(key.id)
}

// makeRoom forgets what is too old, and the oldest when there is too much.
func (r *Reassembler) makeRoom(now time.Time) {
	var oldest fragmentKey
	var since time.Time
	for key, in := range r.pending {
		if now.Sub(in.since) > reassemblyTimeout {
			delete(r.pending, key)
			continue
		}
		if since.IsZero() || in.since.Before(since) {
			oldest, since = key, in.since
		}
	}
	if len(r.pending) >= maxIncomplete {
		delete(r.pending, oldest)
	}
}

func (in *incomplete) add(p Packet, start int, payload []byte) bool {
	at, found := slices.BinarySearchFunc(in.pieces, p.offset, func(a piece, offset int) int { return a.offset - offset })
	if found && len(in.pieces[at].data) == len(payload) {
		return true // a duplicate, which the network may well make
	}
	end := p.offset + len(payload)
	if found ||
		at > 0 && in.pieces[at-1].offset+len(in.pieces[at-1].data) > p.offset ||
		at < len(in.pieces) && in.pieces[at].offset < end ||
		len(in.pieces) >= maxFragments ||
		in.end != 0 && (end > in.end || !p.more) {
		return false
	}
	if !p.more {
		if n := len(in.pieces); n > 0 && in.pieces[n-1].offset > p.offset {
			return false
		}
		in.end = end
	}
	if p.offset == 0 {
		in.head = p.data[:start]
	}
	in.pieces = slices.Insert(in.pieces, at, piece{p.offset, payload})
	in.size += len(payload)
	return true
}

func (in *incomplete) whole(id uint32) (Whole, bool) {
	head := in.head
	largest := 0
	for _, piece := range in.pieces {
		largest = max(largest, len(head)+len(piece.data))
	}
	v6 := head[0]>>4 == 6
	next := byte(0)
	if v6 { // take the fragment header out; it is the last of the head
		next = head[len(head)-8]
		head = head[:len(head)-8]
	}
	data := make([]byte, 0, len(head)+in.size)
	data = append(data, head...)
	for _, piece := range in.pieces {
		data = append(data, piece.data...)
	}
	if v6 {
		binary.BigEndian.PutUint16(data[4:], uint16(len(data)-ipv6Header))
		data[lastNextHeader(head)] = next
	} else {
		binary.BigEndian.PutUint16(data[2:], uint16(len(data)))
		data[6], data[7] = data[6]&0x40, 0
		h := Packet{data: data, version: 4, transport: len(head)}
		h.finishHeader()
	}
	return Whole{Data: data, Largest: largest, ID: id}, true
}

// lastNextHeader is where, in an IPv6 header with extensions, the last next-header
// field is.
func lastNextHeader(head []byte) int {
	field := 6
	for at := ipv6Header; at+8 <= len(head); at += 8 + int(head[at+1])*8 {
		field = at
	}
	return field
}
