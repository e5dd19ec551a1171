package srtp_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	pion "github.com/pion/srtp/v3"

	"github.com/callpath/callpath/relay/forward/srtp"
)

// room is a copy of a packet with room behind it for anything that sealing adds.
func room(p []byte) []byte { return append(make([]byte, 0, len(p)+64), p...) }

// sealRTP seals a copy of a packet in place.
func sealRTP(s *srtp.Sealer, packet []byte, header int) ([]byte, error) {
	buf := room(packet)
	return s.RTP(buf[:header], buf[header:])
}

// randomRTP is a packet with CSRCs, an extension and padding, or without, and the
// length of its header.
func randomRTP(r *rand.Rand, ssrc uint32, seq uint16) (packet []byte, header int) {
	csrcs, payload := 0, r.IntN(300)
	if r.IntN(3) == 0 {
		csrcs = r.IntN(16)
	}
	p := []byte{0x80 | byte(csrcs), byte(r.Uint32())}
	p = binary.BigEndian.AppendUint16(p, seq)
	p = binary.BigEndian.AppendUint32(p, r.Uint32())
	p = binary.BigEndian.AppendUint32(p, ssrc)
	for range csrcs {
		p = binary.BigEndian.AppendUint32(p, r.Uint32())
	}
	switch r.IntN(4) {
	case 0: // RFC 8285 with one-byte headers, two elements and padding
		p[0] |= 0x10
		p = append(p, 0xbe, 0xde, 0, 2, 0x10, 0x55, 0x32, 1, 2, 3, 0, 0)
	case 1: // with two-byte headers
		p[0] |= 0x10
		p = append(p, 0x10, 0x00, 0, 2, 7, 4, 9, 8, 7, 6, 0, 0)
	case 2: // an extension of another kind, perhaps empty
		n := r.IntN(4)
		p[0] |= 0x10
		p = append(p, 0x12, 0x34, 0, byte(n))
		p = append(p, make([]byte, 4*n)...)
	}
	header = len(p)
	for range payload {
		p = append(p, byte(r.Uint32()))
	}
	if pad := r.IntN(20); pad > 0 && r.IntN(3) == 0 {
		p[0] |= 0x20
		p = append(p, make([]byte, pad-1)...)
		p = append(p, byte(pad))
	}
	return p, header
}

// network loses, repeats and reorders packets.
func network(r *rand.Rand, sent [][]byte) [][]byte {
	var out [][]byte
	for _, p := range sent {
		switch r.IntN(20) {
		case 0: // lost
		case 1:
			out = append(out, p, p)
		default:
			out = append(out, p)
		}
	}
	for i := range out {
		if r.IntN(5) == 0 {
			j := min(i+r.IntN(40), len(out)-1)
			out[i], out[j] = out[j], out[i]
		}
		if r.IntN(50) == 0 { // a repeat from long ago
			out[i] = out[r.IntN(i+1)]
		}
	}
	return out
}

func pionContext(t testing.TB, p srtp.Profile, options ...pion.ContextOption) *pion.Context {
	t.Helper()
	c, err := pion.CreateContext(master(p), salt(p), pion.ProtectionProfile(p), options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Both seal a random stream of several SSRCs to the same bytes, over several rollovers;
// and what comes out of a bad network, both open and refuse alike.
func TestRTPAgainstPion(t *testing.T) {
	for _, p := range profiles {
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, 1))
			ours, theirs := keys(t, p).Sealer(), pionContext(t, p)
			ssrcs := []uint32{0, r.Uint32(), r.Uint32()}
			seqs := []uint16{uint16(r.Uint32()), uint16(r.Uint32()), 0xfff0}
			stride := []int{1, 40, 3000}[seed%3]
			var plain, sent [][]byte
			for range 3000 {
				i := r.IntN(len(ssrcs))
				packet, n := randomRTP(r, ssrcs[i], seqs[i])
				seqs[i] += uint16(1 + r.IntN(stride))
				sealed, err := sealRTP(ours, packet, n)
				if err != nil {
					t.Fatal(err)
				}
				want, err := theirs.EncryptRTP(nil, packet, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(sealed, want) {
					t.Fatalf("%v, seed %d, plain %x\n got %x\nwant %x", p, seed, packet, sealed, want)
				}
				plain, sent = append(plain, packet), append(sent, sealed)
			}
			content := map[string][]byte{}
			for i, s := range sent {
				content[string(s)] = plain[i]
			}
			opener := keys(t, p).Opener(srtp.OpenerConfig{})
			theirs = pionContext(t, p, pion.SRTPReplayProtection(srtp.Window))
			opened := 0
			for _, packet := range network(r, sent) {
				want, wantErr := theirs.DecryptRTP(nil, packet, nil)
				header, payload, err := opener.RTP(room(packet))
				if (err == nil) != (wantErr == nil) {
					t.Fatalf("%v, seed %d, after %d: ours %v, pion's %v", p, seed, opened, err, wantErr)
				}
				if err != nil {
					continue
				}
				opened++
				got := append(header[:len(header):len(header)], payload...)
				if !bytes.Equal(got, want) || !bytes.Equal(got, content[string(packet)]) {
					t.Fatalf("%v, seed %d\n got %x\nwant %x", p, seed, got, want)
				}
			}
			if opened < len(sent)/4 { // with long strides, most of the late ones are stale
				t.Errorf("%v, seed %d: only %d of %d opened", p, seed, opened, len(sent))
			}
		}
	}
}

