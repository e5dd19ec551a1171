package fanout_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/pion/rtp"
	pion "github.com/pion/srtp/v3"

	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/forward/srtp"
)

var profiles = []srtp.Profile{srtp.AEADAES128GCM, srtp.AEADAES256GCM, srtp.AES128CMHMACSHA180}

// material is a master key and salt of peer i.
func material(p srtp.Profile, i int) (key, salt []byte) {
	key, salt = make([]byte, p.KeySize()), make([]byte, p.SaltSize())
	binary.BigEndian.PutUint32(key, uint32(i))
	binary.BigEndian.PutUint32(salt, ^uint32(i))
	return key, salt
}

func keys(t testing.TB, p srtp.Profile, i int) *srtp.Keys {
	t.Helper()
	key, salt := material(p, i)
	k, err := srtp.NewKeys(p, key, salt)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i))
}

// record is a Sender that keeps copies, and can send only some of each batch.
type record struct {
	all     []fanout.Datagram
	batches [][]fanout.Datagram
	most    int
}

func (r *record) Send(batch []fanout.Datagram) int {
	var kept []fanout.Datagram
	for i, d := range batch {
		if i > 0 && d.To == batch[i-1].To {
			if before := batch[i-1].Data; unsafe.Pointer(unsafe.SliceData(d.Data)) != unsafe.Add(unsafe.Pointer(unsafe.SliceData(before)), len(before)) {
				panic("packets of one receiver are not side by side")
			}
		}
		kept = append(kept, fanout.Datagram{To: d.To, Data: bytes.Clone(d.Data)})
	}
	r.all = append(r.all, kept...)
	r.batches = append(r.batches, kept)
	if r.most > 0 {
		return min(r.most, len(batch))
	}
	return len(batch)
}

// sender seals a peer's packets, which is peer 0.
type sender struct {
	t      testing.TB
	sealer *srtp.Sealer
}

func newSender(t testing.TB, p srtp.Profile) *sender {
	return &sender{t, keys(t, p, 0).Sealer()}
}

