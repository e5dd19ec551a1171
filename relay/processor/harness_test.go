package processor_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/relay/processor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for conditions that hold soon; the machine may be busy.
const patience = 30 * time.Second

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// server is a running Processor, with what it told.
type server struct {
	*processor.Processor
	at netip.AddrPort

	mu      sync.Mutex
	events  []processor.Event
	layouts map[string]processor.Layout // by participant
}

// serve runs a Processor on loopback; change may change its configuration.
func serve(t testing.TB, change func(*processor.Config)) *server {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(t, err)
	s := &server{at: conn.LocalAddr().(*net.UDPAddr).AddrPort(), layouts: make(map[string]processor.Layout)}
	cfg := processor.Config{
		Sockets: []net.PacketConn{conn},
		OnEvent: func(e processor.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
		OnLayout: func(l processor.Layout) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.layouts[l.Participant] = l
		},
	}
	if change != nil {
		change(&cfg)
	}
	s.Processor, err = processor.New(cfg)
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		ok(t, <-done)
	})
	return s
}

// event waits for an event of a participant.
func (s *server) event(t testing.TB, kind processor.EventKind, participant string) (found processor.Event) {
	t.Helper()
	until(t, string(kind)+" of "+participant, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		i := slices.IndexFunc(s.events, func(e processor.Event) bool { return e.Kind == kind && e.Participant == participant })
		if i >= 0 {
			found = s.events[i]
		}
		return i >= 0
	})
	return found
}

// shown returns who is on a participant's slots, in their order.
func (s *server) shown(participant string) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range s.layouts[participant].Slots {
		names = append(names, slot.Kind+":"+slot.Participant)
	}
	return names
}

// peer is a client of pion/webrtc.
type peer struct {
	t    testing.TB
	name string
	pc   *webrtc.PeerConnection

	mu    sync.Mutex
	slots map[string]*received // by mid
}

// received is what came on a slot.
type received struct {
	codec   string
	ssrc    uint32
	packets []*rtp.Packet
}

// media says what a peer sends and receives.
type media struct {
	audio, video           webrtc.TrackLocal
	audioSlots, videoSlots int
}

// newPeer makes a peer whose connection is not begun.
func newPeer(t testing.TB, name string, m media) *peer {
	t.Helper()
	var setting webrtc.SettingEngine
	setting.SetIncludeLoopbackCandidate(true)
	setting.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	setting.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	return newPeerOf(t, name, m, webrtc.NewAPI(webrtc.WithSettingEngine(setting)))
}

func newPeerOf(t testing.TB, name string, m media, api *webrtc.API) *peer {
	t.Helper()
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	ok(t, err)
	p := &peer{t: t, name: name, pc: pc, slots: make(map[string]*received)}
	var reading sync.WaitGroup
	t.Cleanup(func() {
		ok(t, pc.GracefulClose())
		reading.Wait()
	})
	pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		mid := ""
		for _, tr := range pc.GetTransceivers() {
			if tr.Receiver() == receiver {
				mid = tr.Mid()
			}
		}
		reading.Go(func() { p.read(mid, track) })
		reading.Go(func() {
			for {
				if _, _, err := receiver.ReadRTCP(); err != nil {
					return
				}
			}
		})
	})
	for _, track := range []webrtc.TrackLocal{m.audio, m.video} {
		if track == nil {
			continue
		}
		tr, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		ok(t, err)
		reading.Go(func() {
			for {
				if _, _, err := tr.Sender().ReadRTCP(); err != nil {
					return
				}
			}
		})
	}
	for kind, n := range map[webrtc.RTPCodecType]int{webrtc.RTPCodecTypeAudio: m.audioSlots, webrtc.RTPCodecTypeVideo: m.videoSlots} {
		for range n {
			_, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
			ok(t, err)
		}
	}
	return p
}

