package processor_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/processor"
)

// Three peers join with one offer and one answer each, and get each other's media.
func TestParticipantsGetEachOthersMedia(t *testing.T) {
	s := serve(t, nil)
	names := []string{"alice", "bob", "carol"}
	var peers []*peer
	for _, name := range names {
		p := newPeer(t, name, media{audio: audioOf(t, name), video: videoOf(t, name), audioSlots: 2, videoSlots: 2})
		p.join(s, "meeting")
		peers = append(peers, p)
	}
	for _, p := range peers {
		for _, codec := range []string{webrtc.MimeTypeOpus, webrtc.MimeTypeVP8} {
			content := audioContent
			if codec == webrtc.MimeTypeVP8 {
				content = videoContent
			}
			until(t, p.name+" gets "+codec+" of both others", func() bool {
				got := p.payloads(codec, content)
				if got[p.name] > 0 {
					t.Fatalf("%s gets its own %s", p.name, codec)
				}
				n := 0
				for _, name := range names {
					if got[name] > 20 {
						n++
					}
				}
				return n == 2
			})
		}
	}
	if n := s.Stats(); n.Participants != 3 || n.Connected != 3 || n.Conferences != 1 || n.PacketsIn == 0 || n.PacketsOut < n.PacketsIn {
		t.Errorf("%+v", n)
	}
	t.Log(s.Stats(), s.shown("alice"))
}

// other hides that a socket is one of the kernel's, as those of simulated hosts are not.
type other struct{ net.PacketConn }

// The same over any net.PacketConn, of several sockets, and with a recorder that reads what
// was negotiated from the packets.
func TestOverAnySocketAndWithARecorder(t *testing.T) {
	var mu sync.Mutex
	recorders := make(map[string]*negotiation.Recorder)
	s := serve(t, func(c *processor.Config) {
		c.Sockets[0] = other{c.Sockets[0]}
		second, err := net.ListenPacket("udp4", "127.0.0.1:0")
		ok(t, err)
		c.Sockets = append(c.Sockets, other{second})
		c.Region = "europe"
		c.Recorder = func(conference, participant string) *negotiation.Recorder {
			mu.Lock()
			defer mu.Unlock()
			recorders[participant] = negotiation.NewRecorder(negotiation.Config{Leg: conference + "/" + participant})
			return recorders[participant]
		}
	})
	for _, conference := range []string{"one", "two", "three"} { // on one or the other socket
		a := newPeer(t, conference+"-a", media{audio: audioOf(t, "a"), audioSlots: 1})
		b := newPeer(t, conference+"-b", media{audio: audioOf(t, "b"), audioSlots: 1})
		a.join(s, conference)
		b.join(s, conference)
		until(t, "both hear each other", func() bool {
			return a.payloads(webrtc.MimeTypeOpus, audioContent)["b"] > 5 && b.payloads(webrtc.MimeTypeOpus, audioContent)["a"] > 5
		})
	}
	if e := s.event(t, processor.EventNegotiated, "one-a"); e.Region != "europe" || e.Conference != "one" {
		t.Errorf("%+v", e)
	}
	until(t, "the recorder has read the handshake, and media in both directions", func() bool {
		mu.Lock()
		defer mu.Unlock()
		record := recorders["one-a"].Record()
		return len(record.DTLS) == 1 && record.DTLS[0].Complete && record.DTLS[0].Peer != nil && record.DTLS[0].Peer.Matched &&
			record.Stage() == negotiation.StageMedia
	})
	s.End("two")
	s.event(t, processor.EventEnded, "")
	s.Leave("three", "three-a")
	s.Leave("three", "nobody")
	s.Leave("nowhere", "nobody")
	s.End("nowhere")
	if n := s.Stats(); n.Conferences != 2 || n.Participants != 3 {
		t.Errorf("%+v", n)
	}
	if e := s.event(t, processor.EventLeft, "three-a"); e.Conference != "three" {
		t.Errorf("%+v", e)
	}
}

