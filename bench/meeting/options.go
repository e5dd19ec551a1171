package meeting

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/callpath/callpath/signaling"
)

// Kind is the kind of participants.
type Kind string

// The kinds.
const (
	Light Kind = "light"
	Full  Kind = "full"
)

// Transport is how media goes to the media processor.
type Transport string

// The transports. All but Direct go through a transport relay, and need full participants.
const (
	Direct   Transport = "udp"
	RelayUDP Transport = "relay-udp"
	RelayTCP Transport = "relay-tcp"
	RelayTLS Transport = "relay-tls"
)

// Options say what load to make and what is wanted of the server. A field that is zero has
// its default.
type Options struct {
	// Participants is how many there are in all; 10 by default. They are spread over
	// Meetings evenly; 1 by default.
	Participants int `json:"participants"`
	Meetings     int `json:"meetings"`
	// Senders is how many of each meeting's participants send video, the first ones, of
	// VideoBitrate bits per second each (1,000,000), Frames pictures a second (30).
	Senders      int `json:"senders"`
	VideoBitrate int `json:"video_bitrate"`
	Frames       int `json:"frames"`
	// Audio says that all send voice.
	Audio bool `json:"audio"`
	// AudioSlots and VideoSlots are how many streams each participant can receive; by
	// default as many as others send, and at most MostSlots of both together. Below
	// that, the media processor chooses.
	AudioSlots int `json:"audio_slots"`
	VideoSlots int `json:"video_slots"`
	// Ramp is how many join per second; 20.
	Ramp float64 `json:"ramp"`
	// WarmUp is before each measurement (2 s), Duration how long that takes (10 s).
	WarmUp   time.Duration `json:"warm_up"`
	Duration time.Duration `json:"duration"`
	Kind     Kind          `json:"kind"`
	// Transport is Direct by default.
	Transport Transport `json:"transport"`

	// MaxLoss is the most of the packets expected that may be lost, 0 to 1; negative
	// means 0.001, 0 means none. MaxLatency is the most that the 99th percentile of
	// one-way latency may be; 150 ms by default, which ITU-T G.114 has as what most
	// applications are not affected by.
	MaxLoss    float64       `json:"max_loss"`
	MaxLatency time.Duration `json:"max_latency"`

	// FindKnee raises the number of participants from Participants on, by half each
	// time and to MaxParticipants at most (1000), until a criterion breaks; then it
	// closes in on where that was.
	FindKnee        bool `json:"find_knee"`
	MaxParticipants int  `json:"max_participants,omitempty"`

	// GeneratorShare and ServerShare are how much of a CPU's time a thread of the
	// generator, and the process of the load's own server, may have: above 0, up to 1,
	// which is also the default and means no bound.
	GeneratorShare float64 `json:"generator_share"`
	ServerShare    float64 `json:"server_share"`
	Seed           uint64  `json:"seed"`

	// Server is a server that runs already; nil starts one of the load's own.
	Server *Server `json:"server,omitempty"`
	// Self is this program with the command that calls host.Serve, Environment what it
	// needs beside its own; for the load's own server.
	Self        []string `json:"-"`
	Environment []string `json:"-"`
	// OnProgress is told how far the run is, by one goroutine.
	OnProgress func(Progress) `json:"-"`
}

// Server is a server that runs already.
type Server struct {
	URL string `json:"url"`
	// Process is its process when it is on this machine, whose CPU time and memory are
	// reported; 0 for none.
	Process int `json:"process,omitempty"`
	// Client says how the n-th participant signs in. Each must be another user.
	Client func(ctx context.Context, n int) (signaling.ClientConfig, error) `json:"-"`
}

// Progress is how far a run is.
type Progress struct {
	// Doing is what goes on, in words.
	Doing string
	// Done of Of: participants that have joined, or seconds that were measured.
	Done, Of int
	// Live are the figures of the last second; nil while participants join.
	Live *Live
}

// Live are the figures of a second.
type Live struct {
	// At is the second's end, since the measurement began.
	At time.Duration `json:"at"`
	// Sent and Received are in packets per second.
	Sent     float64 `json:"sent"`
	Received float64 `json:"received"`
	// Loss is of the packets expected, 0 to 1.
	Loss    float64       `json:"loss"`
	Latency time.Duration `json:"latency_p99"`
	Pacing  time.Duration `json:"pacing_p99"`
}

// The bounds of a load.
const (
	MostParticipants = 5000
	MostSlots        = 120 // a media processor takes 128 m-lines, of which two send
	MaxDuration      = 24 * time.Hour
)

