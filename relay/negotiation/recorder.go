package negotiation

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/negotiation/wire/ip"
)

// Config configures a Recorder. The zero Config records without events.
type Config struct {
	// Leg names the endpoint whose interface is read.
	Leg string
	// Log gets one line for each event; nil discards.
	Log *slog.Logger
	// OnEvent gets each event, in order; nil discards. It is called while the
	// Recorder is locked, so it must be quick and must not call the Recorder.
	OnEvent func(Event)
	// Keys allows SRTP keys to be derived from KeyLog lines, so that packets can
	// be verified. Keys stay in memory: no record, event or log line has them.
	Keys bool
	// Brief keeps less of each leg, for whoever records many at once; see limits.
	Brief bool
	// Now is the time of what is told without a time; time.Now when nil.
	Now func() time.Time
}

// Recorder makes a Record of what it is shown: the packets at one host's
// interface, and what the endpoint's stacks tell. All methods may be called from
// several goroutines at once; it has none of its own.
//
// Its memory is bounded, whatever it is shown: each table and list has a limit, which
// stands as a constant beside it or in limits. What comes after a limit is reached is
// not recorded, or replaces the oldest, and neither stops the rest.
type Recorder struct {
	cfg Config

	mu       sync.Mutex // guards all below
	journal  *journal
	started  time.Time // of the first packet
	sides    sides
	requests requests
	ice      agent
	turn     allocations
	streams  connections
	dtls     associations
	srtp     media
	failures []failure
	// descriptions have no passwords.
	descriptions []Description
}

// failure is what a stack reported.
type failure struct{ layer, text string }

const maxFailures = 32

// NewRecorder returns a Recorder of one leg.
func NewRecorder(cfg Config) *Recorder {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	j := &journal{leg: cfg.Leg, log: cfg.Log, onEvent: cfg.OnEvent}
	r := &Recorder{cfg: cfg, journal: j}
	r.sides.journal = j
	r.ice.journal = j
	r.turn.journal = j
	r.dtls.journal = j
	r.srtp.journal = j
	l := limitsOf(cfg)
	r.requests.limit, r.srtp.limit = l.requests, l.streams
	r.ice.limits, r.dtls.limits = l, l
	return r
}

// path is where a payload was seen.
type path struct {
	local, remote netip.AddrPort
	// protocol is the transport to remote: udp, or for TURN also tcp, tls, dtls.
	protocol string
	// relayed is true for what was inside TURN: local is then the relayed
	// address, zero when the allocation was not seen.
	relayed bool
}

// Packet takes one IP packet at the leg's host interface. It keeps no reference
// to packet. What is neither UDP nor TCP, or not one of the leg's protocols, is
// passed over.
func (r *Recorder) Packet(t time.Time, outbound bool, packet []byte) {
	s, err := ip.Parse(packet)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin(t)
	if err != nil {
		if errors.Is(err, ip.ErrFragment) {
			r.journal.problem(t, "IP fragments are not put together: what they carried is missing here")
		}
		return
	}
	p := path{local: s.Source, remote: s.Destination, protocol: "udp"}
	if !outbound {
		p.local, p.remote = p.remote, p.local
	}
	if s.Protocol == ip.TCP {
		p.protocol = "tcp"
		r.segment(t, outbound, p, s)
		return
	}
	r.payload(t, outbound, p, s.Payload)
}

// Stream takes a piece of the plaintext of a connection to the relay whose
// packets can't be read; protocol is "tls", or "dtls" when each piece is a
// datagram. Pieces of one direction must come in order.
func (r *Recorder) Stream(t time.Time, outbound bool, local, remote netip.AddrPort, protocol string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin(t)
	p := path{local: unmap(local), remote: unmap(remote), protocol: protocol}
	if protocol == "dtls" || protocol == "udp" {
		r.payload(t, outbound, p, data)
		return
	}
	r.plaintext(t, outbound, p, data)
}

// Relayed takes what a transport relay passed between the relayed address of an
// allocation and a peer, as the relay sees it: the leg is that of the allocation's
// client, and what it sends to the peer is outbound. It keeps no reference to
// payload.
func (r *Recorder) Relayed(t time.Time, outbound bool, relay, peer netip.AddrPort, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin(t)
	r.payload(t, outbound, path{local: unmap(relay), remote: unmap(peer), protocol: "udp", relayed: true}, payload)
}

// begin notes the first packet.
func (r *Recorder) begin(t time.Time) {
	if r.started.IsZero() {
		r.started = t
	}
}

// payload takes one datagram, or one frame of TURN over a stream.
func (r *Recorder) payload(t time.Time, outbound bool, p path, b []byte) {
	switch kind := kindOf(b); kind {
	case kindSTUN:
		r.stun(t, outbound, p, b)
	case kindChannel:
		if !p.relayed {
			r.channelData(t, outbound, p, b)
		}
	case kindDTLS:
		if p.media() {
			r.dtls.datagram(t, outbound, p, b, &r.sides)
			r.negotiated(t)
		}
	case kindSRTP:
		if p.media() {
			r.srtp.rtp(t, outbound, b)
		}
	case kindSRTCP:
		if p.media() {
			r.srtp.rtcp(t, outbound, b)
		}
	}
}

