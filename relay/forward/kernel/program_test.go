//go:build linux

package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// data is a message of ChannelData with bytes behind its payload.
func data(channel uint16, payload []byte, behind ...byte) []byte {
	p := binary.BigEndian.AppendUint16(nil, channel)
	p = binary.BigEndian.AppendUint16(p, uint16(len(payload)))
	return append(append(p, payload...), behind...)
}

func random(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rand.Uint32())
	}
	return p
}

// label is the flow label that a flow was given.
func label(w *way) uint32 { return binary.BigEndian.Uint32(w.leg.flowLabel[:]) }

// Every byte of what goes out is that of the datagram that a relay would send, with
// DSCP and ECN as they came, and TTL or hop limit one lower (RFC 8656, section 14).
func TestADatagramIsRewrittenAsARelaySendsIt(t *testing.T) {
	h := newHost(t, Config{Channels: 10})
	for name, e := range map[string]ends{"IPv4": flow4, "IPv6": flow6} {
		f, err := h.Bind(e.channel())
		ok(t, err)
		var wanted [2]Count
		for _, size := range []int{0, 1, 2, 3, 4, 5, 17, 20, 160, 161, 1200, 1401} {
			for _, behind := range []int{0, 1, 2, 3, 4, 7, 50} {
				payload := random(size)
				check := func(way string, in, want []byte) {
					t.Helper()
					// Frames of a wire have 60 bytes at least.
					for _, frame := range [][]byte{in, append(bytes.Clone(in), make([]byte, max(0, 60-len(in)))...)} {
						verdict, out := h.run(t, frame)
						if verdict != forwarded || !bytes.Equal(out, want) {
							t.Fatalf("%s, %s, %d bytes and %d behind them:\n%x: wanted %d\n%x, got %d\n%x", name, way, size, behind, frame, forwarded, want, verdict, out)
						}
					}
				}
				check("to peer", frame(t, e.client, e.server, data(number, payload, random(behind)...)),
					frame(t, e.relay, e.peer, payload, sent(label(f.toPeer))))
				wanted[0].Packets += 2
				wanted[0].Bytes += uint64(2 * size)
				payload = append(payload, random(behind)...)
				if len(payload) > 1440 {
					continue
				}
				check("to client", frame(t, e.peer, e.relay, payload),
					frame(t, e.server, e.client, data(number, payload), sent(label(f.toClient))))
				wanted[1].Packets += 2
				wanted[1].Bytes += uint64(2 * len(payload))
			}
		}
		if toPeer, toClient := f.Counts(); toPeer != wanted[0] || toClient != wanted[1] {
			t.Errorf("%s: counted %+v and %+v, wanted %+v", name, toPeer, toClient, wanted)
		}
	}
}

// Between two clients a message goes in one step, with the channel of the one who gets
// it, and is counted for both.
func TestAMessageToAnotherClientGoesInOneStep(t *testing.T) {
	h := newHost(t, Config{Channels: 10})
	for name, e := range map[string]ends{"IPv4": flow4, "IPv6": flow6} {
		other := ends{netip.AddrPortFrom(e.client.Addr(), 40007), e.server, netip.AddrPortFrom(e.relay.Addr(), 50007), e.relay}
		e.peer = other.relay
		c := e.channel()
		c.Within = true
		f, err := h.Bind(c)
		ok(t, err)
		h.wants(t, name+": the other has no channel", e, false, true)
		c = other.channel()
		c.Number = number + 1
		g, err := h.Bind(c)
		ok(t, err)
		for _, size := range []int{0, 1, 20, 161, 1400} {
			payload := random(size)
			in := frame(t, e.client, e.server, data(number, payload))
			verdict, out := h.run(t, in)
			if want := frame(t, e.server, other.client, data(number+1, payload), sent(label(g.toClient))); verdict != forwarded || !bytes.Equal(out, want) {
				t.Fatalf("%s, %d bytes:\n%x: wanted\n%x, got %d\n%x", name, size, in, want, verdict, out)
			}
		}
		want := Count{Packets: 5, Bytes: 1582}
		if up, _ := f.Counts(); up != want {
			t.Errorf("%s: counted %+v for the one; wanted %+v", name, up, want)
		}
		if _, down := g.Counts(); down != want {
			t.Errorf("%s: counted %+v for the other; wanted %+v", name, down, want)
		}
		g.Unbind()
		h.wants(t, name+": the other has gone", e, false, true)
		f.Unbind()
	}
}

