package dtls

import (
	"encoding/binary"
	"fmt"
)

// Type is the type of a handshake message.
type Type uint8

// Handshake messages (RFC 5246, 6347, 8446 and 9147).
const (
	HelloRequest        Type = 0
	ClientHello         Type = 1
	ServerHello         Type = 2
	HelloVerifyRequest  Type = 3
	NewSessionTicket    Type = 4
	EncryptedExtensions Type = 8
	Certificate         Type = 11
	ServerKeyExchange   Type = 12
	CertificateRequest  Type = 13
	ServerHelloDone     Type = 14
	CertificateVerify   Type = 15
	ClientKeyExchange   Type = 16
	Finished            Type = 20
	CertificateURL      Type = 21
	CertificateStatus   Type = 22
)

var types = map[Type]string{
	HelloRequest: "HelloRequest", ClientHello: "ClientHello", ServerHello: "ServerHello",
	HelloVerifyRequest: "HelloVerifyRequest", NewSessionTicket: "NewSessionTicket",
	EncryptedExtensions: "EncryptedExtensions", Certificate: "Certificate",
	ServerKeyExchange: "ServerKeyExchange", CertificateRequest: "CertificateRequest",
	ServerHelloDone: "ServerHelloDone", CertificateVerify: "CertificateVerify",
	ClientKeyExchange: "ClientKeyExchange", Finished: "Finished",
	CertificateURL: "CertificateURL", CertificateStatus: "CertificateStatus",
}

// String is the RFC's name, or the number of an unknown type.
func (t Type) String() string {
	if s, ok := types[t]; ok {
		return s
	}
	return fmt.Sprintf("handshake type %d", uint8(t))
}

// Message is a whole handshake message.
type Message struct {
	Type     Type
	Sequence uint16
	// Body is without the header. It is valid until the next Feed.
	Body []byte
	// Repeated is true when the same message was complete before: a
	// retransmission. It is told once for each first fragment, and Body may
	// then be only that.
	Repeated bool
}

// Bounds of an Assembler. A certificate chain of a real endpoint has a few
// thousand bytes.
const (
	maxMessage   = 64 << 10
	maxOpen      = 16
	maxOpenBytes = 128 << 10
	maxSequence  = 64

	handshakeHeader = 12
)

// Assembler puts the fragments of one side's handshake together (RFC 6347,
// section 4.2.3). The zero Assembler is ready.
type Assembler struct {
	// MaxOpen bounds the bytes of messages of which parts are missing; 0 is 128 KiB.
	MaxOpen int

	open  map[uint16]*assembly
	bytes int
	done  [maxSequence]bool
	rest  []byte
}

// assembly is a message of which parts are missing.
type assembly struct {
	kind Type
	body []byte
	have []bool
	left int
}

// Feed takes the payload of an unencrypted handshake record. Call Next until it
// has no more before the next Feed.
func (a *Assembler) Feed(payload []byte) { a.rest = payload }

// Next returns the next message that is whole.
func (a *Assembler) Next() (m Message, ok bool, err error) {
	for len(a.rest) > 0 {
		m, ok, err := a.fragment()
		if err != nil {
			a.rest = nil
			return Message{}, false, err
		}
		if ok {
			return m, true, nil
		}
	}
	return Message{}, false, nil
}

func (a *Assembler) fragment() (Message, bool, error) {
	b := a.rest
	if len(b) < handshakeHeader {
		return Message{}, false, ErrMessage
	}
	length, offset, size := uint24(b[1:]), uint24(b[6:]), uint24(b[9:])
	m := Message{Type: Type(b[0]), Sequence: binary.BigEndian.Uint16(b[4:])}
	b = b[handshakeHeader:]
	if size > len(b) || offset+size > length || (size == 0 && length > 0) {
		return Message{}, false, ErrMessage
	}
	part := b[:size]
	a.rest = b[size:]
	if length > maxMessage || m.Sequence >= maxSequence {
		return Message{}, false, ErrTooLarge
	}
	if a.done[m.Sequence] {
		m.Body, m.Repeated = part, true
		return m, offset == 0, nil
	}
	if size == length { // whole, as nearly always
		a.forget(m.Sequence)
		a.done[m.Sequence] = true
		m.Body = part
		return m, true, nil
	}
	open, err := a.assembly(m, length)
	if err != nil {
		return Message{}, false, err
	}
	copy(open.body[offset:], part)
	for i := offset; i < offset+size; i++ {
		if !open.have[i] {
			open.have[i] = true
			open.left--
		}
	}
	if open.left > 0 {
		return Message{}, false, nil
	}
	a.forget(m.Sequence)
	a.done[m.Sequence] = true
	m.Body = open.body
	return m, true, nil
}

// assembly finds or begins the message that a fragment belongs to.
func (a *Assembler) assembly(m Message, length int) (*assembly, error) {
	if open := a.open[m.Sequence]; open != nil {
		if open.kind != m.Type || len(open.body) != length {
			return nil, ErrMessage
		}
		return open, nil
	}
	most := a.MaxOpen
	if most == 0 {
		most = maxOpenBytes
	}
	if len(a.open) == maxOpen || a.bytes+length > most {
		return nil, ErrTooLarge
	}
	if a.open == nil {
		a.open = map[uint16]*assembly{}
	}
	open := &assembly{kind: m.Type, body: make([]byte, length), have: make([]bool, length), left: length}
	a.open[m.Sequence] = open
	a.bytes += length
	return open, nil
}

func (a *Assembler) forget(sequence uint16) {
	if open := a.open[sequence]; open != nil {
		a.bytes -= len(open.body)
		delete(a.open, sequence)
	}
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