// Check refuses what cannot be. Errors name the option.
func (o Options) Check() error {
	_, err := o.complete()
	return err
}

// complete fills in the defaults and checks the rest. Errors name the option.
func (o Options) complete() (Options, error) {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.Participants, 10)
	set(&o.Meetings, 1)
	set(&o.VideoBitrate, 1_000_000)
	set(&o.Frames, 30)
	set(&o.MaxParticipants, max(1000, o.Participants))
	if !o.FindKnee {
		o.MaxParticipants = o.Participants
	}
	for _, f := range []struct {
		field *float64
		value float64
	}{{&o.Ramp, 20}, {&o.GeneratorShare, 1}, {&o.ServerShare, 1}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.WarmUp, 2 * time.Second}, {&o.Duration, 10 * time.Second}, {&o.MaxLatency, 150 * time.Millisecond}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if o.MaxLoss < 0 {
		o.MaxLoss = 0.001
	}
	if o.Kind == "" {
		o.Kind = Light
	}
	if o.Transport == "" {
		o.Transport = Direct
	}
	if err := o.check(); err != nil {
		return o, err
	}
	o.slots()
	return o, nil
}

// slots decides how many streams each participant can receive.
func (o *Options) slots() {
	people := (o.MaxParticipants + o.Meetings - 1) / o.Meetings
	set := func(field *int, senders, most int) {
		if *field == 0 {
			// A sender of a stream has one other less, but the number is the same for
			// all: empty slots cost nothing.
			*field = min(senders, people-1, most)
		}
	}
	set(&o.VideoSlots, o.Senders, MostSlots/2)
	if o.Audio {
		set(&o.AudioSlots, people-1, MostSlots-o.VideoSlots)
	}
}

// check refuses what cannot be.
func (o *Options) check() error {
	for _, r := range []struct {
		name      string
		value     float64
		low, high float64
	}{
		{"participants", float64(o.Participants), 1, MostParticipants},
		{"max-participants", float64(o.MaxParticipants), float64(o.Participants), MostParticipants},
		{"meetings", float64(o.Meetings), 1, float64(o.Participants)},
		{"senders", float64(o.Senders), 0, MostSlots},
		{"video-bitrate", float64(o.VideoBitrate), 10_000, 1e9},
		{"frames", float64(o.Frames), 1, 120},
		{"audio-slots", float64(o.AudioSlots), 0, MostSlots},
		{"video-slots", float64(o.VideoSlots), 0, float64(MostSlots - o.AudioSlots)},
		{"ramp", o.Ramp, 0.01, 10_000},
		{"warm-up", o.WarmUp.Seconds(), 0, MaxDuration.Seconds()},
		{"duration", o.Duration.Seconds(), 1, MaxDuration.Seconds()},
		{"max-loss", o.MaxLoss, 0, 1},
		{"max-latency", o.MaxLatency.Seconds(), 0.001, 10},
		{"generator-share", o.GeneratorShare, 0.001, 1},
		{"server-share", o.ServerShare, 0.001, 1},
	} {
		if !(r.value >= r.low && r.value <= r.high) {
			return fmt.Errorf("%s is %v; wanted %v to %v", r.name, r.value, r.low, r.high)
		}
	}
	switch {
	case !o.Audio && o.Senders == 0:
		return errors.New("nobody sends anything; wanted audio, senders of video, or both")
	case o.Kind != Light && o.Kind != Full:
		return fmt.Errorf("kind is %q; wanted %s or %s", o.Kind, Light, Full)
	case o.Transport != Direct && o.Transport != RelayUDP && o.Transport != RelayTCP && o.Transport != RelayTLS:
		return fmt.Errorf("transport is %q; wanted %s, %s, %s or %s", o.Transport, Direct, RelayUDP, RelayTCP, RelayTLS)
	case o.Transport != Direct && o.Kind != Full:
		return fmt.Errorf("transport %s needs participants of kind %s", o.Transport, Full)
	case o.Server == nil && len(o.Self) == 0:
		return errors.New("option Self is empty; wanted the command that is the load's own server")
	case o.Server != nil && o.ServerShare < 1:
		return errors.New("server-share is of the load's own server only")
	case o.Server != nil && o.Server.Client == nil:
		return errors.New("option Server.Client is nil; wanted how participants sign in")
	}
	return nil
}

// local is the address of the sockets of participants: loopback when the server is there.
func (o *Options) local(server netip.Addr) netip.Addr {
	if server.IsLoopback() && server.Is4() {
		return server
	}
	return netip.IPv4Unspecified()
}
