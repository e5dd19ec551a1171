// Package loader is the benchmark's load generator and sink in one process: it
// makes flows through a relay (allocation, permission, bound channel), sends a load
// over them by its schedule, receives what comes out on the other side, and says
// what arrived, how late, and what that cost.
//
// The load is open: packets are due when the schedule says, whether the relay keeps
// up or not, and a packet's latency runs from the moment when it was due, so that a
// generator that is held up cannot hide the wait. How far behind its own schedule it
// was (pacing) stands beside the latency in every result.
//
// One goroutine on one thread sends and receives, so that its two halves cannot
// stand in each other's way. Clients have a socket each, as they must; peers share a
// few, as the participants of a media processor do.
//
// Start reading at Serve (the process), Loader (its work) and Result.
package loader

import (
	"net/netip"
	"time"

	"github.com/callpath/callpath/bench/account"
	"github.com/callpath/callpath/bench/load"
)

// Scheme is how a flow is set up.
type Scheme string

// The schemes.
const (
	// TURN is Allocate, CreatePermission and ChannelBind with long-term
	// credentials (RFC 8656), to any TURN server.
	TURN Scheme = "turn"
	// Plain asks a bare forwarder, in one packet, to forward (Hello).
	Plain Scheme = "plain"
	// Direct sends straight to the sink: there is no relay. What the same load
	// costs then is subtracted from what it costs with a relay.
	Direct Scheme = "direct"
)

// Config says which flows a loader makes.
type Config struct {
	Scheme Scheme         `json:"scheme"`
	Server netip.AddrPort `json:"server"`
	// Secret is the shared secret of which credentials are made; TURN only.
	Secret []byte `json:"secret,omitempty"`
	// Client is the address of the first client, which the others' follow one by
	// one, as clients are on machines of their own: a relay may limit what one
	// address asks for. Peer is the address of all peers.
	Client netip.Addr `json:"client"`
	Peer   netip.Addr `json:"peer"`
	// PeerNamespace is the network namespace of the peers' sockets, as a path; empty
	// is the clients' own.
	PeerNamespace string    `json:"peer_namespace,omitempty"`
	Load          load.Load `json:"load"`
	Seed          uint64    `json:"seed"`
	// Coalesce has the sink take runs of packets as one message (UDP_GRO), as a
	// network card would hand them over.
	Coalesce bool `json:"coalesce"`
	// Server's process, whose CPU time is counted; 0 for none.
	ServerProcess int `json:"server_process,omitempty"`
}

// Step is one measurement.
type Step struct {
	// Rate is in packets per second, over all flows.
	Rate float64 `json:"rate"`
	// WarmUp is sent before Duration and not counted.
	WarmUp   time.Duration `json:"warm_up"`
	Duration time.Duration `json:"duration"`
}

// Result is what one step measured. Latency and Pacing are in nanoseconds.
type Result struct {
	// Rate is the one that was asked for.
	Rate     float64       `json:"rate"`
	Duration time.Duration `json:"duration"`
	// Sent and Received count packets that were due in the step; Unsent are those
	// that the generator had no time for, or that the system did not take from it.
	Sent     uint64 `json:"sent"`
	Unsent   uint64 `json:"unsent"`
	Received uint64 `json:"received"`
	// Reordered are packets that arrived after a later one of the same source, and
	// twice if they came twice.
	Reordered uint64 `json:"reordered"`
	// SinkDropped are packets that reached the sink and that it had no time for.
	SinkDropped uint64 `json:"sink_dropped"`
	// Stray are packets that are not of this generator or not what was sent.
	Stray   uint64     `json:"stray"`
	Latency *Histogram `json:"latency"`
	Pacing  *Histogram `json:"pacing"`
	// Spent has the server's process first, where there is one, then the loader's.
	Spent account.Spent `json:"spent"`
	// Resident is the memory of the server's process, in bytes.
	Resident uint64 `json:"resident,omitempty"`
}

// Ready says that the flows have been made.
type Ready struct {
	Flows int           `json:"flows"`
	Took  time.Duration `json:"took"`
	// Before, Idle and After are the memory of the server's process, in bytes: without
	// the allocations, with them, and with their permissions and channels.
	Before uint64 `json:"before"`
	Idle   uint64 `json:"idle"`
	After  uint64 `json:"after"`
}

// Loss is the share of the packets sent that did not arrive, 0 to 1.
func (r Result) Loss() float64 {
	if r.Sent == 0 || r.Received >= r.Sent {
		return 0
	}
	return float64(r.Sent-r.Received) / float64(r.Sent)
}

// Carried is the packets per second that arrived.
func (r Result) Carried() float64 { return float64(r.Received) / r.Duration.Seconds() }

// The generator holds its schedule when it is late by less than this for half of
// the packets, sends all but this share of them, and loses no more in its own sink.
const (
	maxPacing = 2 * time.Millisecond
	maxUnsent = 0.001
)

// Saturated says what the generator itself could not do, "" when it kept up. A step
// whose generator was saturated says nothing about the relay's limit.
func (r Result) Saturated() string {
	due := float64(max(1, r.Sent+r.Unsent))
	switch {
	case float64(r.Unsent) > due*maxUnsent:
		return "packets unsent"
	case float64(r.SinkDropped) > due*maxUnsent:
		return "sink overrun"
	case time.Duration(r.Pacing.At(50)) > maxPacing:
		return "behind schedule"
	}
	return ""
}
