package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/callpath/callpath/bench/fan"
	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/relay/forward/srtp"
)

// floor is the name under which what no fan-out can be below appears: sealing and
// sending as many packets. The ratios of the study FanOut are to it.
const floor = "seal and send"

// fanLoads are the packets of the study FanOut.
var fanLoads = []struct {
	name    string
	payload int
}{{"srtp-160", 160}, {"srtp-1200", 1200}}

// receivers are the numbers of those who get each packet.
func (r *runner) receivers() []int {
	if r.Quick {
		return []int{1, 100}
	}
	return []int{1, 2, 5, 10, 20, 50, 100, 200, 500}
}

// fanDuration is that of one measurement, which is made of thousands of short ones.
func (r *runner) fanDuration() time.Duration { return max(r.Duration/5, 20*time.Millisecond) }

// fanOut measures the media processor's work, in this process. It needs no relay.
func (r *runner) fanOut(ctx context.Context) error {
	for _, l := range fanLoads {
		for round := range r.rounds(FanOut) {
			for _, n := range r.receivers() {
				r.progress("fan-out: %s to %d receivers, round %d", l.name, n, round+1)
				result, err := fan.Measure(ctx, fan.Config{Profile: srtp.AEADAES128GCM, Payload: l.payload, Receivers: n, Duration: r.fanDuration()})
				if errors.Is(err, errors.ErrUnsupported) {
					return nil // there are no figures of it here
				}
				if err != nil {
					return fmt.Errorf("%s: %w", l.name, err)
				}
				for _, of := range []struct {
					subject string
					each    time.Duration
				}{{ours, result.Way}, {floor, result.Floor()}} {
					sample := loader.Result{
						Duration: r.fanDuration(), Sent: result.Packets, Received: result.Packets - result.Unsent,
						Latency: loader.NewHistogram(), Pacing: loader.NewHistogram(),
					}
					sample.Spent.Processes = []time.Duration{time.Duration(sample.Received) * of.each}
					r.report.Samples = append(r.report.Samples, Sample{Study: FanOut, Load: l.name, Subject: of.subject, Round: round, Flows: n, Result: sample})
				}
				r.done++
			}
		}
	}
	return nil
}
