package meeting

import (
	"context"
	"os"
	"time"

	"github.com/callpath/callpath/bench/account"
	"github.com/callpath/callpath/bench/meeting/host"
	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/relay/processor"
)

// codec is what the voice of the load would be.
const codec = "opus"

// books are the accounts at one moment.
type books struct {
	account account.Books
	known   bool
	stats   host.Stats
	counted bool
}

// look takes the accounts.
func (s *session) look(ctx context.Context) (b books, err error) {
	if s.host != nil {
		if b.stats, err = s.host.Stats(ctx); err != nil {
			return b, err
		}
		b.counted = true
	}
	pids := []int{os.Getpid()}
	if pid := s.process(); pid != 0 {
		pids = append(pids, pid)
	}
	// Where the system does not tell, the report has no cost.
	if b.account, err = account.Take(pids...); err == nil {
		b.known = true
	}
	return b, nil
}

// settle waits for those who joined to be shown to each other, and counts nothing. The
// server forwards a stream when its receiver has keys and its sender sends, which it has
// seen to within its own short times once everybody has joined.
func (s *session) settle(ctx context.Context) error {
	select {
	case <-time.After(s.options.WarmUp):
	case <-ctx.Done():
		return errInterrupted
	}
	_, err := s.crew.cut(ctx)
	return err
}

// measure measures those who are present.
func (s *session) measure(ctx context.Context, tell func(Progress)) (Step, error) {
	o := s.options
	if err := s.settle(ctx); err != nil {
		return Step{}, err
	}
	from, err := s.look(ctx)
	if err != nil {
		return Step{}, err
	}
	step := Step{Participants: len(s.people), StreamsWanted: s.streams()}
	sum := tally.New()
	began, before := time.Now(), time.Now()
	of := int(o.Duration.Round(time.Second) / time.Second)
	for i := 1; i <= of; i++ {
		select {
		case <-time.After(time.Until(began.Add(time.Duration(i) * o.Duration / time.Duration(of)))):
		case <-ctx.Done():
		}
		cut, err := s.crew.cut(context.WithoutCancel(ctx))
		if err != nil {
			return Step{}, err
		}
		sum.Add(cut)
		now := time.Now()
		live := second(cut, now.Sub(began), now.Sub(before))
		before = now
		step.Seconds = append(step.Seconds, live)
		s.await()
		tell(Progress{Doing: "measuring", Done: i, Of: of, Live: &live})
		if ctx.Err() != nil {
			break
		}
	}
	to, err := s.look(context.WithoutCancel(ctx))
	if err != nil {
		return Step{}, err
	}
	step.Duration = time.Since(began)
	for _, p := range s.people {
		if p.gone() {
			step.Gone++
			s.failed(ctx, p.peer.Err())
		}
	}
	if err := step.fill(sum); err != nil {
		return step, err
	}
	step.spend(from, to, s.process())
	step.judge(o)
	if ctx.Err() != nil {
		return step, errInterrupted
	}
	return step, nil
}

// second makes the figures of a second.
func second(t *tally.Tally, at, took time.Duration) Live {
	return Live{
		At: at.Round(time.Millisecond), Sent: float64(t.Sent) / took.Seconds(), Received: float64(t.Received) / took.Seconds(),
		Loss: t.Loss(), Latency: t.Latency.At(99), Pacing: t.Pacing.At(99),
	}
}

// fill takes what was counted.
func (s *Step) fill(t *tally.Tally) (err error) {
	s.Sent, s.Unsent, s.Bytes = t.Sent, t.Unsent, t.Bytes
	s.Expected, s.Received, s.Lost, s.Loss = t.Expected, t.Received, t.Lost(), t.Loss()
	s.Unread, s.Stray, s.Retransmitted, s.KeyFrames = t.Unread, t.Stray, t.Retransmitted, t.KeyFrames
	s.Streams = t.Streams
	s.Latency, s.Pacing, s.RTT, s.Jitter = tally.Of(t.Latency), tally.Of(t.Pacing), tally.Of(t.RTT), tally.Of(t.Jitter)
	s.MOS, err = t.Score(codec)
	return err
}

// spend takes what it cost.
func (s *Step) spend(from, to books, process int) {
	if !from.known || !to.known {
		return
	}
	spent := to.account.Since(from.account)
	c := &Spent{Elapsed: spent.Elapsed, CPUs: spent.CPUs, Generator: spent.Processes[0], Others: spent.Others(), Forwarded: s.Received}
	if len(spent.Processes) > 1 {
		c.Server = spent.Processes[1]
		c.Memory, _ = account.Resident(process) // 0 where it is not known
	}
	if from.counted && to.counted {
		c.Counted = true
		c.Forwarded = to.stats.Processor.PacketsOut - from.stats.Processor.PacketsOut
		c.Refused = to.stats.Processor.Unsent - from.stats.Processor.Unsent
		for reason, n := range to.stats.Processor.Drops {
			if n -= from.stats.Processor.Drops[reason]; n > 0 {
				if c.Drops == nil {
					c.Drops = make(map[processor.Drop]uint64)
				}
				c.Drops[reason] = n
			}
		}
	}
	if c.Forwarded > 0 {
		c.PerMillion = c.Server.Seconds() / float64(c.Forwarded) * 1e6
	}
	s.Spent = c
}
