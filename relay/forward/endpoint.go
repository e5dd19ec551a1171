package forward

import (
	"encoding/binary"
	"math/bits"
	"net"
	"net/netip"
	"strconv"
)

// endpoint is a transport address as a key: comparable word by word, without the
// pointer that netip.AddrPort has, and the same for an IPv4 address and its
// IPv4-mapped form, as a socket of both families writes it.
type endpoint struct {
	hi, lo uint64
	zone   uint32
	port   uint16
}

const mappedIPv4 = 0xffff << 32

func endpointOf(a netip.AddrPort) endpoint {
	b := a.Addr().As16()
	return endpoint{
		hi:   binary.BigEndian.Uint64(b[:8]),
		lo:   binary.BigEndian.Uint64(b[8:]),
		zone: zoneIndex(a.Addr().Zone()),
		port: a.Port(),
	}
}

func (e endpoint) isIPv4() bool { return e.hi == 0 && e.lo>>32 == mappedIPv4>>32 }

// addrPort is the address, IPv4 always as IPv4; a zone is its interface's index.
func (e endpoint) addrPort() netip.AddrPort {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], e.hi)
	binary.BigEndian.PutUint64(b[8:], e.lo)
	addr := netip.AddrFrom16(b).Unmap()
	if e.zone != 0 {
		addr = addr.WithZone(strconv.FormatUint(uint64(e.zone), 10))
	}
	return netip.AddrPortFrom(addr, e.port)
}

// hash mixes all fields under a seed, so that nobody can choose addresses that
// fall together.
func (e endpoint) hash(seed [2]uint64) uint64 {
	high, low := bits.Mul64(e.hi^seed[0]^uint64(e.zone)<<32, e.lo^seed[1])
	high, low = bits.Mul64(high^low^uint64(e.port), seed[0]|1)
	return high ^ low
}

func zoneIndex(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if i, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(i)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}
