package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/processor"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/topology"
)

// processorPort is that of the media processor, one of those that Azure
// Communication Services publishes for media.
const processorPort = 3478

// answerPatience is how long a media processor has to answer an offer, before it
// counts as one that hangs.
const answerPatience = 2 * time.Second

// processorService is a media processor on its host.
type processorService struct {
	host      string
	processor *processor.Processor
	gate      *gate
	stop      context.CancelFunc
	running   sync.WaitGroup
	err       error // of Run; read after running
	joins     int   // guarded by services.mu
}

func (s *services) startProcessor(at *topology.Host) error {
	machine := s.cfg.internet.Host(at.Name)
	service := &processorService{host: at.Name, gate: newGate()}
	var sockets []net.PacketConn
	for _, addr := range at.Addresses {
		conn, err := machine.ListenPacket(s.ctx, "udp", netip.AddrPortFrom(addr, processorPort).String())
		if err != nil {
			return err
		}
		sockets = append(sockets, service.gate.packets(conn))
	}
	var err error
	service.processor, err = processor.New(processor.Config{
		Sockets:  sockets,
		Region:   regionOf(s.cfg.internet.Network(), at.Site),
		OnLayout: s.laidOut,
		Log:      s.cfg.log,
	})
	if err != nil {
		for _, c := range sockets {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	var ctx context.Context
	ctx, service.stop = context.WithCancel(s.ctx)
	service.running.Go(func() { service.err = service.processor.Run(ctx) })
	s.running.Lock()
	defer s.running.Unlock()
	s.processors[at.Name] = service
	return nil
}

// end stops the processor and waits for its goroutines.
func (p *processorService) end() error {
	p.stop()
	p.running.Wait()
	if p.err != nil && !errors.Is(p.err, context.Canceled) {
		return fmt.Errorf("media processor on %s: %w", p.host, p.err)
	}
	return nil
}

// laidOut takes a layout to the controller.
func (s *services) laidOut(l processor.Layout) {
	controller := s.controller()
	if controller == nil {
		return
	}
	slots := make([]signaling.Slot, len(l.Slots))
	for i, slot := range l.Slots {
		slots[i] = signaling.Slot{Mid: slot.Mid, Kind: slot.Kind, Participant: slot.Participant}
	}
	controller.MediaLayout(l.Conference, l.Participant, slots)
}

// fleetsOf are the media processors of each region, as the controller knows them.
func (s *services) fleetsOf(n *topology.Network) map[string]signaling.MediaProcessor {
	fleets := map[string]signaling.MediaProcessor{}
	for _, h := range n.HostsWith(topology.MediaProcessor) {
		region := regionOf(n, h.Site)
		f, ok := fleets[region].(*fleet)
		if !ok {
			f = &fleet{services: s, at: map[string]string{}, silent: map[*processorService]bool{}}
			fleets[region] = f
		}
		f.hosts = append(f.hosts, h.Name)
	}
	return fleets
}

// fleet is the media processors of one region behind one signaling.MediaProcessor. A
// conference is on one of them; when that one has ended, or does not answer, the
// next takes it over, and those who come again find each other there.
type fleet struct {
	services *services
	hosts    []string

	mu     sync.Mutex
	at     map[string]string // a conference's host
	silent map[*processorService]bool
}

var _ signaling.MediaProcessor = (*fleet)(nil)

// Join implements signaling.MediaProcessor.
func (f *fleet) Join(ctx context.Context, conference, participant, offer string, mix bool) (string, error) {
	failure := fmt.Errorf("no media processor runs in %s", strings.Join(f.hosts, ", "))
	for range f.hosts {
		p := f.pick(conference)
		if p == nil {
			break
		}
		answer, err := f.ask(ctx, p, processor.Join{Conference: conference, Participant: participant, Offer: offer, Mix: mix})
		if err == nil {
			f.services.mu.Lock()
			p.joins++
			f.services.mu.Unlock()
			return answer, nil
		}
		failure = fmt.Errorf("media processor on %s: %w", p.host, err)
		if ctx.Err() != nil || !errors.Is(err, errSilent) && !errors.Is(err, processor.ErrClosed) {
			break
		}
		f.services.cfg.log.Info("processor.silent", slog.String("host", p.host))
		f.mu.Lock()
		f.silent[p] = true
		f.mu.Unlock()
	}
	return "", failure
}

var errSilent = errors.New("it does not answer")

// ask hands an offer to a processor. One that hangs does not answer.
func (f *fleet) ask(ctx context.Context, p *processorService, join processor.Join) (string, error) {
	if p.gate.hangs() {
		if err := sleep(ctx, answerPatience); err != nil {
			return "", err
		}
		return "", errSilent
	}
	return p.processor.Join(ctx, join)
}

// pick is the processor of a conference: the one it is on, or the first that runs.
func (f *fleet) pick(conference string) *processorService {
	f.services.running.Lock()
	defer f.services.running.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	usable := func(host string) *processorService {
		if p := f.services.processors[host]; p != nil && !f.silent[p] {
			return p
		}
		return nil
	}
	if p := usable(f.at[conference]); p != nil {
		return p
	}
	for _, host := range f.hosts {
		if p := usable(host); p != nil {
			f.at[conference] = host
			return p
		}
	}
	return nil
}

// Leave implements signaling.MediaProcessor.
func (f *fleet) Leave(conference, participant string) {
	if p := f.of(conference); p != nil {
		p.processor.Leave(conference, participant)
	}
}

// End implements signaling.MediaProcessor.
func (f *fleet) End(conference string) {
	if p := f.of(conference); p != nil {
		p.processor.End(conference)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.at, conference)
}

// of is the processor that a conference is on; nil when there is none, or it hangs.
func (f *fleet) of(conference string) *processorService {
	f.services.running.Lock()
	defer f.services.running.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.services.processors[f.at[conference]]
	if p == nil || p.gate.hangs() {
		return nil
	}
	return p
}

// gatherProcessors fills in each media processor's own view, and what the network
// saw of it.
func (s *services) gatherProcessors(n *topology.Network, legs []leg) []result.Processor {
	var all []result.Processor
	for _, h := range n.HostsWith(topology.MediaProcessor) {
		p := result.Processor{Host: h.Name, Region: regionOf(n, h.Site)}
		for _, l := range legs {
			if l.Traffic == result.TrafficTURN && (l.From == h.Name || l.To == h.Name) {
				p.TURN += l.Packets
			}
		}
		s.mu.Lock()
		if i := slices.IndexFunc(s.past, func(past result.Processor) bool { return past.Host == h.Name }); i >= 0 {
			p.Joins, p.PacketsIn, p.PacketsOut = s.past[i].Joins, s.past[i].PacketsIn, s.past[i].PacketsOut
		}
		s.mu.Unlock()
		s.running.Lock()
		service := s.processors[h.Name]
		s.running.Unlock()
		if service != nil {
			p = s.count(p, service)
		}
		all = append(all, p)
	}
	return all
}

// count adds what a processor has counted.
func (s *services) count(to result.Processor, p *processorService) result.Processor {
	stats := p.processor.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	to.Joins += p.joins
	to.PacketsIn += stats.PacketsIn
	to.PacketsOut += stats.PacketsOut
	return to
}

// remember keeps what a processor has counted, which ends.
func (s *services) remember(p *processorService) {
	s.mu.Lock()
	i := slices.IndexFunc(s.past, func(past result.Processor) bool { return past.Host == p.host })
	if i < 0 {
		i, s.past = len(s.past), append(s.past, result.Processor{Host: p.host})
	}
	before := s.past[i]
	s.mu.Unlock()
	counted := s.count(before, p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past[i] = counted
}
