package packet

import (
	"encoding/binary"
	"fmt"
)

// Split cuts a packet into fragments that fit an MTU: of IPv4 as any router does
// (RFC 791, section 3.2), of IPv6 as the sending host does (RFC 8200, section
// 4.5), with id as the identification. A packet that fits comes back alone. Only
// whole IPv6 packets can be split; for fragments of IPv4 there is no limit.
//
// Split does not look at DontFragment; the caller does.
func Split(p Packet, mtu int, id uint32) ([][]byte, error) {
	if p.Len() <= mtu {
		return [][]byte{p.data}, nil
	}
	if p.version == 4 {
		return p.split4(mtu)
	}
	return p.split6(mtu, id)
}

func (p *Packet) split4(mtu int) ([][]byte, error) {
	first := p.data[:p.transport]
	later := copiedOptions(first)
	payload := p.data[p.transport:]
	var out [][]byte
	for at := 0; at < len(payload); {
		header := first
		if at > 0 || p.offset > 0 {
			header = later
		}
		room := (mtu - len(header)) &^ 7
		if room < 8 {
			return nil, fmt.Errorf("MTU %d leaves no room for fragments behind a header of %d bytes", mtu, len(header))
		}
		n := min(room, len(payload)-at)
		f := make([]byte, len(header)+n)
		copy(f, header)
		copy(f[len(header):], payload[at:at+n])
		flags := uint16(f[6]&0x40) << 8
		if p.more || at+n < len(payload) {
			flags |= 0x2000
		}
		f[0] = 4<<4 | byte(len(header)/4)
		binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
		binary.BigEndian.PutUint16(f[6:], flags|uint16((p.offset+at)/8))
		part := Packet{data: f, version: 4, transport: len(header)}
		part.finishHeader()
		out = append(out, f)
		at += n
	}
	return out, nil
}

// copiedOptions is an IPv4 header with only those options that later fragments
// repeat: the ones whose copied flag is set (RFC 791, section 3.1).
func copiedOptions(header []byte) []byte {
	out := append([]byte(nil), header[:ipv4Header]...)
	for options := header[ipv4Header:]; len(options) > 0; {
		n := 1
		switch kind := options[0]; {
		case kind == 0: // end of list
			n = len(options)
		case kind == 1: // no operation
		case len(options) < 2 || options[1] < 2 || int(options[1]) > len(options):
			n = len(options) // malformed; nothing that follows can be trusted
		default:
			n = int(options[1])
			if kind&0x80 != 0 {
				out = append(out, options[:n]...)
			}
		}
		options = options[n:]
	}
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	return out
}

func (p *Packet) split6(mtu int, id uint32) ([][]byte, error) {
	if p.fragmentHeader != 0 {
		return nil, fmt.Errorf("IPv6 packet is a fragment already: %w", ErrHeader)
	}
	// What stands before the fragment header goes into each fragment; here that
	// is the IPv6 header alone, since nothing that we split has routing headers.
	const before = ipv6Header
	room := (mtu - before - 8) &^ 7
	if room < 8 {
		return nil, fmt.Errorf("MTU %d leaves no room for IPv6 fragments", mtu)
	}
	payload := p.data[before:]
	var out [][]byte
	for at := 0; at < len(payload); {
		n := min(room, len(payload)-at)
		f := make([]byte, before+8+n)
		copy(f, p.data[:before])
		binary.BigEndian.PutUint16(f[4:], uint16(8+n))
		f[6] = byte(fragment)
		f[before] = p.data[6]
		flags := uint16(at)
		if at+n < len(payload) {
			flags |= 1
		}
		binary.BigEndian.PutUint16(f[before+2:], flags)
		binary.BigEndian.PutUint32(f[before+4:], id)
		copy(f[before+8:], payload[at:at+n])
		out = append(out, f)
		at += n
	}
	return out, nil
}
