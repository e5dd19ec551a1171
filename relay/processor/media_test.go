package processor

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/callpath/callpath/relay/negotiation"
)

// control sends RTCP packets to the worker.
func (c *client) control(packets ...rtcp.Packet) {
	c.m.t.Helper()
	b, err := rtcp.Marshal(packets)
	must(c.m.t, err)
	sealed, err := c.sealer.RTCP(append(make([]byte, 0, len(b)+64), b...))
	must(c.m.t, err)
	c.sends(sealed)
}

// told returns the RTCP packets of one kind that came since the last call.
func told[T rtcp.Packet](c *client) (all []T) {
	_, control := c.got()
	for _, b := range control {
		packets, err := rtcp.Unmarshal(b)
		must(c.m.t, err)
		for _, p := range packets {
			if one, ok := p.(T); ok {
				all = append(all, one)
			}
		}
	}
	return all
}

// shows sends a packet of video.
func (c *client) shows(ssrc uint32, timestamp uint32, key bool, elements ...byte) {
	p := picture(200)
	if !key {
		p[3] |= 1
	}
	c.sends(c.rtp(ssrc, 96, timestamp, elements, p))
}

func seqOf(p []byte) uint16  { return binary.BigEndian.Uint16(p[2:]) }
func ssrcOf(p []byte) uint32 { return binary.BigEndian.Uint32(p[8:]) }

func rtpPayload(p []byte) []byte {
	at := 12
	if p[0]&0x10 != 0 {
		at += 4 + 4*int(p[15])
	}
	return p[at:]
}

// Nobody gets or gives a packet who has not joined, is not connected yet, or has left.
func TestMediaIsForThoseWhoHaveJoined(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "aAA", addr(1)), m.enter("c", "bob", "aAA", addr(2))
	other := m.enter("another", "mallory", "aAA", addr(3))
	talk := func() {
		for _, c := range []*client{alice, bob, other} {
			c.says(c.leg.name)
		}
		m.pass(100 * time.Millisecond)
	}
	talk()
	talk()
	if a, o := alice.heard(), other.heard(); !slices.Contains(a, "bob") || slices.Contains(a, "mallory") || len(o) != 0 {
		t.Errorf("alice heard %q, mallory %q", a, o)
	}
	// One whose DTLS is not complete.
	waiting := m.enter("c", "waiting", "aA", addr(4))
	waiting.leg.state = handshaking
	waiting.says("too early")
	talk()
	if got := m.port.sent[waiting.at]; len(got) != 0 {
		t.Errorf("%d datagrams to one whose certificate is not verified", len(got))
	}
	if m.stats.Drops[DropKeyless] != 1 || slices.Contains(alice.heard(), "too early") {
		t.Errorf("drops %v", m.stats.Drops)
	}
	bob.leg.on(wasEnded, "")
	alice.got()
	bob.says("still me?")
	talk()
	if got := alice.heard(); len(got) != 0 {
		t.Errorf("alice heard %q after bob has left", got)
	}
	if _, ok := m.port.sent[bob.at]; ok && len(m.port.sent[bob.at]) > 0 {
		delete(m.port.sent, bob.at)
		talk()
		if n := len(m.port.sent[bob.at]); n > 0 {
			t.Errorf("%d datagrams to one who has left", n)
		}
	}
}

func TestWhatDoesNotBelongIsDroppedAndCounted(t *testing.T) {
	m := newManual(t, nil, nil)
	alice := m.enter("c", "alice", "avA", addr(1))
	good := alice.rtp(1000, 111, 0, nil, []byte("x"))
	send := func(b []byte) { m.receive(alice.at, slices.Clone(b)) }
	for _, tt := range []struct {
		why  Drop
		send func()
	}{
		{DropGarbage, func() { send(nil) }},
		{DropGarbage, func() { send([]byte{70, 1, 2, 3}) }}, // a TURN channel's number
		{DropGarbage, func() { send([]byte{200}) }},
		{DropGarbage, func() { send(good[:11]) }},
		{DropGarbage, func() { send([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1}) }}, // half a record
		{DropGarbage, func() { send([]byte{22, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}) }},       // TLS
		{DropSTUN, func() { send([]byte{0, 1, 0, 0}) }},
		{DropSTUN, func() { m.receive(addr(9), []byte{0, 0x11, 0, 0}) }}, // a stranger's keepalive
		{DropSTUN, func() { m.receive(addr(9), alice.stunCheck("nobody's", "a password of nobody at all")) }},
		{DropStranger, func() { m.receive(addr(9), slices.Clone(good)) }},
		{DropStranger, func() { m.receive(addr(9), []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}) }},
		{DropUnauthentic, func() { b := slices.Clone(good); b[20] ^= 1; send(b) }},
		{DropUnauthentic, func() { send(append([]byte{0x80, 201, 0, 1}, make([]byte, 40)...)) }},
		{DropReplayed, func() { send(good); send(good) }},
		{DropUnknown, func() { send(alice.rtp(77, 50, 0, nil, []byte("x"))) }},
		{DropUnknown, func() { send(alice.rtp(78, 111, 0, []byte{0x30, '9'}, []byte("x"))) }}, // a mid that is not there
		{DropUnknown, func() { send(alice.rtp(1000, 50, 0, nil, []byte("x"))) }},
		{DropGarbage, func() { send(alice.rtp(1001, 96, 0, nil, []byte{0x90})) }}, // half a descriptor
	} {
		before := m.stats.Drops[tt.why]
		tt.send()
		if got := m.stats.Drops[tt.why] - before; got != 1 {
			t.Errorf("%s: counted %d; all: %v", tt.why, got, m.stats.Drops)
		}
	}
}

