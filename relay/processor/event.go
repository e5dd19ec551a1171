package processor

import (
	"log/slog"
	"net/netip"
	"time"
)

// EventKind is what happened.
type EventKind string

// What happens to participants and conferences.
const (
	// EventJoined: an offer was answered.
	EventJoined EventKind = "joined"
	// EventSelected: a check selected the path to the participant, or another one.
	EventSelected EventKind = "path-selected"
	// EventNegotiated: DTLS is complete and the certificate is that of the offer; from
	// here on media flows. Event.Negotiated says what was agreed on.
	EventNegotiated EventKind = "dtls-negotiated"
	// EventFingerprint: the certificate is not that of the offer. The leg has ended.
	EventFingerprint EventKind = "fingerprint-mismatch"
	// EventFailed: the handshake did not succeed, or took too long. The leg has ended. It
	// is told without conference and participant of a peer that might have been one to
	// latch to.
	EventFailed EventKind = "dtls-failed"
	// EventConsent: no valid check came for too long. The participant is taken away.
	EventConsent EventKind = "consent-expired"
	// EventLeft: the participant was taken away because it, or the caller, said so.
	EventLeft EventKind = "left"
	// EventReplaced: a former leg of the participant was taken away, since an offer of
	// another session was answered; the participant is there still.
	EventReplaced EventKind = "replaced"
	// EventEnded: the conference is over.
	EventEnded EventKind = "ended"
)

// Event is one thing that happened.
type Event struct {
	Time        time.Time
	Kind        EventKind
	Region      string
	Conference  string
	Participant string // empty for EventEnded
	// Remote is the participant's address, as far as it is known.
	Remote netip.AddrPort
	// Negotiated is set for EventNegotiated.
	Negotiated *Negotiated
	// Reason says more in words, where there is more.
	Reason string
}

// Negotiated is what DTLS-SRTP agreed on.
type Negotiated struct {
	Version     string // such as "DTLS 1.2"
	CipherSuite string // its name at IANA
	SRTPProfile string // its name in its RFC
	// Fingerprint is that of the peer's certificate, in the offer's algorithm; it was
	// compared with the offer's and is the same.
	Fingerprint string
}

func (e Event) attrs() []slog.Attr {
	var a []slog.Attr
	if e.Conference != "" {
		a = append(a, slog.String("conference", e.Conference))
	}
	if e.Region != "" {
		a = append(a, slog.String("region", e.Region))
	}
	if e.Participant != "" {
		a = append(a, slog.String("participant", e.Participant))
	}
	if e.Remote.IsValid() {
		a = append(a, slog.String("remote", e.Remote.String()))
	}
	if n := e.Negotiated; n != nil {
		a = append(a, slog.String("version", n.Version), slog.String("cipher_suite", n.CipherSuite),
			slog.String("srtp_profile", n.SRTPProfile), slog.String("fingerprint", n.Fingerprint), slog.Bool("verified", true))
	}
	if e.Reason != "" {
		a = append(a, slog.String("reason", e.Reason))
	}
	return a
}

// Layout says which participants one participant receives, slot by slot.
type Layout struct {
	Conference, Participant string
	Slots                   []Slot
}

// The kinds of slots.
const (
	KindAudio  = "audio"
	KindVideo  = "video"
	KindSlides = "slides"
)

// Slot is one of a participant's receiving m-lines.
type Slot struct {
	Mid string
	// Kind is what is on the slot: KindAudio, KindVideo, or KindSlides for a screen that
	// is shared; of an empty slot, what it is for.
	Kind string
	// Participant is who is heard or seen; empty when nobody is. It is "*" when the
	// slot has the mix of all others.
	Participant string
}

// Mixed is the Participant of a slot with the mix of all others.
const Mixed = "*"
