package runner

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/pion/stun/v4"
)

// ipPacket makes a packet without checksums, which nothing here looks at.
func ipPacket(protocol byte, src, dst netip.AddrPort, payload []byte) []byte {
	transport := make([]byte, 8, 8+len(payload))
	if protocol == 6 {
		transport = make([]byte, 20, 20+len(payload))
		transport[12] = 5 << 4
	}
	binary.BigEndian.PutUint16(transport, src.Port())
	binary.BigEndian.PutUint16(transport[2:], dst.Port())
	transport = append(transport, payload...)
	var header []byte
	if src.Addr().Is4() {
		header = make([]byte, 20)
		header[0], header[8], header[9] = 0x45, 64, protocol
		binary.BigEndian.PutUint16(header[2:], uint16(20+len(transport)))
		copy(header[12:], src.Addr().AsSlice())
		copy(header[16:], dst.Addr().AsSlice())
	} else {
		header = make([]byte, 40)
		header[0], header[6], header[7] = 0x60, protocol, 64
		binary.BigEndian.PutUint16(header[4:], uint16(len(transport)))
		copy(header[8:], src.Addr().AsSlice())
		copy(header[24:], dst.Addr().AsSlice())
	}
	return append(header, transport...)
}

func TestParseReadsBothFamiliesAndBothTransports(t *testing.T) {
	payload := []byte("payload")
	for _, c := range []struct {
		name     string
		src, dst string
		protocol byte
		want     string
		payload  []byte
	}{
		{"UDP over IPv4", "192.0.2.1:1000", "198.51.100.2:3478", 17, "udp", payload},
		{"UDP over IPv6", "[2001:db8::1]:1000", "[2001:db8::2]:3478", 17, "udp", payload},
		{"TCP over IPv4", "192.0.2.1:1000", "198.51.100.2:443", 6, "tcp", nil},
		{"TCP over IPv6", "[2001:db8::1]:1000", "[2001:db8::2]:443", 6, "tcp", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := netip.MustParseAddrPort(c.src), netip.MustParseAddrPort(c.dst)
			got, ok := parse(ipPacket(c.protocol, src, dst, payload))
			if !ok || got.protocol != c.want || got.src != src || got.dst != dst || !bytes.Equal(got.payload, c.payload) {
				t.Errorf("got %+v, %v; wanted %s from %s to %s with %q", got, ok, c.want, src, dst, c.payload)
			}
		})
	}
}

func TestParseRefusesWhatIsNoTrafficOfACall(t *testing.T) {
	whole := ipPacket(17, netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), nil)
	fragment := bytes.Clone(whole)
	fragment[7] = 1
	icmp := bytes.Clone(whole)
	icmp[9] = 1
	options := bytes.Clone(whole)
	options[0] = 0x4f
	for name, packet := range map[string][]byte{
		"empty": nil, "one byte": {0x45}, "cut header": whole[:19], "cut UDP": whole[:24],
		"later fragment": fragment, "ICMP": icmp, "options beyond the end": options, "version 7": {0x70, 0, 0, 0},
	} {
		if got, ok := parse(packet); ok {
			t.Errorf("%s: got %+v, wanted a refusal", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ipPacket(17, netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), []byte{0x40, 0, 0, 1, 5}))
	f.Add(ipPacket(17, netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2"), []byte{22, 254, 253}))
	f.Fuzz(func(t *testing.T, packet []byte) {
		d, ok := parse(packet)
		if ok && (!d.src.IsValid() || !d.dst.IsValid()) {
			t.Fatalf("parsed without addresses: %+v", d)
		}
		demuxTURN(d.payload)
	})
}

// RFC 7983, section 7.
func TestDemuxTellsTheProtocolsApart(t *testing.T) {
	for _, c := range []struct {
		first byte
		want  kind
	}{{0, kindSTUN}, {3, kindSTUN}, {4, kindOther}, {19, kindOther}, {20, kindDTLS}, {63, kindDTLS},
		{64, kindOther}, {79, kindOther}, {127, kindOther}, {128, kindSRTP}, {191, kindSRTP}, {192, kindOther}} {
		if got := demux([]byte{c.first}); got != c.want {
			t.Errorf("first byte %d: got kind %d, wanted %d", c.first, got, c.want)
		}
	}
	if got := demux(nil); got != kindOther {
		t.Errorf("no bytes: got kind %d, wanted %d", got, kindOther)
	}
}

// RFC 8656, sections 11 and 12.
func TestUnwrapTakesPayloadsOutOfTURN(t *testing.T) {
	indication := func(data []byte) []byte {
		m, err := stun.Build(stun.NewType(stun.MethodSend, stun.ClassIndication), stun.TransactionID,
			stun.RawAttribute{Type: stun.AttrData, Value: data})
		if err != nil {
			t.Fatal(err)
		}
		return m.Raw
	}
	check := stun.MustBuild(stun.BindingRequest, stun.TransactionID).Raw
	for _, c := range []struct {
		name string
		in   []byte
		want kind
	}{
		{"a request to the relay stays", stun.MustBuild(stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.TransactionID).Raw, kindSTUN},
		{"SRTP in ChannelData", []byte{0x40, 0, 0, 2, 0x80, 0}, kindSRTP},
		{"DTLS in a Send indication", indication([]byte{22, 254, 253}), kindDTLS},
		{"a check in a Send indication", indication(check), kindWrappedSTUN},
		{"a check in ChannelData", append([]byte{0x40, 1, 0, byte(len(check))}, check...), kindWrappedSTUN},
		{"an indication without data", stun.MustBuild(stun.NewType(stun.MethodSend, stun.ClassIndication), stun.TransactionID).Raw, kindSTUN},
		{"cut ChannelData", []byte{0x40, 0}, kindOther},
	} {
		if got := demuxTURN(c.in); got != c.want {
			t.Errorf("%s: got kind %d, wanted %d; packet %x", c.name, got, c.want, c.in)
		}
	}
}
