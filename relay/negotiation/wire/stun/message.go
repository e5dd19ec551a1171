// Package stun reads STUN messages (RFC 8489), with the attributes of ICE
// (RFC 8445) and TURN (RFC 8656, 6062). It shares no code with the stacks whose
// messages it reads, so that it is a witness of its own; it writes nothing and
// checks no integrity, which takes passwords.
//
// Start reading at Parse.
package stun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"time"
)

// Class is the class of a message (RFC 8489, section 5).
type Class uint8

// The four classes.
const (
	Request Class = iota
	Indication
	Success
	Failure
)

// Method is what a message is about.
type Method uint16

// Methods of RFC 8489, 8656 and 6062.
const (
	Binding           Method = 0x001
	Allocate          Method = 0x003
	Refresh           Method = 0x004
	Send              Method = 0x006
	Data              Method = 0x007
	CreatePermission  Method = 0x008
	ChannelBind       Method = 0x009
	Connect           Method = 0x00a
	ConnectionBind    Method = 0x00b
	ConnectionAttempt Method = 0x00c
)

var methods = map[Method]string{
	Binding: "Binding", Allocate: "Allocate", Refresh: "Refresh", Send: "Send", Data: "Data",
	CreatePermission: "CreatePermission", ChannelBind: "ChannelBind",
	Connect: "Connect", ConnectionBind: "ConnectionBind", ConnectionAttempt: "ConnectionAttempt",
}

// String is the RFC's name, or the number of an unknown method.
func (m Method) String() string {
	if s, ok := methods[m]; ok {
		return s
	}
	return fmt.Sprintf("method 0x%03x", uint16(m))
}

// Attribute is the type of an attribute.
type Attribute uint16

// Attributes that are read.
const (
	MappedAddress     Attribute = 0x0001
	Username          Attribute = 0x0006
	MessageIntegrity  Attribute = 0x0008
	ErrorCode         Attribute = 0x0009
	ChannelNumber     Attribute = 0x000c
	Lifetime          Attribute = 0x000d
	XORPeerAddress    Attribute = 0x0012
	DataAttribute     Attribute = 0x0013
	Realm             Attribute = 0x0014
	XORRelayedAddress Attribute = 0x0016
	MessageIntegrity2 Attribute = 0x001c // MESSAGE-INTEGRITY-SHA256
	XORMappedAddress  Attribute = 0x0020
	Priority          Attribute = 0x0024
	UseCandidate      Attribute = 0x0025
	Software          Attribute = 0x8022
	Fingerprint       Attribute = 0x8028
	ICEControlled     Attribute = 0x8029
	ICEControlling    Attribute = 0x802a
	HeaderSize                  = 20
	cookie                      = 0x2112a442
	fingerprintXOR              = 0x5354554e
	maxAttributes               = 64
	maxReason                   = 128
	fingerprintLength           = 8
)

// Errors of Parse.
var (
	// ErrNotSTUN is a message without STUN's first two bits or magic cookie.
	ErrNotSTUN = errors.New("not a STUN message")
	// ErrMalformed is a message whose lengths contradict each other, or with
	// more attributes than are taken.
	ErrMalformed = errors.New("malformed STUN message")
	// ErrFingerprint is a message whose FINGERPRINT is wrong.
	ErrFingerprint = errors.New("wrong FINGERPRINT in a STUN message")
)

// TransactionID ties a response to its request.
type TransactionID [12]byte

// Message is one message. It keeps the bytes that it was parsed from.
type Message struct {
	Class  Class
	Method Method
	ID     TransactionID
	body   []byte
}

// Is tells whether b begins like a STUN message with the magic cookie.
func Is(b []byte) bool {
	return len(b) >= HeaderSize && b[0] < 4 && binary.BigEndian.Uint32(b[4:]) == cookie
}

// Size is the length of the message that begins b, header included; b has at
// least HeaderSize bytes.
func Size(b []byte) int { return HeaderSize + int(binary.BigEndian.Uint16(b[2:])) }

// Parse reads the message that b holds. It allocates nothing.
func Parse(b []byte) (Message, error) {
	if !Is(b) {
		return Message{}, ErrNotSTUN
	}
	size := Size(b)
	if size%4 != 0 || size > len(b) {
		return Message{}, ErrMalformed
	}
	t := binary.BigEndian.Uint16(b)
	m := Message{
		// The class is in bits 4 and 8, the method around them.
		Class:  Class(t>>4&1 | t>>7&2),
		Method: Method(t&0xf | t>>1&0x70 | t>>2&0xf80),
		ID:     TransactionID(b[8:20]),
		body:   b[HeaderSize:size],
	}
	rest := m.body
	for n := 0; len(rest) > 0; n++ {
		kind, value, after, ok := next(rest)
		if !ok || n == maxAttributes {
			return Message{}, ErrMalformed
		}
		if kind == Fingerprint {
			before := size - len(rest)
			if len(value) != 4 || len(after) != 0 {
				return Message{}, ErrMalformed
			}
			if crc32.ChecksumIEEE(b[:before])^fingerprintXOR != binary.BigEndian.Uint32(value) {
				return Message{}, ErrFingerprint
			}
		}
		rest = after
	}
	return m, nil
}

