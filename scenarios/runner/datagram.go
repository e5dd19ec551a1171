package runner

import (
	"encoding/binary"
	"net/netip"

	"github.com/pion/stun/v4"
)

// datagram is the part of an IP packet that the sorting of traffic looks at.
type datagram struct {
	protocol string // udp or tcp
	src, dst netip.AddrPort
	payload  []byte // UDP's; empty for TCP
}

// parse reads UDP and TCP over IPv4 and IPv6 without extension headers. Other
// packets, and later fragments, are not traffic of a call.
func parse(b []byte) (datagram, bool) {
	var src, dst netip.Addr
	var next byte
	var rest []byte
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		header := int(b[0]&15) * 4
		if header < 20 || len(b) < header || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return datagram{}, false
		}
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		next, rest = b[9], b[header:]
	case len(b) >= 40 && b[0]>>4 == 6:
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		next, rest = b[6], b[40:]
	default:
		return datagram{}, false
	}
	if len(rest) < 8 {
		return datagram{}, false
	}
	d := datagram{
		src: netip.AddrPortFrom(src, binary.BigEndian.Uint16(rest)),
		dst: netip.AddrPortFrom(dst, binary.BigEndian.Uint16(rest[2:])),
	}
	switch next {
	case 17:
		d.protocol, d.payload = "udp", rest[8:]
	case 6:
		d.protocol = "tcp"
	default:
		return datagram{}, false
	}
	return d, true
}

// kind is what a payload is, by RFC 7983.
type kind uint8

const (
	kindOther kind = iota
	kindSTUN
	// kindWrappedSTUN is STUN that the relay carries: a check.
	kindWrappedSTUN
	kindDTLS
	kindSRTP // and SRTCP
)

// demux tells the protocols that share a port apart (RFC 7983, section 7).
func demux(b []byte) kind {
	switch {
	case len(b) == 0:
		return kindOther
	case b[0] <= 3:
		return kindSTUN
	case b[0] >= 20 && b[0] <= 63:
		return kindDTLS
	case b[0] >= 128 && b[0] <= 191:
		return kindSRTP
	}
	return kindOther
}

// demuxTURN is demux for what goes between a client and its relay: it looks into
// ChannelData, Send and Data (RFC 8656, sections 11 and 12).
func demuxTURN(b []byte) kind {
	inner, ok := unwrap(b)
	if !ok {
		return demux(b)
	}
	if k := demux(inner); k != kindSTUN {
		return k
	}
	return kindWrappedSTUN
}

// unwrap takes the payload out of a message that carries one.
func unwrap(b []byte) (payload []byte, ok bool) {
	if len(b) >= 4 && b[0] >= 0x40 && b[0] <= 0x4f {
		return b[4:], true
	}
	m := stun.Message{Raw: b}
	if !stun.IsMessage(b) || m.Decode() != nil || m.Type.Class != stun.ClassIndication {
		return nil, false
	}
	data, err := m.Get(stun.AttrData)
	return data, err == nil
}
