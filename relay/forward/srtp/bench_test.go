package srtp_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"testing"
	"time"

	pion "github.com/pion/srtp/v3"

	"github.com/callpath/callpath/relay/forward/srtp"
)

// The command of package srtp's documentation compares these by their names: the part
// "by" tells who does it, the rest what is done.
//
//	bare    crypto/cipher and crypto/hmac alone, with a fixed nonce and header; for
//	        AES_CM_128_HMAC_SHA1_80 with cipher.NewCTR for each packet, since there is
//	        no other way to give it a nonce
//	floor   the same with one stream that is never set to a packet's nonce: less than
//	        any implementation on crypto/cipher can do (AES_CM_128_HMAC_SHA1_80 only)
//	here    this package
//	pion    github.com/pion/srtp/v3, with its replay window for open

var (
	profiles = []srtp.Profile{srtp.AEADAES128GCM, srtp.AEADAES256GCM, srtp.AES128CMHMACSHA180}
	sizes    = []int{160, 1200}
)

// ring is how many sealed packets the opening goes through before it begins again.
const ring = 64 * slice

const headerSize = 12

func header(p []byte, seq uint16) {
	p[0], p[1] = 0x80, 111
	binary.BigEndian.PutUint16(p[2:], seq)
	binary.BigEndian.PutUint32(p[8:], 0x1234567)
}

// subject is someone who seals or opens: ready gets the next packets in place, and is
// not measured; work does one of them.
type subject struct {
	by    string
	ready func(packets [][]byte)
	work  func(packet []byte)
}

// slice is how many packets are measured at a time: short enough that most slices are
// not interrupted by other processes, long enough not to measure the clock.
const slice = 64

// each runs a benchmark for each profile, size and subject, and then the comparison of
// the subjects, slice by slice in turn, which other load on the machine disturbs
// least: the medians and what they are to bare's.
func each(b *testing.B, subjects func(b *testing.B, p srtp.Profile, size int) []subject) {
	for _, p := range profiles {
		for _, size := range sizes {
			name := fmt.Sprintf("profile=%v/size=%d", p, size)
			all := subjects(b, p, size)
			packets := make([][]byte, slice)
			for i := range packets {
				packets[i] = make([]byte, headerSize+size, 1500)
			}
			for _, s := range all {
				b.Run(name+"/by="+s.by, func(b *testing.B) {
					b.ReportAllocs()
					b.SetBytes(int64(size))
					for i := 0; b.Loop(); i++ {
						if i%slice == 0 {
							b.StopTimer()
							s.ready(packets)
							b.StartTimer()
						}
						s.work(packets[i%slice])
					}
				})
			}
			b.Run(name+"/compared", func(b *testing.B) {
				compare(b, all, packets)
			})
		}
	}
}

// compare runs the subjects in turn, and reports their medians and what these are to
// the first one's.
func compare(b *testing.B, all []subject, packets [][]byte) {
	took := make([][]float64, len(all))
	for b.Loop() {
		for i, s := range all {
			s.ready(packets)
			start := time.Now()
			for _, p := range packets {
				s.work(p)
			}
			took[i] = append(took[i], float64(time.Since(start).Nanoseconds())/slice)
		}
	}
	for i, s := range all {
		slices.Sort(took[i])
		b.ReportMetric(took[i][len(took[i])/2], "ns-"+s.by)
		if i > 0 {
			b.ReportMetric(took[i][len(took[i])/2]/took[0][len(took[0])/2], s.by+"/"+all[0].by)
		}
	}
	b.ReportMetric(0, "ns/op") // leaves it out
}

func BenchmarkSeal(b *testing.B) {
	each(b, func(b *testing.B, p srtp.Profile, size int) []subject {
		// numbered gives each subject a stream of its own.
		numbered := func() func(packets [][]byte) {
			seq := uint16(0)
			return func(packets [][]byte) {
				for i := range packets {
					seq++
					packets[i] = packets[i][:headerSize+size]
					header(packets[i], seq)
				}
			}
		}
		all := []subject{{by: "bare", ready: numbered(), work: bareSeal(b, p, true)}}
		if p == srtp.AES128CMHMACSHA180 {
			all = append(all, subject{by: "floor", ready: numbered(), work: bareSeal(b, p, false)})
		}
		s := keys(b, p).Sealer()
		c, err := pion.CreateContext(master(p), salt(p), pion.ProtectionProfile(p))
		if err != nil {
			b.Fatal(err)
		}
		out := make([]byte, 0, 1500)
		return append(all, subject{"here", numbered(), func(packet []byte) {
			if _, err := s.RTP(packet[:headerSize], packet[headerSize:]); err != nil {
				b.Fatal(err)
			}
		}}, subject{"pion", numbered(), func(packet []byte) {
			if _, err := c.EncryptRTP(out, packet, nil); err != nil {
				b.Fatal(err)
			}
		}})
	})
}