func (s *sender) packet(h rtp.Header, payload []byte) []byte {
	s.t.Helper()
	h.Version = 2
	header, err := h.Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	sealed, err := s.sealer.RTP(append(make([]byte, 0, 1500), header...), payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return sealed
}

// Each of many receivers, with all profiles, gets each packet with its own header and
// keys, as another implementation of SRTP finds.
func TestEachReceiverGetsAStreamOfItsOwn(t *testing.T) {
	const receivers, camera = 9, 77
	r := rand.New(rand.NewPCG(1, 5))
	for _, p := range profiles {
		out, in := &record{}, newSender(t, p)
		batch := fanout.NewBatch(out, 0)
		source := fanout.NewSource(keys(t, p, 0).Opener(srtp.OpenerConfig{}), batch)
		types := &fanout.PayloadTypes{96: 120, 97: 121}
		extensions := &fanout.Extensions{3: 9}
		for i := 1; i <= receivers; i++ {
			cfg := fanout.ReceiverConfig{
				To: address(i), Sealer: keys(t, profiles[i%3], i).Sealer(), SSRC: uint32(1000 + i),
				Timeline: fanout.NewTimeline(uint16(0xff00+i), uint32(i)),
			}
			if i%2 == 0 {
				cfg.PayloadTypes, cfg.Extensions = types, extensions
			}
			source.Track(camera).Add(fanout.NewReceiver(cfg))
		}
		var payloads [][]byte
		var round [][]byte
		seq := uint16(0xffd0)
		for n := range 600 {
			payload := make([]byte, 1+r.IntN(1200))
			for i := range payload {
				payload[i] = byte(r.Uint32())
			}
			h := rtp.Header{
				Marker: n%7 == 0, PayloadType: 96 + uint8(n%2), SequenceNumber: seq,
				Timestamp: 3000 * uint32(n), SSRC: camera, CSRC: []uint32{5, 6}[:n%3],
			}
			if err := h.SetExtension(3, []byte{byte(n)}); err != nil {
				t.Fatal(err)
			}
			if err := h.SetExtension(4, []byte{1, 2}); err != nil {
				t.Fatal(err)
			}
			seq++
			payloads = append(payloads, payload)
			round = append(round, in.packet(h, payload))
			if r.IntN(10) == 0 || n == 599 {
				source.Forward(round)
				round = round[:0]
			}
		}
		batch.Flush()
		got := map[netip.AddrPort]int{}
		contexts := map[netip.AddrPort]*pion.Context{}
		for _, d := range out.all {
			i, n := int(d.To.Port()), got[d.To]
			if contexts[d.To] == nil {
				key, salt := material(profiles[i%3], i)
				c, err := pion.CreateContext(key, salt, pion.ProtectionProfile(profiles[i%3]), pion.SRTPReplayProtection(64))
				if err != nil {
					t.Fatal(err)
				}
				contexts[d.To] = c
			}
			plain, err := contexts[d.To].DecryptRTP(nil, d.Data, nil)
			if err != nil {
				t.Fatalf("%v, receiver %d, packet %d: %v", p, i, n, err)
			}
			var packet rtp.Packet
			if err := packet.Unmarshal(plain); err != nil {
				t.Fatal(err)
			}
			wantType, wantID := 96+uint8(n%2), uint8(3)
			if i%2 == 0 {
				wantType, wantID = 120+uint8(n%2), 9
				if packet.GetExtension(4) != nil {
					t.Errorf("receiver %d has an extension that it does not know", i)
				}
			}
			if packet.SSRC != uint32(1000+i) || packet.SequenceNumber != uint16(0xff00+i+n) ||
				packet.Timestamp != uint32(i)+3000*uint32(n) || packet.PayloadType != wantType ||
				packet.Marker != (n%7 == 0) || len(packet.CSRC) != n%3 ||
				!bytes.Equal(packet.GetExtension(wantID), []byte{byte(n)}) {
				t.Fatalf("%v, receiver %d, packet %d: %v, extensions %v", p, i, n, packet.Header, packet.Extensions)
			}
			if !bytes.Equal(packet.Payload, payloads[n]) {
				t.Fatalf("%v, receiver %d, packet %d: payload\n got %x\nwant %x", p, i, n, packet.Payload, payloads[n])
			}
			got[d.To]++
		}
		for i := 1; i <= receivers; i++ {
			if got[address(i)] != 600 {
				t.Errorf("%v: receiver %d got %d packets", p, i, got[address(i)])
			}
		}
	}
}

func TestSourceCounts(t *testing.T) {
	p := srtp.AEADAES128GCM
	out, in := &record{}, newSender(t, p)
	batch := fanout.NewBatch(out, 4)
	source := fanout.NewSource(keys(t, p, 0).Opener(srtp.OpenerConfig{}), batch)
	receiver := fanout.NewReceiver(fanout.ReceiverConfig{To: address(1), Sealer: keys(t, p, 1).Sealer(), SSRC: 5})
	source.Track(1).Add(receiver)
	good := in.packet(rtp.Header{SSRC: 1, SequenceNumber: 1}, []byte("good"))
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	source.Forward([][]byte{
		bad, bytes.Clone(good), bytes.Clone(good), []byte("short"), nil,
		in.packet(rtp.Header{SSRC: 2}, []byte("stray")),
	})
	if got, want := source.Stats(), (fanout.SourceStats{Opened: 2, Refused: 3, Repeats: 1, Strays: 1}); got != want {
		t.Errorf("source: got %+v, want %+v", got, want)
	}
	if len(out.all) != 0 {
		t.Error("sent before Flush")
	}
	batch.Flush()
	batch.Flush()
	if len(out.batches) != 1 || len(out.all) != 1 {
		t.Errorf("%d batches, %d datagrams", len(out.batches), len(out.all))
	}
	if got, want := receiver.Stats(), (fanout.ReceiverStats{Packets: 1, Bytes: uint64(len(good))}); got != want {
		t.Errorf("receiver: got %+v, want %+v", got, want)
	}
}

func TestBatchSendsWhenItIsFull(t *testing.T) {
	p := srtp.AEADAES256GCM
	for _, c := range []struct {
		name              string
		most, size, count int
		want              []int // datagrams in each batch
	}{
		{"of datagrams", 4, 100, 10, []int{4, 4, 2}},
		{"of memory", 4, 40000, 3, []int{1, 1, 1}},
		{"as it is by default", 0, 100, 130, []int{64, 64, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, in := &record{most: 3}, newSender(t, p)
			batch := fanout.NewBatch(out, c.most)
			source := fanout.NewSource(keys(t, p, 0).Opener(srtp.OpenerConfig{}), batch)
			receiver := fanout.NewReceiver(fanout.ReceiverConfig{To: address(1), Sealer: keys(t, p, 1).Sealer()})
			source.Track(1).Add(receiver)
			opener := keys(t, p, 1).Opener(srtp.OpenerConfig{})
			wantSent := 0
			for i := range c.count {
				h := rtp.Header{Version: 2, SSRC: 1, SequenceNumber: uint16(i)}
				header, _ := h.Marshal()
				sealed, err := in.sealer.RTP(append(make([]byte, 0, c.size+100), header...), make([]byte, c.size))
				if err != nil {
					t.Fatal(err)
				}
				source.Forward([][]byte{sealed})
			}
			batch.Flush()
			var got []int
			for _, b := range out.batches {
				got = append(got, len(b))
				wantSent += min(3, len(b))
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("batches of %v, want %v", got, c.want)
			}
			for i, d := range out.all {
				if _, payload, err := opener.RTP(d.Data); err != nil || len(payload) != c.size {
					t.Errorf("datagram %d: %v", i, err)
				}
			}
			if sent, unsent := batch.Sent(); sent != uint64(wantSent) || unsent != uint64(c.count-wantSent) {
				t.Errorf("%d sent, %d not; want %d and %d", sent, unsent, wantSent, c.count-wantSent)
			}
		})
	}
}

func TestReceiversComeMoveAndGo(t *testing.T) {
	p := srtp.AEADAES128GCM
	out, in := &record{}, newSender(t, p)
	batch := fanout.NewBatch(out, 0)
	source := fanout.NewSource(keys(t, p, 0).Opener(srtp.OpenerConfig{}), batch)
	receiver := fanout.NewReceiver(fanout.ReceiverConfig{
		To: address(1), Sealer: keys(t, p, 1).Sealer(), SSRC: 5, Timeline: fanout.NewTimeline(0, 0),
	})
	opener := keys(t, p, 1).Opener(srtp.OpenerConfig{})
	// send gives a packet to the source, and returns what came out of it.
	send := func(ssrc uint32, seq uint16, timestamp uint32) string {
		t.Helper()
		out.all = nil
		source.Forward([][]byte{in.packet(rtp.Header{SSRC: ssrc, SequenceNumber: seq, Timestamp: timestamp}, []byte("x"))})
		batch.Flush()
		if len(out.all) == 0 {
			return "nothing"
		}
		var h rtp.Header
		if _, _, err := opener.RTP(out.all[0].Data); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Unmarshal(out.all[0].Data); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d at %d to %v", h.SequenceNumber, h.Timestamp, out.all[0].To.Port())
	}
	for i, s := range []struct {
		do   func()
		ssrc uint32
		seq  uint16
		time uint32
		want string
	}{
		{nil, 10, 100, 0, "nothing"},
		{func() { source.Track(10).Add(receiver) }, 10, 101, 50, "0 at 0 to 1"},
		{nil, 10, 102, 90, "1 at 40 to 1"},
		{func() { receiver.Move(address(2)) }, 10, 103, 100, "2 at 50 to 2"},
		{func() { receiver.Timeline.Mute() }, 10, 104, 110, "nothing"},
		{func() { receiver.Timeline.Unmute() }, 10, 105, 120, "3 at 70 to 2"},
		{func() {
			if !source.Track(10).Remove(receiver) || source.Track(10).Remove(receiver) {
				t.Error("not removed once")
			}
			receiver.Timeline.Switch(25)
			source.Track(20).Add(receiver)
		}, 10, 106, 130, "nothing"},
		{nil, 20, 7, 9, "4 at 95 to 2"},
		{func() { source.Drop(20) }, 20, 8, 10, "nothing"},
	} {
		if s.do != nil {
			s.do()
		}
		if got := send(s.ssrc, s.seq, s.time); got != s.want {
			t.Fatalf("step %d: got %s, want %s", i, got, s.want)
		}
	}
	if receiver.To() != address(2) {
		t.Errorf("receiver at %v", receiver.To())
	}
	if got := receiver.Stats(); got.Packets != 5 || got.Withheld != 1 {
		t.Errorf("%+v", got)
	}
}

func TestWhatCannotBeSealedIsCounted(t *testing.T) {
	p := srtp.AEADAES128GCM
	out, in := &record{}, newSender(t, p)
	batch := fanout.NewBatch(out, 0)
	source := fanout.NewSource(keys(t, p, 0).Opener(srtp.OpenerConfig{}), batch)
	k := keys(t, p, 1)
	one := fanout.NewReceiver(fanout.ReceiverConfig{To: address(1), Sealer: k.Sealer(), SSRC: 5})
	two := fanout.NewReceiver(fanout.ReceiverConfig{To: address(1), Sealer: k.Sealer(), SSRC: 5})
	source.Track(1).Add(one)
	source.Track(1).Add(two)
	source.Forward([][]byte{in.packet(rtp.Header{SSRC: 1}, nil)})
	batch.Flush()
	if got := one.Stats(); got.Packets != 1 || got.Failed != 0 {
		t.Errorf("first: %+v", got)
	}
	if got := two.Stats(); got.Packets != 0 || got.Failed != 1 || got.Err != srtp.ErrTaken {
		t.Errorf("second: %+v", got)
	}
	if len(out.all) != 1 {
		t.Errorf("%d sent", len(out.all))
	}
}

// none sends nothing.
type none struct{}

func (none) Send(batch []fanout.Datagram) int { return len(batch) }

func TestNothingIsAllocatedForAPacket(t *testing.T) {
	for _, p := range profiles {
		in, batch := newSender(t, p), fanout.NewBatch(none{}, 0)
		source := fanout.NewSource(keys(t, p, 0).Opener(srtp.OpenerConfig{}), batch)
		for ssrc := range uint32(3) {
			for i := range 20 {
				source.Track(ssrc).Add(fanout.NewReceiver(fanout.ReceiverConfig{
					To: address(i), Sealer: keys(t, p, i).Sealer(), SSRC: ssrc, Extensions: &fanout.Extensions{1: 2},
				}))
			}
		}
		header, seq := []byte{0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 1, 0x10, 7, 0, 0}, uint16(0)
		payload, bufs := make([]byte, 300), make([][]byte, 6)
		for i := range bufs {
			bufs[i] = make([]byte, 0, 1500)
		}
		packets := make([][]byte, len(bufs))
		if n := testing.AllocsPerRun(500, func() {
			for i := range bufs {
				binary.BigEndian.PutUint16(header[2:], seq)
				header[11] = byte(i % 3)
				sealed, err := in.sealer.RTP(append(bufs[i], header...), payload)
				if err != nil {
					t.Fatal(err)
				}
				packets[i] = sealed
				seq++
			}
			source.Forward(packets)
			batch.Flush()
		}); n != 0 {
			t.Errorf("%v: %v allocations", p, n)
		}
		if sent, _ := batch.Sent(); sent < 500*6*20 {
			t.Errorf("%v: only %d sent", p, sent)
		}
	}
}
