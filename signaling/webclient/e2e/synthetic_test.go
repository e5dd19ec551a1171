package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/callpath/callpath/relay/processor/codec"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/identity/signin"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// pictures are VP8 key frames of 64 × 64 in one colour each, which a browser decodes.
var pictures = map[string]string{
	"red":   "0AMAnQEqQABAAABHCIWFiJmEiAKCAnW6JIB/AED3GyNa7Lw4fVBFAP781WH/v9V39V39V/u0//t6X7el+3pf/t2S3nRSKA==",
	"green": "kAMAnQEqQABAAABHCIWFiJmEiAKCAnWqA/gCBuhG/VBakJgCmAD+/NVh/74E+8CfeBP94v/5gB8wA+YAf8uOAA==",
	"blue":  "sAMAnQEqQABAAABHCIWFiJmEiAKCAuy6A/gCB7jZGtdl4cPqgigA/v73ZH//b0v9vS/29L/9vS//nYNiXa8JaDnQ0AA=",
}

// slots is how many others a synthetic participant hears and sees.
const slots = 6

// synthetic is a participant without a browser: a client of the API with a WebRTC stack,
// that speaks in one tone and shows one colour.
type synthetic struct {
	t      *testing.T
	user   string
	client *signaling.Client
	pc     *webrtc.PeerConnection
	done   chan struct{}
	work   sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed at each change
	layout   map[string]signaling.Slot
	received map[string]int // packets by "kind participant", as the layout has it
	chat     []string
}

// client signs a user in.
func (p *process) client(t *testing.T, user string) *signaling.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(p.state, "authority.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	url := strings.TrimSuffix(p.url, "/")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	source, err := signin.New(signin.Config{Issuer: url, Client: "cli", User: user, Password: p.passwords[user], HTTP: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := signaling.NewClient(signaling.ClientConfig{BaseURL: url, Token: source.Token, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.SignIn(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// enter has a user join a meeting. With a transport, media goes through the relay, which
// is reached by it, and not otherwise.
func (p *process) enter(t *testing.T, meeting, user, colour, transport string, hertz float64) *synthetic {
	t.Helper()
	s := &synthetic{t: t, user: user, client: p.client(t, user), done: make(chan struct{}),
		changed: make(chan struct{}), layout: map[string]signaling.Slot{}, received: map[string]int{}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(t, s.client.Connect(ctx))
	t.Cleanup(s.leave)
	s.work.Go(s.read)
	admission, err := s.client.JoinMeeting(ctx, meeting)
	must(t, err)
	if admission.Place != policy.Present {
		t.Fatalf("%s is in place %q by %s, wanted present", user, admission.Place, admission.Rule)
	}
	servers, err := s.client.MeetingICEServers(ctx, meeting)
	must(t, err)
	s.connect(servers, transport)
	s.send(colour, hertz)
	offer, err := s.pc.CreateOffer(nil)
	must(t, err)
	must(t, s.pc.SetLocalDescription(offer))
	answer, err := s.client.MeetingMedia(ctx, meeting, s.pc.LocalDescription().SDP, false)
	must(t, err)
	must(t, s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	return s
}

func (s *synthetic) connect(servers []signaling.ICEServer, transport string) {
	engine := &webrtc.MediaEngine{}
	must(s.t, engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus,
		ClockRate: 48000, Channels: 2}, PayloadType: 111}, webrtc.RTPCodecTypeAudio))
	must(s.t, engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8,
		ClockRate: 90000}, PayloadType: 96}, webrtc.RTPCodecTypeVideo))
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	cfg := webrtc.Configuration{}
	if transport != "" {
		cfg.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		for _, server := range servers {
			for _, url := range server.URLs {
				if strings.HasPrefix(url, "turn:") && strings.HasSuffix(url, "transport="+transport) {
					cfg.ICEServers = append(cfg.ICEServers, webrtc.ICEServer{URLs: []string{url}, Username: server.Username, Credential: server.Credential})
				}
			}
		}
	}
	var err error
	s.pc, err = webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithSettingEngine(settings)).NewPeerConnection(cfg)
	must(s.t, err)
	s.pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		mid := ""
		for _, tr := range s.pc.GetTransceivers() {
			if tr.Receiver() == receiver {
				mid = tr.Mid()
			}
		}
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			s.change(func() {
				if slot := s.layout[mid]; slot.Participant != "" {
					s.received[slot.Kind+" "+slot.Participant]++
				}
			})
		}
	})
}

// send adds what is sent, and the slots.
func (s *synthetic) send(colour string, hertz float64) {
	voice, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "voice", s.user)
	must(s.t, err)
	picture, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "picture", s.user)
	must(s.t, err)
	for _, track := range []webrtc.TrackLocal{voice, picture} {
		_, err := s.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
		must(s.t, err)
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		for range slots - 1 {
			_, err := s.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
			must(s.t, err)
		}
	}
	opus, _ := codec.Find("opus", 48000)
	encoder, err := opus.NewEncoder()
	must(s.t, err)
	frame, err := base64.StdEncoding.DecodeString(pictures[colour])
	must(s.t, err)
	const every = 20 * time.Millisecond
	s.work.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		pcm := make([]int16, 960)
		for n := 0; ; n++ {
			select {
			case <-s.done:
				return
			case <-tick.C:
			}
			for i := range pcm {
				pcm[i] = int16(8000 * math.Sin(2*math.Pi*hertz*float64(n*len(pcm)+i)/48000))
			}
			payload, err := encoder.Encode(nil, pcm)
			if err == nil {
				err = voice.WriteSample(media.Sample{Data: payload, Duration: every})
			}
			if n%5 == 0 && err == nil {
				err = picture.WriteSample(media.Sample{Data: frame, Duration: 5 * every})
			}
			if err != nil {
				s.t.Errorf("%s sends: %v", s.user, err)
				return
			}
		}
	})
}

// read takes what the controller tells.
func (s *synthetic) read() {
	for n := range s.client.Notifications() {
		s.change(func() {
			switch n.Type {
			case signaling.NotifyMeetingLayout:
				clear(s.layout)
				for _, slot := range n.Slots {
					s.layout[slot.Mid] = slot
				}
			case signaling.NotifyChatMessage:
				s.chat = append(s.chat, n.From+": "+n.Message.Text)
			}
		})
	}
}

func (s *synthetic) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until enough, which is called with s.mu held.
func (s *synthetic) await(what string, enough func() bool) {
	s.t.Helper()
	late := time.After(patience)
	for {
		s.mu.Lock()
		good, changed := enough(), s.changed
		state := fmt.Sprintf("%v %v", s.received, s.layout)
		s.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("%s waited in vain: %s; has %s", s.user, what, state)
		}
	}
}

// perceives waits until a participant hears and sees all others, from now on.
func (s *synthetic) perceives(others ...string) {
	s.t.Helper()
	s.mu.Lock()
	clear(s.received)
	s.mu.Unlock()
	for _, other := range others {
		for kind, least := range map[string]int{"audio": 50, "video": 10} {
			s.await(kind+" of "+other, func() bool { return s.received[kind+" "+other] >= least })
		}
	}
}

// leave ends what the participant has.
func (s *synthetic) leave() {
	close(s.done)
	if s.pc != nil {
		_ = s.pc.Close()
	}
	_ = s.client.Close()
	s.work.Wait()
}

// codeOf is the code of a problem, or the error in words.
func codeOf(err error) string {
	var p *signaling.Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return fmt.Sprint(err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
