package negotiation

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Event is one thing that happened. Its Name is one of the Event constants, its
// attributes have Key constants as keys. Neither has keys, passwords or payload.
type Event struct {
	Time  time.Time
	Leg   string
	Name  string
	Attrs []slog.Attr
}

// Names of events, one for each thing that can happen.
const (
	EventDescription = "sdp.description"

	EventCandidate     = "ice.candidate"
	EventCheckSent     = "ice.check.sent"
	EventCheckReceived = "ice.check.received"
	EventCheckAnswered = "ice.check.answered"
	EventRoleConflict  = "ice.role_conflict"
	EventRestart       = "ice.restart"
	EventNominated     = "ice.pair.nominated"
	EventSelected      = "ice.pair.selected"

	EventMapped       = "stun.mapped"
	EventAllocated    = "turn.allocated"
	EventRefreshed    = "turn.refreshed"
	EventPermission   = "turn.permission"
	EventChannelBound = "turn.channel_bound"
	EventRefused      = "turn.refused"
	EventDeleted      = "turn.deleted"

	EventClientHello           = "dtls.client_hello"
	EventHelloVerifyRequest    = "dtls.hello_verify_request"
	EventServerHello           = "dtls.server_hello"
	EventCertificate           = "dtls.certificate"
	EventFingerprintMatched    = "dtls.fingerprint.matched"
	EventFingerprintMismatched = "dtls.fingerprint.mismatched"
	EventRetransmission        = "dtls.retransmission"
	EventAlert                 = "dtls.alert"
	EventComplete              = "dtls.complete"

	EventKeys        = "srtp.keys"
	EventFirst       = "srtp.first"
	EventRollover    = "srtp.rollover"
	EventReplayed    = "srtp.replayed"
	EventAuthFailure = "srtp.auth_failure"

	EventFailure = "stack.failure"
	EventProblem = "problem"
)

// Messages of log lines that are no events: the end of a leg, and in logs of relays its
// beginning and its verdict.
const (
	EventRecord  = "leg.record"
	EventBegin   = "leg.begin"
	EventVerdict = "leg.verdict"
)

// Keys of events' attributes and of log lines.
const (
	KeyLeg          = "leg"
	KeySide         = "side" // "local" or "remote", in DTLS "client" or "server"
	KeyDirection    = "direction"
	KeyLocal        = "local"
	KeyRemote       = "remote"
	KeyRelayed      = "relayed"
	KeyMapped       = "mapped"
	KeyType         = "type"
	KeyAddress      = "address"
	KeyPriority     = "priority"
	KeyUseCandidate = "use_candidate"
	KeyResult       = "result"
	KeyRTT          = "rtt"
	KeyRole         = "role"
	KeyServer       = "server"
	KeyMethod       = "method"
	KeyUsername     = "username"
	KeyRealm        = "realm"
	KeyLifetime     = "lifetime"
	KeyPeer         = "peer"
	KeyChannel      = "channel"
	KeyVersion      = "version"
	KeySuite        = "cipher_suite"
	KeyProfile      = "srtp_profile"
	KeyGroup        = "group"
	KeySubject      = "subject"
	KeyFingerprint  = "fingerprint"
	KeyMessage      = "message"
	KeyDuration     = "duration"
	KeySSRC         = "ssrc"
	KeyPayloadType  = "payload_type"
	KeySequence     = "sequence"
	KeyRollover     = "rollover_counter"
	KeyLayer        = "layer"
	KeyText         = "text"
	KeyKind         = "kind"
	KeyProtocol     = "protocol"
	KeyStage        = "stage"
	KeyVerdict      = "verdict"
	KeyRecord       = "record"
)

// levels are those of the events that are not slog.LevelInfo.
var levels = map[string]slog.Level{
	EventCheckSent:             slog.LevelDebug,
	EventCheckReceived:         slog.LevelDebug,
	EventCheckAnswered:         slog.LevelDebug,
	EventRetransmission:        slog.LevelDebug,
	EventRefused:               slog.LevelWarn,
	EventFingerprintMismatched: slog.LevelError,
	EventReplayed:              slog.LevelWarn,
	EventAuthFailure:           slog.LevelWarn,
	EventFailure:               slog.LevelWarn,
	EventProblem:               slog.LevelWarn,
}

// Level is the event's level in logs.
func (e Event) Level() slog.Level { return levels[e.Name] }

const (
	maxProblems = 64
	maxText     = 512
)

// journal is where every part of a Recorder tells of events and problems. It
// belongs to the Recorder, whose lock guards it.
type journal struct {
	leg      string
	log      *slog.Logger
	onEvent  func(Event)
	problems []string
}

// event tells of something that happened.
func (j *journal) event(t time.Time, name string, attrs ...slog.Attr) {
	if j.log != nil {
		level := levels[name]
		if ctx := context.Background(); j.log.Enabled(ctx, level) {
			j.log.LogAttrs(ctx, level, name, append([]slog.Attr{slog.String(KeyLeg, j.leg)}, attrs...)...)
		}
	}
	if j.onEvent != nil {
		j.onEvent(Event{Time: t, Leg: j.leg, Name: name, Attrs: attrs})
	}
}

// problem keeps a finding in words, once.
func (j *journal) problem(t time.Time, text string) {
	text = cut(text)
	if len(j.problems) == maxProblems || slices.Contains(j.problems, text) {
		return
	}
	j.problems = append(j.problems, text)
	j.event(t, EventProblem, slog.String(KeyText, text))
}

// cut bounds a text from outside.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// directionName is the word of records for a direction.
func directionName(outbound bool) string {
	if outbound {
		return "sent"
	}
	return "received"
}

// sideName is the word for a side of the leg.
func sideName(local bool) string {
	if local {
		return "local"
	}
	return "remote"
}
