package capturefile

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"
)

// Types of the blocks that are looked at (draft-ietf-opsawg-pcapng, section 4).
const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	obsoletePacket = 2
	simplePacket   = 3
	secretsBlock   = 10
	enhancedPacket = 6
)

// blockHead and blockTail frame every block.
const (
	blockHead = 8
	blockTail = 4
)

// fixed are the bytes of a block before its options, its head included; those of
// packets have their data after them. Blocks of other types are passed over:
// pcapgo would keep some of them.
var fixed = map[uint32]int{
	sectionHeader:  blockHead + 16,
	interfaceBlock: blockHead + 8,
	obsoletePacket: blockHead + 20,
	simplePacket:   blockHead + 4,
	enhancedPacket: blockHead + 20,
}

// sections is a pcapng file.
type sections struct {
	blocks *blocks
	in     *bufio.Reader // pcapgo's, empty between blocks
	file   *pcapgo.NgReader
	// known are the interfaces of section number of.
	known map[int]*Interface
	of    int
}

func newSections(in *bufio.Reader, onKeyLog func([]byte)) (*sections, error) {
	s := &sections{blocks: &blocks{in: in, onKeyLog: onKeyLog}, known: map[int]*Interface{}}
	s.in = bufio.NewReaderSize(s.blocks, 4<<10)
	var err error
	s.file, err = pcapgo.NewNgReader(s.in, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return nil, s.failed(err)
	}
	return s, nil
}

func (s *sections) next() ([]byte, gopacket.CaptureInfo, *Interface, Direction, error) {
	frame, info, err := s.file.ZeroCopyReadPacketData()
	if err != nil {
		return nil, info, nil, Unknown, s.failed(err)
	}
	on, err := s.on(info.InterfaceIndex)
	if err != nil {
		return nil, info, nil, Unknown, s.failed(err)
	}
	return frame, info, on, s.blocks.direction, nil
}

// on is the interface of a number in the current section.
func (s *sections) on(index int) (*Interface, error) {
	if s.of != s.blocks.section {
		clear(s.known)
		s.of = s.blocks.section
	}
	if found := s.known[index]; found != nil {
		return found, nil
	}
	described, err := s.file.Interface(index)
	if err != nil {
		return nil, err
	}
	link := described.LinkType
	found := &Interface{Name: described.Name, Application: s.file.SectionInfo().Application, Link: link, Read: readable(link)}
	s.known[index] = found
	return found, nil
}

// failed makes the error of the block in hand.
func (s *sections) failed(err error) error {
	switch {
	case s.blocks.err != nil:
		return s.blocks.err
	case err == io.EOF:
		return io.EOF
	}
	return &Error{Offset: s.blocks.start, Problem: fmt.Sprintf("block of type %d: %v", s.blocks.kind, err), Valid: "pcapng 1.0"}
}

// blocks hands pcapgo those blocks of a file that it needs, one at a time and
// checked, so that it reads nothing that contradicts itself.
type blocks struct {
	in       *bufio.Reader
	onKeyLog func([]byte)

	order     binary.ByteOrder
	section   int // counts section headers
	described int // bytes of interface descriptions in this section

	start, end int64 // of the block in hand
	kind       uint32
	direction  Direction // of the packet in hand
	block      []byte
	rest       []byte // of block, not yet read
	err        error
}

// Read implements io.Reader.
func (b *blocks) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err == nil {
			b.err = b.advance()
		}
		if b.err != nil {
			return 0, b.err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *blocks) wrong(valid, format string, args ...any) error {
	return &Error{Offset: b.start, Problem: fmt.Sprintf(format, args...), Valid: valid}
}

// ended is the error of a file that ends within the block in hand.
func (b *blocks) ended(err error) error {
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return fmt.Errorf("offset %d: %w", b.start, err)
	}
	return &Error{Offset: b.start, Truncated: true,
		Problem: "the file ends in the middle of the block that begins here", Valid: "a whole pcapng file"}
}