// next splits the first attribute, with its padding, from b.
func next(b []byte) (kind Attribute, value, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, nil, false
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	padded := (length + 3) &^ 3
	if 4+padded > len(b) {
		return 0, nil, nil, false
	}
	return Attribute(binary.BigEndian.Uint16(b)), b[4 : 4+length], b[4+padded:], true
}

// Get returns the first attribute of a kind. Attributes after MESSAGE-INTEGRITY
// other than its SHA-256 form and FINGERPRINT are ignored (RFC 8489, section
// 14.5).
func (m Message) Get(kind Attribute) (value []byte, ok bool) {
	protected := false
	for rest := m.body; len(rest) > 0; {
		k, v, after, _ := next(rest)
		if k == kind && (!protected || k == MessageIntegrity2 || k == Fingerprint) {
			return v, true
		}
		protected = protected || k == MessageIntegrity || k == MessageIntegrity2
		rest = after
	}
	return nil, false
}

// Has is true when the message has an attribute of the kind.
func (m Message) Has(kind Attribute) bool {
	_, ok := m.Get(kind)
	return ok
}

// Authenticated is true when the message has a MESSAGE-INTEGRITY of either kind.
func (m Message) Authenticated() bool { return m.Has(MessageIntegrity) || m.Has(MessageIntegrity2) }

// Text returns an attribute that is text, empty when absent. Bytes that are not
// valid UTF-8 are replaced, and long text is cut at 763 bytes (the limit of
// RFC 8489, section 14.3).
func (m Message) Text(kind Attribute) string {
	v, _ := m.Get(kind)
	return text(v, 763)
}

// Uint32 returns an attribute that is a number of 32 bits.
func (m Message) Uint32(kind Attribute) (uint32, bool) {
	v, ok := m.Get(kind)
	if !ok || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// Lifetime returns LIFETIME (RFC 8656, section 18.2).
func (m Message) Lifetime() (time.Duration, bool) {
	v, ok := m.Uint32(Lifetime)
	return time.Duration(v) * time.Second, ok
}

// Channel returns CHANNEL-NUMBER (RFC 8656, section 18.1).
func (m Message) Channel() (uint16, bool) {
	v, ok := m.Uint32(ChannelNumber)
	return uint16(v >> 16), ok
}

// Address returns an address attribute, XORed or plain by its kind; the zero
// AddrPort when absent or malformed.
func (m Message) Address(kind Attribute) netip.AddrPort {
	v, _ := m.Get(kind)
	return m.address(kind, v)
}

// Addresses returns each address attribute of a kind, for example the
// XOR-PEER-ADDRESSes of a CreatePermission.
func (m Message) Addresses(kind Attribute) []netip.AddrPort {
	var all []netip.AddrPort
	for rest := m.body; len(rest) > 0; {
		k, v, after, _ := next(rest)
		if a := m.address(kind, v); k == kind && a.IsValid() {
			all = append(all, a)
		}
		rest = after
	}
	return all
}

// address reads RFC 8489, sections 14.1 and 14.2.
func (m Message) address(kind Attribute, v []byte) netip.AddrPort {
	if len(v) < 4 {
		return netip.AddrPort{}
	}
	port := binary.BigEndian.Uint16(v[2:])
	var mask [16]byte
	if kind != MappedAddress {
		port ^= cookie >> 16
		binary.BigEndian.PutUint32(mask[:], cookie)
		copy(mask[4:], m.ID[:])
	}
	var ip [16]byte
	n := copy(ip[:], v[4:])
	for i := range ip[:n] {
		ip[i] ^= mask[i]
	}
	const family4, family6 = 1, 2
	switch {
	case v[1] == family4 && len(v) == 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[:4])), port)
	case v[1] == family6 && len(v) == 20:
		return netip.AddrPortFrom(netip.AddrFrom16(ip).Unmap(), port)
	}
	return netip.AddrPort{}
}

// Mapped is XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS where an old server sent only
// that.
func (m Message) Mapped() netip.AddrPort {
	if a := m.Address(XORMappedAddress); a.IsValid() {
		return a
	}
	return m.Address(MappedAddress)
}
