package negotiation_test

import (
	"slices"
	"strings"
	"testing"

	dtls3 "github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/callpath/callpath/relay/negotiation"
)

// sender encrypts what one side sends.
type sender struct {
	w       *wire
	from    int
	context *srtp.Context
}

// senders derive both sides' keys from a handshake, as endpoints do.
func senders(t *testing.T, w *wire, client, server *dtls3.Conn) [2]*sender {
	t.Helper()
	var both [2]*sender
	for i, conn := range []*dtls3.Conn{client, server} {
		profile, ok := conn.SelectedSRTPProtectionProfile()
		state, known := conn.ConnectionState()
		if !ok || !known {
			t.Fatal("no SRTP profile")
		}
		c := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
		if err := c.ExtractSessionKeysFromDTLS(&state, i == 0); err != nil {
			t.Fatal(err)
		}
		var options []srtp.ContextOption
		if mki, ok := conn.RemoteSRTPMasterKeyIdentifier(); ok && len(mki) > 0 {
			options = append(options, srtp.MasterKeyIndicator(mki))
		}
		context, err := srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile, options...)
		if err != nil {
			t.Fatal(err)
		}
		both[i] = &sender{w, i, context}
	}
	return both
}

// rtp encrypts a packet of 20 ms of PCMU.
func (s *sender) rtp(t *testing.T, ssrc uint32, sequence uint16) []byte {
	t.Helper()
	p := rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 0, SequenceNumber: sequence, Timestamp: uint32(sequence) * 160, SSRC: ssrc},
		Payload: []byte("twenty milliseconds of sound, near enough"),
	}
	plain, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	packet, err := s.context.EncryptRTP(nil, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func (s *sender) rtcp(t *testing.T, ssrc uint32) []byte {
	t.Helper()
	plain, err := (&rtcp.SenderReport{SSRC: ssrc, PacketCount: 7}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	packet, err := s.context.EncryptRTCP(nil, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// keyedCall is a handshake with keys at the recorders, and what encrypts.
func keyedCall(t *testing.T, cfg negotiation.Config, profile dtls3.SRTPProtectionProfile) (*wire, [2]*sender) {
	t.Helper()
	cfg.Keys = true
	w := newWire(t, cfg)
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0), profile)
	p.describe(w)
	client, server := mustHandshake(t, w, p)
	return w, senders(t, w, client, server)
}

// streamOf finds a stream in a record.
func streamOf(t *testing.T, r *negotiation.Recorder, ssrc uint32, direction string) negotiation.SRTP {
	t.Helper()
	for _, s := range r.Record().SRTP {
		if s.SSRC == ssrc && s.Direction == direction {
			return s
		}
	}
	t.Fatalf("no stream %#x %s", ssrc, direction)
	return negotiation.SRTP{}
}

func TestSRTPIsVerifiedWithEachProfile(t *testing.T) {
	for _, tt := range []struct {
		profile dtls3.SRTPProtectionProfile
		name    string
	}{
		{dtls3.SRTP_AEAD_AES_256_GCM, "SRTP_AEAD_AES_256_GCM"},
		{dtls3.SRTP_AEAD_AES_128_GCM, "SRTP_AEAD_AES_128_GCM"},
		{dtls3.SRTP_AES128_CM_HMAC_SHA1_80, "SRTP_AES128_CM_HMAC_SHA1_80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := keyedCall(t, negotiation.Config{}, tt.profile)
			for n := range uint16(10) {
				w.pass(0, s[0].rtp(t, 0xa11ce, 100+n))
				w.pass(1, s[1].rtp(t, 0xb0b, 200+n))
			}
			w.pass(0, s[0].rtcp(t, 0xa11ce))
			for i, ssrcs := range [][2]uint32{{0xa11ce, 0xb0b}, {0xb0b, 0xa11ce}} {
				for j, direction := range []string{"sent", "received"} {
					got := streamOf(t, w.recorders[i], ssrcs[j], direction)
					equal(t, "packets", got.Packets, 10)
					equal(t, "verified", got.Verified, 10)
					equal(t, "failures", got.AuthFailures, 0)
					equal(t, "lost", got.Lost, 0)
					equal(t, "payload type", got.PayloadType, 0)
				}
				rec := w.recorders[i].Record()
				equal(t, "profile", rec.DTLS[0].SRTPProfile, tt.name)
				equal(t, "verdict", rec.Verdict, "SRTP flows: 1 streams sent, 1 received, every packet verified")
				equalLists(t, "problems", rec.Problems, nil)
			}
			equal(t, "rtcp", streamOf(t, w.recorders[1], 0xa11ce, "received").RTCP.Verified, 1)
		})
	}
}

// RFC 5764, section 4.1.3.
func TestSRTPWithMasterKeyIdentifier(t *testing.T) {
	for _, profile := range []dtls3.SRTPProtectionProfile{dtls3.SRTP_AEAD_AES_128_GCM, dtls3.SRTP_AES128_CM_HMAC_SHA1_80} {
		w := newWire(t, negotiation.Config{Keys: true})
		p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0), profile)
		p.with(dtls3.WithSRTPMasterKeyIdentifier([]byte{0xca, 0x11}))
		client, server := mustHandshake(t, w, p)
		s := senders(t, w, client, server)
		w.pass(0, s[0].rtp(t, 1, 1))
		report := s[0].rtcp(t, 1)
		w.pass(0, report)
		w.pass(0, report)
		got := streamOf(t, w.recorders[1], 1, "received")
		equal(t, "mki", only(t, w.recorders[1]).MKI, "ca11")
		equal(t, "verified", got.Verified, 1)
		equal(t, "rtcp verified", got.RTCP.Verified, 2)
		equal(t, "rtcp replayed", got.RTCP.Replayed, 1)
	}
}