// advance takes the next block; rest stays empty when it is one to pass over.
func (b *blocks) advance() error {
	b.start = b.end
	head, err := b.in.Peek(blockHead + 4)
	if len(head) == 0 && err == io.EOF {
		return err
	}
	if len(head) < blockHead+4 {
		return b.ended(err)
	}
	if binary.LittleEndian.Uint32(head) == sectionHeader { // the same in both orders
		switch {
		case binary.LittleEndian.Uint32(head[8:]) == 0x1a2b3c4d:
			b.order = binary.LittleEndian
		case binary.BigEndian.Uint32(head[8:]) == 0x1a2b3c4d:
			b.order = binary.BigEndian
		default:
			return b.wrong("4d 3c 2b 1a or 1a 2b 3c 4d", "section header with the byte order mark % x", head[8:])
		}
		b.section++
		b.described = 0
	}
	b.kind = b.order.Uint32(head)
	length := b.order.Uint32(head[4:])
	if length < blockHead+blockTail || length%4 != 0 {
		return b.wrong("a multiple of 4 from 12 on", "block of type %d with a length of %d bytes", b.kind, length)
	}
	b.end = b.start + int64(length)
	_, kept := fixed[b.kind]
	if !kept && (b.kind != secretsBlock || b.onKeyLog == nil || length > maxBlock) {
		return b.pass(int64(length))
	}
	if length > maxBlock {
		return b.wrong(fmt.Sprintf("up to %d", maxBlock), "block of type %d with a length of %d bytes", b.kind, length)
	}
	if cap(b.block) < int(length) {
		b.block = make([]byte, length)
	}
	b.block = b.block[:length]
	if _, err := io.ReadFull(b.in, b.block); err != nil {
		return b.ended(err)
	}
	if again := b.order.Uint32(b.block[length-blockTail:]); again != length {
		return b.wrong("the same length twice", "block of type %d that begins with a length of %d bytes and ends with one of %d", b.kind, length, again)
	}
	if !kept {
		b.secrets()
		return nil
	}
	return b.check()
}

// pass reads over a block.
func (b *blocks) pass(length int64) error {
	for length > 0 {
		n, err := b.in.Discard(int(min(length, 1<<20)))
		length -= int64(n)
		if err != nil {
			return b.ended(err)
		}
	}
	return nil
}

// check reads the lengths inside the block in hand, and then hands it out.
func (b *blocks) check() error {
	body := b.block[:len(b.block)-blockTail]
	begin := fixed[b.kind]
	if len(body) < begin {
		return b.wrong(fmt.Sprintf("at least %d", begin+blockTail), "block of type %d with a length of %d bytes", b.kind, len(b.block))
	}
	b.direction = Unknown
	switch b.kind {
	case sectionHeader:
		if major, minor := b.order.Uint16(body[12:]), body[14:16]; major == 1 && b.order.Uint16(minor) == 2 {
			clear(minor) // 1.2 was written by mistake for 1.0 (draft, section 4.1)
		}
	case interfaceBlock:
		if b.described += len(b.block); b.described > maxDescribed {
			return b.wrong(fmt.Sprintf("up to %d bytes of them", maxDescribed), "too many descriptions of interfaces in one section")
		}
	case enhancedPacket, obsoletePacket:
		captured := b.order.Uint32(body[20:])
		if captured > MaxPacket || begin+(int(captured)+3)&^3 > len(body) {
			return b.wrong(fmt.Sprintf("up to %d, within the block", MaxPacket), "packet of %d bytes in a block of %d", captured, len(b.block))
		}
		begin += (int(captured) + 3) &^ 3
	case simplePacket:
		return b.checkSimple(body)
	}
	for options := body[begin:]; len(options) > 0; {
		if len(options) < 4 {
			return b.wrong("options that fill it", "block of type %d with %d bytes after its options", b.kind, len(options))
		}
		code, length := b.order.Uint16(options), int(b.order.Uint16(options[2:]))
		if code == 0 {
			break
		}
		padded := 4 + (length+3)&^3
		if padded > len(options) {
			return b.wrong(fmt.Sprintf("up to %d", len(options)-4), "option %d of a block of type %d with a length of %d bytes", code, b.kind, length)
		}
		const flags = 2
		if code == flags && length == 4 && (b.kind == enhancedPacket || b.kind == obsoletePacket) {
			b.direction = directions[b.order.Uint32(options[4:])&3]
		}
		options = options[padded:]
	}
	b.rest = b.block
	return nil
}

// directions are the two low bits of a packet's flags.
var directions = [4]Direction{Unknown, Inbound, Outbound, Unknown}

// checkSimple checks a packet of which the block holds only the length on the wire.
// Where the interface has no limit, pcapgo takes all of that as captured.
func (b *blocks) checkSimple(body []byte) error {
	length, held := int64(b.order.Uint32(body[8:])), len(body)-fixed[simplePacket]
	if length > int64(held) {
		// pcapgo would read on in the next block: the packet was cut, and how
		// long it was is given up.
		b.order.PutUint32(body[8:], uint32(held))
	}
	if held > MaxPacket {
		return b.wrong(fmt.Sprintf("up to %d", MaxPacket), "packet of %d bytes", held)
	}
	b.rest = b.block
	return nil
}

// secrets hands out a TLS key log.
func (b *blocks) secrets() {
	const tlsKeyLog, at = 0x544c534b, blockHead + 8
	if len(b.block) < at+blockTail || b.order.Uint32(b.block[blockHead:]) != tlsKeyLog {
		return
	}
	text := b.block[at : len(b.block)-blockTail]
	if length := b.order.Uint32(b.block[blockHead+4:]); int64(length) <= int64(len(text)) {
		b.onKeyLog(text[:length])
	}
}
