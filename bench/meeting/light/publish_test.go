//go:build linux

package light

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/bench/udp"
	"github.com/callpath/callpath/relay/forward/srtp"
)

// published is a client with keys and no engine that runs, and who receives what it sends.
type published struct {
	*Client
	t      *testing.T
	conn   *net.UDPConn
	opener *srtp.Opener
}

func publish(t *testing.T) *published {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close()) })
	e, err := NewEngine(Config{Local: netip.MustParseAddr("127.0.0.1")})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	s, err := udp.Open(netip.MustParseAddrPort("127.0.0.1:0"), udp.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	must(t, s.Connect(conn.LocalAddr().(*net.UDPAddr).AddrPort()))
	keys, err := srtp.NewKeys(srtp.AEADAES128GCM, []byte(strings.Repeat("k", 16)), []byte(strings.Repeat("s", 12)))
	must(t, err)
	c := &Client{engine: e, socket: s, sender: 9, ssrc: sources{audio: 1, video: 2, rtx: 3}}
	c.sealer, c.overhead = keys.Sealer(), keys.Profile().Overhead()
	c.publisher.begin([]byte{1, 2, 3, 4})
	c.agent.state = selected
	c.subscriber.expect([]slotLine{{mid: "0", audio: true, ssrc: 77}})
	e.now = time.Now().UnixNano()
	again, err := srtp.NewKeys(srtp.AEADAES128GCM, []byte(strings.Repeat("k", 16)), []byte(strings.Repeat("s", 12)))
	must(t, err)
	return &published{c, t, conn, again.Opener(srtp.OpenerConfig{})}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// packet receives one packet: header and payload.
func (p *published) packet() (header, payload []byte) {
	p.t.Helper()
	b := make([]byte, 2000)
	must(p.t, p.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	n, err := p.conn.Read(b)
	must(p.t, err)
	header, payload, err = p.opener.RTP(b[:n])
	must(p.t, err)
	return header, payload
}

// RFC 4588, section 4: what is sent again has the original sequence number in front, and
// is otherwise what it was.
func TestANACKIsAnswered(t *testing.T) {
	p := publish(t)
	due := p.engine.now
	p.picture(due)
	var payloads [][]byte
	var seqs []uint16
	for last := false; !last; {
		h, payload := p.packet()
		seqs = append(seqs, binary.BigEndian.Uint16(h[2:]))
		payloads = append(payloads, payload)
		last = h[1]&0x80 != 0
	}
	if stamp, ok := tally.ReadStamp(payloads[0]); !ok || stamp != (tally.Stamp{Due: due, Sender: 9}) || payloads[0][4]&1 != 0 {
		t.Errorf("the first packet is no key frame's with a stamp: %x", payloads[0])
	}
	nack, err := (&rtcp.TransportLayerNack{SenderSSRC: 5, MediaSSRC: 2, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs[1:3])}).Marshal()
	must(t, err)
	p.feedback(nack, nack[1], nack[0]&0x1f)
	for i := 1; i < 3; i++ {
		h, payload := p.packet()
		if ssrc := binary.BigEndian.Uint32(h[8:]); ssrc != 3 || h[1]&0x7f != typeRTX {
			t.Errorf("sent again on %d with type %d", ssrc, h[1]&0x7f)
		}
		if osn := binary.BigEndian.Uint16(payload); osn != seqs[i] || string(payload[2:]) != string(payloads[i]) {
			t.Errorf("packet %d is sent again as %d", seqs[i], osn)
		}
	}
	if p.engine.tally.Retransmitted != 2 {
		t.Errorf("%d were counted", p.engine.tally.Retransmitted)
	}
	// Neither what was never sent nor what is another's is sent.
	for _, wrong := range []*rtcp.TransportLayerNack{
		{MediaSSRC: 2, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{seqs[0] - 1})},
		{MediaSSRC: 1, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs[:1])},
	} {
		b, err := wrong.Marshal()
		must(t, err)
		p.feedback(b, b[1], b[0]&0x1f)
	}
	if p.engine.tally.Retransmitted != 2 {
		t.Errorf("%d were counted", p.engine.tally.Retransmitted)
	}
}