// A checksum is not made good: what came with a wrong one leaves with a wrong one, and
// what came without one leaves without (RFC 768).
func TestAChecksumStaysAsTrueAsItCame(t *testing.T) {
	h := newHost(t, Config{Channels: 10})
	f, err := h.Bind(flow4.channel())
	ok(t, err)
	payload := random(100)
	at := 14 + 20 + 6
	in, want := frame(t, flow4.client, flow4.server, data(number, payload)), frame(t, flow4.relay, flow4.peer, payload, sent(label(f.toPeer)))
	in[at], in[at+1], want[at], want[at+1] = 0, 0, 0, 0
	if _, out := h.run(t, in); !bytes.Equal(out, want) {
		t.Errorf("without checksum: wanted\n%x, got\n%x", want, out)
	}
	in = frame(t, flow4.client, flow4.server, data(number, payload))
	in[60] ^= 1 // damaged on the way
	_, out := h.run(t, in)
	good := frame(t, flow4.relay, flow4.peer, out[42:], sent(label(f.toPeer)))
	if bytes.Equal(out, good) {
		t.Errorf("damaged on its way in, it went out with a checksum that is true: %x", out)
	}
}

// What the program does not forward, it does not touch.
func TestEverythingElseIsLeftAsItCame(t *testing.T) {
	h := newHost(t, Config{Channels: 10})
	for _, e := range []ends{flow4, flow6} {
		_, err := h.Bind(e.channel())
		ok(t, err)
	}
	payload := random(100)
	good := data(number, payload)
	with := func(at int, b ...byte) []byte {
		p := frame(t, flow4.client, flow4.server, good)
		copy(p[at:], b)
		return p
	}
	with6 := func(at int, b ...byte) []byte {
		p := frame(t, flow6.client, flow6.server, good)
		copy(p[at:], b)
		return p
	}
	ip := func(c func(*layers.IPv4)) []byte {
		return frame(t, flow4.client, flow4.server, good, func(_ *layers.Ethernet, ip *layers.IPv4, _ *layers.IPv6, _ *layers.UDP) { c(ip) })
	}
	other := netip.MustParseAddrPort("192.0.2.2:40001")
	short := data(number, payload)
	short[3]++
	request := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
	for name, in := range map[string][]byte{
		"STUN":                              frame(t, flow4.client, flow4.server, request),
		"no payload":                        frame(t, flow4.client, flow4.server, nil),
		"half a header":                     frame(t, flow4.client, flow4.server, good[:3]),
		"a channel that is not bound":       frame(t, flow4.client, flow4.server, data(number+1, payload)),
		"a number that is no channel's":     frame(t, flow4.client, flow4.server, data(0x8001, payload)),
		"from another port":                 frame(t, other, flow4.server, good),
		"to another port":                   frame(t, flow4.client, netip.MustParseAddrPort("192.0.2.1:3479"), good),
		"from another peer":                 frame(t, other, flow4.relay, payload),
		"a length beyond the end":           frame(t, flow4.client, flow4.server, short),
		"much behind the payload":           frame(t, flow4.client, flow4.server, data(number, payload, make([]byte, 253)...)),
		"from a peer, too long with header": frame(t, flow4.peer, flow4.relay, make([]byte, 1470)),
		"longer than any datagram":          frame(t, flow4.peer, flow4.relay, make([]byte, 1600)),
		"more fragments":                    ip(func(ip *layers.IPv4) { ip.Flags = layers.IPv4MoreFragments }),
		"last fragment":                     ip(func(ip *layers.IPv4) { ip.FragOffset = 3 }),
		"reserved flag":                     ip(func(ip *layers.IPv4) { ip.Flags = layers.IPv4EvilBit }),
		"TTL ends":                          ip(func(ip *layers.IPv4) { ip.TTL = 1 }),
		"options":                           ip(func(ip *layers.IPv4) { ip.Options = []layers.IPv4Option{{OptionType: 1}} }),
		"TCP":                               ip(func(ip *layers.IPv4) { ip.Protocol = layers.IPProtocolTCP }),
		"IPv4 header with a wrong checksum": with(14+10, 0, 0),
		"version 5":                         with(14, 0x55),
		"UDP length shorter than IP's":      with(14+20+4, 0, 20),
		"UDP length longer than IP's":       with(14+20+4, 1, 0),
		"cut off":                           frame(t, flow4.client, flow4.server, good)[:100],
		"ARP":                               with(12, 8, 6),
		"IPv6: UDP length longer":           with6(14+40+4, 1, 0),
		"IPv6: no checksum (RFC 8200, 8.1)": with6(14+40+6, 0, 0),
		"IPv6: hop limit ends":              with6(14+7, 1),
		"IPv6: fragment header":             with6(14+6, 44),
		"IPv6: longer than the frame":       with6(14+4, 5, 0),
		"IPv6: version 4":                   with6(14, 0x40),
	} {
		verdict, out := h.run(t, in)
		if verdict != left || !bytes.Equal(out, in) {
			t.Errorf("%s: %x:\nwanted %d and nothing changed, got %d and\n%x", name, in, left, verdict, out)
		}
	}
}

