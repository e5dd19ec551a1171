// Package capturefile reads the IP packets of a packet capture: pcap and pcapng
// (draft-ietf-opsawg-pcap and -pcapng), each also compressed with gzip, of the link
// types that hosts capture on. It reads them one by one, front to back, and keeps
// none.
//
// The formats are read by gopacket's pcapgo. In front of it stand checks that it
// has not: of every length, so that an error names the place in the file where it
// is, and of how much a file may make it keep.
//
// It knows nothing of what the packets mean, and does not write captures.
//
// Start reading at NewReader.
package capturefile

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Packet is one captured packet.
type Packet struct {
	// Time is zero where the file has none, or one beyond the year 9999.
	Time time.Time
	// Interface is where it was captured; the same pointer for packets of the
	// same interface.
	Interface *Interface
	Direction Direction
	// IP is the IP packet, valid until the next call of Next. It is nil for a
	// frame that holds none, or whose link type is not read.
	IP []byte
	// Cut is true when the capture has only the beginning of the packet.
	Cut bool
}

// Interface is an interface on which packets were captured. Of a pcap file there is
// one, without a name.
type Interface struct {
	Name string
	// Application is the program that wrote the section of the file, as it says.
	Application string
	Link        layers.LinkType
	// Read is false when frames of this link type are not read.
	Read bool
}

// Direction is which way a packet went, seen from the machine that captured it.
type Direction uint8

// The directions.
const (
	Unknown Direction = iota
	Inbound
	Outbound
)

// Bounds of what is kept in memory of a file, beside one packet.
const (
	// MaxPacket is the largest packet that is read, libpcap's largest too.
	MaxPacket = 256 << 10
	// maxBlock bounds the blocks of a pcapng file that are read whole.
	maxBlock = 1 << 20
	// maxDescribed bounds the descriptions of interfaces in one section of it.
	maxDescribed = 1 << 20
)

// Error is a file that can't be read, or not to its end.
type Error struct {
	// Offset is in bytes from the beginning of the file, after decompression.
	Offset int64
	// Problem is what was found there, Valid what would be right.
	Problem, Valid string
	// Truncated is true for a file that ends in the middle of something: what
	// came before was read.
	Truncated bool
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("offset %d: %s", e.Offset, e.Problem)
	if e.Valid != "" {
		text += "; valid: " + e.Valid
	}
	return text
}

// formats are the names of what is read, for errors and reports.
const (
	pcap      = "pcap"
	pcapng    = "pcapng"
	validFile = "a pcap or pcapng file, or one of them compressed with gzip"
)

// source reads packets in one of the formats.
type source interface {
	next() (frame []byte, info gopacket.CaptureInfo, on *Interface, d Direction, err error)
}

// Reader reads one capture. It is for one goroutine.
type Reader struct {
	format string
	source source
}

// NewReader reads the head of a capture. onKeyLog, when not nil, is called with the
// text of each TLS key log that a pcapng file holds within itself; the text is valid
// during the call. The error is an *Error, or that of in.
func NewReader(in io.Reader, onKeyLog func(text []byte)) (*Reader, error) {
	b := bufio.NewReaderSize(in, 64<<10)
	compressed := ""
	if magic, _ := b.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, &Error{Problem: "begins like gzip, but: " + err.Error(), Valid: validFile}
		}
		b = bufio.NewReaderSize(z, 64<<10)
		compressed = ", gzip"
	}
	magic, err := b.Peek(4)
	if len(magic) < 4 {
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, &Error{Offset: int64(len(magic)), Truncated: true,
			Problem: fmt.Sprintf("the file ends after %d bytes", len(magic)), Valid: validFile}
	}
	r := &Reader{}
	switch value := binary.LittleEndian.Uint32(magic); value {
	case 0x0a0d0d0a:
		r.format = pcapng + compressed
		r.source, err = newSections(b, onKeyLog)
	case 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1:
		r.format = pcap + compressed
		r.source, err = newRecords(b)
	default:
		return nil, &Error{Problem: fmt.Sprintf("no capture begins with the bytes % x", magic), Valid: validFile}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Format names the file's format for people, for example "pcapng, gzip".
func (r *Reader) Format() string { return r.format }

// Next returns the next packet. At the end of the file the error is io.EOF; any
// other is an *Error or that of the file, and ends the reading.
func (r *Reader) Next() (Packet, error) {
	frame, info, on, d, err := r.source.next()
	if err != nil {
		return Packet{}, err
	}
	p := Packet{Interface: on, Direction: d, Time: info.Timestamp}
	if p.Time.Year() > 9999 {
		p.Time = time.Time{}
	}
	ip, told := network(on.Link, frame)
	if p.Direction == Unknown {
		p.Direction = told
	}
	p.IP = ip
	p.Cut = ip != nil && wanted(ip) > len(ip) || ip == nil && on.Read && info.CaptureLength < info.Length
	return p, nil
}

// wanted is how long an IP packet says it is.
func wanted(ip []byte) int {
	switch {
	case len(ip) >= 4 && ip[0]>>4 == 4:
		return int(binary.BigEndian.Uint16(ip[2:]))
	case len(ip) >= 6 && ip[0]>>4 == 6:
		return 40 + int(binary.BigEndian.Uint16(ip[4:]))
	}
	return len(ip) + 1
}

// records is a pcap file.
type records struct {
	in   *bufio.Reader
	read *counter
	file *pcapgo.Reader
	on   *Interface
}

// counter counts what is read through it.
type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

func newRecords(in *bufio.Reader) (*records, error) {
	r := &records{read: &counter{in: in}}
	// pcapgo takes a buffer of this size as its own, so that what it holds shows
	// where in the file it is.
	r.in = bufio.NewReaderSize(r.read, 64<<10)
	var err error
	if r.file, err = pcapgo.NewReader(r.in); err != nil {
		return nil, r.failed(err, 0)
	}
	// The upper half of the field is about frame check sequences.
	link := r.file.LinkType()
	r.on = &Interface{Link: link, Read: readable(link)}
	return r, nil
}

func (r *records) offset() int64 { return r.read.n - int64(r.in.Buffered()) }

func (r *records) next() ([]byte, gopacket.CaptureInfo, *Interface, Direction, error) {
	at := r.offset()
	frame, info, err := r.file.ZeroCopyReadPacketData()
	switch {
	case err == io.EOF && r.offset() == at:
		return nil, info, nil, Unknown, io.EOF
	case err == nil && info.CaptureLength > MaxPacket:
		err = fmt.Errorf("packet of %d bytes", info.CaptureLength)
	}
	if err != nil {
		return nil, info, nil, Unknown, r.failed(err, at)
	}
	return frame, info, r.on, Unknown, nil
}

// failed makes the error of what begins at an offset.
func (r *records) failed(err error, at int64) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		what := "a packet"
		if at == 0 {
			what = "the head"
		}
		return &Error{Offset: at, Truncated: true,
			Problem: fmt.Sprintf("the file ends at %d, in the middle of %s that begins here", r.offset(), what), Valid: "a whole pcap file"}
	}
	return &Error{Offset: at, Problem: err.Error(), Valid: fmt.Sprintf("pcap 2.4 with packets of up to %d bytes", MaxPacket)}
}
