package negotiation_test

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/transport/v5/vnet"
	"github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

// internet is two networks behind NATs, and a TURN server in public.
type internet struct {
	wan  *vnet.Router
	lans [2]*vnet.Router
	nets [2]*vnet.Net
}

const turnAddress = "20.202.0.1"

var lanAddresses = [2]string{"10.0.0.10", "10.1.0.20"}

func newInternet(t *testing.T) *internet {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	i := &internet{}
	var err error
	i.wan, err = vnet.NewRouter(&vnet.RouterConfig{CIDR: "0.0.0.0/0", LoggerFactory: quiet})
	must(err)
	for n, public := range []string{"192.0.2.1", "198.51.100.1"} {
		lan := [2]string{"10.0.0.0/24", "10.1.0.0/24"}[n]
		i.lans[n], err = vnet.NewRouter(&vnet.RouterConfig{
			CIDR: lan, StaticIPs: []string{public}, LoggerFactory: quiet,
			NATType: &vnet.NATType{MappingBehavior: vnet.EndpointIndependent, FilteringBehavior: vnet.EndpointAddrPortDependent},
		})
		must(err)
		i.nets[n], err = vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{lanAddresses[n]}})
		must(err)
		must(i.lans[n].AddNet(i.nets[n]))
		must(i.wan.AddRouter(i.lans[n]))
	}
	public, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{turnAddress}})
	must(err)
	must(i.wan.AddNet(public))
	must(i.wan.Start())
	t.Cleanup(func() { _ = i.wan.Stop() })
	pc, err := public.ListenPacket("udp4", turnAddress+":3478")
	must(err)
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "callpath.test",
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey(a.Username, "callpath.test", "secret"), true
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: pc, RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{
			RelayAddress: net.ParseIP(turnAddress), Address: turnAddress, Net: public}}},
	})
	must(err)
	t.Cleanup(func() { _ = server.Close() })
	return i
}

// leg is one peer of a call with what its Recorder is shown.
type leg struct {
	*webrtc.PeerConnection
	recorder *negotiation.Recorder
	tape     *tape
	track    *webrtc.TrackLocalStaticRTP
	got      chan struct{} // a packet of media arrived
}

// Write implements io.Writer for the key log.
func (l *leg) Write(p []byte) (int, error) {
	l.tape.add("keylog %s", strings.TrimSpace(string(p)))
	return l.recorder.Write(p)
}

func newLeg(t *testing.T, i *internet, n int, policy webrtc.ICETransportPolicy) *leg {
	t.Helper()
	name := [2]string{"alice", "bob"}[n]
	l := &leg{
		recorder: negotiation.NewRecorder(negotiation.Config{Leg: name, Keys: true}),
		tape:     &tape{start: time.Now()},
		got:      make(chan struct{}, 1000),
	}
	own := netip.MustParseAddr(lanAddresses[n])
	i.lans[n].AddChunkFilter(func(c vnet.Chunk) bool {
		from := c.SourceAddr().(*net.UDPAddr).AddrPort()
		packet := iptest.UDP(from, c.DestinationAddr().(*net.UDPAddr).AddrPort(), c.UserData())
		now := time.Now()
		l.tape.packet(now, from.Addr().Unmap() == own, packet)
		l.recorder.Packet(now, from.Addr().Unmap() == own, packet)
		return true
	})
	var engine webrtc.SettingEngine
	engine.SetNet(i.nets[n])
	engine.SetDTLSKeyLogWriter(l)
	engine.SetRelayAcceptanceMinWait(100 * time.Millisecond)
	engine.SetICETimeouts(5*time.Second, 10*time.Second, 500*time.Millisecond)
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	engine.LoggerFactory = quiet
	var err error
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	l.PeerConnection, err = webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{
		ICEServers: []webrtc.ICEServer{
			{URLs: []string{"stun:" + turnAddress + ":3478"}},
			{URLs: []string{"turn:" + turnAddress + ":3478?transport=udp"}, Username: "1800000000:" + name, Credential: "secret"},
		},
		ICETransportPolicy: policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.GracefulClose() })
	l.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			select {
			case l.got <- struct{}{}:
			default:
			}
		}
	})
	l.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(func(p *webrtc.ICECandidatePair) {
		local, remote := candidateOf(p.Local), candidateOf(p.Remote)
		l.tape.add("selected %s", jsonOf(t, [2]negotiation.Candidate{local, remote}))
		l.recorder.Selected(local, remote, "")
	})
	l.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AddTrack(l.track); err != nil {
		t.Fatal(err)
	}
	return l
}

func candidateOf(c *webrtc.ICECandidate) negotiation.Candidate {
	address, _ := netip.ParseAddr(c.Address)
	out := negotiation.Candidate{
		Type: c.Typ.String(), Address: netip.AddrPortFrom(address, c.Port),
		Protocol: c.Protocol.String(), Priority: c.Priority, Foundation: c.Foundation,
	}
	if related, err := netip.ParseAddr(c.RelatedAddress); err == nil {
		out.Related = netip.AddrPortFrom(related, c.RelatedPort)
	}
	return out
}

