package turn

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/pion/stun/v4"
)

// This file does for allocations in the forwarding core what the engine does for others
// with a goroutine each: it passes on to the client what peers without a channel sent,
// and what those with one send before the core forwards it.

// deliver takes a peer's datagram from the core.
func (a *allocation) deliver(peer netip.AddrPort, payload []byte) {
	if a.gone.Load() {
		return
	}
	channel, ok := a.admit(peer, payload)
	if !ok {
		return
	}
	message, err := frame(channel, peer, payload)
	if err == nil {
		_, err = a.count(len(payload), func() (int, error) {
			return a.front.PacketConn.WriteTo(message, net.UDPAddrFromAddrPort(a.client))
		})
	}
	if err != nil {
		a.front.server.cfg.Log.Debug("datagram not delivered", "client", a.client, "peer", peer, "error", err)
	}
}

// frame makes the message of a payload to the client: ChannelData where the peer has a
// channel, else a Data indication (RFC 8656, section 11.3).
func frame(channel uint16, peer netip.AddrPort, payload []byte) ([]byte, error) {
	if channel != 0 {
		message := make([]byte, headerChannelData, headerChannelData+len(payload))
		binary.BigEndian.PutUint16(message, channel)
		binary.BigEndian.PutUint16(message[2:], uint16(len(payload)))
		return append(message, payload...), nil
	}
	m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodData, stun.ClassIndication))
	if err != nil {
		return nil, fmt.Errorf("data indication: %w", err)
	}
	from := stun.XORMappedAddress{IP: peer.Addr().AsSlice(), Port: int(peer.Port())}
	if err := from.AddToAs(m, stun.AttrXORPeerAddress); err != nil {
		return nil, fmt.Errorf("data indication from %v: %w", peer, err)
	}
	m.Add(stun.AttrData, payload)
	return m.Raw, nil
}
