package light

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
)

// credentials are an ICE agent's user name fragment and password (RFC 8445, section 5.3).
type credentials struct{ ufrag, pwd string }

func newCredentials(rand io.Reader) (credentials, error) {
	var b [24]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return credentials{}, fmt.Errorf("ICE credentials: %w", err)
	}
	text := base64.RawStdEncoding.EncodeToString(b[:])
	return credentials{text[:8], text[8:]}, nil
}

// agentState is how far ICE is.
type agentState uint8

const (
	checking   agentState = iota // checks go out to the peer's candidates
	nominating                   // one has answered; it is nominated
	selected                     // the nomination was answered; consent is kept fresh
	dead                         // nobody answered, or consent has gone
)

// agentEvent is what happens to an agent.
type agentEvent uint8

const (
	answered  agentEvent = iota // a check of the state was answered
	exhausted                   // its last retransmission was not
)

// agentTable is the agent's state machine: state × event → state.
var agentTable = [...][exhausted + 1]agentState{
	//          answered    exhausted
	checking:   {nominating, dead},
	nominating: {selected, dead},
	selected:   {selected, dead},
	dead:       {dead, dead},
}

// The times of RFC 8489, section 6.2.1, and of RFC 7675, section 5.1.
const (
	firstTimeout   = 500 * time.Millisecond
	lastTimeout    = 16 * firstTimeout
	transmissions  = 7
	consentEvery   = 5 * time.Second // made 0.8 to 1.2 times as long, by chance
	consentExpires = 30 * time.Second
)

// agent is a full, controlling ICE agent (RFC 8445) with one local host candidate, whose
// peer is lite: it is not checked itself. Candidates of the peer are checked in their
// order, the next one when one has not answered. It has no clock and no socket.
type agent struct {
	local, remote credentials
	candidates    []netip.AddrPort
	tieBreaker    uint64
	// chance is a number from 0 to 1.
	chance func() float64

	state     agentState
	candidate int
	id        [stun.TransactionIDSize]byte
	sent      int
	// due is when something is to be done next; heard when consent was last given.
	due, heard time.Time
	out        stun.Message
}

// to is the candidate that is checked, or was selected.
func (a *agent) to() netip.AddrPort { return a.candidates[a.candidate] }

func (a *agent) on(e agentEvent, now time.Time) {
	next := agentTable[a.state][e]
	if next != a.state {
		a.sent, a.due = 0, now
	}
	a.state = next
}

// next returns the datagram that is due now, if one is.
func (a *agent) next(now time.Time) ([]byte, error) {
	if a.state == dead || now.Before(a.due) {
		return nil, nil
	}
	switch {
	case a.state == selected:
		if now.Sub(a.heard) > consentExpires {
			a.on(exhausted, now)
			return nil, nil
		}
		a.sent = 0 // each check of consent is a transaction of its own
		a.due = now.Add(time.Duration(float64(consentEvery) * (0.8 + 0.4*a.chance())))
	case a.sent == transmissions:
		if a.sent = 0; a.state == nominating || a.candidate+1 == len(a.candidates) {
			a.on(exhausted, now)
			return nil, nil
		}
		a.candidate++
		fallthrough
	default:
		wait := firstTimeout << a.sent
		if a.sent == transmissions-1 {
			wait = lastTimeout
		}
		a.due = now.Add(wait)
	}
	if a.sent == 0 {
		a.id = stun.NewTransactionID()
	}
	a.sent++
	return a.request()
}

// priority is that of a peer-reflexive candidate found by this check (RFC 8445, section
// 7.1.1), of local preference 65535 and component 1.
const priority = 110<<24 | 65535<<8 | 255

// request makes a check of the transaction.
func (a *agent) request() ([]byte, error) {
	setters := []stun.Setter{
		stun.NewTransactionIDSetter(a.id), stun.BindingRequest,
		stun.NewUsername(a.remote.ufrag + ":" + a.local.ufrag),
		number32{stun.AttrPriority, priority}, number64{stun.AttrICEControlling, a.tieBreaker},
	}
	if a.state == nominating {
		setters = append(setters, stun.RawAttribute{Type: stun.AttrUseCandidate})
	}
	setters = append(setters, stun.NewShortTermIntegrity(a.remote.pwd), stun.Fingerprint)
	if err := a.out.Build(setters...); err != nil {
		return nil, fmt.Errorf("connectivity check: %w", err)
	}
	return a.out.Raw, nil
}

// errNotOurs is what is wrong with a STUN message that answers no check of the agent's.
var errNotOurs = errors.New("no answer to a check of this agent")

// answer takes a STUN message that came from an address. One that is not authentic, of
// another transaction or from elsewhere changes nothing (RFC 8445, section 7.2.5.2).
func (a *agent) answer(datagram []byte, from netip.AddrPort, now time.Time) error {
	m := stun.Message{Raw: append([]byte(nil), datagram...)}
	if err := m.Decode(); err != nil {
		return errNotOurs
	}
	if m.Type != stun.BindingSuccess || m.TransactionID != a.id || a.sent == 0 || from != a.to() ||
		stun.NewShortTermIntegrity(a.remote.pwd).Check(&m) != nil {
		return errNotOurs
	}
	a.heard = now
	a.on(answered, now)
	if a.state == selected && a.due.Equal(now) {
		a.due = now.Add(consentEvery)
	}
	return nil
}

// number32 and number64 are attributes that are a number.
type number32 struct {
	kind  stun.AttrType
	value uint32
}

// AddTo implements stun.Setter.
func (n number32) AddTo(m *stun.Message) error {
	m.Add(n.kind, []byte{byte(n.value >> 24), byte(n.value >> 16), byte(n.value >> 8), byte(n.value)})
	return nil
}

type number64 struct {
	kind  stun.AttrType
	value uint64
}

// AddTo implements stun.Setter.
func (n number64) AddTo(m *stun.Message) error {
	var b [8]byte
	for i := range b {
		b[i] = byte(n.value >> (56 - 8*i))
	}
	m.Add(n.kind, b[:])
	return nil
}
