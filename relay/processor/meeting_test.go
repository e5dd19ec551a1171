package processor_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/processor"
	"github.com/callpath/callpath/relay/processor/description"
)

// light is a client of little cost: real ICE, DTLS and SRTP, but it opens nothing of what
// it gets. RTP headers are not encrypted, which is enough to count.
type light struct {
	conn   *net.UDPConn
	server netip.AddrPort
	dtls   *dtls.Conn
	sealer *srtp.Sealer
	// handshake are datagrams for DTLS.
	handshake chan []byte

	mu       sync.Mutex // guards streams
	streams  map[uint32]*counted
	received atomic.Uint64
}

// counted is what came of a stream.
type counted struct {
	first, newest uint16
	packets       int
}

// lightOffer is what a light client offers.
func lightOffer(name string, c tls.Certificate, video bool, audioSlots, videoSlots int) string {
	var b, mids strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	n := 0
	add := func(kind, codec, direction string) {
		line("m=%s 9 UDP/TLS/RTP/SAVPF %s\r\nc=IN IP4 0.0.0.0\r\na=mid:%d\r\na=rtcp-mux\r\na=%s", kind, codec, n, direction)
		fmt.Fprintf(&mids, " %d", n)
		if direction == "sendonly" {
			line("a=ssrc:%d cname:x", 1000+n)
		}
		n++
	}
	add("audio", "111\r\na=rtpmap:111 opus/48000/2", "sendonly")
	if video {
		add("video", "96\r\na=rtpmap:96 VP8/90000", "sendonly")
	}
	for range audioSlots {
		add("audio", "111\r\na=rtpmap:111 opus/48000/2", "recvonly")
	}
	for range videoSlots {
		add("video", "96\r\na=rtpmap:96 VP8/90000", "recvonly")
	}
	return fmt.Sprintf("v=0\r\no=%s 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE%s\r\na=ice-ufrag:light\r\na=ice-pwd:%s\r\na=fingerprint:%s\r\na=setup:active\r\n%s",
		name, &mids, strings.Repeat("p", 24), description.FingerprintOf("sha-256", c.Certificate[0]), &b)
}

// newLight joins a conference, and connects to one of the processor's addresses.
func newLight(t *testing.T, s *server, at netip.AddrPort, conference, name string, video bool, audioSlots, videoSlots int) *light {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at.Addr(), 0)))
	ok(t, err)
	_ = conn.SetReadBuffer(1 << 20)
	l := &light{conn: conn, server: at, handshake: make(chan []byte, 64), streams: make(map[uint32]*counted)}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		l.read()
	}()
	t.Cleanup(func() {
		_ = l.dtls.Close()
		_ = conn.Close()
		<-reading
	})
	certificate := newCertificate(t)
	answer, err := s.Join(t.Context(), processor.Join{Conference: conference, Participant: name, Offer: lightOffer(name, certificate, video, audioSlots, videoSlots)})
	ok(t, err)
	value := func(key string) string {
		_, rest, _ := strings.Cut(answer, "a="+key+":")
		v, _, _ := strings.Cut(rest, "\r\n")
		return v
	}
	l.check(t, value("ice-ufrag"), value("ice-pwd"))
	l.dtls, err = dtls.ClientWithOptions(l, net.UDPAddrFromAddrPort(at), dtls.WithCertificates(certificate), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM))
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ok(t, l.dtls.HandshakeContext(ctx))
	state, _ := l.dtls.ConnectionState()
	material, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 56)
	ok(t, err)
	keys, err := srtp.NewKeys(srtp.AEADAES128GCM, material[:16], material[32:44])
	ok(t, err)
	l.sealer = keys.Sealer()
	s.event(t, processor.EventNegotiated, name)
	return l
}

// check sends one connectivity check, which nominates.
func (l *light) check(t *testing.T, ufrag, pwd string) {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag+":light"), nominates{}, stun.NewShortTermIntegrity(pwd), stun.Fingerprint)
	ok(t, err)
	_, err = l.conn.WriteToUDPAddrPort(m.Raw, l.server)
	ok(t, err)
}

type nominates struct{}

func (nominates) AddTo(m *stun.Message) error { m.Add(stun.AttrUseCandidate, nil); return nil }

func (l *light) read() {
	b := make([]byte, 2048)
	for {
		n, _, err := l.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			close(l.handshake)
			return
		}
		switch p := b[:n]; {
		case n > 13 && p[0] >= 20 && p[0] < 64:
			select {
			case l.handshake <- append([]byte(nil), p...):
			default:
			}
		case n > 12 && p[0] >= 128 && (p[1] < 192 || p[1] >= 224):
			l.count(binary.BigEndian.Uint32(p[8:]), binary.BigEndian.Uint16(p[2:]))
		}
	}
}

func (l *light) count(ssrc uint32, seq uint16) {
	l.received.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.streams[ssrc]
	if c == nil {
		c = &counted{first: seq, newest: seq}
		l.streams[ssrc] = c
	}
	c.packets++
	if int16(seq-c.newest) > 0 {
		c.newest = seq
	}
}

