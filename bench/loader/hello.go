package loader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

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
	buffer := make([]byte, 64)
	for range 10 {
		if err := ctx.Err(); err != nil {
			return netip.AddrPort{}, err
		}
		if err := s.Send(Hello{peer}.Bytes()); err != nil && !udp.Refused(err) && !udp.Empty(err) {
			return netip.AddrPort{}, fmt.Errorf("ask forwarder: %w", err)
		}
		ready, err := s.Wait(int((300 * time.Millisecond).Milliseconds()))
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("ask forwarder: %w", err)
		}
		if !ready {
			continue
		}
		n, _, err := s.Receive(buffer)
		if err != nil {
			continue
		}
		if answer, ok := ReadHello(buffer[:n]); ok {
			return answer.Address, nil
		}
	}
	return netip.AddrPort{}, errors.Join(errors.New("ask forwarder"), errSilent)
}
