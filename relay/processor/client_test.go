package processor

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/processor/description"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// still is a port on which nothing comes, and that keeps what is sent, by receiver.
type still struct {
	sent map[netip.AddrPort][][]byte
	keep bool
	n    int
}

func (*still) Receive(time.Duration) []fanout.Datagram { return nil }
func (*still) Wake()                                   {}
func (*still) Close() error                            { return nil }

func (s *still) WriteTo(b []byte, to netip.AddrPort) error {
	s.Send([]fanout.Datagram{{To: to, Data: b}})
	return nil
}

func (s *still) Send(batch []fanout.Datagram) int {
	s.n += len(batch)
	if s.keep {
		for _, d := range batch {
			s.sent[d.To] = append(s.sent[d.To], bytes.Clone(d.Data))
		}
	}
	return len(batch)
}

// manual is a worker that the test drives, with a clock that the test moves.
type manual struct {
	*worker
	t    testing.TB
	port *still
	at   time.Time
}

func newManual(t testing.TB, port port, change func(*Config)) *manual {
	t.Helper()
	m := &manual{t: t, at: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	certificate, err := newCertificate()
	must(t, err)
	cfg := Config{Certificate: certificate, Now: func() time.Time { return m.at }, Rand: randReader}
	if change != nil {
		change(&cfg)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	p := &Processor{cfg: cfg, fingerprint: description.FingerprintOf("sha-256", certificate.Certificate[0]), herald: newHerald(cfg)}
	if port == nil {
		m.port = &still{sent: make(map[netip.AddrPort][][]byte), keep: true}
		port = m.port
	}
	m.worker = newWorker(p, port, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:3478")})
	p.workers = []*worker{m.worker}
	return m
}

// pass lets time pass, tick by tick.
func (m *manual) pass(d time.Duration) {
	for end := m.at.Add(d); m.at.Before(end); {
		m.at = m.at.Add(tick)
		m.now = m.at
		m.forward()
		m.pace()
		m.tick()
		m.batch.Flush()
	}
}

// events returns what was told since the last call.
func (m *manual) events() (kinds []EventKind) {
	h := m.p.herald
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, what := range h.queue {
		if e, ok := what.(Event); ok {
			kinds = append(kinds, e.Kind)
		}
	}
	h.queue = nil
	return kinds
}

// client is a participant that makes and reads SRTP, nothing else.
type client struct {
	m      *manual
	leg    *leg
	at     netip.AddrPort
	sealer *srtp.Sealer
	opener *srtp.Opener
	seq    map[uint32]uint16
}

const testProfile = srtp.AEADAES128GCM

func testKeys(t testing.TB, seed string) *srtp.Keys {
	t.Helper()
	k, err := srtp.NewKeys(testProfile, []byte((seed + strings.Repeat("k", 16))[:16]), []byte((seed + strings.Repeat("s", 12))[:12]))
	must(t, err)
	return k
}

// lines says what an offer has: one letter for each m-line; a and v send, A and V are
// slots, p and P are those of PCMU, s and S are slides, m sends simulcast of three layers.
func offerOf(name, lines string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("v=0\r\no=%s 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0", name)
	var mids []string
	for i := range lines {
		mids = append(mids, fmt.Sprint(i))
	}
	line("a=group:BUNDLE %s", strings.Join(mids, " "))
	line("a=ice-ufrag:%s\r\na=ice-pwd:%s", (name + "ufrag"), strings.Repeat("p", 24))
	line("a=fingerprint:%s\r\na=setup:actpass", description.FingerprintOf("sha-256", []byte(name)))
	for i, kind := range lines {
		if kind == 'p' || kind == 'P' {
			line("m=audio 9 UDP/TLS/RTP/SAVPF 0")
		} else if kind == 'a' || kind == 'A' {
			line("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2")
			line("a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level")
		} else {
			line("m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96")
			line("a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 transport-cc")
		}
		line("c=IN IP4 0.0.0.0\r\na=mid:%d\r\na=rtcp-mux", i)
		line("a=extmap:2 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01")
		line("a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id")
		switch kind {
		case 'a', 'v', 's', 'm', 'p':
			line("a=sendonly")
		default:
			line("a=recvonly")
		}
		if kind == 's' || kind == 'S' {
			line("a=content:slides")
		}
		if kind == 'm' {
			line("a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f")
		} else if strings.ContainsRune("avsp", kind) {
			line("a=ssrc:%d cname:x", 1000+i)
		}
	}
	return b.String()
}

// enter has a client join and connect.
func (m *manual) enter(conference, name, lines string, at netip.AddrPort) *client {
	return m.enterAs(Join{Conference: conference, Participant: name}, lines, at)
}

func (m *manual) enterAs(j Join, lines string, at netip.AddrPort) *client {
	m.t.Helper()
	m.now = m.at
	conference, name := j.Conference, j.Participant
	offer, err := description.Parse(offerOf(name, lines), 1000, false)
	must(m.t, err)
	_, err = m.join(j, offer)
	must(m.t, err)
	l := m.conferences[conference].find(name)
	c := &client{m: m, leg: l, at: at, seq: make(map[uint32]uint16)}
	l.checked(at, l.ufrag, true)
	l.association = &association{w: m.worker, cancel: func() {}}
	l.association.move(at)
	l.on(heardHello, "")
	up, down := testKeys(m.t, "up"+name), testKeys(m.t, "dn"+name)
	c.sealer, c.opener = up.Sealer(), testKeys(m.t, "dn"+name).Opener(srtp.OpenerConfig{})
	l.secured(l.association, handshaken{receive: testKeys(m.t, "up"+name), send: down})
	return c
}

// rtp makes an SRTP packet. elements is a header extension, or nil.
func (c *client) rtp(ssrc uint32, payloadType byte, timestamp uint32, elements, payload []byte) []byte {
	seq := c.seq[ssrc]
	c.seq[ssrc]++
	b := make([]byte, 12, 1500)
	b[0], b[1] = 0x80, payloadType
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	if elements != nil {
		for len(elements)%4 != 0 {
			elements = append(elements, 0)
		}
		b[0] |= 0x10
		b = append(b, 0xbe, 0xde, 0, byte(len(elements)/4))
		b = append(b, elements...)
	}
	sealed, err := c.sealer.RTP(b, payload)
	must(c.m.t, err)
	return sealed
}

// sends hands a packet to the worker.
func (c *client) sends(packet []byte) { c.m.receive(c.at, bytes.Clone(packet)) }

// got opens what was sent to the client since the last call: media, and RTCP.
func (c *client) got() (media [][]byte, control [][]byte) {
	c.m.t.Helper()
	c.m.forward()
	c.m.batch.Flush()
	for _, b := range c.m.port.sent[c.at] {
		switch {
		case b[0] < 4:
		case b[1] >= 192 && b[1] < 224:
			open, err := c.opener.RTCP(b)
			must(c.m.t, err)
			control = append(control, open)
		default:
			header, payload, err := c.opener.RTP(b)
			must(c.m.t, err)
			media = append(media, append(bytes.Clone(header), payload...))
		}
	}
	delete(c.m.port.sent, c.at)
	return media, control
}

func addr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), uint16(10000+n))
}

// picture is a packet of VP8 in the middle of a frame, of so many bytes.
func picture(size int) []byte {
	b := make([]byte, size)
	b[0], b[1], b[2] = 0x90, 0x80, 0x01 // descriptor with a picture id of 7 bits
	b[3] = 0x10                         // a key frame, so that anybody can begin
	b[6], b[7], b[8] = 0x9d, 0x01, 0x2a
	return b
}
