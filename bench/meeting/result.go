package meeting

import (
	"time"

	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/relay/processor"
)

// Report is what a run has found.
type Report struct {
	Options Options   `json:"options"`
	Began   time.Time `json:"began"`
	// Server says which server it was, in words.
	Server string `json:"server"`
	Joins  Joins  `json:"joins"`
	// Steps are the measurements: one, or with FindKnee several.
	Steps []Step `json:"steps"`
	Knee  *Knee  `json:"knee,omitempty"`
	// Criteria are those of the whole run; each step has its own.
	Criteria []Criterion `json:"criteria"`
	// Interrupted is true of a run that was ended before its time.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Met says whether everything that was asked for was met. Of a search for the knee the
// steps need not be, since it ends with one that is not.
func (r *Report) Met() bool {
	if r.Interrupted || len(r.Steps) == 0 || !met(r.Criteria) {
		return false
	}
	if r.Knee != nil {
		return r.Knee.Participants > 0
	}
	return met(r.Steps[len(r.Steps)-1].Criteria)
}

// Joins are how the participants came in.
type Joins struct {
	// Asked is how many were to join, Joined how many did, over the whole run; in a
	// search for the knee some have left and joined again.
	Asked  int `json:"asked"`
	Joined int `json:"joined"`
	// Rate is how many joined per second, from the first to begin to the last to be
	// connected; in a search for the knee only of those in its first step.
	Rate float64 `json:"rate"`
	// Setup are the parts of a participant's way in, in their order, and the whole.
	Setup []Stage `json:"setup"`
	// Failures are why others did not join, and how many of each.
	Failures []Failure `json:"failures,omitempty"`
}

// Stage is one part of the way in.
type Stage struct {
	Name string `json:"name"`
	// From and To say in words between which moments it is.
	Between string            `json:"between"`
	Took    tally.Percentiles `json:"took"`
}

// Failure is a reason, and how often it was met.
type Failure struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// Step is one measurement, of participants who are there all the time.
type Step struct {
	Participants int           `json:"participants"`
	Duration     time.Duration `json:"duration"`

	// The figures of tally.Tally. What was received and lost is of the intervals that
	// ended in the step, each one second of one stream; what was sent is of the step.
	Sent          uint64  `json:"sent"`
	Unsent        uint64  `json:"unsent"`
	Bytes         uint64  `json:"bytes"`
	Expected      uint64  `json:"expected"`
	Received      uint64  `json:"received"`
	Lost          uint64  `json:"lost"`
	Loss          float64 `json:"loss"`
	Unread        uint64  `json:"unread"`
	Stray         uint64  `json:"stray"`
	Retransmitted uint64  `json:"retransmitted"`
	KeyFrames     uint64  `json:"key_frames"`
	// Streams are those received, of StreamsWanted.
	Streams       int `json:"streams"`
	StreamsWanted int `json:"streams_wanted"`
	// Gone are participants who had lost their connection by the end.
	Gone int `json:"gone"`

	Latency tally.Percentiles `json:"latency"`
	Pacing  tally.Percentiles `json:"pacing"`
	RTT     tally.Percentiles `json:"rtt"`
	Jitter  tally.Percentiles `json:"jitter"`
	MOS     *tally.Score      `json:"mos,omitempty"`

	Spent   *Spent `json:"spent,omitempty"`
	Seconds []Live `json:"seconds"`

	Criteria  []Criterion `json:"criteria"`
	Saturated Saturation  `json:"saturated"`
}

// Spent is what a step cost.
type Spent struct {
	Elapsed time.Duration `json:"elapsed"`
	CPUs    int           `json:"cpus"`
	// Server, Generator and Others are CPU time; Server is 0 when its process is not
	// known.
	Server    time.Duration `json:"server"`
	Generator time.Duration `json:"generator"`
	Others    time.Duration `json:"others"`
	// Memory is what the server's process holds, in bytes.
	Memory uint64 `json:"memory"`
	// Forwarded are the media packets that the server sent on: by its own count where
	// that is known (Counted), by what participants received otherwise.
	Forwarded uint64 `json:"forwarded"`
	Counted   bool   `json:"counted"`
	// PerMillion is the server's CPU time in seconds for a million packets forwarded,
	// with all that it does beside.
	PerMillion float64 `json:"cpu_seconds_per_million"`
	// Drops are what the media processor dropped, by reason; Refused what its system
	// did not take from it.
	Drops   map[processor.Drop]uint64 `json:"drops,omitempty"`
	Refused uint64                    `json:"refused,omitempty"`
}

// Knee is where a server, or the generator, cannot take more.
type Knee struct {
	// Participants is the most with which every criterion was met; 0 when there is no
	// such number.
	Participants int `json:"participants"`
	// Broken is the least with which one was not; 0 when none broke.
	Broken int `json:"broken,omitempty"`
	// Criteria are those that were not met then, Saturated who could not do more.
	Criteria  []Criterion `json:"criteria,omitempty"`
	Saturated Saturation  `json:"saturated"`
}
