package negotiation_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

func TestZeroRecorder(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	rec := r.Record()
	equal(t, "verdict", rec.Verdict, "nothing was seen")
	equal(t, "started", rec.Started.IsZero(), true)
	r.Packet(epoch, true, []byte("no packet"))
	r.Packet(epoch, true, nil)
	equal(t, "started", r.Record().Started, epoch)
}

// Packets that only resemble the leg's protocols are not taken for them.
func TestOtherTrafficIsPassedOver(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	dns := netip.MustParseAddrPort("203.0.113.53:53")
	for first := range 256 {
		query := append([]byte{byte(first), 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x05relay\x08callpath\x04test\x00\x00\x01\x00\x01"...)
		r.Packet(epoch, true, iptest.UDP(alice, dns, query))
	}
	equal(t, "verdict", r.Record().Verdict, "nothing was seen")
	equalLists(t, "problems", r.Record().Problems, nil)
}

func TestFragmentsAreToldOnce(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	p := iptest.UDP(alice, bob, make([]byte, 100))
	p[6] = 0x20
	for range 3 {
		r.Packet(epoch, false, p)
	}
	equalLists(t, "problems", r.Record().Problems, []string{"IP fragments are not put together: what they carried is missing here"})
}

func TestMalformedMessagesAreProblems(t *testing.T) {
	for want, b := range map[string][]byte{
		"malformed STUN message":        append(slices.Clone(allocateRequest[:3]), append([]byte{0x10}, allocateRequest[4:]...)...),
		"wrong FINGERPRINT":             {0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x28, 0, 4, 0, 0, 0, 0},
		"malformed DTLS record":         {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1},
		"malformed DTLS handshake":      {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1},
		"ClientHello of the client can": {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xfe},
	} {
		r := negotiation.NewRecorder(negotiation.Config{})
		r.Packet(epoch, true, iptest.UDP(alice, bob, b))
		contains(t, "problems", r.Record().Problems, want)
	}
}

// An alert needs a handshake, and its length is checked.
func TestAlerts(t *testing.T) {
	hello := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // a ServerHelloDone
	alert := func(epoch byte, body ...byte) []byte {
		return append([]byte{21, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, 0, byte(len(body))}, body...)
	}
	r := negotiation.NewRecorder(negotiation.Config{})
	show := func(outbound bool, b []byte) {
		from, to := alice, bob
		if !outbound {
			from, to = bob, alice
		}
		r.Packet(epoch, outbound, iptest.UDP(from, to, b))
	}
	show(false, alert(0, 2, 40))
	equal(t, "handshakes", len(r.Record().DTLS), 0)
	show(false, hello)
	show(false, alert(0, 2, 40))
	show(false, alert(0, 2, 40))
	show(true, alert(1, 1, 2, 3, 4))
	show(true, alert(0, 2))
	rec := r.Record()
	equal(t, "role", rec.DTLS[0].Role, "client")
	equalLists(t, "alerts", rec.DTLS[0].Alerts, []string{"server: fatal handshake_failure", "client: encrypted alert"})
	equal(t, "verdict", rec.Verdict, "DTLS failed: alert from the server: fatal handshake_failure")
	contains(t, "problems", rec.Problems, "alert of 1 bytes from the client; valid: 2")
}

// A handshake that stops in the middle.
func TestDTLSThatStops(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	message := func(kind, sequence byte) []byte {
		return []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, kind, 0, 0, 0, 0, sequence, 0, 0, 0, 0, 0, 0}
	}
	r.Packet(epoch, true, iptest.UDP(alice, bob, message(16, 2)))
	equal(t, "verdict", r.Record().Verdict, "DTLS stopped after ClientKeyExchange: no answer")
	r.Packet(epoch, false, iptest.UDP(bob, alice, message(4, 3)))
	equal(t, "verdict", r.Record().Verdict, "DTLS stopped after NewSessionTicket of the server")
}

// A DTLS 1.3 handshake is known as such, and the encrypted rest does no harm.
func TestDTLS13(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	client := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	client = append(client, 0, 0, 0, 2, 0x13, 1, 1, 0, 0, 18, 0, 43, 0, 5, 4, 0xfe, 0xfc, 0xfe, 0xfd, 0, 14, 0, 5, 0, 2, 0, 8, 0)
	server := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	server = append(server, 0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 0xfe, 0xfc)
	r.Packet(epoch, true, iptest.UDP(alice, bob, handshakeRecord(1, client)))
	r.Packet(epoch, false, iptest.UDP(bob, alice, handshakeRecord(2, server)))
	r.Packet(epoch, false, iptest.UDP(bob, alice, []byte{0x2e, 0, 0, 0, 4, 1, 2, 3, 4}))
	rec := r.Record()
	equal(t, "version", rec.DTLS[0].Version, "DTLS 1.3")
	equalLists(t, "offered", rec.DTLS[0].VersionsOffered, []string{"DTLS 1.3", "DTLS 1.2"})
	equal(t, "suite", rec.DTLS[0].CipherSuite, "TLS_AES_128_GCM_SHA256")
	equalLists(t, "profiles", rec.DTLS[0].SRTPProfilesOffered, []string{"SRTP_AEAD_AES_256_GCM"})
	contains(t, "problems", rec.Problems, "DTLS 1.3 was chosen")
}

func TestNoSRTPProfileChosen(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	client := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	client = append(client, 0, 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 9, 0, 14, 0, 5, 0, 2, 0, 8, 0)
	server := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	server = append(server, 0, 0xc0, 0x2b, 0)
	r.Packet(epoch, true, iptest.UDP(alice, bob, handshakeRecord(1, client)))
	r.Packet(epoch, false, iptest.UDP(bob, alice, handshakeRecord(2, server)))
	contains(t, "problems", r.Record().Problems, "the server chose no SRTP profile")
}

// handshakeRecord writes a whole message in a record.
func handshakeRecord(kind byte, body []byte) []byte {
	n := byte(len(body))
	b := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, n + 12, kind, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, n}
	return append(b, body...)
}

