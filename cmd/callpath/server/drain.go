package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/turn"
)

// Report says how the server drained.
type Report struct {
	// Began is how many allocations lived when it began, Left how many the
	// deadline ended.
	Began, Left int
	// Packets were relayed meanwhile, Dropped were not; Refused counts requests
	// that were refused, those for new allocations among them.
	Packets, Dropped, Refused uint64
	// Calls lived in signaling at the end, Participants had media in meetings.
	Calls, Participants int
	Took                time.Duration
}

// String is the report in one sentence.
func (r Report) String() string {
	return fmt.Sprintf("drained in %v: of %d allocations %d ended by themselves and %d at the deadline; "+
		"%d packets relayed meanwhile, %d dropped, %d requests refused; %d calls and %d participants of meetings left",
		r.Took.Round(time.Millisecond), r.Began, r.Began-r.Left, r.Left, r.Packets, r.Dropped, r.Refused, r.Calls, r.Participants)
}

// drain takes no new allocations, calls and meetings, and waits until the allocations
// and the media of meetings have ended or the time is over, or it is told to hurry.
func (s *Server) drain(ctx context.Context, hurry <-chan struct{}) Report {
	s.phase.Store(draining)
	begin := time.Now()
	var before, after turn.Stats
	var report Report
	if s.controller != nil {
		s.controller.Drain()
	}
	if s.relay != nil {
		before = s.relay.Stats()
	}
	s.log.Info("draining", "allocations", before.Allocations, "at_most", time.Duration(s.cfg.Drain))
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.cfg.Drain))
	var listening sync.WaitGroup
	listening.Go(func() {
		select {
		case <-hurry:
			cancel()
		case <-ctx.Done():
		}
	})
	report.Participants = s.host.drain(ctx)
	if s.relay != nil {
		report.Left = s.relay.Drain(ctx)
		after = s.relay.Stats()
	}
	cancel()
	listening.Wait()
	if s.controller != nil {
		report.Calls = s.controller.Stats().Calls
	}
	report.Began = before.Allocations
	report.Packets = after.Packets - before.Packets
	report.Dropped = after.Dropped - before.Dropped
	report.Refused = after.Refused - before.Refused
	report.Took = time.Since(begin)
	s.log.Info("drained", "allocations", report.Began, "left", report.Left, "packets", report.Packets,
		"dropped", report.Dropped, "refused", report.Refused, "calls", report.Calls, "participants", report.Participants, "took", report.Took)
	return report
}