func randomRTCP(r *rand.Rand, ssrc uint32) []byte {
	p := []byte{0x80, 200, 0, 6}
	p = binary.BigEndian.AppendUint32(p, ssrc)
	for range 5 {
		p = binary.BigEndian.AppendUint32(p, r.Uint32())
	}
	for range r.IntN(4) { // compound: picture loss indications behind the report
		p = append(p, 0x81, 206, 0, 2)
		p = binary.BigEndian.AppendUint32(p, ssrc)
		p = binary.BigEndian.AppendUint32(p, r.Uint32())
	}
	if r.IntN(5) == 0 { // nothing to encrypt
		p = append(p[:0], 0x80, 201, 0, 1)
		p = binary.BigEndian.AppendUint32(p, ssrc)
	}
	return p
}

func TestRTCPAgainstPion(t *testing.T) {
	for _, p := range profiles {
		r := rand.New(rand.NewPCG(4, 2))
		ours, theirs := keys(t, p).Sealer(), pionContext(t, p)
		ssrcs := []uint32{0, 7, r.Uint32()}
		for _, ssrc := range ssrcs { // pion's first index is 1, the RFC's 0
			if _, err := ours.RTCP(room(randomRTCP(r, ssrc))); err != nil {
				t.Fatal(err)
			}
		}
		var sent [][]byte
		content := map[string][]byte{}
		for range 2000 {
			packet := randomRTCP(r, ssrcs[r.IntN(len(ssrcs))])
			sealed, err := ours.RTCP(room(packet))
			if err != nil {
				t.Fatal(err)
			}
			want, err := theirs.EncryptRTCP(nil, packet, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(sealed, want) {
				t.Fatalf("%v, plain %x\n got %x\nwant %x", p, packet, sealed, want)
			}
			if len(sealed) != len(packet)+p.OverheadRTCP() {
				t.Fatalf("%v: %d bytes became %d", p, len(packet), len(sealed))
			}
			content[string(sealed)] = packet
			sent = append(sent, sealed)
		}
		opener := keys(t, p).Opener(srtp.OpenerConfig{})
		theirs = pionContext(t, p, pion.SRTCPReplayProtection(srtp.Window))
		opened := 0
		for _, packet := range network(r, sent) {
			want, wantErr := theirs.DecryptRTCP(nil, packet, nil)
			got, err := opener.RTCP(room(packet))
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%v: ours %v, pion's %v", p, err, wantErr)
			}
			if err != nil {
				continue
			}
			opened++
			if !bytes.Equal(got, want) || !bytes.Equal(got, content[string(packet)]) {
				t.Fatalf("%v\n got %x\nwant %x", p, got, want)
			}
		}
		if opened < len(sent)/2 {
			t.Errorf("%v: only %d of %d opened", p, opened, len(sent))
		}
	}
}

func TestClearRTCPIsRefusedUnlessAllowed(t *testing.T) {
	for _, p := range profiles {
		plain := randomRTCP(rand.New(rand.NewPCG(1, 1)), 42)
		sent, err := pionContext(t, p, pion.SRTCPNoEncryption()).EncryptRTCP(nil, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys(t, p).Opener(srtp.OpenerConfig{}).RTCP(room(sent)); err != srtp.ErrClear {
			t.Errorf("%v: got %v, want %v", p, err, srtp.ErrClear)
		}
		got, err := keys(t, p).Opener(srtp.OpenerConfig{ClearRTCP: true}).RTCP(room(sent))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%v: %v\n got %x\nwant %x", p, err, got, plain)
		}
		for i := range sent {
			bad := room(sent)
			bad[i] ^= 1
			if _, err := keys(t, p).Opener(srtp.OpenerConfig{ClearRTCP: true}).RTCP(bad); err == nil {
				t.Errorf("%v: byte %d changed, and opened", p, i)
			}
		}
	}
}

// No byte of a packet can be changed, nor can it be cut.
func TestTamperedPacketsAreRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, p := range profiles {
		for range 8 {
			packet, n := randomRTP(r, 42, 7)
			rtp, err := sealRTP(keys(t, p).Sealer(), packet, n)
			if err != nil {
				t.Fatal(err)
			}
			rtcp, err := keys(t, p).Sealer().RTCP(room(randomRTCP(r, 42)))
			if err != nil {
				t.Fatal(err)
			}
			opener := keys(t, p).Opener(srtp.OpenerConfig{})
			for bit := range 8 * len(rtp) {
				bad := room(rtp)
				bad[bit/8] ^= 1 << (bit % 8)
				if _, _, err := opener.RTP(bad); err == nil {
					t.Fatalf("%v: bit %d of %x changed, and opened", p, bit, rtp)
				}
			}
			for n := range rtp {
				if _, _, err := opener.RTP(room(rtp[:n])); err == nil {
					t.Fatalf("%v: cut to %d of %x, and opened", p, n, rtp)
				}
			}
			for bit := range 8 * len(rtcp) {
				bad := room(rtcp)
				bad[bit/8] ^= 1 << (bit % 8)
				if _, err := opener.RTCP(bad); err == nil {
					t.Fatalf("%v: bit %d of %x changed, and opened", p, bit, rtcp)
				}
			}
			for n := range rtcp {
				if _, err := opener.RTCP(room(rtcp[:n])); err == nil {
					t.Fatalf("%v: cut to %d of %x, and opened", p, n, rtcp)
				}
			}
			// The bad ones have left nothing behind.
			if _, _, err := opener.RTP(room(rtp)); err != nil {
				t.Errorf("%v: %v", p, err)
			}
			if _, err := opener.RTCP(room(rtcp)); err != nil {
				t.Errorf("%v: %v", p, err)
			}
		}
	}
}
