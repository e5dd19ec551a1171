package loader

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/callpath/callpath/bench/udp"
)

// Hello asks a bare forwarder to forward between the sender and a peer, and is its
// answer, with the address that the forwarder has for the peer. It is the whole of
// the scheme Plain.
type Hello struct{ Address netip.AddrPort }

const helloMagic, helloSize = 0x00e36268, 4 + 4 + 2

// Bytes is the packet.
func (h Hello) Bytes() []byte {
	ip := h.Address.Addr().As4()
	p := binary.BigEndian.AppendUint32(nil, helloMagic)
	return binary.BigEndian.AppendUint16(append(p, ip[:]...), h.Address.Port())
}

// ReadHello reads the packet; false when it is something else.
func ReadHello(p []byte) (Hello, bool) {
	if len(p) != helloSize || binary.BigEndian.Uint32(p) != helloMagic {
		return Hello{}, false
	}
	return Hello{netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[4:8])), binary.BigEndian.Uint16(p[8:]))}, true
}

// greet asks a forwarder for a flow to peer.
func greet(ctx context.Context, s *udp.Socket, peer netip.AddrPort) (netip.AddrPort, error) {
	var answer Hello
	err := ask(ctx, s, Hello{peer}.Bytes(), func(p []byte) (ok bool) {
		answer, ok = ReadHello(p)
		return ok
	})
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask forwarder: %w", err)
	}
	return answer.Address, nil
}
