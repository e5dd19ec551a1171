package turn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
	engine "github.com/pion/turn/v5"
)

// nonces makes nonces that say when they expire and for which client they are, and
// are signed, so that none has to be kept (RFC 8489, section 9.2). A request that
// somebody else has recorded is of no use from another transport address.
type nonces struct {
	key      [sha256.Size]byte
	lifetime time.Duration
	now      func() time.Time
}

func newNonces(lifetime time.Duration, now func() time.Time) *nonces {
	n := &nonces{lifetime: lifetime, now: now}
	_, _ = rand.Read(n.key[:]) // it never fails
	return n
}

// The parts of a nonce: its expiry in Unix seconds, and a signature of that and
// the client.
const (
	nonceExpiry    = 4
	nonceSignature = 12
)

func (n *nonces) sign(expiry []byte, client netip.AddrPort) []byte {
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write(expiry)
	at, _ := client.MarshalBinary()
	mac.Write(at)
	return mac.Sum(nil)[:nonceSignature]
}

// issue makes a nonce for client.
func (n *nonces) issue(client netip.AddrPort) stun.Nonce {
	expiry := binary.BigEndian.AppendUint32(nil, uint32(n.now().Add(n.lifetime).Unix()))
	raw := append(expiry, n.sign(expiry, client)...)
	return stun.NewNonce(base64.RawURLEncoding.EncodeToString(raw))
}

// check returns the rule by which nonce is not valid for client, or nothing.
func (n *nonces) check(nonce stun.Nonce, client netip.AddrPort) (rule string) {
	raw, err := base64.RawURLEncoding.DecodeString(nonce.String())
	if err != nil || len(raw) != nonceExpiry+nonceSignature {
		return RuleNonceForeign
	}
	if !hmac.Equal(raw[nonceExpiry:], n.sign(raw[:nonceExpiry], client)) {
		return RuleNonceForeign
	}
	if n.now().Unix() >= int64(binary.BigEndian.Uint32(raw)) {
		return RuleNonceExpired
	}
	return ""
}

// challenged are the requests that need a credential.
var challenged = map[stun.Method]bool{
	stun.MethodAllocate:         true,
	stun.MethodRefresh:          true,
	stun.MethodCreatePermission: true,
	stun.MethodChannelBind:      true,
	stun.MethodConnect:          true,
	stun.MethodConnectionBind:   true,
}

// receive judges the message in p[:n] before the engine sees it, and returns the
// length of what the engine gets; ok is false when there is nothing for it. What
// anybody can send is metered by its source. Requests are authenticated here: the
// engine's nonces are the same for all clients of a socket, so the client gets one
// of the relay's, and the engine its own by a new signature.
func (f *front) receive(client netip.AddrPort, p []byte, n int) (size int, ok bool) {
	s, r := f.server, &f.request
	if !f.begin(client, p[:n]) {
		s.counters.malformed.Add(1)
		return 0, false
	}
	if r.message == nil {
		return n, true
	}
	if !challenged[r.message.Type.Method] {
		return n, f.strangerMay(s.strangers.asks(client))
	}
	if !f.authenticated() {
		return 0, false
	}
	if s.clock().Sub(f.engineNonceAt) > engineNonceLife {
		// Ask the engine for a nonce, as a client would, and keep the request.
		kept := *r
		f.waiting = &kept
		f.request = request{client: client, probe: true}
		return copy(p, probe.Raw), true
	}
	return f.countersign(p)
}

// next returns the request that waited for the engine's nonce, if there is one.
func (f *front) next(p []byte) (n int, client netip.AddrPort, ok bool) {
	if f.waiting == nil {
		return 0, netip.AddrPort{}, false
	}
	f.request, f.waiting = *f.waiting, nil
	n, ok = f.countersign(p)
	return n, f.request.client, ok
}

// engineNonceLife is half of what the engine gives its nonces.
const engineNonceLife = 30 * time.Minute

// probe is the request by which the engine is asked for a nonce.
var probe = stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest))

// probed takes the nonce from the engine's answer to the probe.
func (f *front) probed(p []byte) error {
	m := &stun.Message{Raw: p}
	if err := m.Decode(); err != nil {
		return fmt.Errorf("engine's challenge: %w", err)
	}
	if err := f.engineNonce.GetFrom(m); err != nil {
		return fmt.Errorf("engine's challenge: %w", err)
	}
	f.engineNonceAt = f.server.clock()
	return nil
}

// countersign writes the request to p with the engine's nonce, signed again.
func (f *front) countersign(p []byte) (n int, ok bool) {
	r := &f.request
	m := &stun.Message{Type: r.message.Type, TransactionID: r.message.TransactionID}
	m.WriteHeader()
	for _, a := range r.message.Attributes {
		switch a.Type {
		case stun.AttrNonce, stun.AttrMessageIntegrity, stun.AttrMessageIntegritySHA256, stun.AttrFingerprint:
		default:
			if !f.takesOn(a.Type) {
				m.Add(a.Type, a.Value)
			}
		}
	}
	err := f.engineNonce.AddTo(m)
	if err == nil {
		err = r.key.AddTo(m)
	}
	if err != nil || len(m.Raw) > len(p) {
		f.server.counters.malformed.Add(1)
		f.request = request{}
		return 0, false
	}
	return copy(p, m.Raw), true
}

