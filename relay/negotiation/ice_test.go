package negotiation_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

// ice writes the STUN messages of a connectivity check with pion's encoder.
type ice struct {
	t     *testing.T
	r     *negotiation.Recorder
	clock clock
	ids   byte
}

func newICE(t *testing.T) *ice {
	i := &ice{t: t, clock: clock{now: epoch}}
	i.r = negotiation.NewRecorder(negotiation.Config{Leg: "alice", Now: i.clock.tick})
	return i
}

func (i *ice) id() (id [stun.TransactionIDSize]byte) {
	i.ids++
	id[0] = i.ids
	return id
}

// attribute is a raw attribute.
func attribute(kind stun.AttrType, value ...byte) stun.Setter { return raw{kind, value} }

type raw struct {
	kind  stun.AttrType
	value []byte
}

func (a raw) AddTo(m *stun.Message) error { m.Add(a.kind, a.value); return nil }

const (
	attrPriority     = stun.AttrType(0x24)
	attrUseCandidate = stun.AttrType(0x25)
	attrControlled   = stun.AttrType(0x8029)
	attrControlling  = stun.AttrType(0x802a)
)

func message(t *testing.T, id [stun.TransactionIDSize]byte, class stun.MessageClass, setters ...stun.Setter) []byte {
	t.Helper()
	all := append([]stun.Setter{stun.NewTransactionIDSetter(id), stun.NewType(stun.MethodBinding, class)}, setters...)
	m, err := stun.Build(append(all, stun.Fingerprint)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func priority(p uint32) stun.Setter {
	return attribute(attrPriority, binary.BigEndian.AppendUint32(nil, p)...)
}

func role(controlling bool) stun.Setter {
	kind := attrControlled
	if controlling {
		kind = attrControlling
	}
	return attribute(kind, 1, 2, 3, 4, 5, 6, 7, 8)
}

// show gives a datagram between two addresses to the recorder.
func (i *ice) show(outbound bool, local, remote netip.AddrPort, b []byte) {
	from, to := local, remote
	if !outbound {
		from, to = remote, local
	}
	i.r.Packet(i.clock.tick(), outbound, iptest.UDP(from, to, b))
}

func mapped(a netip.AddrPort) stun.Setter {
	return &stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}
}

// sent is a check of the leg; answer is what comes back: nothing, or a response.
func (i *ice) sent(local, remote netip.AddrPort, use bool, answer ...stun.Setter) {
	i.check(true, local, remote, true, use, answer...)
}

// received is a check of the peer, which is controlling.
func (i *ice) received(local, remote netip.AddrPort, use bool, answer ...stun.Setter) {
	i.check(false, local, remote, true, use, answer...)
}

func (i *ice) check(outbound bool, local, remote netip.AddrPort, controlling, use bool, answer ...stun.Setter) {
	i.t.Helper()
	id := i.id()
	user := "bobu:alic"
	if !outbound {
		user = "alic:bobu"
	}
	setters := []stun.Setter{stun.NewUsername(user), priority(1845494271), role(controlling)}
	if use {
		setters = append(setters, attribute(attrUseCandidate))
	}
	i.show(outbound, local, remote, message(i.t, id, stun.ClassRequest, setters...))
	if answer == nil {
		return
	}
	class := stun.ClassSuccessResponse
	if _, isError := answer[0].(stun.ErrorCodeAttribute); isError {
		class = stun.ClassErrorResponse
	}
	i.show(!outbound, local, remote, message(i.t, id, class, answer...))
}

var (
	aliceHost   = netip.MustParseAddrPort("10.0.0.10:50000")
	alicePublic = netip.MustParseAddrPort("192.0.2.1:61000")
	bobHost     = netip.MustParseAddrPort("10.1.0.20:60000")
	bobPublic   = netip.MustParseAddrPort("198.51.100.1:62000")
)

func (i *ice) candidates() {
	line := func(kind string, priority uint32, a, related netip.AddrPort) string {
		s := fmt.Sprintf("candidate:f%d 1 udp %d %v %d typ %s", priority%7, priority, a.Addr(), a.Port(), kind)
		if related.IsValid() {
			s += fmt.Sprintf(" raddr %v rport %d", related.Addr(), related.Port())
		}
		return s
	}
	var none netip.AddrPort
	i.r.Candidate(true, line("host", 2130706431, aliceHost, none))
	i.r.Candidate(true, "a="+line("srflx", 1694498815, alicePublic, aliceHost))
	i.r.Candidate(true, "")
	i.r.Candidate(false, line("host", 2130706431, bobHost, none))
	i.r.Candidate(false, line("srflx", 1694498815, bobPublic, bobHost))
}

func TestICECheckAndItsResult(t *testing.T) {
	i := newICE(t)
	i.candidates()
	i.sent(aliceHost, bobHost, false)
	i.sent(aliceHost, bobPublic, false, mapped(alicePublic))
	i.received(aliceHost, bobPublic, false, mapped(bobPublic))
	i.sent(aliceHost, bobPublic, true, mapped(alicePublic))
	rec := i.r.Record().ICE
	equal(t, "role", rec.Role, "controlling")
	equal(t, "local ufrag", rec.LocalUfrag, "alic")
	equal(t, "peer ufrag", rec.PeerUfrag, "bobu")
	want := []negotiation.Check{
		{Local: aliceHost, Remote: bobHost, Direction: "sent", Result: "no answer", Sent: 1},
		{Local: aliceHost, Remote: bobPublic, Direction: "sent", Result: "succeeded", Mapped: alicePublic, RTT: time.Millisecond, Sent: 1},
		{Local: aliceHost, Remote: bobPublic, Direction: "received", Result: "succeeded", Mapped: bobPublic, Sent: 1},
		{Local: aliceHost, Remote: bobPublic, Direction: "sent", UseCandidate: true, Result: "succeeded", Mapped: alicePublic, RTT: time.Millisecond, Sent: 1},
	}
	for n := range rec.Checks {
		rec.Checks[n].Time = time.Time{}
	}
	equalLists(t, "checks", rec.Checks, want)
	if rec.Selected == nil {
		t.Fatal("no selected pair")
	}
	equal(t, "local", rec.Selected.Local.Type, "srflx")
	equal(t, "local", rec.Selected.Local.Address, alicePublic)
	equal(t, "related", rec.Selected.Local.Related, aliceHost)
	equal(t, "remote", rec.Selected.Remote.Address, bobPublic)
	equal(t, "nominated", rec.Selected.Nominated, true)
	equal(t, "why", rec.Why, "the only pair whose checks succeeded; of higher priority, but failed: "+
		"host 10.0.0.10:50000 to host 10.1.0.20:60000 (no answer to 1 request)")
	equal(t, "verdict", i.r.Record().Verdict, "ICE checks answered but DTLS never began")
}

func TestICERetransmission(t *testing.T) {
	i := newICE(t)
	m := message(t, i.id(), stun.ClassRequest, stun.NewUsername("bobu:alic"), role(true))
	for range 3 {
		i.show(true, aliceHost, bobHost, m)
	}
	response := message(t, [12]byte{1}, stun.ClassSuccessResponse, mapped(aliceHost))
	i.show(false, aliceHost, bobHost, response)
	i.show(false, aliceHost, bobHost, response)
	c := i.r.Record().ICE.Checks
	equal(t, "checks", len(c), 1)
	equal(t, "sent", c[0].Sent, 3)
	equal(t, "result", c[0].Result, "succeeded")
	// Nobody knows which transmission was answered.
	equal(t, "rtt", c[0].RTT, 0)
}

// RFC 8445, section 7.2.5.1.
func TestICERoleConflict(t *testing.T) {
	i := newICE(t)
	i.sent(aliceHost, bobHost, false, stun.ErrorCodeAttribute{Code: 487, Reason: []byte("Role Conflict")})
	equal(t, "role", i.r.Record().ICE.Role, "controlling")
	i.check(true, aliceHost, bobHost, false, false, mapped(aliceHost))
	rec := i.r.Record().ICE
	equal(t, "result", rec.Checks[0].Result, "487 Role Conflict")
	equal(t, "role", rec.Role, "controlled")
}

func TestICEAllChecksRefused(t *testing.T) {
	i := newICE(t)
	i.candidates()
	i.sent(aliceHost, bobHost, false, stun.ErrorCodeAttribute{Code: 401})
	equal(t, "verdict", i.r.Record().Verdict, "ICE checks sent, all refused: 401 Unauthenticated")
}

// RFC 8445, section 7.2.5.2.1: the response must come from where the request went.
func TestICEAnswerBetweenOtherAddresses(t *testing.T) {
	i := newICE(t)
	i.show(true, aliceHost, bobHost, message(t, i.id(), stun.ClassRequest, stun.NewUsername("bobu:alic"), role(true)))
	i.show(false, aliceHost, bobPublic, message(t, [12]byte{1}, stun.ClassSuccessResponse, mapped(aliceHost)))
	equal(t, "result", i.r.Record().ICE.Checks[0].Result, "answered between other addresses")
}

// RFC 8445, sections 7.2.5.3.1 and 7.3.1.3.
func TestICEPeerReflexiveCandidates(t *testing.T) {
	i := newICE(t)
	i.received(aliceHost, bobPublic, false, mapped(bobPublic))
	i.sent(aliceHost, bobPublic, false, mapped(alicePublic))
	rec := i.r.Record().ICE
	equalLists(t, "local", rec.Local, []negotiation.Candidate{
		{Type: "prflx", Address: alicePublic, Related: aliceHost, Protocol: "udp", Priority: 1845494271}})
	equalLists(t, "remote", rec.Remote, []negotiation.Candidate{
		{Type: "prflx", Address: bobPublic, Protocol: "udp", Priority: 1845494271}})
	// What is signalled later replaces it.
	i.candidates()
	rec = i.r.Record().ICE
	equal(t, "local", len(rec.Local), 2)
	equal(t, "local type", rec.Local[1].Type, "srflx")
	equal(t, "remote", len(rec.Remote), 2)
}

// RFC 8445, section 7.3.1.5: the controlled side's pair counts once its own check
// has succeeded, and the pair of highest priority is the selected one.
func TestICEControlledSideSelects(t *testing.T) {
	i := newICE(t)
	i.candidates()
	i.received(aliceHost, bobPublic, true, mapped(bobPublic))
	if i.r.Record().ICE.Selected != nil {
		t.Fatal("selected before its own check")
	}
	i.check(true, aliceHost, bobPublic, false, false, mapped(alicePublic))
	i.check(true, aliceHost, bobHost, false, false, mapped(aliceHost))
	rec := i.r.Record().ICE
	equal(t, "role", rec.Role, "controlled")
	equal(t, "remote", rec.Selected.Remote.Address, bobPublic)
	equal(t, "why", rec.Why, "one of 2 pairs whose checks succeeded, though of lower priority than "+
		"host 10.0.0.10:50000 to host 10.1.0.20:60000")
	i.received(aliceHost, bobHost, true, mapped(bobHost))
	rec = i.r.Record().ICE
	equal(t, "remote", rec.Selected.Remote.Address, bobHost)
	equal(t, "why", rec.Why, "the highest priority of 2 pairs whose checks succeeded")
}

// Many pairs are not all named.
func TestICEWhyStaysShort(t *testing.T) {
	i := newICE(t)
	i.candidates()
	for n := range uint16(10) {
		remote := netip.AddrPortFrom(bobHost.Addr(), 1000+n)
		i.r.Candidate(false, fmt.Sprintf("candidate:%d 1 udp %d %v %d typ host", n, 2130706431-uint32(n), remote.Addr(), remote.Port()))
		i.sent(aliceHost, remote, false)
		i.sent(aliceHost, remote, false)
	}
	i.sent(aliceHost, bobPublic, true, mapped(alicePublic))
	why := i.r.Record().ICE.Why
	if !strings.HasSuffix(why, "host 10.0.0.10:50000 to host 10.1.0.20:1005 (no answer to 2 requests) and 4 more") {
		t.Errorf("why: %s", why)
	}
}

// An answer to a check of before a restart says nothing of the pair after it.
func TestICELateAnswerAfterARestart(t *testing.T) {
	i := newICE(t)
	i.r.Description(true, "offer", sdp("", "alic"))
	id := i.id()
	i.show(true, aliceHost, bobHost, message(t, id, stun.ClassRequest, stun.NewUsername("bobu:alic"), role(true), attribute(attrUseCandidate)))
	i.r.Description(true, "offer", sdp("", "new1"))
	i.sent(aliceHost, bobHost, false)
	i.show(false, aliceHost, bobHost, message(t, id, stun.ClassSuccessResponse, mapped(aliceHost)))
	if s := i.r.Record().ICE.Selected; s != nil {
		t.Errorf("selected: %+v", s)
	}
}

func TestICEAgentTellsItsPair(t *testing.T) {
	i := newICE(t)
	i.candidates()
	i.sent(aliceHost, bobPublic, true, mapped(alicePublic))
	i.r.Selected(
		negotiation.Candidate{Type: "host", Address: aliceHost},
		negotiation.Candidate{Type: "srflx", Address: bobPublic}, "first to answer")
	rec := i.r.Record().ICE
	equal(t, "local", rec.Selected.Local, negotiation.Candidate{Type: "host", Address: aliceHost, Protocol: "udp", Priority: 2130706431, Foundation: rec.Local[0].Foundation})
	equal(t, "related", rec.Selected.Remote.Related, bobHost)
	equal(t, "nominated", rec.Selected.Nominated, true)
	equal(t, "why", rec.Why, "the only pair whose checks succeeded; the agent says: first to answer")

	i.r.Selected(negotiation.Candidate{Type: "host", Address: aliceHost}, negotiation.Candidate{Type: "host", Address: bobHost}, "")
	rec = i.r.Record().ICE
	equal(t, "nominated", rec.Selected.Nominated, false)
	equal(t, "why", rec.Why, "the agent's choice; no success of its checks was seen")
}

// RFC 7675: what comes after the first success keeps the consent.
func TestICEConsentIsCountedApart(t *testing.T) {
	i := newICE(t)
	i.sent(aliceHost, bobHost, true, mapped(aliceHost))
	i.received(aliceHost, bobHost, false, mapped(bobHost))
	for range 5 {
		i.sent(aliceHost, bobHost, false, mapped(aliceHost))
		i.received(aliceHost, bobHost, false, mapped(bobHost))
	}
	i.sent(aliceHost, bobHost, false)
	rec := i.r.Record().ICE
	equal(t, "checks", len(rec.Checks), 2)
	equal(t, "consent", rec.Consent, negotiation.Consent{Sent: 6, Answered: 5, Received: 5})
}

// RFC 8445, section 9.
func TestICERestart(t *testing.T) {
	i := newICE(t)
	i.r.Description(true, "offer", sdp("actpass", "alic"))
	i.r.Description(false, "answer", sdp("active", "bobu"))
	i.r.Description(true, "offer", sdp("actpass", "alic"))
	i.sent(aliceHost, bobHost, true, mapped(aliceHost))
	equal(t, "restarts", i.r.Record().ICE.Restarts, 0)
	i.r.Description(true, "offer", sdp("actpass", "new1"))
	i.r.Description(false, "answer", sdp("active", "new2"))
	rec := i.r.Record().ICE
	equal(t, "restarts", rec.Restarts, 1)
	equal(t, "ufrags", rec.LocalUfrag+" "+rec.PeerUfrag, "new1 new2")
	if rec.Selected != nil {
		t.Errorf("the pair of before the restart is still selected: %v", rec.Selected)
	}
	i.sent(aliceHost, bobPublic, true, mapped(aliceHost))
	rec = i.r.Record().ICE
	equal(t, "selected", rec.Selected.Remote.Address, bobPublic)
	equal(t, "why", rec.Why, "the only pair whose checks succeeded")
}