func TestSRTPTamperedOrUnencrypted(t *testing.T) {
	for _, profile := range []dtls3.SRTPProtectionProfile{dtls3.SRTP_AEAD_AES_128_GCM, dtls3.SRTP_AES128_CM_HMAC_SHA1_80} {
		w, s := keyedCall(t, negotiation.Config{}, profile)
		w.pass(0, s[0].rtp(t, 1, 1))
		tampered := s[0].rtp(t, 1, 2)
		tampered[20] ^= 1
		w.pass(0, tampered)
		// An authentic packet under another sequence number does not move the
		// stream either.
		moved := s[0].rtp(t, 1, 3)
		moved[2] ^= 0x40
		w.pass(0, moved)
		plain := rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 1, SequenceNumber: 4}, Payload: make([]byte, 160)}
		b, err := plain.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		w.pass(0, b)
		report := s[0].rtcp(t, 1)
		report[len(report)-1] ^= 1
		w.pass(0, report)
		w.pass(0, s[0].rtp(t, 1, 5))
		got := streamOf(t, w.recorders[1], 1, "received")
		equal(t, "packets", got.Packets, 5)
		equal(t, "verified", got.Verified, 2)
		equal(t, "failures", got.AuthFailures, 3)
		equal(t, "rtcp failures", got.RTCP.AuthFailures, 1)
		equal(t, "lost", got.Lost, 3)
		rec := w.recorders[1].Record()
		contains(t, "problems", rec.Problems, "3 packets of SSRC 0x00000001 received do not verify")
		contains(t, "problems", rec.Problems, "1 RTCP packets of SSRC 0x00000001 received do not verify")
	}
}

func TestSRTPReplay(t *testing.T) {
	for _, profile := range []dtls3.SRTPProtectionProfile{dtls3.SRTP_AEAD_AES_256_GCM, dtls3.SRTP_AES128_CM_HMAC_SHA1_80} {
		w, s := keyedCall(t, negotiation.Config{}, profile)
		first := s[0].rtp(t, 1, 1)
		w.pass(0, first)
		w.pass(0, s[0].rtp(t, 1, 2))
		w.pass(0, first)
		w.pass(0, first)
		report := s[0].rtcp(t, 1)
		w.pass(0, report)
		w.pass(0, report)
		w.pass(0, s[0].rtcp(t, 1))
		got := streamOf(t, w.recorders[1], 1, "received")
		equal(t, "replayed", got.Replayed, 2)
		equal(t, "verified", got.Verified, 4)
		equal(t, "lost", got.Lost, 0)
		equal(t, "rtcp replayed", got.RTCP.Replayed, 1)
		contains(t, "problems", w.recorders[1].Record().Problems, "2 packets of SSRC 0x00000001 came twice")
	}
}