// strangerMay counts and tells of a request that is passed over without an answer.
func (f *front) strangerMay(may, tell bool) bool {
	if may {
		return true
	}
	s := f.server
	s.counters.limited.Add(1)
	if tell && s.tellings.take(s.strangers.now(), 1) {
		e := f.event(RequestsLimited)
		e.Rule, e.Reason = RuleRequestRate, "too many requests without a valid credential; further ones are passed over"
		s.report(e)
	}
	return false
}

// authenticated checks the request's credential (RFC 8489, section 9.2.4), and
// answers the request when it is not valid. It sets who and key.
func (f *front) authenticated() bool {
	s, r := f.server, &f.request
	m := r.message
	if !m.Contains(stun.AttrMessageIntegrity) {
		if f.strangerMay(s.strangers.asks(r.client)) {
			f.challenge(stun.CodeUnauthorized)
		}
		return false
	}
	// Whoever has an allocation is none of those who guess.
	if f.allocation(r.client) == nil && !f.strangerMay(s.strangers.mayTry(r.client)) {
		return false
	}
	var username stun.Username
	var realm stun.Realm
	var nonce stun.Nonce
	for _, get := range []stun.Getter{&username, &realm, &nonce} {
		if err := get.GetFrom(m); err != nil {
			f.fail(stun.CodeBadRequest, RuleRequest, "username, realm or nonce is missing or malformed")
			return false
		}
	}
	if rule := s.nonces.check(nonce, r.client); rule != "" {
		f.staleNonce(rule, username)
		return false
	}
	return f.verify(username.String(), realm.String())
}

// staleNonce answers 438. That a nonce expires is in the order of things, but one
// of another client may be a request that was recorded and replayed.
func (f *front) staleNonce(rule string, username stun.Username) {
	f.server.counters.staleNonces.Add(1)
	if rule == RuleNonceForeign {
		f.request.who, _ = parseUsername(username.String())
		f.fail(stun.CodeStaleNonce, rule, "the nonce was not issued to this client")
		return
	}
	if f.strangerMay(f.server.strangers.asks(f.request.client)) {
		f.challenge(stun.CodeStaleNonce)
	}
}

// verify checks username and signature. All secrets are tried, whichever fits, so
// that the time taken tells nothing.
func (f *front) verify(username, realm string) bool {
	cfg, r := &f.server.cfg, &f.request
	fail := func(rule, reason string) bool {
		f.fail(stun.CodeUnauthorized, rule, reason)
		return false
	}
	who, err := parseUsername(username)
	if err != nil {
		return fail(RuleUsername, err.Error())
	}
	r.who = who
	if realm != cfg.Realm {
		return fail(RuleRealm, fmt.Sprintf("wrong realm %q; this relay's is %q", shorten(realm), cfg.Realm))
	}
	var key stun.MessageIntegrity
	secrets := f.server.secrets()
	for _, secret := range secrets {
		candidate := stun.MessageIntegrity(engine.GenerateAuthKey(username, realm, passwordOf(secret, username)))
		if candidate.Check(r.message) == nil {
			key = candidate
		}
	}
	if key == nil {
		return fail(RuleSignature, fmt.Sprintf("unknown secret: the password is of none of this relay's %d secrets", len(secrets)))
	}
	if now := cfg.Now(); !now.Before(who.expires) && !f.outlives(who) {
		return fail(RuleExpired, fmt.Sprintf("expired at %s, %v ago", who.expires.Format(time.RFC3339), now.Sub(who.expires).Round(time.Second)))
	}
	r.key = key
	return true
}

// outlives is true for a credential that has expired and serves what it allocated
// in its time.
func (f *front) outlives(who identity) bool {
	r := &f.request
	a := f.allocation(r.client)
	return f.server.cfg.KeepExpired && a != nil && a.who.owner() == who.owner() &&
		r.message.Type.Method != stun.MethodAllocate
}

// fail reports a request that is not authenticated, and answers it.
func (f *front) fail(code stun.ErrorCode, rule, reason string) {
	f.server.strangers.failed(f.request.client)
	e := f.event(AuthenticationFailed)
	e.Rule, e.Reason = rule, reason
	f.refuse(e, code)
	f.challenge(code)
}

// challenge answers with the code, and with what the client needs to try again
// (RFC 8489, section 9.2.4). The answer is not signed, as there is no key.
func (f *front) challenge(code stun.ErrorCode) {
	r := &f.request
	attributes := []stun.Setter{
		&stun.Message{TransactionID: r.message.TransactionID},
		stun.NewType(r.message.Type.Method, stun.ClassErrorResponse),
		code,
	}
	if code != stun.CodeBadRequest {
		attributes = append(attributes, stun.NewRealm(f.server.cfg.Realm), f.server.nonces.issue(r.client))
	}
	m, err := stun.Build(attributes...)
	if err == nil {
		_, err = f.PacketConn.WriteTo(m.Raw, net.UDPAddrFromAddrPort(r.client))
	}
	if err != nil {
		f.server.cfg.Log.Debug("challenge not sent", "client", r.client, "error", err)
	}
}
