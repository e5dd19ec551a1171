// Package result is the outcome of one run as data: what happened, in which
// order, over which path, how well, and how that compares with what the scenario
// expects. The runner writes it; expectations and reports read it. Its JSON form
// is what `callpath run --json` prints.
//
// Start reading at Run.
package result

import (
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/topology"
)

// Run is one execution of one scenario.
type Run struct {
	Scenario string    `json:"scenario"`
	Title    string    `json:"title"`
	File     string    `json:"file"`
	Seed     uint64    `json:"seed"`
	Started  time.Time `json:"started"`
	Duration Duration  `json:"duration"`
	// Network is the topology that ran.
	Network *topology.Network `json:"network"`
	// Call says how the call ended up.
	Call Call `json:"call"`
	// Steps are the documented steps and the scenario's own, in order of time.
	Steps []Step `json:"steps"`
	// Legs are the ways that packets really took.
	Legs         []Leg         `json:"legs"`
	Participants []Participant `json:"participants"`
	Relay        Relay         `json:"relay"`
	// Meetings, Messages, Processors and Lobby are those of a conference.
	Meetings   []Meeting   `json:"meetings,omitempty"`
	Messages   []Message   `json:"messages,omitempty"`
	Processors []Processor `json:"processors,omitempty"`
	Lobby      *Lobby      `json:"lobby,omitempty"`
	// Violations are breaches of a principle that hold in every run: media in
	// a VPN tunnel, plaintext media, an unverified fingerprint.
	Violations []string      `json:"violations,omitempty"`
	Checks     []Expectation `json:"expectations"`
	// NotTaken says which step of the scenario could not be taken, and why. Those
	// after it were not taken either. It is empty when every step was.
	NotTaken string `json:"not_taken,omitempty"`
	// Interrupted is true when the run was stopped before its end.
	Interrupted bool `json:"interrupted,omitempty"`
	// Error is why the run could not be carried out; it is a fault of the tool
	// or its surroundings, not of the call.
	Error string `json:"error,omitempty"`
}

// Met is true when every expectation was met and the run came to its end.
func (r *Run) Met() bool {
	if r.Error != "" || r.Interrupted {
		return false
	}
	for _, c := range r.Checks {
		if !c.Met {
			return false
		}
	}
	return true
}

// Call is the state in which the call ended.
type Call struct {
	// State is the outcome: "connected" (media flowed, ended normally),
	// "rejected", "failed" or "none".
	State string `json:"state"`
	// Reason says in one line why a call was rejected or failed.
	Reason string `json:"reason,omitempty"`
	// Setup is the time from the invite to the first media packet received by
	// both sides.
	Setup Duration `json:"setup,omitempty"`
}

// Step is one thing that happened.
type Step struct {
	// Number is 1 to 8 for the documented steps of a one-to-one call, else 0.
	Number int `json:"number,omitempty"`
	// Name is one of the Step names, or the scenario's own step.
	Name string `json:"name"`
	// At is the time since the start of the run.
	At Duration `json:"at"`
	// From and To are participants, hosts or services.
	From string `json:"from"`
	To   string `json:"to"`
	// Flows are the documented flows that its packets crossed.
	Flows []topology.Flow `json:"flows,omitempty"`
	// Carried says in a few words what it carried.
	Carried string `json:"carried,omitempty"`
}

// The documented steps of a one-to-one call ("Call networking internals").
const (
	StepResolve        = "resolve"         // 1: the caller resolves the service's name
	StepAllocateCaller = "allocate-caller" // 2: the caller allocates on the transport relay
	StepInvite         = "invite"          // 3: the caller sends its invite with candidates
	StepNotify         = "notify"          // 4: the service notifies the callee
	StepAllocateCallee = "allocate-callee" // 5: the callee allocates on the transport relay
	StepAnswer         = "answer"          // 6: the callee answers, forwarded to the caller
	StepChecks         = "checks"          // 7: both run ICE checks and a pair is selected
	StepTelemetry      = "telemetry"       // 8: both send telemetry
)

// Numbers maps the documented steps to their numbers.
func Number(step string) int {
	for i, s := range [...]string{StepResolve, StepAllocateCaller, StepInvite, StepNotify,
		StepAllocateCallee, StepAnswer, StepChecks, StepTelemetry} {
		if s == step {
			return i + 1
		}
	}
	return 0
}

// Traffic is what a leg's packets were for.
type Traffic string

// The kinds of traffic, told apart by what the packets hold.
const (
	TrafficDNS       Traffic = "dns"
	TrafficSignaling Traffic = "signaling" // HTTPS and WebSocket to the signaling controller
	TrafficTURN      Traffic = "turn"      // STUN and TURN requests to the relay
	TrafficChecks    Traffic = "checks"    // ICE connectivity checks
	TrafficMedia     Traffic = "media"     // DTLS, SRTP and SRTCP, relayed or direct
	TrafficOther     Traffic = "other"
)

// Leg is one way through the network between two hosts, for one kind of traffic.
type Leg struct {
	From    string          `json:"from"`
	To      string          `json:"to"`
	Traffic Traffic         `json:"traffic"`
	Way     topology.Way    `json:"way"`
	Flows   []topology.Flow `json:"flows"`
	// Protocol is that of the outermost transport: udp, tcp or tls.
	Protocol string `json:"protocol"`
	Packets  uint64 `json:"packets"`
	Bytes    uint64 `json:"bytes"`
	// Media counts the packets of the leg that carried SRTP.
	Media uint64 `json:"media,omitempty"`
}