// RFC 4588: a packet that was asked for comes again, in the stream of retransmissions.
func TestLostPacketsAreSentAgain(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "vV", addr(1)), m.enter("c", "bob", "vV", addr(2))
	bob.shows(1000, 0, true)
	m.pass(100 * time.Millisecond)
	for i := range 10 {
		bob.shows(1000, uint32(i+1)*3000, i == 0)
	}
	media, _ := alice.got()
	if len(media) != 10 {
		t.Fatalf("%d packets came", len(media))
	}
	slot := alice.leg.slots[0]
	alice.control(&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: slot.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{seqOf(media[3]), seqOf(media[5]), 9})})
	again, _ := alice.got()
	if len(again) != 2 {
		t.Fatalf("%d packets came again, wanted 2", len(again))
	}
	for i, lost := range []int{3, 5} {
		p := again[i]
		payload := rtpPayload(p)
		if ssrcOf(p) != slot.rtx || p[1]&0x7f != 97 || binary.BigEndian.Uint16(payload) != seqOf(media[lost]) ||
			string(payload[2:]) != string(rtpPayload(media[lost])) || binary.BigEndian.Uint32(p[4:]) != binary.BigEndian.Uint32(media[lost][4:]) {
			t.Errorf("% x\nis not a retransmission of\n% x", p, media[lost])
		}
	}
	// What was just sent again is not sent again at once.
	alice.control(&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: slot.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{seqOf(media[3])})})
	if again, _ := alice.got(); len(again) != 0 {
		t.Errorf("%d packets came at once again", len(again))
	}
	if m.stats.Retransmitted != 2 {
		t.Errorf("%d counted", m.stats.Retransmitted)
	}
}

// What a stranger sends from a participant's address is not recorded as its media.
func TestOnlyAuthenticMediaAreRecorded(t *testing.T) {
	m := newManual(t, nil, nil)
	alice := m.enter("c", "alice", "aA", addr(1))
	alice.leg.recorder = negotiation.NewRecorder(negotiation.Config{})
	packets := func() (n uint64) {
		for _, s := range alice.leg.recorder.Record().SRTP {
			n += s.Packets
		}
		return n
	}
	forged := alice.rtp(1000, 111, 0, nil, []byte("one"))
	forged[len(forged)-1] ^= 1
	alice.sends(forged)
	if got := packets(); got != 0 {
		t.Errorf("%d forged packets are recorded", got)
	}
	alice.says("two")
	if got := packets(); got != 1 {
		t.Errorf("%d packets are recorded, wanted 1", got)
	}
}

// A participant who sends on very many m-lines does not take memory for each.
func TestMemoriesOfOneParticipantAreBounded(t *testing.T) {
	m := newManual(t, nil, nil)
	lines := mostMemories + 4
	bob := m.enter("c", "bob", strings.Repeat("v", lines), addr(1))
	for i := range lines {
		bob.shows(uint32(1000+i), 0, true)
	}
	memories := 0
	for _, y := range bob.leg.streams {
		if y.memory != nil {
			memories++
		}
	}
	if len(bob.leg.streams) != lines || memories != mostMemories {
		t.Errorf("%d of %d streams have a memory, wanted %d", memories, len(bob.leg.streams), mostMemories)
	}
}