// RFC 3711, section 3.3.1: the rollover counter grows when the sequence number
// wraps, and packets around the wrap may be out of order.
func TestSRTPRollover(t *testing.T) {
	w, s := keyedCall(t, negotiation.Config{}, dtls3.SRTP_AES128_CM_HMAC_SHA1_80)
	var packets [][]byte
	for _, n := range []uint16{65532, 65533, 65534, 65535, 0, 1, 2, 3} {
		packets = append(packets, s[0].rtp(t, 1, n))
	}
	packets[3], packets[4] = packets[4], packets[3]
	packets = slices.Delete(packets, 5, 6) // sequence number 1 is lost
	for _, p := range packets {
		w.pass(0, p)
	}
	got := streamOf(t, w.recorders[1], 1, "received")
	equal(t, "rollover counter", got.RolloverCounter, 1)
	equal(t, "verified", got.Verified, 7)
	equal(t, "lost", got.Lost, 1)
	equal(t, "lost, at the sender", streamOf(t, w.recorders[0], 1, "sent").Lost, 0)
}

// What came before the keys is counted, and its rollover is taken over.
func TestSRTPKeysAfterTheFirstPackets(t *testing.T) {
	w := newWire(t, negotiation.Config{Keys: true})
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0))
	var lines strings.Builder
	p.keyLog = &lines
	client, server := mustHandshake(t, w, p)
	s := senders(t, w, client, server)
	for _, n := range []uint16{65534, 65535, 0, 1} {
		w.pass(0, s[0].rtp(t, 1, n))
	}
	if _, err := w.recorders[1].Write([]byte(lines.String())); err != nil {
		t.Fatal(err)
	}
	w.pass(0, s[0].rtp(t, 1, 2))
	w.pass(0, s[0].rtp(t, 1, 3))
	got := streamOf(t, w.recorders[1], 1, "received")
	equal(t, "packets", got.Packets, 6)
	equal(t, "verified", got.Verified, 2)
	equal(t, "failures", got.AuthFailures, 0)
	equal(t, "rollover counter", got.RolloverCounter, 1)
	w.pass(1, s[1].rtp(t, 2, 1))
	equal(t, "verdict", w.recorders[1].Record().Verdict, "SRTP flows: 1 streams sent, 1 received, 3 of 7 packets verified")
}

func TestSRTPWithoutKeys(t *testing.T) {
	w := newWire(t, negotiation.Config{}) // Keys is false: key log lines are ignored
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0))
	client, server := mustHandshake(t, w, p)
	s := senders(t, w, client, server)
	for _, n := range []uint16{10, 11, 13, 13, 12, 16} {
		packet := s[0].rtp(t, 1, n)
		w.pass(0, packet)
	}
	got := streamOf(t, w.recorders[1], 1, "received")
	equal(t, "verified", got.Verified, 0)
	equal(t, "replayed", got.Replayed, 1)
	equal(t, "lost", got.Lost, 2)
	equal(t, "verdict", w.recorders[1].Record().Verdict, "SRTP flows one way only: 0 streams sent, 1 received")
	w.pass(1, s[1].rtp(t, 2, 1))
	equal(t, "verdict", w.recorders[1].Record().Verdict, "SRTP flows: 1 streams sent, 1 received, not verified for lack of keys")
}

func TestSRTPFlowsDespiteAWrongFingerprint(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	w.recorders[0].Description(false, "offer", sdp("", "", fingerprintOf(ecdsaCertificate(t, 0), "sha-256")))
	client, server := mustHandshake(t, w, newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0)))
	w.pass(0, senders(t, w, client, server)[0].rtp(t, 1, 1))
	equal(t, "verdict", w.recorders[0].Record().Verdict,
		"SRTP flows although the peer's certificate is not the one promised: 1 streams sent, 0 received")
}

// Keys of another call verify nothing.
func TestSRTPOfAnotherKey(t *testing.T) {
	w, _ := keyedCall(t, negotiation.Config{}, dtls3.SRTP_AEAD_AES_128_GCM)
	_, other := keyedCall(t, negotiation.Config{}, dtls3.SRTP_AEAD_AES_128_GCM)
	w.pass(0, other[0].rtp(t, 1, 1))
	w.pass(1, other[1].rtp(t, 2, 1))
	equal(t, "verdict", w.recorders[0].Record().Verdict, "SRTP flows but none of it verifies: 1 streams sent, 1 received")
}