// Participant is what one participant did and saw.
type Participant struct {
	Name   string `json:"name"`
	Host   string `json:"host"`
	Client string `json:"client"`
	// Path is the selected pair in short, for example "host → relay over udp".
	Path string `json:"path,omitempty"`
	// Pair is the selected pair's types, local then remote.
	Pair [2]string `json:"pair"`
	// Protocol is how its media leaves its host: udp, tcp or tls.
	Protocol string `json:"protocol,omitempty"`
	// Relayed is true when media went through the transport relay.
	Relayed bool `json:"relayed"`
	// Flows are those that its media crossed; SignalingFlows its signaling.
	Flows          []topology.Flow    `json:"flows,omitempty"`
	SignalingFlows []topology.Flow    `json:"signaling_flows,omitempty"`
	Negotiation    negotiation.Record `json:"negotiation"`
	// Streams are the media received.
	Streams []Stream `json:"streams,omitempty"`
	// Series has a sample of each figure at equal distances of time.
	Series []Sample `json:"series,omitempty"`
	// Restarts counts ICE restarts; Gap is the longest time without media
	// after the first packet, outside of hold and mute.
	Restarts int      `json:"restarts"`
	Gap      Duration `json:"gap,omitempty"`
	// Joined is true for who has negotiated media with a media processor, Rejoins
	// counts how often it did so again because its media had failed, and Processor
	// is the host of the first.
	Joined    bool   `json:"joined,omitempty"`
	Rejoins   int    `json:"rejoins,omitempty"`
	Processor string `json:"processor,omitempty"`
	// Hears, Sees and Slides are those whose audio, video and shared screen it
	// received intact, sorted.
	Hears  []string `json:"hears,omitempty"`
	Sees   []string `json:"sees,omitempty"`
	Slides []string `json:"slides,omitempty"`
}

// Stream is one received media stream with its quality.
type Stream struct {
	Kind  string `json:"kind"`  // audio, video or, in a conference, slides
	Codec string `json:"codec"` // opus, pcmu, vp8, h264
	SSRC  uint32 `json:"ssrc"`
	// From is who sent it; in a conference all who were on the slot, in order.
	From string `json:"from"`
	// Slot is the m-line of a conference on which it came.
	Slot string `json:"slot,omitempty"`
	// Sent and Received count packets; Intact those whose payload was compared
	// and found equal to what was sent; Corrupt those that differed or were
	// meant for another; Late and Lost are what is missing.
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	Intact   uint64 `json:"intact"`
	Corrupt  uint64 `json:"corrupt"`
	Lost     uint64 `json:"lost"`
	// LossRate is Lost over expected, from 0 to 1.
	LossRate float64 `json:"loss_rate"`
	// Jitter is RFC 3550's; RTT the mean of RTCP's and STUNRTT that of the
	// checks on the selected pair.
	Jitter  Duration `json:"jitter"`
	RTT     Duration `json:"rtt"`
	STUNRTT Duration `json:"stun_rtt"`
	// Bitrate is in bits per second of payload; zero for a stream that was too
	// short to say.
	Bitrate float64 `json:"bitrate"`
	// Freezes counts gaps in video of W3C webrtc-stats' freezeCount.
	Freezes int `json:"freezes"`
	// MOS is estimated for audio by G.107 from the loss of each interval;
	// zero for video.
	MOS float64 `json:"mos,omitempty"`
	// MOSInputs are what the estimate was made from, in words.
	MOSInputs string `json:"mos_inputs,omitempty"`
}

// Sample is what was measured in one interval.
type Sample struct {
	At      Duration `json:"at"`
	Loss    float64  `json:"loss"`
	RTT     Duration `json:"rtt"`
	Jitter  Duration `json:"jitter"`
	Bitrate float64  `json:"bitrate"`
	MOS     float64  `json:"mos,omitempty"`
}

// Relay is the transport relay's own view.
type Relay struct {
	Allocations int    `json:"allocations"`
	Packets     uint64 `json:"packets"`
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
	// Payloads counts what it relayed, by what the bytes look like: stun,
	// dtls, srtp, srtcp, other.
	Payloads map[string]uint64 `json:"payloads,omitempty"`
	// Plaintext counts relayed packets in which a piece of the media that a
	// participant sent was found unencrypted.
	Plaintext uint64 `json:"plaintext"`
	// Searched counts the relayed packets that were searched for plaintext.
	Searched uint64 `json:"searched"`
	// Refusals are requests that the relay refused, with rule and reason.
	Refusals []string `json:"refusals,omitempty"`
}

// Expectation is one line of the scenario's expectations and its outcome.
type Expectation struct {
	// Key is where it stands in the file, for example "expect.media.flows".
	Key string `json:"key"`
	// About is the participant that it is about; empty for the whole run.
	About  string `json:"about,omitempty"`
	Wanted string `json:"wanted"`
	Seen   string `json:"seen"`
	Met    bool   `json:"met"`
	// Line is in the scenario file.
	Line int `json:"line,omitempty"`
}

// Duration is a time.Duration that JSON holds as milliseconds, a number with a
// fraction.
type Duration time.Duration