func BenchmarkOpen(b *testing.B) {
	each(b, func(b *testing.B, p srtp.Profile, size int) []subject {
		sealed := sealedRing(b, p, size)
		// from gives each subject its own way through the ring, and new calls restart
		// at its begin, where there must be no memory of the packets.
		from := func(restart func()) func(packets [][]byte) {
			at := 0
			return func(packets [][]byte) {
				if at%ring == 0 {
					restart()
				}
				for i := range packets {
					packets[i] = append(packets[i][:0], sealed[at%ring]...)
					at++
				}
			}
		}
		all := []subject{{by: "bare", ready: from(func() {}), work: bareOpen(b, p, true)}}
		if p == srtp.AES128CMHMACSHA180 {
			all = append(all, subject{by: "floor", ready: from(func() {}), work: bareOpen(b, p, false)})
		}
		k, out := keys(b, p), make([]byte, 0, 1500)
		var o *srtp.Opener
		var c *pion.Context
		return append(all, subject{"here", from(func() { o = k.Opener(srtp.OpenerConfig{}) }), func(packet []byte) {
			if _, _, err := o.RTP(packet); err != nil {
				b.Fatal(err)
			}
		}}, subject{"pion", from(func() {
			var err error
			if c, err = pion.CreateContext(master(p), salt(p), pion.ProtectionProfile(p), pion.SRTPReplayProtection(srtp.Window)); err != nil {
				b.Fatal(err)
			}
		}), func(packet []byte) {
			if _, err := c.DecryptRTP(out, packet, nil); err != nil {
				b.Fatal(err)
			}
		}})
	})
}

