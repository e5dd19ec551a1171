package relaylog

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
)

const (
	// maxEvents bounds the events of one leg that are written.
	maxEvents = 512
	// maxForeign is after how many payloads a leg is let go in which nothing was
	// recognised.
	maxForeign = 256
)

// leg is one allocation and one peer.
type leg struct {
	log   *Log
	name  string
	attrs []slog.Attr

	relay, peer netip.AddrPort
	// recorder is nil once the leg is read no more.
	recorder atomic.Pointer[negotiation.Recorder]
	view     *negotiation.RelayView
	payloads atomic.Uint64
	events   atomic.Uint64
	// changed is set by events, ended when the allocation has.
	changed, ended atomic.Bool

	// The rest belongs to the Log's goroutine, in its clock.
	begun, progress, media time.Time
	stage                  negotiation.Stage
	told                   bool // of stage
}

func newLeg(l *Log, a *allocation, relay, peer netip.AddrPort, now time.Time) *leg {
	g := &leg{
		log: l, name: fmt.Sprintf("%s.%d", a.name, len(a.legs)+1), relay: relay, peer: peer,
		view: negotiation.NewRelayView(), begun: now, progress: now,
	}
	g.attrs = []slog.Attr{
		slog.String(negotiation.KeyLeg, g.name), slog.String("allocation", a.name), slog.String("transport", a.transport),
		slog.String("relay", relay.String()), slog.String(negotiation.KeyPeer, peer.String()),
	}
	g.recorder.Store(negotiation.NewRecorder(negotiation.Config{
		Leg: g.name, Brief: true, OnEvent: g.event, Now: l.cfg.Now,
	}))
	return g
}

// payload takes a payload, and returns false once no more are wanted.
func (g *leg) payload(t time.Time, toPeer bool, payload []byte) bool {
	recorder := g.recorder.Load()
	if recorder == nil {
		return false
	}
	g.payloads.Add(1)
	g.view.Payload(payload)
	recorder.Relayed(t, toPeer, g.relay, g.peer, payload)
	return true
}

// event writes an event of the recorder, which is locked.
func (g *leg) event(e negotiation.Event) {
	g.changed.Store(true)
	if g.events.Add(1) <= maxEvents {
		g.log.write(g.entry(e.Time, e.Level(), e.Name, e.Attrs...))
	}
}

// entry is a record of the leg.
func (g *leg) entry(t time.Time, level slog.Level, message string, attrs ...slog.Attr) slog.Record {
	r := slog.NewRecord(t, level, message, 0)
	r.AddAttrs(g.attrs...)
	r.AddAttrs(attrs...)
	return r
}

// review gives the leg its verdict and its last record when it is time for them. It
// is true when the leg is over.
func (g *leg) review(now time.Time, closing bool) (over bool) {
	ended := g.ended.Load()
	until := g.until(now, ended, closing)
	stalled := func() bool { return now.Sub(g.progress) >= g.log.cfg.Stall }
	if !g.changed.Swap(false) && until == "" && (g.told || !stalled()) {
		return false
	}
	recorder := g.recorder.Load()
	rec := recorder.Record()
	if stage := rec.Stage(); stage > g.stage {
		g.stage, g.progress, g.told = stage, now, false
	}
	if g.stage >= negotiation.StageHandshake {
		g.log.sessions.carry(session(rec.ICE.LocalUfrag, rec.ICE.PeerUfrag), g.name)
	}
	if g.stage == negotiation.StageMedia && g.media.IsZero() {
		g.media = now
	}
	facts := g.facts(&rec)
	if !g.told && (g.stage == negotiation.StageMedia || until != "" || stalled()) {
		g.told = true
		level := slog.LevelInfo
		if g.stage != negotiation.StageMedia {
			level = slog.LevelWarn
		}
		g.log.emit(g.entry(now, level, negotiation.EventVerdict, facts...))
	}
	if until == "" {
		return false
	}
	// Whoever holds the recorder still may show it more, of which nothing comes.
	g.recorder.Store(nil)
	g.log.emit(g.entry(now, slog.LevelInfo, negotiation.EventRecord, append(facts, g.last(until, &rec)...)...))
	return true
}

// until says why the leg is read no more; empty while it is.
func (g *leg) until(now time.Time, ended, closing bool) string {
	switch {
	case ended:
		return "allocation"
	case closing:
		return "closed"
	case !g.media.IsZero() && now.Sub(g.media) >= g.log.cfg.Sample:
		return "sample"
	case now.Sub(g.begun) >= g.log.cfg.Most:
		return "most"
	case g.events.Load() == 0 && g.payloads.Load() >= maxForeign:
		return "foreign"
	}
	return ""
}

// facts are what a verdict has. The record's verdict becomes that of the relay, which
// sees one path of several.
func (g *leg) facts(rec *negotiation.Record) []slog.Attr {
	carrier := ""
	switch {
	case g.stage == negotiation.StageNothing && g.payloads.Load() > 0:
		rec.Verdict = "what is relayed is neither ICE nor DTLS nor SRTP"
	case g.stage == negotiation.StageAnswered:
		rec.Verdict = "ICE checks answered but DTLS never began on this path"
		carrier = g.log.sessions.carrier[session(rec.ICE.LocalUfrag, rec.ICE.PeerUfrag)]
		if carrier != "" {
			rec.Verdict += fmt.Sprintf(": the session went on over leg %s", carrier)
		}
	}
	attrs := []slog.Attr{slog.String(negotiation.KeyStage, g.stage.String()), slog.String(negotiation.KeyVerdict, rec.Verdict)}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("carried_by", carrier)
	sent, answered, received := rec.ICE.CheckCounts()
	attrs = append(attrs, slog.Int("checks_sent", sent), slog.Int("checks_answered", answered), slog.Int("checks_received", received))
	text("ice_ufrag", rec.ICE.LocalUfrag)
	text("peer_ufrag", rec.ICE.PeerUfrag)
	if n := len(rec.DTLS); n > 0 {
		d := &rec.DTLS[n-1]
		text(negotiation.KeyVersion, d.Version)
		text(negotiation.KeySuite, d.CipherSuite)
		text(negotiation.KeyProfile, d.SRTPProfile)
		if d.Own != nil {
			text("own_fingerprint", d.Own.Fingerprint)
		}
		if d.Peer != nil {
			text("peer_fingerprint", d.Peer.Fingerprint)
		}
	}
	var streams [2]int
	for _, s := range rec.SRTP {
		if s.Packets > 0 {
			streams[direction(s)]++
		}
	}
	return append(attrs, slog.Int("streams_sent", streams[0]), slog.Int("streams_received", streams[1]))
}

// direction is 0 for what the client sends.
func direction(s negotiation.SRTP) int {
	if s.Direction == "sent" {
		return 0
	}
	return 1
}

// last is what only the leg's record has.
func (g *leg) last(until string, rec *negotiation.Record) []slog.Attr {
	var packets [2]uint64
	var lost uint64
	for _, s := range rec.SRTP {
		packets[direction(s)] += s.Packets
		lost += s.Lost
	}
	payloads, _, _ := g.view.Counts()
	return []slog.Attr{
		slog.String("until", until), slog.Any("payloads", payloads),
		slog.Uint64("packets_sent", packets[0]), slog.Uint64("packets_received", packets[1]), slog.Uint64("lost", lost),
		slog.Uint64("omitted", max(g.events.Load(), maxEvents)-maxEvents),
		slog.Any(negotiation.KeyRecord, negotiation.Logged{Record: *rec}),
	}
}