func addrPort(c net.PacketConn) netip.AddrPort {
	at := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// A participant of IPv4 and one of IPv6 are in one conference.
func TestBothFamiliesMeet(t *testing.T) {
	for name, wrap := range map[string]func(net.PacketConn) net.PacketConn{
		"of the kernel": func(c net.PacketConn) net.PacketConn { return c },
		"of a host":     func(c net.PacketConn) net.PacketConn { return other{c} },
	} {
		t.Run(name, func(t *testing.T) {
			v6, err := net.ListenPacket("udp6", "[::1]:0")
			if err != nil {
				t.Skipf("there is no IPv6 on loopback: %v", err)
			}
			s := serve(t, func(c *processor.Config) { c.Sockets = []net.PacketConn{wrap(v6), wrap(c.Sockets[0])} })
			old := newLight(t, s, s.at, "meeting", "old", false, 1, 0)
			modern := newLight(t, s, addrPort(v6), "meeting", "modern", false, 1, 0)
			seq := uint16(0)
			until(t, "both get media", func() bool {
				for _, c := range []*light{old, modern} {
					c.sends(1000, 111, seq, 0, []byte("voice"))
				}
				seq++
				return old.received.Load() > 5 && modern.received.Load() > 5
			})
			if at := s.event(t, processor.EventSelected, "modern").Remote.Addr(); !at.Is6() {
				t.Errorf("it is at %v", at)
			}
		})
	}
}

// A client that says goodbye is gone at once; one whose certificate is not the offer's
// never comes in, and nothing is passed on to it.
func TestWhoSaysGoodbyeAndWhoIsNobody(t *testing.T) {
	s := serve(t, nil)
	alice := newPeer(t, "alice", media{audio: audioOf(t, "alice"), audioSlots: 1})
	alice.join(s, "meeting")
	mallory := newPeer(t, "mallory", media{audio: audioOf(t, "mallory"), audioSlots: 1})
	offer := mallory.offer()
	i := strings.Index(offer, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
	digit := "0"
	if offer[i:i+1] == "0" {
		digit = "1"
	}
	answer, err := s.Join(t.Context(), processor.Join{Conference: "meeting", Participant: "mallory", Offer: offer[:i] + digit + offer[i+1:]})
	ok(t, err)
	ok(t, mallory.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	if e := s.event(t, processor.EventFingerprint, "mallory"); !strings.Contains(e.Reason, "not that of the offer") {
		t.Errorf("%+v", e)
	}
	if got := mallory.payloads(webrtc.MimeTypeOpus, audioContent); len(got) > 0 {
		t.Errorf("it got %v", got)
	}
	ok(t, alice.pc.Close())
	s.event(t, processor.EventLeft, "alice")
}

func TestConfigurationsAreRefused(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ok(t, err)
	defer conn.Close()
	everywhere, err := net.ListenPacket("udp4", "0.0.0.0:0")
	ok(t, err)
	defer everywhere.Close()
	at := netip.MustParseAddrPort("192.0.2.1:1")
	for _, tt := range []struct {
		reason string
		cfg    processor.Config
	}{
		{"Config.Sockets is empty", processor.Config{}},
		{"Config.Public must name it", processor.Config{Sockets: []net.PacketConn{everywhere}}},
		{"Config.Public has 3 addresses for 2 sockets", processor.Config{Sockets: []net.PacketConn{conn, everywhere}, Public: []netip.AddrPort{at, at, at}}},
		{"Config.Profiles", processor.Config{Sockets: []net.PacketConn{conn}, Profiles: []srtp.Profile{2}}},
	} {
		if _, err := processor.New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("got %v, wanted %q", err, tt.reason)
		}
	}
}

func TestAfterTheEnd(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ok(t, err)
	p, err := processor.New(processor.Config{Sockets: []net.PacketConn{conn}})
	ok(t, err)
	offer := newPeer(t, "alice", media{audioSlots: 1}).offer()
	join := processor.Join{Conference: "c", Participant: "alice", Offer: offer}
	// Before Run a Join waits, at most as long as its context.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Join(ctx, join); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	_, err = p.Join(t.Context(), join)
	ok(t, err)
	if _, err := p.Join(t.Context(), processor.Join{Conference: "c"}); err == nil {
		t.Error("a participant without a name joins")
	}
	if _, err := p.Join(t.Context(), processor.Join{Conference: "c", Participant: "x", Offer: "x"}); err == nil {
		t.Error("an offer that is none is answered")
	}
	if n := p.Stats(); n.Participants != 1 || n.Connected != 0 {
		t.Errorf("%+v", n)
	}
	cancel()
	ok(t, <-done)
	if _, err := p.Join(t.Context(), join); !errors.Is(err, processor.ErrClosed) {
		t.Errorf("got %v", err)
	}
	p.Leave("c", "alice")
	if n := p.Stats(); n.Participants != 0 {
		t.Errorf("%+v", n)
	}
	if err := p.Run(t.Context()); err == nil {
		t.Error("it runs again")
	}
}

// A client that restarts ICE gets media on its new path, with the same keys.
func TestAClientRestartsICE(t *testing.T) {
	s := serve(t, nil)
	alice := newPeer(t, "alice", media{audio: audioOf(t, "alice"), audioSlots: 1})
	bob := newPeer(t, "bob", media{audio: audioOf(t, "bob"), audioSlots: 1})
	alice.join(s, "meeting")
	bob.join(s, "meeting")
	hears := func(n int) {
		until(t, "alice hears bob", func() bool { return alice.payloads(webrtc.MimeTypeOpus, audioContent)["bob"] > n })
		until(t, "bob hears alice", func() bool { return bob.payloads(webrtc.MimeTypeOpus, audioContent)["alice"] > n })
	}
	hears(5)
	before := s.event(t, processor.EventSelected, "alice").Remote
	offer, err := alice.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	ok(t, err)
	gathered := webrtc.GatheringCompletePromise(alice.pc)
	ok(t, alice.pc.SetLocalDescription(offer))
	<-gathered
	answer, err := s.Join(t.Context(), processor.Join{Conference: "meeting", Participant: "alice", Offer: alice.pc.LocalDescription().SDP})
	ok(t, err)
	ok(t, alice.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	until(t, "another path is selected", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.ContainsFunc(s.events, func(e processor.Event) bool {
			return e.Kind == processor.EventSelected && e.Participant == "alice" && e.Remote != before
		})
	})
	hears(alice.payloads(webrtc.MimeTypeOpus, audioContent)["bob"] + 20)
	s.mu.Lock()
	defer s.mu.Unlock()
	handshakes := 0
	for _, e := range s.events {
		if e.Kind == processor.EventNegotiated {
			handshakes++
		}
	}
	if handshakes != 2 {
		t.Errorf("%d handshakes of two clients", handshakes)
	}
}
