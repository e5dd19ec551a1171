package packet

import "encoding/binary"

// TCP options (RFC 9293, section 3.1).
const (
	optionEnd  = 0
	optionNone = 1
	optionMSS  = 2
)

// ClampMSS lowers the maximum segment size that a TCP SYN announces to what fits
// an MTU, as routers in front of small links do, so that a connection need not
// find out by losing packets. It changes nothing else, and returns whether it did.
func (p *Packet) ClampMSS(mtu int) bool {
	if p.TCPFlags()&SYN == 0 {
		return false
	}
	header := ipv4Header
	if p.version == 6 {
		header = ipv6Header
	}
	most := mtu - header - tcpHeader
	size := int(p.data[p.transport+12]>>4) * 4
	if most <= 0 || most > 0xffff || size < tcpHeader || p.transport+size > len(p.data) {
		return false
	}
	at, end := p.transport+tcpHeader, p.transport+size
	for at < end && p.data[at] != optionEnd {
		if p.data[at] == optionNone {
			at++
			continue
		}
		if at+1 >= end || p.data[at+1] < 2 || at+int(p.data[at+1]) > end {
			return false // malformed; the host may judge it
		}
		if p.data[at] == optionMSS && p.data[at+1] == 4 {
			return p.lowerMSS(at+2, uint16(most))
		}
		at += int(p.data[at+1])
	}
	return false
}

func (p *Packet) lowerMSS(at int, most uint16) bool {
	was := binary.BigEndian.Uint16(p.data[at:])
	if was <= most {
		return false
	}
	odd := (at-p.transport)%2 == 1
	binary.BigEndian.PutUint16(p.data[at:], most)
	if odd {
		// The option's bytes lie in two words of the checksum, each in the other
		// half; a sum does not mind which word that is (RFC 1071, section 2 B).
		was, most = was<<8|was>>8, most<<8|most>>8
	}
	adjust(p.checksum(), was, most)
	return true
}