// lost is how many packets are missing between the first and the last of each stream.
func (l *light) lost() (lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.streams {
		lost += int(c.newest-c.first) + 1 - c.packets
	}
	return lost
}

// ReadFrom and what follows make it the net.PacketConn of its DTLS.
func (l *light) ReadFrom(p []byte) (int, net.Addr, error) {
	b, open := <-l.handshake
	if !open {
		return 0, nil, net.ErrClosed
	}
	return copy(p, b), net.UDPAddrFromAddrPort(l.server), nil
}

func (l *light) WriteTo(p []byte, to net.Addr) (int, error) { return l.conn.WriteTo(p, to) }
func (l *light) Close() error                               { return l.conn.Close() }
func (l *light) LocalAddr() net.Addr                        { return l.conn.LocalAddr() }
func (l *light) SetDeadline(time.Time) error                { return nil }
func (l *light) SetReadDeadline(time.Time) error            { return nil }
func (l *light) SetWriteDeadline(time.Time) error           { return nil }

// sends sends a packet.
func (l *light) sends(ssrc uint32, payloadType byte, seq uint16, timestamp uint32, payload []byte) {
	var b [1500]byte
	b[0], b[1] = 0x80, payloadType
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	if sealed, err := l.sealer.RTP(b[:12], payload); err == nil {
		_, _ = l.conn.WriteToUDPAddrPort(sealed, l.server)
	}
}

// Nothing gets lost in a meeting in which all send audio and some video at 1 Mbit/s, paced,
// to all others. By default it is small and short;
//
//	CALLPATH_MEETING=50x5x10s go test -run TestMeeting -v ./relay/processor
//
// has 50 participants, of whom five send video, for ten seconds.
func TestMeetingLosesNothing(t *testing.T) {
	participants, senders, length := 8, 2, 2*time.Second
	if size := os.Getenv("CALLPATH_MEETING"); size != "" {
		var text string
		if _, err := fmt.Sscanf(size, "%dx%dx%s", &participants, &senders, &text); err != nil {
			t.Fatalf("CALLPATH_MEETING=%s: %v", size, err)
		}
		var err error
		length, err = time.ParseDuration(text)
		ok(t, err)
	}
	s := serve(t, nil)
	clients := make([]*light, participants)
	for i := range clients {
		clients[i] = newLight(t, s, s.at, "meeting", fmt.Sprint("p", i), i < senders, participants-1, senders)
	}
	voice := make([]byte, 80)
	image := append([]byte{0x90, 0x80, 0x01, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00}, make([]byte, 1087)...)
	// Each client has its place in the 20 ms of a round; video has 2.3 packets a round.
	begun := time.Now()
	var worst time.Duration
	before, rounds, video := s.Stats(), 0, uint16(0)
	for ; time.Since(begun) < length; rounds++ {
		pictures := 2
		if rounds%10 < 3 {
			pictures = 3
		}
		for i, c := range clients {
			due := begun.Add(time.Duration(rounds)*20*time.Millisecond + time.Duration(i)*20*time.Millisecond/time.Duration(participants))
			time.Sleep(time.Until(due))
			worst = max(worst, time.Since(due))
			c.sends(1000, 111, uint16(rounds), uint32(rounds)*960, voice)
			for k := 0; i < senders && k < pictures; k++ {
				c.sends(1001, 96, video+uint16(k), uint32(rounds)*1800, image)
			}
		}
		video += uint16(pictures)
	}
	if worst > 100*time.Millisecond {
		t.Skipf("the machine was too busy to send in time (late by %v), so that loss says nothing of the processor", worst)
	}
	// Slots are assigned with the first packets: of those some are for nobody yet.
	want := uint64(participants-1) * (uint64(rounds-5)*uint64(participants) + uint64(senders)*uint64(video-15))
	until(t, "most packets have come", func() bool {
		n := uint64(0)
		for _, c := range clients {
			n += c.received.Load()
		}
		return n >= want*95/100
	})
	time.Sleep(50 * time.Millisecond) // the last ones are on their way
	lost, received := 0, uint64(0)
	for _, c := range clients {
		lost += c.lost()
		received += c.received.Load()
	}
	n := s.Stats()
	t.Logf("%d participants, %d with video, %d rounds: %d packets in, %d out, %d received, %d lost, %d unsent; the pacing was late by at most %v",
		participants, senders, rounds, n.PacketsIn-before.PacketsIn, n.PacketsOut-before.PacketsOut, received, lost, n.Unsent, worst)
	if lost > 0 {
		t.Errorf("%d of %d packets were lost", lost, received)
	}
	if sent := uint64(participants*rounds) + uint64(senders)*uint64(video); n.PacketsIn-before.PacketsIn != sent {
		t.Errorf("%d packets came in of %d", n.PacketsIn-before.PacketsIn, sent)
	}
}
