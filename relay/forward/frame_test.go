package forward

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"testing"

	"github.com/pion/stun/v4"
)

func TestChannelDataIsWhatTheEngineTakesForIt(t *testing.T) {
	for _, c := range []struct {
		name, frame string
		channel     uint16
		payload     string // in hex
		ok          bool
	}{
		{"no padding", "400000026869", 0x4000, "6869", true},
		{"padded to four bytes (RFC 8656, section 12.5)", "4000000268690000", 0x4000, "6869", true},
		{"more behind the payload than padding", "40000002686900112233445566", 0x4000, "6869", true},
		{"no payload", "40000000", 0x4000, "", true},
		{"highest number of RFC 5766", "7fff000161", 0x7fff, "61", true},
		{"length beyond the datagram", "400000036869", 0, "", false},
		{"header cut off", "400000", 0, "", false},
		{"empty", "", 0, "", false},
		{"number too low", "3fff000161", 0, "", false},
		{"number too high", "8000000161", 0, "", false},
		{"STUN", "000100002112a442000000000000000000000000", 0, "", false},
	} {
		frame, err := hex.DecodeString(c.frame)
		if err != nil {
			t.Fatal(err)
		}
		channel, payload, ok := channelData(frame)
		if channel != c.channel && ok || hex.EncodeToString(payload) != c.payload || ok != c.ok {
			t.Errorf("%s: %s: wanted 0x%04x %q %v, got 0x%04x %x %v", c.name, c.frame, c.channel, c.payload, c.ok, channel, payload, ok)
		}
	}
}

// raw is an attribute as it is on the wire.
type raw struct {
	kind  stun.AttrType
	value []byte
}

func (r raw) AddTo(m *stun.Message) error {
	m.Add(r.kind, r.value)
	return nil
}

func indication(peer netip.AddrPort, data []byte, more ...stun.Setter) []byte {
	setters := []stun.Setter{stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication)}
	if peer.IsValid() {
		setters = append(setters, xorPeer(peer))
	}
	if data != nil {
		setters = append(setters, raw{stun.AttrData, data})
	}
	return stun.MustBuild(append(setters, more...)...).Raw
}

type xorPeer netip.AddrPort

func (x xorPeer) AddTo(m *stun.Message) error {
	a := netip.AddrPort(x)
	return (&stun.XORMappedAddress{IP: net.IP(a.Addr().AsSlice()), Port: int(a.Port())}).AddToAs(m, stun.AttrXORPeerAddress)
}

func TestOnlyPlainSendIndicationsAreForwarded(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.7:4711"), netip.MustParseAddrPort("[2001:db8::7]:4711")
	plain := indication(v4, []byte("hello"))
	long := bytes.Clone(plain)
	binary.BigEndian.PutUint16(long[headerSTUN+12+2:], 200)
	for _, c := range []struct {
		name  string
		frame []byte
		peer  netip.AddrPort
		data  string
		ok    bool
	}{
		{"IPv4", plain, v4, "hello", true},
		{"IPv6", indication(v6, []byte("hello")), v6, "hello", true},
		{"no data", indication(v4, []byte{}), v4, "", true},
		{"data first", stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), raw{stun.AttrData, []byte("hello")}, xorPeer(v4)).Raw, v4, "hello", true},
		{"without data attribute", indication(v4, nil), netip.AddrPort{}, "", false},
		{"without peer", indication(netip.AddrPort{}, []byte("hello")), netip.AddrPort{}, "", false},
		{"with an attribute more", indication(v4, []byte("hello"), raw{stun.AttrDontFragment, nil}), netip.AddrPort{}, "", false},
		{"with two peers", indication(v4, []byte("hello"), xorPeer(v6)), netip.AddrPort{}, "", false},
		{"address too short", indication(netip.AddrPort{}, []byte("hello"), raw{stun.AttrXORPeerAddress, []byte{0, 1, 2, 3}}), netip.AddrPort{}, "", false},
		{"address of no family", indication(netip.AddrPort{}, []byte("hello"), raw{stun.AttrXORPeerAddress, make([]byte, 8)}), netip.AddrPort{}, "", false},
		{"address whose reserved byte is set", indication(netip.AddrPort{}, []byte("hello"), raw{stun.AttrXORPeerAddress, []byte{'0', 1, 2, 3, 4, 5, 6, 7}}), netip.AddrPort{}, "", false},
		{"cut off", plain[:len(plain)-4], netip.AddrPort{}, "", false},
		{"attribute beyond the message", long, netip.AddrPort{}, "", false},
		{"a request", stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw, netip.AddrPort{}, "", false},
		{"empty", nil, netip.AddrPort{}, "", false},
	} {
		peer, data, ok := send(c.frame)
		if ok != c.ok || ok && (peer.addrPort() != c.peer || string(data) != c.data) {
			t.Errorf("%s: %x: wanted %v %q %v, got %v %q %v", c.name, c.frame, c.peer, c.data, c.ok, peer.addrPort(), data, ok)
		}
	}
}

// Whatever the core takes for a Send indication, the STUN library reads the same.
func FuzzSend(f *testing.F) {
	f.Add(indication(netip.MustParseAddrPort("192.0.2.7:4711"), []byte("hello")))
	f.Add(indication(netip.MustParseAddrPort("[2001:db8::7]:4711"), []byte{}))
	f.Fuzz(func(t *testing.T, p []byte) {
		peer, data, ok := send(p)
		if !ok {
			return
		}
		m := &stun.Message{Raw: bytes.Clone(p)}
		if err := m.Decode(); err != nil {
			t.Fatalf("%x: %v", p, err)
		}
		var want stun.XORMappedAddress
		if err := want.GetFromAs(m, stun.AttrXORPeerAddress); err != nil {
			t.Fatalf("%x: %v", p, err)
		}
		addr, _ := netip.AddrFromSlice(want.IP)
		if got := peer.addrPort(); got != netip.AddrPortFrom(addr.Unmap(), uint16(want.Port)) {
			t.Errorf("%x: wanted peer %v:%d, got %v", p, addr, want.Port, got)
		}
		if value, err := m.Get(stun.AttrData); err != nil || !bytes.Equal(value, data) {
			t.Errorf("%x: wanted data %x, got %x", p, value, data)
		}
	})
}

// What is read as ChannelData is written as the same, but for padding.
func FuzzChannelData(f *testing.F) {
	f.Add([]byte{0x40, 0, 0, 2, 'h', 'i'})
	f.Add([]byte{0x7f, 0xff, 0, 1, 'h', 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		channel, payload, ok := channelData(p)
		if !ok {
			return
		}
		frame := make([]byte, headerChannelData, len(p))
		putHeader(frame, channel, len(payload))
		if frame = append(frame, payload...); !bytes.HasPrefix(p, frame) {
			t.Errorf("%x: read and written it is %x", p, frame)
		}
	})
}