func TestCertificateThatCantBeRead(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	r.Description(false, "answer", sdp("passive", "", "sha-256 2C:F2:4D:BA:5F:B0:A3:0E:26:E8:3B:2A:C5:B9:E2:9E:1B:16:1E:5C:1F:A7:42:5E:73:04:33:62:93:8B:98:24"))
	r.Packet(epoch, false, iptest.UDP(bob, alice, handshakeRecord(14, nil)))
	certificate := handshakeRecord(11, []byte("\x00\x00\x08\x00\x00\x05hello"))
	certificate[18] = 1 // message_seq
	r.Packet(epoch, false, iptest.UDP(bob, alice, certificate))
	rec := r.Record()
	equal(t, "matched", rec.DTLS[0].Peer.Matched, true) // the SHA-256 of "hello"
	contains(t, "problems", rec.Problems, "Certificate of the server can't be read")
}

// A fingerprint by a hash that is not accepted matches nothing (RFC 8122, section
// 5: MD5 and MD2 must not be used).
func TestFingerprintByAForbiddenHash(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	const md5 = "md5 5D:41:40:2A:BC:4B:2A:76:B9:71:9D:91:10:17:C5:92"
	r.Description(false, "answer", sdp("passive", "", md5))
	r.Packet(epoch, false, iptest.UDP(bob, alice, handshakeRecord(14, nil)))
	certificate := handshakeRecord(11, []byte("\x00\x00\x08\x00\x00\x05hello"))
	certificate[18] = 1
	r.Packet(epoch, false, iptest.UDP(bob, alice, certificate))
	peer := r.Record().DTLS[0].Peer
	equal(t, "matched", peer.Matched, false)
	equal(t, "promised", peer.Promised, md5)
}