func TestPublishersAreAskedForWhatIsMissing(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "vV", addr(1)), m.enter("c", "bob", "vV", addr(2))
	bob.shows(1000, 0, true)
	m.pass(100 * time.Millisecond)
	bob.shows(1000, 3000, true)
	lost := bob.rtp(1000, 96, 6000, nil, picture(200))
	bob.shows(1000, 9000, false)
	bob.got()
	m.pass(50 * time.Millisecond)
	nacks := told[*rtcp.TransportLayerNack](bob)
	if len(nacks) == 0 || nacks[0].MediaSSRC != 1000 || !slices.Equal(nacks[0].Nacks[0].PacketList(), []uint16{2}) {
		t.Fatalf("asked for %+v", nacks)
	}
	alice.got()
	// It comes as a retransmission, in a stream that the offer has not named.
	bob.sends(bob.rtp(5, 97, 6000, []byte{0x30, '0'}, append([]byte{0, 2}, picture(200)...)))
	media, _ := alice.got()
	if len(media) != 1 || ssrcOf(media[0]) != alice.leg.slots[0].ssrc || binary.BigEndian.Uint32(media[0][4:])%3000 == 1 {
		t.Fatalf("%d packets, wanted the one that was missing", len(media))
	}
	m.pass(200 * time.Millisecond)
	if nacks := told[*rtcp.TransportLayerNack](bob); len(nacks) != 0 {
		t.Errorf("asked again for what has come: %+v", nacks)
	}
	bob.sends(lost) // and late in its own stream
	if media, _ := alice.got(); len(media) != 0 {
		t.Error("a packet came twice")
	}
}

// Key frames are asked for when somebody needs one, and not more often than twice a second.
func TestKeyFramesAreAskedForWithALimit(t *testing.T) {
	m := newManual(t, nil, nil)
	bob := m.enter("c", "bob", "vV", addr(2))
	var others []*client
	for i := range 5 {
		others = append(others, m.enter("c", fmt.Sprint("p", i), "vV", addr(10+i)))
	}
	bob.shows(1000, 0, false)
	m.pass(200 * time.Millisecond)
	if n := len(told[*rtcp.PictureLossIndication](bob)); n != 1 {
		t.Errorf("%d requests for five new receivers", n)
	}
	bob.shows(1000, 3000, true)
	m.pass(2 * time.Second)
	if n := len(told[*rtcp.PictureLossIndication](bob)); n != 0 {
		t.Errorf("%d requests that nobody needs", n)
	}
	for range 20 {
		for _, c := range others {
			c.control(&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: c.leg.slots[0].ssrc})
			c.control(&rtcp.FullIntraRequest{SenderSSRC: 1, FIR: []rtcp.FIREntry{{SSRC: c.leg.slots[0].ssrc}}})
		}
		m.pass(100 * time.Millisecond)
	}
	if n := len(told[*rtcp.PictureLossIndication](bob)); n < 2 || n > 5 {
		t.Errorf("%d requests in two seconds, wanted some, at most two a second", n)
	}
	if m.stats.PLIReceived < 100 {
		t.Errorf("%d counted", m.stats.PLIReceived)
	}
}

// RTCP ends at the processor: reports are about its own streams.
func TestReportsAreTheProcessorsOwn(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "aA", addr(1)), m.enter("c", "bob", "aA", addr(2))
	capture := m.at.Add(-5 * time.Hour) // bob's clock is wrong
	for i := range 160 {
		if i%50 == 10 {
			bob.control(&rtcp.SenderReport{SSRC: 1000, NTPTime: ntpOf(capture.Add(time.Duration(i) * 20 * time.Millisecond)), RTPTime: uint32(i) * 960})
		}
		p := bob.rtp(1000, 111, uint32(i)*960, []byte{0x10, 30}, []byte("voice"))
		if i%10 != 5 || i < 50 { // loss of one in ten
			bob.sends(p)
		}
		m.pass(20 * time.Millisecond)
	}
	media, control := alice.got()
	last := media[len(media)-1]
	var report *rtcp.SenderReport
	for _, b := range control {
		packets, err := rtcp.Unmarshal(b)
		must(t, err)
		if sr, ok := packets[0].(*rtcp.SenderReport); ok {
			report = sr
			names := packets[1].(*rtcp.SourceDescription)
			if names.Chunks[0].Source != sr.SSRC || names.Chunks[0].Items[0].Text != alice.leg.cname {
				t.Errorf("%v", names)
			}
		}
	}
	if report == nil || report.SSRC != alice.leg.slots[0].ssrc || report.PacketCount < 85 || report.OctetCount != report.PacketCount*5 {
		t.Fatalf("%+v", report)
	}
	// At the report's NTP time the stream was where the report says.
	elapsed := timeOf(report.NTPTime).Sub(m.at).Seconds()
	if want := int64(binary.BigEndian.Uint32(last[4:])) + int64(elapsed*48000); int64(report.RTPTime)-want > 2000 || want-int64(report.RTPTime) > 2000 {
		t.Errorf("timestamp %d at %v, wanted about %d", report.RTPTime, timeOf(report.NTPTime), want)
	}
	var blocks []rtcp.ReceptionReport
	for _, r := range told[*rtcp.ReceiverReport](bob) {
		blocks = append(blocks, r.Reports...)
	}
	if len(blocks) == 0 {
		t.Fatal("bob gets no report")
	}
	b := blocks[len(blocks)-1]
	if b.SSRC != 1000 || b.TotalLost < 7 || b.TotalLost > 12 || b.FractionLost < 20 || b.FractionLost > 32 || b.LastSenderReport == 0 || b.Jitter > 100 {
		t.Errorf("%+v", b)
	}
	// A block about the slot gives the round-trip time.
	m.pass(50 * time.Millisecond)
	alice.control(&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: report.SSRC, LastSenderReport: uint32(ntpOf(m.at.Add(-40*time.Millisecond)) >> 16)}}})
	if rtt := alice.leg.rtt; rtt < 39*time.Millisecond || rtt > 41*time.Millisecond {
		t.Errorf("round-trip time %v", rtt)
	}
}

