package negotiation_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/pion/srtp/v3"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

// BenchmarkPacket is one packet of media of about 1200 bytes.
func BenchmarkPacket(b *testing.B) {
	packet := iptest.UDP(alice, bob, rtpPacket(1, 0, 1188))
	b.Run("not verified", func(b *testing.B) {
		r := negotiation.NewRecorder(negotiation.Config{})
		b.ReportAllocs()
		b.SetBytes(int64(len(packet)))
		for n := uint16(0); b.Loop(); n++ {
			packet[30], packet[31] = byte(n>>8), byte(n)
			r.Packet(epoch, true, packet)
		}
	})
	for _, profile := range []struct {
		name string
		id   byte
		srtp srtp.ProtectionProfile
	}{
		{"AEAD_AES_128_GCM", 7, srtp.ProtectionProfileAeadAes128Gcm},
		{"AES128_CM_HMAC_SHA1_80", 1, srtp.ProtectionProfileAes128CmHmacSha1_80},
	} {
		b.Run("verified, "+profile.name, func(b *testing.B) {
			r := negotiation.NewRecorder(negotiation.Config{Keys: true})
			client := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
			client = append(client, 0, 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 9, 0, 14, 0, 5, 0, 2, 0, profile.id, 0)
			server := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
			server = append(server, 0, 0xc0, 0x2b, 0, 0, 9, 0, 14, 0, 5, 0, 2, 0, profile.id, 0)
			r.Packet(epoch, true, iptest.UDP(alice, bob, handshakeRecord(1, client)))
			r.Packet(epoch, false, iptest.UDP(bob, alice, handshakeRecord(2, server)))
			secret := make([]byte, 48)
			r.KeyLog(fmt.Sprintf("CLIENT_RANDOM %064x %x", 0, secret))
			context := clientContext(b, secret, profile.srtp)
			var packets [][]byte
			for n := range uint16(1000) {
				encrypted, err := context.EncryptRTP(nil, rtpPacket(1, n, 1180), nil)
				if err != nil {
					b.Fatal(err)
				}
				packets = append(packets, iptest.UDP(alice, bob, encrypted))
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(packets[0])))
			n := 0
			for b.Loop() {
				r.Packet(epoch, true, packets[n%len(packets)])
				n++
			}
			if s := r.Record().SRTP[0]; s.Verified != s.Packets {
				b.Fatalf("%d packets of %d verified", s.Verified, s.Packets)
			}
		})
	}
}

// clientContext encrypts what a client with zero randoms and the secret sends.
func clientContext(b *testing.B, secret []byte, profile srtp.ProtectionProfile) *srtp.Context {
	b.Helper()
	keyLength, _ := profile.KeyLen()
	saltLength, _ := profile.SaltLen()
	// RFC 5246, section 5, with the label of RFC 5764 and both randoms zero.
	seed := append([]byte("EXTRACTOR-dtls_srtp"), make([]byte, 64)...)
	sum := func(parts ...[]byte) []byte {
		mac := hmac.New(sha256.New, secret)
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	var material []byte
	for a := sum(seed); len(material) < 2*(keyLength+saltLength); a = sum(a) {
		material = append(material, sum(a, seed)...)
	}
	context, err := srtp.CreateContext(material[:keyLength], material[2*keyLength:2*keyLength+saltLength], profile)
	if err != nil {
		b.Fatal(err)
	}
	return context
}