// BenchmarkRTCP is for the allocations: reports are rare.
func BenchmarkRTCP(b *testing.B) {
	for _, p := range profiles {
		b.Run(fmt.Sprintf("seal/profile=%v", p), func(b *testing.B) {
			b.ReportAllocs()
			s, buf := keys(b, p).Sealer(), make([]byte, 60, 200)
			for b.Loop() {
				copy(buf, []byte{0x81, 201, 0, 7, 1, 2, 3, 4})
				if _, err := s.RTCP(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// sealedRing are packets as the bare ciphers, this package and pion all open them: the
// packets of one stream, sealed with the session keys.
func sealedRing(b *testing.B, p srtp.Profile, size int) [][]byte {
	s, all := keys(b, p).Sealer(), make([][]byte, ring)
	for i := range all {
		buf := make([]byte, headerSize+size, headerSize+size+p.Overhead())
		header(buf, uint16(i))
		var err error
		if all[i], err = s.RTP(buf[:headerSize], buf[headerSize:]); err != nil {
			b.Fatal(err)
		}
	}
	return all
}

// bareSeal seals payloads with any key and a fixed nonce. anew is for AES-CM: a new
// stream for each packet.
func bareSeal(b *testing.B, p srtp.Profile, anew bool) func(packet []byte) {
	block, err := aes.NewCipher(make([]byte, p.KeySize()))
	if err != nil {
		b.Fatal(err)
	}
	if p != srtp.AES128CMHMACSHA180 {
		aead, err := cipher.NewGCM(block)
		if err != nil {
			b.Fatal(err)
		}
		nonce := make([]byte, aead.NonceSize())
		return func(packet []byte) {
			aead.Seal(packet[:headerSize], nonce, packet[headerSize:], packet[:headerSize])
		}
	}
	iv, roc, sum := make([]byte, aes.BlockSize), make([]byte, 4), make([]byte, 0, sha1.Size)
	mac := hmac.New(sha1.New, make([]byte, sha1.Size))
	stream := cipher.NewCTR(block, iv)
	return func(packet []byte) {
		if anew {
			stream = cipher.NewCTR(block, iv)
		}
		stream.XORKeyStream(packet[headerSize:], packet[headerSize:])
		mac.Reset()
		mac.Write(packet)
		mac.Write(roc)
		copy(packet[len(packet):cap(packet)], mac.Sum(sum)[:10])
	}
}

// bareOpen opens packets of the sealed ring, with the right keys for an AEAD, which
// would not decrypt without.
func bareOpen(b *testing.B, p srtp.Profile, anew bool) func(packet []byte) {
	if p != srtp.AES128CMHMACSHA180 {
		key, nonceOf := sessionGCM(b, p)
		block, err := aes.NewCipher(key)
		if err != nil {
			b.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			b.Fatal(err)
		}
		return func(packet []byte) {
			nonce := nonceOf(binary.BigEndian.Uint16(packet[2:]))
			if _, err := aead.Open(packet[headerSize:headerSize], nonce, packet[headerSize:], packet[:headerSize]); err != nil {
				b.Fatal(err)
			}
		}
	}
	seal := bareSeal(b, p, anew)
	var got [10]byte
	return func(packet []byte) {
		end := len(packet) - len(got)
		copy(got[:], packet[end:])
		seal(packet[:end])
		hmac.Equal(got[:], packet[end:])
	}
}

// sessionGCM derives the session key as RFC 3711 section 4.3 says, once more, so that
// the bare cipher opens the same packets.
func sessionGCM(b *testing.B, p srtp.Profile) (key []byte, nonce func(seq uint16) []byte) {
	block, err := aes.NewCipher(master(p))
	if err != nil {
		b.Fatal(err)
	}
	derive := func(label byte, n int) []byte {
		var out []byte
		for i := byte(0); len(out) < n; i++ {
			var in [16]byte
			copy(in[:], salt(p))
			in[7] ^= label
			in[15] = i
			block.Encrypt(in[:], in[:])
			out = append(out, in[:]...)
		}
		return out[:n]
	}
	iv := derive(2, 12)
	for i, v := range []byte{0x01, 0x23, 0x45, 0x67} {
		iv[2+i] ^= v
	}
	fixed := binary.BigEndian.Uint16(iv[10:])
	return derive(0, p.KeySize()), func(seq uint16) []byte {
		binary.BigEndian.PutUint16(iv[10:], fixed^seq)
		return iv
	}
}

// BenchmarkParts compares ways to make AES-CM's key stream and its tag; doc.go says
// what came of it.
func BenchmarkParts(b *testing.B) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range sizes {
		packets := make([][]byte, slice)
		for i := range packets {
			packets[i] = make([]byte, size, size+4)
		}
		iv, still := make([]byte, aes.BlockSize), func([][]byte) {}
		long := cipher.NewCTR(block, iv)
		var counter, out [aes.BlockSize]byte
		xor := srtp.Keystream(block)
		b.Run(fmt.Sprintf("keystream/size=%d", size), func(b *testing.B) {
			compare(b, []subject{
				{"stream", still, func(p []byte) { long.XORKeyStream(p, p) }},
				{"here", still, func(p []byte) { xor(p, p, 1, 2) }},
				{"NewCTR", still, func(p []byte) { cipher.NewCTR(block, iv).XORKeyStream(p, p) }},
				{"blocks", still, func(p []byte) {
					for i := 0; i < size; i += aes.BlockSize {
						binary.BigEndian.PutUint16(counter[14:], uint16(i/aes.BlockSize))
						block.Encrypt(out[:], counter[:])
						subtle.XORBytes(p[i:], p[i:], out[:])
					}
				}},
			}, packets)
		})
		mac, roc, sum := hmac.New(sha1.New, make([]byte, 20)), make([]byte, 4), make([]byte, 0, sha1.Size)
		mac.Reset()
		// The same by hand: two digests, whose states after the padded key are kept.
		inner, outer := sha1.New(), sha1.New()
		inner.Write(make([]byte, sha1.BlockSize))
		state, err := inner.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			b.Fatal(err)
		}
		restore := func(h hash.Hash) {
			if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
				b.Fatal(err)
			}
		}
		padded, second := make([]byte, sha1.BlockSize+size+4), make([]byte, sha1.BlockSize+sha1.Size)
		b.Run(fmt.Sprintf("tag/size=%d", size), func(b *testing.B) {
			compare(b, []subject{
				{"here", still, func(p []byte) { mac.Reset(); mac.Write(p); mac.Write(roc); mac.Sum(sum) }},
				{"one-write", still, func(p []byte) { mac.Reset(); mac.Write(p[:size+4]); mac.Sum(sum) }},
				{"states", still, func(p []byte) {
					restore(inner)
					inner.Write(p[:size+4])
					restore(outer)
					outer.Write(inner.Sum(sum))
					outer.Sum(sum)
				}},
				{"sha1.Sum", still, func(p []byte) { // the packet behind the padded key
					first := sha1.Sum(padded)
					copy(second[sha1.BlockSize:], first[:])
					sha1.Sum(second)
				}},
			}, packets)
		})
	}
}
