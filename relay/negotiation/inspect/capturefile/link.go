package capturefile

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/gopacket/gopacket/layers"
)

// link takes the IP packet out of a frame; the direction is where the link layer
// tells it.
type link struct {
	name string
	read func(frame []byte) (ip []byte, d Direction)
}

// links are the link types that are read, by their numbers in tcpdump's registry.
// 12 and 14 are what some systems write for raw IP.
var links = map[layers.LinkType]link{
	layers.LinkTypeNull:      {"loopback (NULL)", afterFamily},
	layers.LinkTypeLoop:      {"loopback (LOOP)", afterFamily},
	layers.LinkTypeEthernet:  {"Ethernet", ethernet},
	layers.LinkTypeRaw:       {"raw IP", raw},
	12:                       {"raw IP", raw},
	14:                       {"raw IP", raw},
	layers.LinkTypeIPv4:      {"IPv4", raw},
	layers.LinkTypeIPv6:      {"IPv6", raw},
	layers.LinkTypeLinuxSLL:  {"Linux cooked (SLL)", cooked},
	layers.LinkTypeLinuxSLL2: {"Linux cooked (SLL2)", cooked2},
}

func readable(t layers.LinkType) bool {
	_, ok := links[t]
	return ok
}

// Links lists the link types that are read, for people.
func Links() string {
	var names []string
	for _, t := range slices.Sorted(maps.Keys(links)) {
		if name := links[t].name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// network finds the IP packet of a frame, nil when there is none.
func network(t layers.LinkType, frame []byte) ([]byte, Direction) {
	l, ok := links[t]
	if !ok {
		return nil, Unknown
	}
	return l.read(frame)
}

// raw is an IP packet, by its version.
func raw(frame []byte) ([]byte, Direction) {
	if len(frame) > 0 && (frame[0]>>4 == 4 || frame[0]>>4 == 6) {
		return frame, Unknown
	}
	return nil, Unknown
}

// afterFamily skips the address family, whose number for IPv6 is another on each
// system, and whose order for NULL is that of the machine: the version tells more.
func afterFamily(frame []byte) ([]byte, Direction) {
	if len(frame) < 4 {
		return nil, Unknown
	}
	return raw(frame[4:])
}

func ethernet(frame []byte) ([]byte, Direction) {
	const header = 14
	if len(frame) < header {
		return nil, Unknown
	}
	return tagged(binary.BigEndian.Uint16(frame[12:]), frame[header:]), Unknown
}

// maxTags bounds the VLAN tags of a frame; networks nest two.
const maxTags = 4

// tagged skips VLAN tags (IEEE 802.1Q, 802.1ad, and the older 0x9100).
func tagged(etherType uint16, rest []byte) []byte {
	for range maxTags {
		if etherType != 0x8100 && etherType != 0x88a8 && etherType != 0x9100 {
			break
		}
		if len(rest) < 4 {
			return nil
		}
		etherType, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	if etherType != 0x0800 && etherType != 0x86dd {
		return nil
	}
	ip, _ := raw(rest)
	return ip
}

// sent is Linux' packet type of what the machine itself sent; of the others 0 was
// for it, and 3 for another machine.
const (
	forUs  = 0
	sentBy = 4
)

func cookedDirection(kind uint16) Direction {
	switch kind {
	case forUs:
		return Inbound
	case sentBy:
		return Outbound
	}
	return Unknown
}

func cooked(frame []byte) ([]byte, Direction) {
	const header = 16
	if len(frame) < header {
		return nil, Unknown
	}
	return tagged(binary.BigEndian.Uint16(frame[14:]), frame[header:]), cookedDirection(binary.BigEndian.Uint16(frame))
}

func cooked2(frame []byte) ([]byte, Direction) {
	const header = 20
	if len(frame) < header {
		return nil, Unknown
	}
	return tagged(binary.BigEndian.Uint16(frame), frame[header:]), cookedDirection(uint16(frame[10]))
}
