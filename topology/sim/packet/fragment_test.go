package packet_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/topology/sim/packet"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func split(t testing.TB, data []byte, mtu int) []packet.Packet {
	t.Helper()
	parts, err := packet.Split(parse(t, data), mtu, 77)
	if err != nil {
		t.Fatal(err)
	}
	var out []packet.Packet
	for _, part := range parts {
		if len(part) > mtu {
			t.Errorf("fragment of %d bytes for an MTU of %d", len(part), mtu)
		}
		p := parse(t, part)
		if !p.ChecksumsRight() {
			t.Errorf("fragment's header checksum is wrong: %x", part[:20])
		}
		out = append(out, p)
	}
	return out
}

func content(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i * 31 >> 2)
	}
	return out
}

func TestSplitAndReassembleInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, data := range map[string][]byte{
		"UDP over IPv4":  packet.NewUDP(a4, b4, content(5000)),
		"UDP over IPv6":  packet.NewUDP(a6, b6, content(5000)),
		"echo over IPv4": packet.NewEcho(a4.Addr(), b4.Addr(), false, 7, 1, content(3000)),
		"IPv6 extension": extendedWith(content(2000), 60, 17, 0, 0, 0, 0, 0, 0, 0),
	} {
		const mtu = 576
		parts := split(t, data, mtu)
		if len(parts) < 2 {
			t.Errorf("%s: not split", name)
		}
		for i, p := range parts {
			if !p.IsFragment() || i > 0 && p.Source().Port() != 0 {
				t.Errorf("%s: part %d: fragment %v from %v", name, i, p.IsFragment(), p.Source())
			}
		}
		for range 20 {
			var r packet.Reassembler
			random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			for i, p := range parts {
				w, done := r.Add(p, start)
				if done != (i == len(parts)-1) {
					t.Fatalf("%s: complete after %d of %d", name, i+1, len(parts))
				}
				if _, again := r.Add(p, start); !done && again {
					t.Fatalf("%s: a duplicate completes it", name)
				}
				if done && (!bytes.Equal(w.Data, data) || w.Largest > mtu) {
					t.Fatalf("%s: put together as\n%x, want\n%x", name, w.Data, data)
				}
			}
		}
	}
}

// A router splits a fragment again for a still smaller link (RFC 791).
func TestFragmentsOfFragments(t *testing.T) {
	data := packet.NewUDP(a4, b4, content(4000))
	var r packet.Reassembler
	for _, part := range split(t, data, 1500) {
		for _, p := range split(t, part.Bytes(), 300) {
			if w, done := r.Add(p, start); done && bytes.Equal(w.Data, data) {
				return
			}
		}
	}
	t.Error("not put together")
}

func TestSplitKeepsWhatFits(t *testing.T) {
	data := packet.NewUDP(a4, b4, nil)
	parts := split(t, data, 1500)
	if len(parts) != 1 || !bytes.Equal(parts[0].Bytes(), data) {
		t.Errorf("%d parts", len(parts))
	}
	var r packet.Reassembler
	if w, done := r.Add(parts[0], start); !done || !bytes.Equal(w.Data, data) {
		t.Error("a whole packet is not complete")
	}
}

func TestSplitRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		mtu  int
	}{
		"IPv4 without room":        {packet.NewUDP(a4, b4, content(100)), 27},
		"IPv6 without room":        {packet.NewUDP(a6, b6, content(100)), 55},
		"IPv6 that is one already": {split(t, packet.NewUDP(a6, b6, content(3000)), 1400)[0].Bytes(), 1280},
	} {
		if parts, err := packet.Split(parse(t, c.data), c.mtu, 1); err == nil {
			t.Errorf("%s: %d parts", name, len(parts))
		}
	}
}

// RFC 791, section 3.1: later fragments repeat only options whose copied flag is set.
func TestOptionsInFragments(t *testing.T) {
	udp := packet.NewUDP(a4, b4, content(200))
	options := []byte{0x07, 4, 4, 0 /* record route */, 0x94, 4, 0, 0 /* router alert, copied */, 1, 1, 1, 0}
	data := append(bytes.Clone(udp[:20]), options...)
	data = append(data, udp[20:]...)
	data[0] = 0x40 | byte(20+len(options))/4
	binary.BigEndian.PutUint16(data[2:], uint16(len(data)))
	packet.Finish(data)
	parts := split(t, data, 100)
	if got := parts[0].Bytes()[20:32]; !bytes.Equal(got, options) {
		t.Errorf("first fragment's options %x, want %x", got, options)
	}
	if got := parts[1].Bytes(); got[0] != 0x46 || !bytes.Equal(got[20:24], options[4:8]) {
		t.Errorf("second fragment's header %x, want the router alert only", got[:28])
	}
	bad := with(data, 21, 200) // an option longer than the header
	if parts := split(t, bad, 100); parts[1].Bytes()[0] != 0x45 {
		t.Errorf("malformed options were copied: %x", parts[1].Bytes()[:24])
	}
}

func TestReassemblerRefusesAndForgets(t *testing.T) {
	data := packet.NewUDP(a4, b4, content(3000))
	parts := split(t, data, 1000)
	shift := func(p packet.Packet, eights int, more bool) packet.Packet {
		d := bytes.Clone(p.Bytes())
		flags := uint16(eights)
		if more {
			flags |= 0x2000
		}
		binary.BigEndian.PutUint16(d[6:], flags)
		return parse(t, d)
	}
	for name, attack := range map[string][]packet.Packet{
		"overlap":          {parts[0], shift(parts[1], 1, true)},
		"overlap before":   {parts[1], shift(parts[0], 60, true)},
		"beyond the end":   {parts[3], shift(parts[1], 5000, true)},
		"two ends":         {parts[3], shift(parts[1], 122, false)},
		"end before parts": {parts[2], shift(parts[1], 60, false)},
		"other length":     {parts[0], shift(parts[3], 0, true)},
	} {
		var r packet.Reassembler
		for _, p := range slices.Concat(attack, parts[:len(parts)-1]) {
			if _, done := r.Add(p, start); done {
				t.Errorf("%s: put together", name)
			}
		}
	}

	var r packet.Reassembler
	r.Add(parts[0], start)
	for i := range 64 { // other packets use up the room for the oldest
		other := bytes.Clone(parts[0].Bytes())
		binary.BigEndian.PutUint16(other[4:], uint16(1000+i))
		r.Add(parse(t, other), start.Add(time.Second))
	}
	for _, p := range parts[1:] {
		if _, done := r.Add(p, start.Add(2*time.Second)); done {
			t.Error("more is kept than the bound")
		}
	}

	var slow packet.Reassembler
	slow.Add(parts[0], start)
	slow.Add(split(t, packet.NewUDP(b4, a4, content(3000)), 1000)[0], start.Add(time.Minute)) // sweeps
	for _, p := range parts[1:] {
		if _, done := slow.Add(p, start.Add(time.Minute)); done {
			t.Error("a fragment is kept for a minute")
		}
	}
}
