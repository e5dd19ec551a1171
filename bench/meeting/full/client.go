package full

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/relay/reception"
	"github.com/callpath/callpath/signaling"
)

// Media says what a client sends and receives, as that of package light.
type Media struct {
	Audio, Video           bool
	AudioSlots, VideoSlots int
}

// Client is one participant. Its methods may be called from any goroutine, Connect once.
type Client struct {
	group  *Group
	sender uint32
	media  Media
	pc     *webrtc.PeerConnection
	dialer *dialer
	offer  string
	audio  *source
	video  *source

	connected, failed, done chan struct{}
	running                 sync.WaitGroup // readers and senders
	closing                 sync.Once

	mu       sync.Mutex // guards what follows
	times    tally.Times
	err      error
	isFailed bool
	isClosed bool
	isKeyed  bool

	// Guarded by group.mu.
	streams []*tally.Stream
	rtt     time.Duration
}

// Open opens a client whose media packets bear a sender's number, with an offer that has
// all its candidates. Servers are needed to go through a relay, of which roots verify TLS.
func (g *Group) Open(ctx context.Context, sender uint32, m Media, servers []signaling.ICEServer, roots *x509.CertPool) (*Client, error) {
	c := &Client{
		group: g, sender: sender, media: m, dialer: newDialer(servers, roots),
		connected: make(chan struct{}), failed: make(chan struct{}), done: make(chan struct{}),
	}
	if err := c.prepare(ctx, servers); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clients[c] = struct{}{}
	return c, nil
}

// prepare makes the connection and its offer.
func (c *Client) prepare(ctx context.Context, servers []signaling.ICEServer) error {
	api, err := c.group.api(c.dialer)
	if err != nil {
		return err
	}
	cfg := webrtc.Configuration{}
	if transport := c.group.cfg.Transport; transport != "" {
		cfg.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		if cfg.ICEServers, err = pick(servers, transport); err != nil {
			return err
		}
	}
	if c.pc, err = api.NewPeerConnection(cfg); err != nil {
		return fmt.Errorf("full: %w", err)
	}
	c.watch()
	if err := c.lines(); err != nil {
		return fmt.Errorf("full: %w", err)
	}
	first, err := c.pc.CreateOffer(nil)
	if err != nil {
		return fmt.Errorf("full: offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(first); err != nil {
		return fmt.Errorf("full: offer: %w", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return fmt.Errorf("full: gathering candidates: %w", context.Cause(ctx))
	}
	c.offer = c.pc.LocalDescription().SDP
	return nil
}

// watch follows the states of the connection.
func (c *Client) watch() {
	c.pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) {
		if s == webrtc.ICEConnectionStateConnected {
			c.note(&c.times.Selected)
		}
	})
	c.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			c.note(&c.times.Keyed)
			c.mu.Lock()
			first := !c.isKeyed
			c.isKeyed = true
			c.mu.Unlock()
			if first {
				close(c.connected)
			}
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			c.fail(fmt.Errorf("full: the connection is %v", s))
		}
	})
	c.pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		c.running.Go(func() { c.read(track) })
		c.running.Go(func() {
			for {
				if _, _, err := receiver.ReadRTCP(); err != nil {
					return
				}
			}
		})
	})
}

// lines makes the m-lines.
func (c *Client) lines() error {
	for _, l := range []struct {
		kind  webrtc.RTPCodecType
		codec webrtc.RTPCodecCapability
		sends bool
		slots int
		to    **source
	}{
		{webrtc.RTPCodecTypeAudio, opus, c.media.Audio, c.media.AudioSlots, &c.audio},
		{webrtc.RTPCodecTypeVideo, vp8, c.media.Video, c.media.VideoSlots, &c.video},
	} {
		if l.sends {
			track, err := webrtc.NewTrackLocalStaticRTP(l.codec, l.kind.String(), fmt.Sprint("load-", c.sender))
			if err != nil {
				return err
			}
			t, err := c.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
			if err != nil {
				return err
			}
			*l.to = newSource(c, track, t.Sender())
		}
		for range l.slots {
			if _, err := c.pc.AddTransceiverFromKind(l.kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Offer is the client's SDP.
func (c *Client) Offer() string { return c.offer }

// Times says how far the client is.
func (c *Client) Times() tally.Times {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times
}

// Failed is closed when the client is over without having been closed; Err says why.
func (c *Client) Failed() <-chan struct{} { return c.failed }

// Err is why the client is over; nil while it is not, and after Close.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Connect takes the answer, and returns when media can flow.
func (c *Client) Connect(ctx context.Context, answer string) error {
	c.note(&c.times.Answered)
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("full: answer: %w", err)
	}
	select {
	case <-c.connected:
	case <-c.failed:
		return c.Err()
	case <-ctx.Done():
		return fmt.Errorf("full: connecting: %w", context.Cause(ctx))
	}
	for _, s := range []*source{c.audio, c.video} {
		if s != nil {
			c.running.Go(s.feedback)
			c.running.Go(s.run)
		}
	}
	return nil
}

// Close ends the client, and waits for its goroutines.
func (c *Client) Close() error {
	var err error
	c.closing.Do(func() {
		c.mu.Lock()
		c.isClosed = true
		c.mu.Unlock()
		c.group.mu.Lock()
		delete(c.group.clients, c)
		c.group.mu.Unlock()
		close(c.done)
		c.dialer.cancel()
		if c.pc != nil {
			err = c.pc.GracefulClose()
		}
		c.running.Wait()
	})
	return err
}

// note notes when something happened first.
func (c *Client) note(when *time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if when.IsZero() {
		*when = time.Now()
	}
}

func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isFailed || c.isClosed {
		return
	}
	c.isFailed, c.err = true, err
	close(c.failed)
}

// read takes what comes on a slot.
func (c *Client) read(track *webrtc.TrackRemote) {
	voice := track.Kind() == webrtc.RTPCodecTypeAudio
	s := tally.NewStream(voice, track.Codec().ClockRate)
	c.group.mu.Lock()
	c.streams = append(c.streams, s)
	c.group.mu.Unlock()
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		at := time.Now()
		c.note(&c.times.FirstMedia)
		c.group.mu.Lock()
		s.Packet(c.group.tally, at, p.SequenceNumber, p.Timestamp, p.Payload)
		c.group.mu.Unlock()
	}
}

// feedback takes what the server says about a source.
func (s *source) feedback() {
	for {
		packets, _, err := s.sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				s.wantKey.Store(true)
				s.client.group.mu.Lock()
				s.client.group.tally.KeyFrames++
				s.client.group.mu.Unlock()
			case *rtcp.ReceiverReport:
				s.reported(p.Reports)
			case *rtcp.SenderReport:
				s.reported(p.Reports)
			}
		}
	}
}

// reported takes report blocks, for the round trip.
func (s *source) reported(blocks []rtcp.ReceptionReport) {
	for _, b := range blocks {
		if b.SSRC != s.ssrc {
			continue
		}
		if rtt, ok := reception.RoundTrip(time.Now(), b.LastSenderReport, b.Delay); ok {
			g := s.client.group
			g.mu.Lock()
			s.client.rtt = rtt
			g.tally.RTT.Add(int64(rtt))
			g.mu.Unlock()
		}
	}
}

// levelID is the negotiated id of the audio level's header extension, 0 without.
func levelID(sender *webrtc.RTPSender) uint8 {
	for _, x := range sender.GetParameters().HeaderExtensions {
		if x.URI == sdp.AudioLevelURI {
			return uint8(x.ID)
		}
	}
	return 0
}
