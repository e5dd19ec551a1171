package packet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/callpath/callpath/topology/sim/packet"
)

// FuzzRewrite does to arbitrary bytes all that routers, NATs and firewalls do:
// nothing panics, checksums that were right stay right, and what a router makes is
// well-formed.
func FuzzRewrite(f *testing.F) {
	for _, data := range samples() {
		f.Add(data, uint16(1234), 576)
	}
	f.Add(syn(a4, b4, 1, 2, 4, 0x05, 0xb4, 0, 0, 0), uint16(1), 1280)
	f.Add(extended(0, 44, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 9), uint16(0), 100)
	f.Fuzz(func(t *testing.T, data []byte, port uint16, mtu int) {
		p, err := packet.Parse(data)
		if err != nil {
			return
		}
		_, _ = p.String(), p.Payload()
		if about, ok := p.Embedded(); ok {
			_, _ = about.String(), about.Payload()
			about.ClampMSS(mtu)
		}
		right := p.ChecksumsRight()
		address := c4.Addr()
		if p.Version() == 6 {
			address = c6.Addr()
		}
		to := netip.AddrPortFrom(address, port)
		for _, made := range [][]byte{p.Error(packet.TimeExceeded, address, mtu), p.Error(packet.TooBig, address, mtu), p.Reset()} {
			if made == nil {
				continue
			}
			if m := parse(t, made); !m.ChecksumsRight() {
				t.Errorf("router's answer has wrong checksums: %x", made)
			}
		}
		if parts, err := packet.Split(p, mtu, 5); err == nil {
			for _, part := range parts {
				// A first fragment that is too small for all headers is refused.
				if _, err := packet.Parse(part); err != nil && !errors.Is(err, packet.ErrTruncated) {
					t.Errorf("fragment %x of %x: %v", part, data, err)
				}
			}
		}
		p.Age()
		p.ClampMSS(mtu)
		p.SetSource(to)
		p.SetDestination(to)
		if right && !p.ChecksumsRight() {
			t.Errorf("checksums are wrong after rewriting: %x", p.Bytes())
		}
		if p.SourceAddr() != address || p.DestinationAddr() != address {
			t.Errorf("addresses %v and %v, want %v", p.SourceAddr(), p.DestinationAddr(), address)
		}
		if p.RewriteEmbedded(to, to) && !p.ChecksumsRight() {
			t.Errorf("checksums are wrong after rewriting what is embedded: %x", p.Bytes())
		}
	})
}

// FuzzReassemble feeds fragments, each with two bytes of length before it. What is
// put together has the length that its header says.
func FuzzReassemble(f *testing.F) {
	chain := func(data []byte, mtu int) []byte {
		var out []byte
		for _, p := range split(f, data, mtu) {
			out = binary.BigEndian.AppendUint16(out, uint16(p.Len()))
			out = append(out, p.Bytes()...)
		}
		return out
	}
	f.Add(chain(packet.NewUDP(a4, b4, content(1000)), 300))
	f.Add(chain(packet.NewUDP(a6, b6, content(1000)), 300))
	f.Fuzz(func(t *testing.T, chain []byte) {
		var r packet.Reassembler
		for len(chain) > 2 {
			n := min(int(binary.BigEndian.Uint16(chain)), len(chain)-2)
			one := bytes.Clone(chain[2 : 2+n])
			chain = chain[2+n:]
			p, err := packet.Parse(one)
			if err != nil {
				continue
			}
			w, done := r.Add(p, start)
			if !done {
				continue
			}
			if q, err := packet.Parse(w.Data); err == nil && q.Len() != len(w.Data) {
				t.Errorf("%d bytes were put together as %d", q.Len(), len(w.Data))
			}
		}
	})
}