// DTLS to the relay hides TURN; its plaintext comes in datagrams.
func TestStreamOfDatagrams(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	relay := netip.MustParseAddrPort("[::ffff:203.0.113.1]:443")
	r.Stream(epoch, true, alice, relay, "dtls", allocateRequest)
	rec := r.Record()
	equal(t, "protocol", rec.TURN[0].Protocol, "dtls")
	equal(t, "server", rec.TURN[0].Server, netip.MustParseAddrPort("203.0.113.1:443"))
	equal(t, "verdict", rec.Verdict, "ICE gathered no candidates")
}

// TCP connections that are reset or opened again begin anew.
func TestTCPConnectionsBeginAnew(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	relay := netip.MustParseAddrPort("203.0.113.1:443")
	const syn, rst, ack = 2, 4, 0x10
	tcp := func(sequence uint32, flags uint8, b []byte) {
		r.Packet(epoch, true, iptest.TCP(alice, relay, sequence, flags, b))
	}
	tcp(1, syn, nil)
	tcp(2, ack, []byte{0x16, 3, 1, 0, 0}) // not TURN: passed over from here
	tcp(7, ack, allocateRequest)
	equal(t, "allocations", len(r.Record().TURN), 0)
	tcp(900, syn, nil)
	tcp(901, ack, allocateRequest[:10])
	tcp(0, rst, nil)
	tcp(5000, syn, nil)
	tcp(5001, ack, allocateRequest)
	equal(t, "allocations", len(r.Record().TURN), 1)
}

func TestTCPGapIsToldOnce(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	relay := netip.MustParseAddrPort("203.0.113.1:3478")
	r.Packet(epoch, true, iptest.TCP(alice, relay, 1, 2, nil))
	for n := range uint32(300) {
		r.Packet(epoch, true, iptest.TCP(alice, relay, 1000+n*10, 0x10, make([]byte, 10)))
	}
	contains(t, "problems", r.Record().Problems, "gap larger than what is kept")
}

// A binding that was not seen leaves the peer unknown, not the payload.
func TestChannelWhoseBindingWasNotSeen(t *testing.T) {
	i := newICE(t)
	relay := netip.MustParseAddrPort("203.0.113.1:3478")
	i.show(true, aliceHost, relay, allocateRequest)
	i.show(true, aliceHost, relay, append([]byte{0x40, 1, 0, 32}, rtpPacket(7, 1, 20)...))
	rec := i.r.Record()
	equal(t, "sent bytes", rec.TURN[0].SentBytes, 32)
	equal(t, "ssrc", rec.SRTP[0].SSRC, 7)
	contains(t, "problems", rec.Problems, "data on channel 0x4001, whose binding to a peer was not seen")
}

func TestEventsGoToTheLog(t *testing.T) {
	var b strings.Builder
	r := negotiation.NewRecorder(negotiation.Config{Leg: "alice", Log: slog.New(slog.NewJSONHandler(&b, nil))})
	r.Candidate(true, "candidate:1 1 udp 2130706431 10.0.0.10 50000 typ host")
	r.Packet(epoch, true, iptest.UDP(alice, bob, message(t, [12]byte{1}, stun.ClassRequest, stun.NewUsername("a:b")))) // debug
	var line struct{ Msg, Leg, Side, Type, Address string }
	if err := json.Unmarshal([]byte(b.String()), &line); err != nil {
		t.Fatalf("log %q: %v", b.String(), err)
	}
	equal(t, "line", line, struct{ Msg, Leg, Side, Type, Address string }{negotiation.EventCandidate, "alice", "local", "host", "10.0.0.10:50000"})
}

func TestRecorderFromSeveralGoroutines(t *testing.T) {
	b, err := os.ReadFile("testdata/call.tape")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	r := negotiation.NewRecorder(negotiation.Config{Leg: "alice", Keys: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var now time.Time
			play(t, r, &now, lines)
		})
		wg.Go(func() {
			for range 20 {
				_ = r.Record()
			}
		})
	}
	wg.Wait()
	equal(t, "complete", r.Record().DTLS[0].Complete, true)
}