// media tells whether a datagram may be DTLS or media at all. Those of well-known
// services, such as DNS, may begin with any byte.
func (p path) media() bool {
	const wellKnown = 1024
	return p.relayed || p.local.Port() >= wellKnown && p.remote.Port() >= wellKnown
}

// Description takes an offer or answer as it was exchanged; kind is "offer",
// "pranswer" or "answer". At most 256 KiB of it are read.
func (r *Recorder) Description(local bool, kind, sdp string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.cfg.Now()
	d := parseDescription(sdp)
	r.journal.event(t, EventDescription, slog.String(KeySide, sideName(local)), slog.String(KeyKind, cut(kind)))
	r.sides.describe(local, d)
	if len(r.descriptions) < maxDescriptions {
		r.descriptions = append(r.descriptions, Description{Side: sideName(local), Kind: cut(kind), SDP: redacted(sdp)})
	}
	r.ice.credentials(t, local, d.ufrag)
	for _, c := range d.candidates {
		r.ice.candidate(t, local, c)
	}
	for pt, hz := range d.clockRates {
		r.srtp.clock(pt, hz, false)
	}
	r.dtls.promised(t, &r.sides)
}

// Candidate takes a trickled candidate line (RFC 8839, section 5.1), with or
// without "a=". The empty line, end of candidates, is passed over.
func (r *Recorder) Candidate(local bool, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if line == "" {
		return
	}
	t := r.cfg.Now()
	c, err := parseCandidate(line)
	if err != nil {
		r.journal.problem(t, fmt.Sprintf("a %s candidate can't be read: %v", sideName(local), err))
		return
	}
	r.ice.candidate(t, local, c)
}

// Selected takes the pair that the ICE agent says it uses, and why, if it says
// so; nomination is read from the packets too.
func (r *Recorder) Selected(local, remote Candidate, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ice.told(r.cfg.Now(), tidy(local), tidy(remote), cut(why))
}

// KeyLog takes one line of an NSS key log of the leg's DTLS. Lines other than
// CLIENT_RANDOM, and all lines when Config.Keys is false, are discarded at once.
func (r *Recorder) KeyLog(line string) {
	if !r.cfg.Keys {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.srtp.keyLog(line)
	r.negotiated(r.cfg.Now())
}

// Write implements io.Writer for stacks that write their key log: p holds whole
// lines. It never fails.
func (r *Recorder) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		r.KeyLog(line)
	}
	return len(p), nil
}

// ClockRate tells the clock of a payload type in Hz, without which there is no
// jitter. It goes before that of the descriptions' a=rtpmap; 0 takes it back.
func (r *Recorder) ClockRate(payloadType uint8, hz uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.srtp.clock(payloadType, hz, true)
}

// Failure takes what a stack reported, such as a handshake error; layer is "ice",
// "turn", "dtls" or "srtp".
func (r *Recorder) Failure(layer, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := failure{cut(layer), cut(text)}
	t := r.cfg.Now()
	r.journal.event(t, EventFailure, slog.String(KeyLayer, f.layer), slog.String(KeyText, f.text))
	if len(r.failures) < maxFailures {
		r.failures = append(r.failures, f)
	}
	r.journal.problem(t, f.layer+": "+f.text)
}

// negotiated tells media what the handshakes agreed on by now.
func (r *Recorder) negotiated(t time.Time) {
	for _, a := range r.dtls.all {
		r.srtp.negotiated(a)
		if r.cfg.Keys {
			r.srtp.keyed(t, a)
		}
	}
}

// Record returns what is known so far. It is the caller's own copy.
func (r *Recorder) Record() Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := Record{
		Leg:     r.cfg.Leg,
		Started: r.started,
		TURN:    r.turn.record(&r.requests),
		DTLS:    r.dtls.record(&r.sides),
		SRTP:    r.srtp.record(),

		Descriptions: slices.Clone(r.descriptions),
	}
	rec.ICE = r.ice.record(rec.TURN)
	rec.Verdict = r.verdict(rec)
	rec.Problems = r.findings(rec)
	return rec
}

// Tell is Record, and writes it to Config.Log, where it is the leg's last line.
func (r *Recorder) Tell() Record {
	rec := r.Record()
	if r.cfg.Log != nil {
		r.cfg.Log.Info(EventRecord, KeyLeg, rec.Leg, KeyStage, rec.Stage().String(), KeyVerdict, rec.Verdict, KeyRecord, Logged{rec})
	}
	return rec
}

// Logged is a Record as the value of a log's attribute: whole where the log is JSON,
// and in a log of text only a hint, since nobody reads a record in one line.
type Logged struct{ Record }

// MarshalJSON implements json.Marshaler.
func (l Logged) MarshalJSON() ([]byte, error) { return json.Marshal(l.Record) }

// MarshalText implements encoding.TextMarshaler.
func (l Logged) MarshalText() ([]byte, error) { return []byte("in logs of format json"), nil }

// tidy makes a candidate of an agent comparable to those of packets. Agents that
// hide the related address write 0.0.0.0, which is no address.
func tidy(c Candidate) Candidate {
	c.Address, c.Related = unmap(c.Address), unmap(c.Related)
	if c.Related.Addr().IsUnspecified() {
		c.Related = netip.AddrPort{}
	}
	return c
}

// unmap makes an address comparable to those of packets.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
