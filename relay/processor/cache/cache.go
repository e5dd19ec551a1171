package cache

import "math/bits"

// The defaults of Config, and what bounds it: numbers are compared over half their range.
const (
	defaultPackets = 512
	defaultBytes   = 512 << 10
	mostPackets    = 1 << 14
	// past is how late no packet is that relay/forward/srtp opens: its window is shorter.
	past = 1024
)

// Config is the size of a Cache, which does not change.
type Config struct {
	// Packets is how many packets are kept at most: 512 by default, which is 5 s of
	// video at 1 Mbit/s; rounded up to a power of two, and 16384 at most.
	Packets int
	// Bytes is how much memory their contents have; 512 KiB by default. The oldest
	// packets go when either runs out.
	Bytes int
}

// Cache holds the last packets of one stream by their sequence numbers, in a ring of
// fixed memory. The number of its slot is the low bits of a packet's sequence number.
type Cache struct {
	slots  []slot
	memory []byte
	// written is how far the memory has been written since the beginning, with what
	// was left out at its end. It is where the next packet goes, modulo its length.
	written uint64
	newest  newest
}

type slot struct {
	at   uint64 // the value of written before this packet
	size uint16 // 0: the slot is empty
	seq  uint16
}

// New makes an empty Cache.
func New(cfg Config) *Cache {
	if cfg.Bytes <= 0 {
		cfg.Bytes = defaultBytes
	}
	return &Cache{
		slots:  make([]slot, ring(cfg.Packets)),
		memory: make([]byte, cfg.Bytes),
	}
}

// ring returns how many slots a ring for so many packets has.
func ring(packets int) int {
	if packets <= 0 {
		packets = defaultPackets
	}
	return 1 << bits.Len(uint(min(packets, mostPackets)-1))
}

// newest is the newest sequence number of a stream.
type newest struct {
	seq   uint16
	begun bool
}

// follow takes in a number, and says whether it is in a ring of so many slots. What
// seems to be older than two rings, and than past, is a new beginning.
func (n *newest) follow(seq uint16, slots int) bool {
	ahead := int(int16(seq - n.seq))
	if !n.begun || ahead > 0 || ahead <= -max(2*slots, past) {
		n.seq, n.begun = seq, true
		return true
	}
	return ahead > -slots
}

// near says whether a number is one of the last so many.
func (n *newest) near(seq uint16, slots int) bool { return int(n.seq-seq) < slots }

// Put keeps a copy of a packet, whose two parts may lie apart. It says whether there was
// something to keep: an empty packet, one larger than 65535 bytes or all of the memory,
// one older than the ring is long, and one that is there already are not kept.
func (c *Cache) Put(seq uint16, header, payload []byte) bool {
	size := len(header) + len(payload)
	if size == 0 || size > min(len(c.memory), 0xffff) {
		return false
	}
	if !c.newest.follow(seq, len(c.slots)) {
		return false
	}
	s := &c.slots[int(seq)&(len(c.slots)-1)]
	if s.size > 0 && s.seq == seq && c.holds(s) {
		return false
	}
	start := int(c.written % uint64(len(c.memory)))
	if left := len(c.memory) - start; left < size {
		c.written += uint64(left)
		start = 0
	}
	*s = slot{at: c.written, size: uint16(size), seq: seq}
	n := copy(c.memory[start:], header)
	copy(c.memory[start+n:], payload)
	c.written += uint64(size)
	return true
}

// Get returns a packet, or nil when it is not there: it never was, or it has made room
// for others. It aliases the cache, and is good until the next Put.
func (c *Cache) Get(seq uint16) []byte {
	s := &c.slots[int(seq)&(len(c.slots)-1)]
	// A slot can have a packet of one round of the numbers before.
	if s.size == 0 || s.seq != seq || !c.holds(s) || !c.newest.near(seq, len(c.slots)) {
		return nil
	}
	start := int(s.at % uint64(len(c.memory)))
	return c.memory[start : start+int(s.size) : start+int(s.size)]
}

// holds says whether a packet's memory is still its own.
func (c *Cache) holds(s *slot) bool { return c.written-s.at <= uint64(len(c.memory)) }
