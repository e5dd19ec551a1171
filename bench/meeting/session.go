package meeting

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/bench/meeting/host"
	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/signaling"
)

// session is one run: a server, and who is in its meetings.
type session struct {
	options Options
	// host is the load's own server, nil when it is another's.
	host     *host.Host
	throttle *throttle
	client   func(ctx context.Context, n int) (signaling.ClientConfig, error)
	groups   []string
	crew     crew
	people   []*participant // present, by number

	// What was found of the way in.
	asked, joined int
	rate          float64
	setup         map[string]*loader.Histogram
	waiting       []*participant // whose first media had not come yet

	mu       sync.Mutex // guards what follows
	failures map[string]int
}

// The stages of the way in, in their order.
var stages = []struct{ name, between string }{
	{"signaling", "from the start to the media processor's answer: sign-in, WebSocket, join, offer"},
	{"ICE", "from the answer to a selected path"},
	{"DTLS", "from there to verified keys"},
	{"media", "from there to the first media packet"},
	{"total", "from the start to verified keys"},
}

// open starts the server, if it is the load's own, and the crew.
func open(ctx context.Context, o Options) (*session, error) {
	s := &session{options: o, setup: make(map[string]*loader.Histogram), failures: make(map[string]int)}
	for _, stage := range stages {
		s.setup[stage.name] = loader.NewHistogram()
	}
	for range o.Meetings {
		s.groups = append(s.groups, uuid.NewString())
	}
	at := netip.IPv4Unspecified()
	if o.Server == nil {
		if err := s.start(ctx); err != nil {
			return nil, err
		}
		at = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	} else {
		s.client = o.Server.Client
		if found, err := resolve(ctx, o.Server.URL); err == nil {
			at = found
		}
	}
	made, err := newCrew(o, o.local(at))
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.crew = made
	return s, nil
}

// resolve finds the IPv4 address of a URL's host.
func resolve(ctx context.Context, text string) (netip.Addr, error) {
	u, err := url.Parse(text)
	if err != nil {
		return netip.Addr{}, err
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Hostname())
	if err != nil {
		return netip.Addr{}, err
	}
	return all[0].Unmap(), nil
}

// start starts the load's own server.
func (s *session) start(ctx context.Context) error {
	o := s.options
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	secret := hex.EncodeToString(random[:])
	h, err := host.Start(ctx, o.Self, o.Environment, host.Config{Users: o.MaxParticipants, Secret: secret, Relay: o.Transport != Direct})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(h.CA) {
		h.Stop()
		return errors.New("the server has no authority")
	}
	s.host = h
	s.client = func(_ context.Context, n int) (signaling.ClientConfig, error) {
		return signaling.ClientConfig{
			BaseURL: h.URL, RootCAs: roots, User: host.User(n), Secret: secret, Log: slog.New(slog.DiscardHandler),
		}, nil
	}
	if o.ServerShare < 1 {
		if s.throttle, err = startThrottle(h.PID(), o.ServerShare); err != nil {
			h.Stop()
			return err
		}
	}
	return nil
}

// process is the server's, 0 when it is not known.
func (s *session) process() int {
	switch {
	case s.host != nil:
		return s.host.PID()
	case s.options.Server != nil:
		return s.options.Server.Process
	}
	return 0
}

// joinTime bounds the way in of one participant, mostJoins how many are on it at once.
const (
	joinTime  = 45 * time.Second
	mostJoins = 200
)

