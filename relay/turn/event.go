package turn

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// EventKind is what happened.
type EventKind string

// The kinds of event. All but the first three are about authenticated users.
const (
	AuthenticationFailed EventKind = "authentication-failed"
	// RequestsLimited is a source whose requests without a valid credential are
	// passed over; told for the first of a row.
	RequestsLimited EventKind = "requests-limited"
	// ConnectionRefused is a connection that was closed at once. When there are
	// many, not all are told.
	ConnectionRefused   EventKind = "connection-refused"
	AllocationCreated   EventKind = "allocation-created"
	AllocationRefreshed EventKind = "allocation-refreshed"
	AllocationDeleted   EventKind = "allocation-deleted"
	AllocationRefused   EventKind = "allocation-refused"
	RefreshRefused      EventKind = "refresh-refused"
	PermissionCreated   EventKind = "permission-created"
	PermissionDenied    EventKind = "permission-denied"
	ChannelBound        EventKind = "channel-bound"
	ChannelDenied       EventKind = "channel-denied"
	// DataDenied is a datagram to a transport address that the permission's
	// address allows but its port does not; told once for each such address.
	DataDenied EventKind = "data-denied"
)

// Refusal is true for the kinds by which the relay refused something.
func (k EventKind) Refusal() bool {
	switch k {
	case AuthenticationFailed, RequestsLimited, ConnectionRefused, AllocationRefused, RefreshRefused, PermissionDenied, ChannelDenied, DataDenied:
		return true
	}
	return false
}

// Event is one thing that the relay decided or did. Fields that do not apply are
// zero. It never holds a password or a secret.
type Event struct {
	Time time.Time
	Kind EventKind
	// Transport is how the client reached the relay.
	Transport Transport
	// User and Call are those of the credential; for AuthenticationFailed they
	// are what the request claimed.
	User, Call string
	// Client is the client's address as the relay sees it; Server the relay's
	// address that it reached; Relay the relayed transport address.
	Client, Server, Relay netip.AddrPort
	// Peer is the peer that was asked for; its port is zero in a permission.
	Peer netip.AddrPort
	// Channel is the channel's number.
	Channel uint16
	// Method is the request that it is about, in the RFC's words.
	Method string
	// Code is the STUN error code of the answer.
	Code int
	// Rule is the rule of the peer policy or the quota that refused; see
	// PeerPolicy.Check and the Rule constants.
	Rule string
	// Reason says why, in words for people.
	Reason string
}

// Rules of refusals that are not rules of the peer policy.
const (
	RuleUserQuota       = "allocations-per-user"
	RuleTotalQuota      = "allocations-in-all"
	RulePermissionQuota = "permissions-per-allocation"
	RuleChannelQuota    = "channels-per-allocation"
	RuleAddressFamily   = "address-family"
	RulePorts           = "relay-ports"
	RuleTransport       = "relayed-transport"
	RuleDraining        = "draining"
	RuleAllocation      = "allocation" // there is none, or one already
	RuleOwner           = "owner"      // it is another user's, or another call's
	RulePeerFamily      = "peer-address-family"
	RuleAttribute       = "unknown-attribute"
)

// Rules of AuthenticationFailed.
const (
	RuleRequest      = "request"       // an attribute is missing or malformed
	RuleUsername     = "username"      // it does not read expiry:user
	RuleRealm        = "realm"         // it is another relay's
	RuleSignature    = "signature"     // no secret fits
	RuleExpired      = "expired"       // the credential's time is over
	RuleNonceForeign = "nonce-foreign" // forged, or issued to another client
)

// RuleNonceExpired is told by no event, as it is in the order of things.
const RuleNonceExpired = "nonce-expired"

// Rules of RequestsLimited and ConnectionRefused.
const (
	RuleRequestRate       = "request-rate"
	RuleConnections       = "connections-in-all"
	RuleSourceConnections = "connections-per-source"
	RuleHandshakes        = "handshakes-at-once"
)

// String is the event in one line.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(string(e.Kind))
	for _, a := range e.Attrs() {
		value := a.Value.String()
		if quoted := strconv.Quote(value); strings.Contains(value, " ") || quoted != `"`+value+`"` {
			value = quoted
		}
		fmt.Fprintf(&b, " %s=%s", a.Key, value)
	}
	return b.String()
}

// Attrs are the fields that apply, but for time and kind.
func (e Event) Attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 12)
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	address := func(key string, a netip.AddrPort) {
		switch {
		case !a.IsValid():
		case a.Port() == 0:
			attrs = append(attrs, slog.String(key, a.Addr().String()))
		default:
			attrs = append(attrs, slog.String(key, a.String()))
		}
	}
	text("transport", string(e.Transport))
	text("user", e.User)
	text("call", e.Call)
	address("client", e.Client)
	address("server", e.Server)
	address("relay", e.Relay)
	address("peer", e.Peer)
	if e.Channel != 0 {
		attrs = append(attrs, slog.String("channel", fmt.Sprintf("0x%04x", e.Channel)))
	}
	text("method", e.Method)
	if e.Code != 0 {
		attrs = append(attrs, slog.Int("code", e.Code))
	}
	text("rule", e.Rule)
	text("reason", e.Reason)
	return attrs
}

// log writes the event's record: refusals as warnings.
func (e Event) log(l *slog.Logger) {
	level := slog.LevelInfo
	if e.Kind.Refusal() {
		level = slog.LevelWarn
	}
	l.LogAttrs(context.Background(), level, string(e.Kind), e.Attrs()...)
}
