// Package dtls reads DTLS as it appears on the wire (RFC 6347, and enough of
// RFC 9147 to know a DTLS 1.3 handshake when it comes): records, alerts, and the
// messages of the handshake, put together from their fragments. It decrypts
// nothing, and shares no code with the stacks whose messages it reads. All input
// is taken as hostile, and all that is kept is bounded.
//
// Start reading at Next, then at Assembler.
package dtls

import (
	"encoding/binary"
	"errors"
)

// ContentType is the type of a record.
type ContentType uint8

// Content types (RFC 6347 section 4.1, RFC 9147 section 4).
const (
	ChangeCipherSpec ContentType = 20
	Alert            ContentType = 21
	Handshake        ContentType = 22
	ApplicationData  ContentType = 23
	// Ciphertext is a record of DTLS 1.3 under its unified header, whose inner
	// type is encrypted.
	Ciphertext ContentType = 32
)

// Errors of this package.
var (
	// ErrRecord is a datagram that does not consist of records.
	ErrRecord = errors.New("malformed DTLS record")
	// ErrMessage is a handshake message whose lengths contradict each other.
	ErrMessage = errors.New("malformed DTLS handshake message")
	// ErrTooLarge is a handshake with more in fragments than is kept.
	ErrTooLarge = errors.New("DTLS handshake with more in fragments than is kept of it")
)

// Record is one record. Payload is a part of the datagram.
type Record struct {
	Type    ContentType
	Version uint16
	// Epoch counts changes of keys; from 1 on the payload is encrypted. Of a
	// Ciphertext only the two low bits are known.
	Epoch   uint16
	Payload []byte
}

const recordHeader = 13

// Is tells whether b begins like a DTLS record (RFC 7983, section 7).
func Is(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if b[0]&0xe0 == 0x20 { // the unified header of DTLS 1.3
		return len(b) >= 4
	}
	return len(b) >= recordHeader && b[0] >= 20 && b[0] <= 26 && b[1] == 0xfe
}

// Next splits the first record from a datagram.
func Next(datagram []byte) (r Record, rest []byte, err error) {
	if !Is(datagram) {
		return Record{}, nil, ErrRecord
	}
	if datagram[0]&0xe0 == 0x20 {
		// Without the connection ID's length the header can't be read; one
		// record is as good as several here.
		return Record{Type: Ciphertext, Version: VersionDTLS12, Epoch: uint16(datagram[0] & 3), Payload: datagram}, nil, nil
	}
	length := int(binary.BigEndian.Uint16(datagram[11:]))
	if recordHeader+length > len(datagram) {
		return Record{}, nil, ErrRecord
	}
	return Record{
		Type:    ContentType(datagram[0]),
		Version: binary.BigEndian.Uint16(datagram[1:]),
		Epoch:   binary.BigEndian.Uint16(datagram[3:]),
		Payload: datagram[recordHeader : recordHeader+length],
	}, datagram[recordHeader+length:], nil
}