// grow has participants join until there are so many, at the rate of the options.
func (s *session) grow(ctx context.Context, to int, tell func(done int)) {
	first := s.asked == 0
	from := len(s.people)
	s.asked += max(0, to-from)
	began := time.Now()
	results := make(chan *participant, mostJoins)
	var joining sync.WaitGroup
	joining.Go(func() {
		defer close(results)
		var running sync.WaitGroup
		defer running.Wait()
		places := make(chan struct{}, mostJoins)
		for n := from; n < to; n++ {
			due := began.Add(time.Duration(float64(n-from) / s.options.Ramp * float64(time.Second)))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return
			}
			places <- struct{}{}
			running.Go(func() {
				defer func() { <-places }()
				late, cancel := context.WithTimeout(ctx, joinTime)
				defer cancel()
				p, err := enter(late, s, n)
				if err != nil {
					p = nil
					s.failed(ctx, err)
				}
				results <- p
			})
		}
	})
	var last time.Time
	for done := 0; ; {
		p, more := <-results
		if !more {
			break
		}
		done++
		if p != nil {
			s.people = append(s.people, p)
			s.waiting = append(s.waiting, p)
			s.entered(p)
			if keyed := p.peer.Times().Keyed; keyed.After(last) {
				last = keyed
			}
		}
		tell(done)
	}
	joining.Wait()
	slices.SortFunc(s.people, func(a, b *participant) int { return cmp.Compare(a.number, b.number) })
	if took := last.Sub(began); first && took > 0 {
		s.rate = float64(len(s.people)) / took.Seconds()
	}
}

// failed notes why somebody did not come in.
func (s *session) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the run ends
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[err.Error()]++
}

// entered notes how long the way in took.
func (s *session) entered(p *participant) {
	s.joined++
	at := p.peer.Times()
	for name, took := range map[string]time.Duration{
		"signaling": p.answered.Sub(p.begun),
		"ICE":       at.Selected.Sub(at.Answered),
		"DTLS":      at.Keyed.Sub(at.Selected),
		"total":     at.Keyed.Sub(p.begun),
	} {
		s.setup[name].Add(int64(took))
	}
}

// await notes the first media of those to whom it has come.
func (s *session) await() {
	s.waiting = slices.DeleteFunc(s.waiting, func(p *participant) bool {
		at := p.peer.Times()
		if at.FirstMedia.IsZero() {
			return false
		}
		s.setup["media"].Add(int64(max(0, at.FirstMedia.Sub(at.Keyed))))
		return true
	})
}

// shrink has the last ones leave until there are so many.
func (s *session) shrink(ctx context.Context, to int) {
	var leaving sync.WaitGroup
	for len(s.people) > to {
		p := s.people[len(s.people)-1]
		s.people = s.people[:len(s.people)-1]
		s.waiting = slices.DeleteFunc(s.waiting, func(one *participant) bool { return one == p })
		leaving.Go(func() { p.leave(ctx) })
	}
	leaving.Wait()
}

// leaveTime bounds the leaving of all.
const leaveTime = 15 * time.Second

// close has everybody leave and ends everything.
func (s *session) close() error {
	// A server that is held back would hold back everybody's leaving.
	s.throttle.stop()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	s.shrink(ctx, 0)
	var err error
	if s.crew != nil {
		err = s.crew.close()
	}
	if s.host != nil {
		s.host.Stop()
	}
	return err
}

// joins is what was found of the way in.
func (s *session) joins() Joins {
	s.await()
	j := Joins{Asked: s.asked, Joined: s.joined, Rate: s.rate}
	for _, stage := range stages {
		j.Setup = append(j.Setup, Stage{stage.name, stage.between, tally.Of(s.setup[stage.name])})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for reason, n := range s.failures {
		j.Failures = append(j.Failures, Failure{reason, n})
	}
	slices.SortFunc(j.Failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	if len(j.Failures) > mostFailures {
		j.Failures = j.Failures[:mostFailures]
	}
	return j
}

// mostFailures is how many reasons are told.
const mostFailures = 10

// streams is how many streams those present should receive.
func (s *session) streams() (wanted int) {
	o := s.options
	people, senders := make([]int, o.Meetings), make([]int, o.Meetings)
	for _, p := range s.people {
		m := p.number % o.Meetings
		people[m]++
		if p.number/o.Meetings < o.Senders {
			senders[m]++
		}
	}
	for _, p := range s.people {
		m := p.number % o.Meetings
		if o.Audio {
			wanted += min(o.AudioSlots, people[m]-1)
		}
		others := senders[m]
		if p.number/o.Meetings < o.Senders {
			others--
		}
		wanted += min(o.VideoSlots, others)
	}
	return wanted
}