func (p *peer) read(mid string, track *webrtc.TrackRemote) {
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		p.mu.Lock()
		r := p.slots[mid]
		if r == nil {
			r = &received{codec: track.Codec().MimeType, ssrc: uint32(track.SSRC())}
			p.slots[mid] = r
		}
		r.packets = append(r.packets, packet)
		p.mu.Unlock()
	}
}

// offer makes an offer with all candidates.
func (p *peer) offer() string {
	p.t.Helper()
	offer, err := p.pc.CreateOffer(nil)
	ok(p.t, err)
	gathered := webrtc.GatheringCompletePromise(p.pc)
	ok(p.t, p.pc.SetLocalDescription(offer))
	<-gathered
	return p.pc.LocalDescription().SDP
}

// join has the peer join a conference.
func (p *peer) join(s *server, conference string) {
	p.t.Helper()
	p.joinAs(s, processor.Join{Conference: conference, Participant: p.name, Offer: p.offer()})
}

func (p *peer) joinAs(s *server, j processor.Join) {
	p.t.Helper()
	answer, err := s.Join(context.Background(), j)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, j.Offer)
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		p.t.Fatalf("%v\n%s\n%s", err, j.Offer, answer)
	}
	s.event(p.t, processor.EventNegotiated, p.name)
}

// payloads counts what came, by the first byte of the payload's content.
func (p *peer) payloads(codec string, content func(*rtp.Packet) string) map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]int)
	for _, r := range p.slots {
		if r.codec == codec {
			for _, packet := range r.packets {
				all[content(packet)]++
			}
		}
	}
	return all
}

// sending writes packets to a track until the test ends.
func sending(t testing.TB, interval time.Duration, write func(i int) error) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-ticker.C:
				if err := write(i); err != nil && err != io.ErrClosedPipe {
					return
				}
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
}

// audioOf makes a track of audio whose packets say whose they are.
func audioOf(t testing.TB, name string) *webrtc.TrackLocalStaticRTP {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", name)
	ok(t, err)
	sending(t, 20*time.Millisecond, func(i int) error {
		return track.WriteRTP(&rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: uint16(i + 65500), Timestamp: uint32(i * 960)},
			Payload: []byte(name),
		})
	})
	return track
}

// pcmuOf makes a track of PCMU, of as many bytes as 20 ms have.
func pcmuOf(t testing.TB, name string) *webrtc.TrackLocalStaticRTP {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, "audio", name)
	ok(t, err)
	sending(t, 20*time.Millisecond, func(i int) error {
		payload := make([]byte, 160)
		copy(payload, name)
		return track.WriteRTP(&rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: uint16(i + 65500), Timestamp: uint32(i * 160)},
			Payload: payload,
		})
	})
	return track
}

// videoOf makes a track of VP8 whose packets say whose they are; each tenth is a key frame.
func videoOf(t testing.TB, name string) *webrtc.TrackLocalStaticRTP {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "video", name)
	ok(t, err)
	sending(t, 20*time.Millisecond, func(i int) error {
		return track.WriteRTP(&rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: uint16(i + 65500), Timestamp: uint32(i * 1800), Marker: true},
			Payload: vp8(i%10 == 0, uint16(i), name),
		})
	})
	return track
}

// vp8 makes the one packet of a frame (RFC 7741): descriptor with picture id, frame header,
// and what stands for the rest.
func vp8(key bool, picture uint16, rest string) []byte {
	b := []byte{0x90, 0x80, 0x80 | byte(picture>>8), byte(picture)}
	if key {
		b = append(b, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00)
	} else {
		b = append(b, 0x11, 0, 0)
	}
	return append(b, rest...)
}

func audioContent(p *rtp.Packet) string { return string(p.Payload) }

func videoContent(p *rtp.Packet) string {
	if at := 7; len(p.Payload) > at {
		if p.Payload[4]&1 == 0 {
			at = 14
		}
		return string(p.Payload[min(at, len(p.Payload)):])
	}
	return ""
}