// Whatever comes, it is either left as it is or goes out as what the relay sends.
func FuzzProgram(f *testing.F) {
	h := newHost(f, Config{Channels: 10})
	bound := map[string]*Flow{}
	for name, e := range map[string]ends{"4": flow4, "6": flow6} {
		b, err := h.Bind(e.channel())
		ok(f, err)
		bound[name] = b
	}
	ways := [][2]netip.AddrPort{
		{flow4.client, flow4.server}, {flow4.peer, flow4.relay}, {flow6.client, flow6.server}, {flow6.peer, flow6.relay},
	}
	for way := range ways {
		f.Add(uint8(way), data(number, []byte("payload")), uint16(0), uint8(0))
		f.Add(uint8(way), data(number, []byte("padded"), 0, 0), uint16(18), uint8(1))
		f.Add(uint8(way), []byte{}, uint16(40), uint8(1))
		f.Add(uint8(way), data(number, nil), uint16(60), uint8(0xff))
	}
	f.Fuzz(func(t *testing.T, way uint8, payload []byte, at uint16, flip uint8) {
		if len(payload) > 1800 {
			return
		}
		in := frame(t, ways[way&3][0], ways[way&3][1], payload)
		in[int(at)%len(in)] ^= flip
		verdict, out, err := h.try(in)
		switch {
		case errors.Is(err, unix.EINVAL): // too short for a packet of its kind
		case err != nil:
			t.Fatal(err)
		case verdict == left && bytes.Equal(out, in):
		case verdict == forwarded:
			if err := follows(in, out); err != nil {
				t.Errorf("%x:\n%x: %v", in, out, err)
			}
		default:
			t.Errorf("%x: %d and\n%x", in, verdict, out)
		}
	})
}

// follows says what is wrong with a frame that the program has made of another.
func follows(in, out []byte) error {
	offset := 14 + 20
	e := flow4
	if in[14]>>4 == 6 {
		offset, e = 14+40, flow6
	}
	if len(in) < offset+8 || len(out) < offset+8 {
		return fmt.Errorf("no UDP header")
	}
	size := int(binary.BigEndian.Uint16(in[offset+4:])) - 8
	payload, sentOn := in[offset+8:offset+8+size], out[offset+8:]
	from, to := e.relay, e.peer
	if binary.BigEndian.Uint16(in[offset+2:]) == e.relay.Port() {
		from, to = e.server, e.client
		payload = data(number, payload)
	} else {
		payload = payload[4 : 4+binary.BigEndian.Uint16(payload[2:])]
	}
	if !bytes.Equal(payload, sentOn) {
		return fmt.Errorf("wanted the payload %x", payload)
	}
	if int(binary.BigEndian.Uint16(out[offset+4:])) != len(out)-offset {
		return fmt.Errorf("length of UDP is wrong")
	}
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from.Port()), to.Port())
	if !bytes.Equal(out[offset:offset+4], ports) || !bytes.Contains(out[14:offset], append(from.Addr().AsSlice(), to.Addr().AsSlice()...)) {
		return fmt.Errorf("wanted it from %v to %v", from, to)
	}
	// A sum over pseudo-header and datagram that was true is true, and a wrong one
	// is wrong by as much.
	if before, after := datagramSum(in[:offset+8+size], offset), datagramSum(out, offset); before != after &&
		binary.BigEndian.Uint16(in[offset+6:]) != 0 && before%0xffff != after%0xffff {
		return fmt.Errorf("checksum was off by %#x and is by %#x", before, after)
	}
	return nil
}

// datagramSum is the sum that the checksum makes zero (RFC 768), folded.
func datagramSum(p []byte, offset int) uint32 {
	addresses := p[14+12 : offset]
	if offset == 14+40 {
		addresses = p[14+8 : offset]
	}
	all := append(bytes.Clone(addresses), 0, 17)
	all = append(binary.BigEndian.AppendUint16(all, uint16(len(p)-offset)), p[offset:]...)
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	var sum uint32
	for i := 0; i < len(all); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	return sum % 0xffff
}
