package full

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/bench/meeting/filler"
	"github.com/callpath/callpath/bench/meeting/tally"
)

// Config configures a Group.
type Config struct {
	// Loopback says that the server is on this machine's loopback, whose interface is
	// used then.
	Loopback bool
	// Bitrate is that of one sender's video, in bits per second; Frames its pictures a
	// second.
	Bitrate, Frames int
	// Transport is "udp", "tcp" or "tls" to go through a transport relay by that, and
	// empty to go without.
	Transport string
}

// Group makes clients, and counts what they all send and receive. Its methods may be
// called from any goroutine; Close is called when all clients have been closed.
type Group struct {
	cfg  Config
	stop chan struct{}
	// running is what ends intervals.
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows, and the streams of all clients
	tally   *tally.Tally
	clients map[*Client]struct{}
}

// NewGroup makes a group without clients.
func NewGroup(cfg Config) (*Group, error) {
	switch cfg.Transport {
	case "", "udp", "tcp", "tls":
	default:
		return nil, fmt.Errorf("full: Config.Transport is %q; wanted udp, tcp, tls or none", cfg.Transport)
	}
	if cfg.Bitrate <= 0 || cfg.Frames <= 0 {
		return nil, fmt.Errorf("full: Config.Bitrate is %d, Frames %d; wanted above 0", cfg.Bitrate, cfg.Frames)
	}
	g := &Group{cfg: cfg, stop: make(chan struct{}), tally: tally.New(), clients: make(map[*Client]struct{})}
	g.running.Go(g.intervals)
	return g, nil
}

// Close ends the group.
func (g *Group) Close() error {
	close(g.stop)
	g.running.Wait()
	return nil
}

// reportEvery is between two reports, and how long an interval is.
const reportEvery = time.Second

// intervals ends the intervals of all streams each second.
func (g *Group) intervals() {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-g.stop:
			return
		}
		g.mu.Lock()
		for c := range g.clients {
			for _, s := range c.streams {
				s.Interval(g.tally, c.rtt)
			}
		}
		g.mu.Unlock()
	}
}

// Cut returns what was counted since the last Cut, and begins to count anew.
func (g *Group) Cut() *tally.Tally {
	g.mu.Lock()
	defer g.mu.Unlock()
	cut := g.tally
	for c := range g.clients {
		for _, s := range c.streams {
			if s.Heard() {
				cut.Streams++
			}
		}
	}
	g.tally = tally.New()
	return cut
}

// The payload types of all clients.
const (
	typeOpus = 111
	typeVP8  = 96
	typeRTX  = 97
)

var (
	opus = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: filler.VoiceClock, Channels: 2}
	vp8  = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: filler.VideoClock}
)

// quiet has pion's stacks say nothing: what goes wrong is told by the client's errors and by
// the figures. It is not changed.
var quiet = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}

// api makes webrtc's for one client: interceptors know the codecs of one.
func (g *Group) api(dialer *dialer) (*webrtc.API, error) {
	engine := &webrtc.MediaEngine{}
	video := vp8
	video.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	for kind, codecs := range map[webrtc.RTPCodecType][]webrtc.RTPCodecParameters{
		webrtc.RTPCodecTypeAudio: {{RTPCodecCapability: opus, PayloadType: typeOpus}},
		webrtc.RTPCodecTypeVideo: {
			{RTPCodecCapability: video, PayloadType: typeVP8},
			{RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeRTX, ClockRate: filler.VideoClock, SDPFmtpLine: fmt.Sprintf("apt=%d", typeVP8),
			}, PayloadType: typeRTX},
		},
	} {
		for _, c := range codecs {
			if err := engine.RegisterCodec(c, kind); err != nil {
				return nil, fmt.Errorf("full: codec %s: %w", c.MimeType, err)
			}
		}
	}
	level := webrtc.RTPHeaderExtensionCapability{URI: sdp.AudioLevelURI}
	if err := engine.RegisterHeaderExtension(level, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, fmt.Errorf("full: %w", err)
	}
	registry := &interceptor.Registry{}
	for _, configure := range []func() error{
		func() error {
			return webrtc.ConfigureNackWithOptions(engine, registry,
				[]nack.GeneratorOption{nack.WithGeneratorLoggerFactory(quiet)}, nack.WithResponderLoggerFactory(quiet))
		},
		func() error {
			return webrtc.ConfigureRTCPReportsWithOptions(registry,
				[]report.ReceiverOption{report.ReceiverInterval(reportEvery), report.WithReceiverLoggerFactory(quiet)},
				report.SenderInterval(reportEvery), report.WithSenderLoggerFactory(quiet))
		},
		func() error {
			return webrtc.ConfigureTWCCSenderWithOptions(engine, registry, twcc.WithLoggerFactory(quiet))
		},
	} {
		if err := configure(); err != nil {
			return nil, fmt.Errorf("full: interceptors: %w", err)
		}
	}
	var s webrtc.SettingEngine
	s.LoggerFactory = quiet
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.DisableActiveTCP(true)
	s.SetICEProxyDialer(dialer)
	s.SetRelayAcceptanceMinWait(0)
	if g.cfg.Loopback {
		s.SetIncludeLoopbackCandidate(true)
		s.SetIPFilter(loopback)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(s)), nil
}