func TestTransportFeedbackGoesToPublishers(t *testing.T) {
	m := newManual(t, nil, nil)
	bob := m.enter("c", "bob", "vV", addr(2))
	for i := range 10 {
		if i != 4 {
			bob.shows(1000, uint32(i)*3000, true, 0x21, 0, byte(i))
		}
		m.pass(10 * time.Millisecond)
	}
	m.pass(100 * time.Millisecond)
	n := 0
	for _, f := range told[*rtcp.TransportLayerCC](bob) {
		n += int(f.PacketStatusCount)
		if f.SenderSSRC != bob.leg.ssrc || f.MediaSSRC != 1000 {
			t.Errorf("%v", f)
		}
	}
	if n != 10 {
		t.Errorf("feedback about %d packets, wanted 10", n)
	}
}

// A mute is no packets: the stream goes on where it was, without a gap.
func TestMutesLeaveNoGap(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "aA", addr(1)), m.enter("c", "bob", "aA", addr(2))
	bob.says("one")
	m.pass(100 * time.Millisecond)
	bob.says("two")
	m.pass(20 * time.Second)
	for _, c := range []*client{alice, bob} {
		m.receive(c.at, c.stunCheck(c.leg.ufrag, c.leg.passwords[c.leg.ufrag]))
	}
	bob.says("three")
	media, _ := alice.got()
	if len(media) != 2 || seqOf(media[1]) != seqOf(media[0])+1 || ssrcOf(media[0]) != ssrcOf(media[1]) {
		t.Errorf("%d packets", len(media))
	}
	if alice.leg.slots[0].track == nil {
		t.Error("the slot is empty")
	}
}

// FuzzReceive gives a worker whatever comes, from a participant and from a stranger,
// sealed and not; it neither fails nor sends it to anybody.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 3, 232, 1, 2, 3}, true)
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 3, 233, 0xbe, 0xde, 0, 1, 0x21, 0, 1, 0, 0x90, 0x80, 1, 0x10, 0, 0, 0x9d, 1, 0x2a}, true)
	f.Add([]byte{0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2}, true)
	f.Add([]byte{0x8f, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0xff, 0xff}, true)
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, false)
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, false)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		m := newManual(t, nil, nil)
		alice, bob := m.enter("c", "alice", "avmAV", addr(1)), m.enter("c", "bob", "aAV", addr(2))
		bob.got()
		m.receive(addr(9), slices.Clone(data))
		if !sealed || len(data) < 12 || data[0]>>6 != 2 {
			if len(data) == 0 || data[0] < 20 || data[0] > 63 { // a handshake has goroutines
				m.receive(alice.at, slices.Clone(data))
			}
			m.pass(20 * time.Millisecond)
			if media, _ := bob.got(); len(media) != 0 {
				t.Fatalf("bob gets media of % x", data)
			}
			return
		}
		in := append(make([]byte, 0, len(data)+64), data...)
		if data[1] >= 192 && data[1] < 224 {
			if b, err := alice.sealer.RTCP(in); err == nil {
				alice.sends(b)
			}
		} else if n := headerSize(in); n > 0 {
			if b, err := alice.sealer.RTP(in[:n], in[n:]); err == nil {
				alice.sends(b)
			}
		}
		m.pass(200 * time.Millisecond)
		bob.got()
	})
}

// headerSize is the length of an RTP header, 0 when it is longer than the packet.
func headerSize(b []byte) int {
	n := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return 0
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	if n > len(b) {
		return 0
	}
	return n
}