// describe shows a description to both legs' recorders.
func describe(from, to *leg, d webrtc.SessionDescription) {
	for _, l := range []*leg{from, to} {
		l.tape.add("description %t %s %q", l == from, d.Type.String(), d.SDP)
		l.recorder.Description(l == from, d.Type.String(), d.SDP)
	}
}

// call sets up a call with all candidates in the descriptions, and sends media
// both ways until each side has got n packets.
func call(t *testing.T, a, b *leg, n int) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	gathered := webrtc.GatheringCompletePromise(a.PeerConnection)
	offer, err := a.CreateOffer(nil)
	must(err)
	must(a.SetLocalDescription(offer))
	<-gathered
	describe(a, b, *a.LocalDescription())
	must(b.SetRemoteDescription(*a.LocalDescription()))
	gathered = webrtc.GatheringCompletePromise(b.PeerConnection)
	answer, err := b.CreateAnswer(nil)
	must(err)
	must(b.SetLocalDescription(answer))
	<-gathered
	describe(b, a, *b.LocalDescription())
	must(a.SetRemoteDescription(*b.LocalDescription()))

	ctx := soon(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	got := [2]int{}
	for sequence := uint16(0); got[0] < n || got[1] < n; {
		select {
		case <-tick.C:
			for _, l := range []*leg{a, b} {
				must(l.track.WriteRTP(&rtp.Packet{
					Header:  rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: sequence, Timestamp: uint32(sequence) * 960},
					Payload: []byte("opus, as far as anybody can tell"),
				}))
			}
			sequence++
		case <-a.got:
			got[0]++
		case <-b.got:
			got[1]++
		case <-ctx.Done():
			t.Fatalf("media: %d and %d packets of %d; alice: %s", got[0], got[1], n, a.recorder.Record().Verdict)
		}
	}
}

func TestWebRTCThroughTheRelay(t *testing.T) {
	i := newInternet(t)
	a, b := newLeg(t, i, 0, webrtc.ICETransportPolicyRelay), newLeg(t, i, 1, webrtc.ICETransportPolicyAll)
	call(t, a, b, 30)
	lines := len(a.tape.lines)
	rec := a.recorder.Record()
	checkLeg(t, rec)
	equal(t, "selected", rec.ICE.Selected.Local.Type, "relay")
	equal(t, "relay protocol", rec.ICE.Selected.Local.RelayProtocol, "udp")
	equal(t, "allocations", len(rec.TURN) > 0, true)
	for _, c := range rec.ICE.Checks {
		if c.Direction == "sent" && !c.Relayed {
			t.Errorf("a check past the relay: %+v", c)
		}
	}
	checkLeg(t, b.recorder.Record())
	equal(t, "bob's role", b.recorder.Record().ICE.Role, "controlled")
	if *retape {
		a.tape.mu.Lock()
		defer a.tape.mu.Unlock()
		if err := os.WriteFile("testdata/call.tape", []byte(strings.Join(a.tape.lines[:lines], "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWebRTCDirect(t *testing.T) {
	i := newInternet(t)
	a, b := newLeg(t, i, 0, webrtc.ICETransportPolicyAll), newLeg(t, i, 1, webrtc.ICETransportPolicyAll)
	call(t, a, b, 10)
	for _, l := range []*leg{a, b} {
		rec := l.recorder.Record()
		checkLeg(t, rec)
		if s := rec.ICE.Selected; s.Local.Type == "relay" || s.Remote.Type == "relay" {
			t.Errorf("selected: %+v", s)
		}
	}
}

// checkLeg checks what holds in every call that works.
func checkLeg(t *testing.T, rec negotiation.Record) {
	t.Helper()
	if rec.ICE.Selected == nil || len(rec.DTLS) != 1 {
		t.Fatalf("%s: selected %v, %d handshakes", rec.Leg, rec.ICE.Selected, len(rec.DTLS))
	}
	equal(t, "nominated", rec.ICE.Selected.Nominated, true)
	equal(t, "ufrags", rec.ICE.LocalUfrag != "" && rec.ICE.PeerUfrag != "", true)
	d := rec.DTLS[0]
	equal(t, "complete", d.Complete, true)
	equal(t, "matched", d.Own.Matched && d.Peer.Matched, true)
	for _, s := range rec.SRTP {
		if s.Verified != s.Packets || s.AuthFailures > 0 || s.Replayed > 0 || s.RTCP.AuthFailures > 0 || s.RTCP.Verified != s.RTCP.Packets {
			t.Errorf("%s: stream %+v", rec.Leg, s)
		}
	}
	if !strings.HasPrefix(rec.Verdict, "SRTP flows: ") || !strings.HasSuffix(rec.Verdict, "every packet verified") {
		t.Errorf("%s: verdict %q", rec.Leg, rec.Verdict)
	}
	equalLists(t, "problems", rec.Problems, nil)
	t.Logf("%s: %s", rec.Leg, rec.ICE.Why)
}
