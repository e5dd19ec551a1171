package host

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/processor"
	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/authority"
)

// User is the ID of the n-th user.
func User(n int) string { return fmt.Sprintf("load-%d", n) }

// loopback is the server's address.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Serve is the server's process. It reads a Config and then orders from in, as JSON,
// writes what it answers to out, and ends when in does or ctx is done.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	s := &server{}
	var cfg Config
	err := orders.Decode(&cfg)
	if err == nil {
		err = s.start(ctx, cfg)
	}
	if err != nil {
		cancel()
		return errors.Join(err, answers.Encode(answer{Error: err.Error()}), s.stop())
	}
	err = answers.Encode(answer{Ready: &s.ready})
	ended := make(chan error, 1)
	go func() { ended <- s.obey(orders, answers) }() // ends with the process at the latest
	if err == nil {
		select {
		case err = <-ended:
		case <-ctx.Done():
		}
	}
	cancel()
	return errors.Join(err, s.stop())
}

// server is what runs.
type server struct {
	ready      Ready
	processor  *processor.Processor
	controller *signaling.Controller
	relay      *turn.Server
	secret     [32]byte         // of the relay's credentials
	relayAt    []string         // its URLs
	media      []netip.AddrPort // the processor's addresses

	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error // of what runs
}

// obey answers orders until there are no more.
func (s *server) obey(orders *json.Decoder, answers *json.Encoder) error {
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		stats := Stats{Processor: s.processor.Stats()}
		if s.relay != nil {
			stats.Relayed = s.relay.Stats().Packets
		}
		if err := answers.Encode(answer{Stats: &stats}); err != nil {
			return err
		}
	}
}

// start starts everything. What has been started ends with ctx and stop.
func (s *server) start(ctx context.Context, cfg Config) error {
	if cfg.Users < 1 || cfg.Users > mostUsers {
		return fmt.Errorf("%d users; wanted 1 to %d", cfg.Users, mostUsers)
	}
	if _, err := rand.Read(s.secret[:]); err != nil {
		return err
	}
	root, err := authority.New(authority.Config{})
	if err != nil {
		return err
	}
	conf, err := root.TLS(loopback.String())
	if err != nil {
		return err
	}
	s.ready.CA = root.PEM()
	if err := s.startProcessor(ctx, cfg); err != nil {
		return err
	}
	if cfg.Relay {
		if err := s.startRelay(conf, cfg); err != nil {
			return err
		}
	}
	return s.startController(ctx, conf, cfg)
}

// mostUsers bounds what a run may ask for.
const mostUsers = 10_000

// startProcessor starts the media processor, with a socket for each CPU. A meeting is on
// one of them.
func (s *server) startProcessor(ctx context.Context, cfg Config) error {
	var sockets []net.PacketConn
	for range runtime.GOMAXPROCS(0) {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
		if err != nil {
			return errors.Join(err, closeAll(sockets))
		}
		sockets = append(sockets, conn)
		s.media = append(s.media, conn.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	var err error
	s.processor, err = processor.New(processor.Config{
		Sockets: sockets, OnLayout: s.laidOut,
		Limits: processor.Limits{Participants: cfg.Users, Conferences: cfg.Users},
	})
	if err != nil {
		return errors.Join(err, closeAll(sockets))
	}
	s.run(func() error { return s.processor.Run(ctx) })
	return nil
}

func closeAll(sockets []net.PacketConn) error {
	var errs []error
	for _, c := range sockets {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// startController starts the signaling controller.
func (s *server) startController(ctx context.Context, conf *tls.Config, cfg Config) error {
	users := make([]signaling.User, cfg.Users)
	for i := range users {
		users[i] = signaling.User{ID: User(i), Client: "acs", Secret: cfg.Secret}
	}
	controller, err := signaling.NewController(signaling.Config{
		Users: users, TURN: s.iceServers, Region: "load", Log: slog.New(slog.DiscardHandler),
		Processors: map[string]signaling.MediaProcessor{"load": hosted{s.processor}},
	})
	if err != nil {
		return err
	}
	s.mu.Lock() // layouts may come already
	s.controller = controller
	s.mu.Unlock()
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(loopback, 0).String())
	if err != nil {
		return err
	}
	s.ready.URL = "https://" + ln.Addr().String()
	s.run(func() error { return signaling.Serve(ctx, ln, conf, s.controller.Handler()) })
	return nil
}

// startRelay starts the transport relay, of which the media processor's sockets are the
// only peers.
func (s *server) startRelay(conf *tls.Config, cfg Config) error {
	at := netip.AddrPortFrom(loopback, 0)
	packets, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp4", at.String()); err != nil {
			return err
		}
	}
	s.relayAt = []string{
		fmt.Sprintf("turn:%s?transport=udp", packets.LocalAddr()),
		fmt.Sprintf("turn:%s?transport=tcp", listeners[0].Addr()),
		fmt.Sprintf("turns:%s?transport=tcp", listeners[1].Addr()),
	}
	s.relay, err = turn.New(turn.Config{
		Realm: "load", Secrets: [][]byte{s.secret[:]}, PacketConns: []net.PacketConn{packets}, Addresses: []netip.Addr{loopback},
		Listeners: []turn.Listener{
			{Transport: turn.TCP, Listener: listeners[0]},
			{Transport: turn.TLS, Listener: tls.NewListener(listeners[1], conf)},
		},
		Peers: turn.PeerPolicy{Services: s.media},
		Quota: turn.Quota{Total: 4 * cfg.Users},
		// All of the load comes from one address.
		Limits: turn.Limits{Requests: -1, RequestsAtOnce: -1, ConnectionsPerSource: -1, Connections: 4 * cfg.Users},
	})
	return err
}

// iceServers is signaling.Config.TURN.
func (s *server) iceServers(user, call string) ([]signaling.ICEServer, error) {
	if s.relay == nil {
		return nil, nil
	}
	expires := time.Now().Add(24 * time.Hour)
	username, password := turn.Credential(s.secret[:], user, call, expires)
	return []signaling.ICEServer{{URLs: s.relayAt, Username: username, Credential: password, Expires: expires}}, nil
}

// laidOut takes a layout to the controller.
func (s *server) laidOut(l processor.Layout) {
	s.mu.Lock()
	controller := s.controller
	s.mu.Unlock()
	if controller == nil {
		return
	}
	slots := make([]signaling.Slot, len(l.Slots))
	for i, slot := range l.Slots {
		slots[i] = signaling.Slot{Mid: slot.Mid, Kind: slot.Kind, Participant: slot.Participant}
	}
	controller.MediaLayout(l.Conference, l.Participant, slots)
}

// run runs something until it ends by itself.
func (s *server) run(do func() error) {
	s.running.Go(func() {
		if err := do(); err != nil && !errors.Is(err, context.Canceled) {
			s.mu.Lock()
			s.errs = append(s.errs, err)
			s.mu.Unlock()
		}
	})
}

// stop waits for everything, whose context has ended.
func (s *server) stop() error {
	s.running.Wait()
	if s.controller != nil {
		s.errs = append(s.errs, s.controller.Close())
	}
	if s.relay != nil {
		s.errs = append(s.errs, s.relay.Close())
	}
	return errors.Join(s.errs...)
}

// hosted is the media processor as the controller knows it.
type hosted struct{ *processor.Processor }

// Join implements signaling.MediaProcessor.
func (m hosted) Join(ctx context.Context, conference, participant, offer string, mix bool) (string, error) {
	return m.Processor.Join(ctx, processor.Join{Conference: conference, Participant: participant, Offer: offer, Mix: mix})
}