// RFC 4585, section 6.3.1: the next picture is a key frame, and the one after it is not.
func TestAPLIGetsAKeyFrame(t *testing.T) {
	p := publish(t)
	key := func() bool {
		p.picture(p.engine.now)
		h, payload := p.packet()
		isKey := payload[4]&1 == 0
		for h[1]&0x80 == 0 {
			h, _ = p.packet()
		}
		return isKey
	}
	pli, err := (&rtcp.PictureLossIndication{SenderSSRC: 5, MediaSSRC: 2}).Marshal()
	must(t, err)
	for i, want := range []bool{true, false, true, false} {
		if i == 2 {
			p.feedback(pli, pli[1], pli[0]&0x1f)
		}
		if got := key(); got != want {
			t.Errorf("picture %d is a key frame: %t", i, got)
		}
	}
	if p.engine.tally.KeyFrames != 1 {
		t.Errorf("%d were asked for", p.engine.tally.KeyFrames)
	}
}

// RFC 3550, section 6.4.1: the round trip by a report block, and reports that are answered
// with what the last sender report said.
func TestReportsMeasureTheRoundTrip(t *testing.T) {
	p := publish(t)
	now := time.Unix(0, p.engine.now)
	ago := uint32(uint64(now.Add(-150*time.Millisecond).Unix()+2208988800)<<16) | uint32(uint64(now.Add(-150*time.Millisecond).Nanosecond())<<16/1e9)
	block := rtcp.ReceptionReport{SSRC: 1, LastSenderReport: ago, Delay: 65536 / 20}
	b, err := (&rtcp.SenderReport{SSRC: 77, NTPTime: 0x1122334455667788, Reports: []rtcp.ReceptionReport{block}}).Marshal()
	must(t, err)
	p.feedback(b, b[1], b[0]&0x1f)
	if d := p.rtt - 100*time.Millisecond; d.Abs() > time.Millisecond {
		t.Errorf("round trip %v, wanted 100 ms", p.rtt)
	}
	s := p.slots[0]
	s.stream.Packet(p.engine.tally, now, 7, 0, make([]byte, 20))
	r := s.block(now.Add(time.Second))
	if r.LastSenderReport != 0x33445566 || r.Delay != 65536 || r.LastSequenceNumber != 7 || r.SSRC != 77 {
		t.Errorf("reported %+v", r)
	}
}

// What is due too long ago is passed over, and told.
func TestWhatIsFarTooLateIsNotSent(t *testing.T) {
	p := publish(t)
	p.state = connected
	due := p.engine.now - int64(2*abandon)
	for _, kind := range []eventKind{dueAudio, dueVideo} {
		if again := p.act(event{due: due, kind: kind, client: p.Client}); again <= due {
			t.Errorf("due again at %d", again-due)
		}
	}
	if p.engine.tally.Sent != 0 || p.engine.tally.Unsent != 5 { // a packet of voice, four of a picture
		t.Errorf("%d sent, %d not", p.engine.tally.Sent, p.engine.tally.Unsent)
	}
	p.state = over
	if again := p.act(event{due: due, kind: dueAudio, client: p.Client}); again != 0 {
		t.Error("a client that is over goes on")
	}
}

func FuzzFeedback(f *testing.F) {
	nack, _ := (&rtcp.TransportLayerNack{MediaSSRC: 2, Nacks: []rtcp.NackPair{{PacketID: 1, LostPackets: 3}}}).Marshal()
	f.Add(nack)
	sr, _ := (&rtcp.SenderReport{SSRC: 77, Reports: []rtcp.ReceptionReport{{SSRC: 1, LastSenderReport: 1}}}).Marshal()
	f.Add(sr)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 8 || len(b)%4 != 0 {
			return
		}
		c := &Client{engine: &Engine{tally: tally.New()}, ssrc: sources{audio: 1, video: 2, rtx: 3}}
		c.subscriber.expect([]slotLine{{ssrc: 77}})
		c.feedback(b, b[1], b[0]&0x1f)
	})
}
