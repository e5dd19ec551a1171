package endpoint

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/transport/v5"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/signaling"
)

// Machine is where an endpoint runs; *host.Host is one.
type Machine interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
	LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error)
	Net() transport.Net
}

// Config is what a stack is built from. Spec, Machine, Recorder, Events and Log
// are required.
type Config struct {
	Spec    language.Participant
	Machine Machine
	// Servers are the STUN and TURN servers, already reduced to those that are
	// to be used.
	Servers []signaling.ICEServer
	// RootCAs verifies the relay's TLS; nil uses the machine's.
	RootCAs  *x509.CertPool
	Recorder *negotiation.Recorder
	// KeyLog gets NSS key log lines beside the recorder; nil discards them.
	KeyLog io.Writer
	Events Events
	// Conference, when set, has the endpoint's first offer take the media of
	// several at once; its other side is then a media processor.
	Conference *Conference
	Log        *slog.Logger
}

// Conference is what an endpoint asks of a media processor: how many m-lines that
// receive its offer has, of each kind.
type Conference struct {
	Audio, Video int
}

// State is how far the transport of an endpoint has come.
type State string

// The states. Connected is ICE and DTLS; Disconnected may become Connected again;
// Failed may too, by an ICE restart, when DTLS had been completed before.
const (
	Connecting   State = "connecting"
	Connected    State = "connected"
	Disconnected State = "disconnected"
	Failed       State = "failed"
)

// Events is told what happens. Its methods are called from the stack's
// goroutines, must return soon and must not call the endpoint, except for Stats.
type Events interface {
	// Candidate is a gathered candidate; one with an empty Candidate field is
	// the end of gathering.
	Candidate(c signaling.Candidate)
	// Selected is the pair that ICE selected; it may change.
	Selected(local, remote negotiation.Candidate)
	// State is a change of state; reason is set for Failed.
	State(s State, reason string)
	// Packet is a received RTP packet with its format, decrypted and verified.
	// Its payload may be kept.
	Packet(f media.Format, p *rtp.Packet, arrived time.Time)
	// Control is a received RTCP packet.
	Control(p rtcp.Packet, arrived time.Time)
}

// Sender sends the packets of one stream.
type Sender interface {
	// Format is that of the packets. Its Kind is media.Slides for a shared screen.
	Format() media.Format
	// SSRC and PayloadType are those of the packets; they are fixed once the
	// offer and the answer have been exchanged.
	SSRC() uint32
	PayloadType() uint8
	// Negotiated is true when the other side takes the format.
	Negotiated() bool
	// Send encrypts and sends a packet with that SSRC.
	Send(p *rtp.Packet) error
}

// Stats is what a stack knows of its selected pair.
type Stats struct {
	// RTT is the round-trip time of the last check; zero when there was none.
	RTT time.Duration
}

// Endpoint is a protocol stack of one call. Its methods that negotiate (Offer,
// Answer, Accept, Rollback, Servers) are called by one goroutine at a time; all
// others from any.
type Endpoint interface {
	// Offer makes an offer and begins to gather; restart asks for new ICE
	// credentials.
	Offer(restart bool) (sdp string, err error)
	// Answer applies an offer, makes the answer and begins to gather.
	Answer(offer string) (sdp string, err error)
	// Accept applies the answer to the last Offer.
	Accept(answer string) error
	// Rollback withdraws the last Offer, one that was not the first.
	Rollback() error
	// Servers replaces the servers for the next gathering.
	Servers(servers []signaling.ICEServer) error
	// Add takes a candidate of the other side, once its description has been
	// applied.
	Add(c signaling.Candidate) error
	// Senders are the streams to be sent, in the order of the m-lines.
	Senders() []Sender
	// Control sends RTCP.
	Control(packets ...rtcp.Packet) error
	Stats() Stats
	// Close ends everything and waits for the stack's goroutines.
	Close() error
}

// Timing of ICE (RFC 8445, appendix B, leaves it to the implementation), short
// enough for scenarios in which paths break.
const (
	DisconnectedAfter = 3 * time.Second
	FailedAfter       = 6 * time.Second // after Disconnected
	Keepalive         = 500 * time.Millisecond
	// STUNTimeout bounds the search for a reflexive address.
	STUNTimeout = 2 * time.Second
	// ReflexiveWait and RelayWait are how long better pairs have before one of
	// a reflexive address, or one through the relay, is nominated.
	ReflexiveWait = time.Second
	RelayWait     = 2 * time.Second
	// BindingRequests is how often a check is sent on a pair without answer.
	BindingRequests = 20
	// ReportInterval is RTCP's: RFC 3550, section 6.2, allows this little at
	// the rates here.
	ReportInterval = 500 * time.Millisecond
)

// Formats are the formats that a participant negotiates, with those first that it
// sends: it takes all.
func Formats(spec language.Participant) ([]media.Format, error) {
	sent, err := Sent(spec)
	if err != nil {
		return nil, err
	}
	out := sent
	for _, f := range media.Formats() {
		known := false
		for _, s := range sent {
			known = known || s.Codec == f.Codec
		}
		if !known {
			out = append(out, f)
		}
	}
	return out, nil
}

// Sent are the formats that a participant sends, at most one of each kind.
func Sent(spec language.Participant) ([]media.Format, error) {
	names := spec.Media
	if names == nil {
		names = []string{string(media.Opus), string(media.VP8)}
	}
	var out []media.Format
	for _, name := range names {
		f, err := media.FormatOf(media.Codec(name))
		if err != nil {
			return nil, err
		}
		for _, other := range out {
			if other.Kind == f.Kind {
				return nil, fmt.Errorf("participant %s: %s and %s are both %s; one of a kind is sent",
					spec.Name, other.Codec, f.Codec, f.Kind)
			}
		}
		out = append(out, f)
	}
	return out, nil
}
