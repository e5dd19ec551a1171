package server

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/identity"
)

// audit writes one record for each security decision: who, what, which rule, allowed
// or not. The record's message is "audit"; refusals are warnings.
type audit struct {
	log *slog.Logger
	// origin says whose candidate has an address in a call; nil without signaling.
	origin func(call string, addr netip.Addr) string
}

// granted are the kinds of event by which the relay allowed something.
var granted = map[turn.EventKind]bool{
	turn.AllocationCreated: true,
	turn.PermissionCreated: true,
	turn.ChannelBound:      true,
}

// relay records an event of the relay.
func (a audit) relay(e turn.Event) {
	allowed := granted[e.Kind]
	if !allowed && !e.Kind.Refusal() {
		a.log.LogAttrs(context.Background(), slog.LevelDebug, "relay", append(e.Attrs(), slog.String("what", string(e.Kind)))...)
		return
	}
	attrs := []slog.Attr{slog.String("event", "audit"), slog.String("part", "relay"),
		slog.String("what", string(e.Kind)), slog.Bool("allowed", allowed)}
	attrs = append(attrs, e.Attrs()...)
	if e.Peer.IsValid() && e.Call != "" && a.origin != nil {
		if origin := a.origin(e.Call, e.Peer.Addr()); origin != "" {
			attrs = append(attrs, slog.String("origin", origin))
		}
	}
	a.write(allowed, attrs)
}

// signaling records an event of the controller.
func (a audit) signaling(e signaling.Event) {
	if e.Kind != signaling.EventAudit {
		return
	}
	attrs := []slog.Attr{slog.String("event", "audit"), slog.String("part", "signaling"),
		slog.String("what", e.Rule), slog.Bool("allowed", e.Allowed)}
	for _, f := range []struct{ key, value string }{
		{"user", e.User}, {"client", e.Remote}, {"call", e.Call}, {"meeting", e.Meeting}, {"person", e.Person},
		{"rule", e.Rule}, {"reason", e.Reason},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	a.write(e.Allowed, attrs)
}

// identity records an event of the issuer of tokens. It holds no token, but its ID,
// by which it can be found in the records of whom it was used by.
func (a audit) identity(e identity.Event) {
	attrs := []slog.Attr{slog.String("event", "audit"), slog.String("part", "identity"),
		slog.String("what", string(e.Action)), slog.Bool("allowed", e.Allowed)}
	for _, f := range []struct{ key, value string }{
		{"user", e.User}, {"client", e.Remote}, {"app", e.App}, {"issuer", e.Issuer}, {"rule", e.Rule}, {"reason", e.Reason},
		{"session", e.Session}, {"token", e.Token}, {"scope", e.Scope}, {"factors", strings.Join(e.Factors, " ")},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	a.write(e.Allowed, attrs)
}

func (a audit) write(allowed bool, attrs []slog.Attr) {
	level := slog.LevelInfo
	if !allowed {
		level = slog.LevelWarn
	}
	a.log.LogAttrs(context.Background(), level, "audit", attrs...)
}
