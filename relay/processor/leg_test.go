package processor

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/processor/description"
)

// stunCheck makes a connectivity check to a leg.
func (c *client) stunCheck(ufrag, pwd string, more ...stun.Setter) []byte {
	c.m.t.Helper()
	setters := append([]stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag + ":" + c.leg.offer.Ufrag)}, more...)
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(pwd), stun.Fingerprint)...)
	must(c.m.t, err)
	return m.Raw
}

type flag stun.AttrType

func (f flag) AddTo(m *stun.Message) error { m.Add(stun.AttrType(f), nil); return nil }

// nominate is the attribute USE-CANDIDATE.
const nominate = flag(stun.AttrUseCandidate)

func (c *client) says(text string) { c.sends(c.rtp(1000, 111, 0, []byte{0x10, 30}, []byte(text))) }

// heard returns the payloads that came since the last call.
func (c *client) heard() (all []string) {
	media, _ := c.got()
	for _, p := range media {
		at := 12
		if p[0]&0x10 != 0 {
			at += 4 + 4*int(p[15])
		}
		all = append(all, string(p[at:]))
	}
	return all
}

func TestALegEndsInEachStateByWhatEndsIt(t *testing.T) {
	for state := answered; state < over; state++ {
		for event := heardHello; event <= replaced; event++ {
			next := legTable[state][event]
			if ends := event > verified && (state != connected || event >= silent); ends != (next == over) {
				t.Errorf("state %d, event %d: %d", state, event, next)
			}
			if next == over && legEnds[event] == "" {
				t.Errorf("event %d ends a leg, and nobody is told", event)
			}
			if legTable[over][event] != over {
				t.Errorf("event %d brings a leg back", event)
			}
		}
	}
}

// RFC 7675, section 5.1: without a valid check for 30 s nothing is sent any more.
func TestConsentExpires(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "aA", addr(1)), m.enter("c", "bob", "aA", addr(2))
	m.events()
	for range 29 {
		m.pass(time.Second)
		m.receive(bob.at, bob.stunCheck(bob.leg.ufrag, bob.leg.passwords[bob.leg.ufrag]))
		alice.says("still here") // media is no consent
	}
	if got := m.events(); len(got) != 0 {
		t.Fatalf("after 29 s: %v", got)
	}
	m.pass(3 * time.Second)
	if got := m.events(); !slices.Equal(got, []EventKind{EventConsent}) {
		t.Fatalf("after 32 s: %v", got)
	}
	alice.got()
	bob.says("anybody?")
	if media, _ := alice.got(); len(media) != 0 {
		t.Errorf("%d packets go to who has withdrawn consent", len(media))
	}
	if m.byAddr[alice.at] != nil || len(m.byUfrag) != 1 || len(m.conferences["c"].legs) != 1 {
		t.Error("something of the leg is left")
	}
}

func TestALegThatNeverConnectsIsTakenAway(t *testing.T) {
	m := newManual(t, nil, func(c *Config) { c.Limits.Connect = 5 * time.Second })
	offer, err := description.Parse(offerOf("alice", "aA"), 9, false)
	must(t, err)
	_, err = m.join(Join{Conference: "c", Participant: "alice"}, offer)
	must(t, err)
	m.pass(7 * time.Second)
	if got := m.events(); !slices.Equal(got, []EventKind{EventJoined, EventFailed, EventEnded}) {
		t.Errorf("%v", got)
	}
	if n := m.p.conferences.Load(); n != 0 {
		t.Errorf("%d conferences are counted", n)
	}
}

// RFC 8445, section 8: a full agent nominates; media goes there, and its own is taken from
// each address with a valid check.
func TestAParticipantChangesItsAddress(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "aA", addr(1)), m.enter("c", "bob", "aA", addr(2))
	pwd := alice.leg.passwords[alice.leg.ufrag]
	bob.says("one")
	m.pass(time.Second) // slots are assigned
	bob.says("two")
	if got := alice.heard(); !slices.Contains(got, "two") {
		t.Fatalf("alice heard %q", got)
	}
	// A check without nomination moves nothing.
	m.receive(addr(3), alice.stunCheck(alice.leg.ufrag, pwd))
	bob.says("three")
	if got := alice.heard(); !slices.Contains(got, "three") {
		t.Fatalf("alice heard %q at the former address", got)
	}
	// One that is not authentic neither.
	m.receive(addr(4), alice.stunCheck(alice.leg.ufrag, "a wrong password of 24 letters", nominate))
	m.receive(addr(3), alice.stunCheck(alice.leg.ufrag, pwd, nominate))
	alice.at = addr(3)
	m.port.sent[alice.at] = nil
	bob.says("four")
	if got := alice.heard(); !slices.Equal(got, []string{"four"}) {
		t.Errorf("alice heard %q at the new address", got)
	}
	alice.says("from the new address")
	m.pass(100 * time.Millisecond)
	alice.says("from the new address")
	alice.at = addr(1)
	alice.says("from the old address")
	if got := bob.heard(); !slices.Equal(got, []string{"from the new address", "from the old address"}) {
		t.Errorf("bob heard %q", got)
	}
	alice.at = addr(4)
	alice.says("from nowhere")
	if m.stats.Drops[DropStranger] != 1 || m.stats.Drops[DropSTUN] != 1 {
		t.Errorf("drops: %v", m.stats.Drops)
	}
	selected := 0
	for _, kind := range m.events() {
		if kind == EventSelected {
			selected++
		}
	}
	if selected != 3 {
		t.Errorf("%d paths were selected, wanted one for each and a third", selected)
	}
}

// A check with the sender's own credentials, but from somebody else's address, takes that
// from nobody who is there.
func TestAddressesOfOthersAreNotTaken(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob, mallory := m.enter("c", "alice", "aAA", addr(1)), m.enter("c", "bob", "aAA", addr(2)), m.enter("c", "mallory", "aAA", addr(3))
	forge := func() {
		m.receive(alice.at, mallory.stunCheck(mallory.leg.ufrag, mallory.leg.passwords[mallory.leg.ufrag], nominate))
	}
	alice.says("begin")
	m.pass(100 * time.Millisecond)
	bob.got()
	forge()
	alice.says("still alice")
	if got := bob.heard(); !slices.Contains(got, "still alice") {
		t.Errorf("bob heard %q", got)
	}
	if mallory.leg.remote != mallory.at {
		t.Errorf("mallory is sent to at %v", mallory.leg.remote)
	}
	// Who has been silent for long has no address to defend.
	m.pass(defended + time.Second)
	forge()
	if m.byAddr[alice.at] != mallory.leg {
		t.Error("an address is kept for who has gone")
	}
}

func TestPathsAreBounded(t *testing.T) {
	m := newManual(t, nil, nil)
	alice := m.enter("c", "alice", "aA", addr(1))
	for i := range 3 * mostPaths {
		m.receive(addr(2+i), alice.stunCheck(alice.leg.ufrag, alice.leg.passwords[alice.leg.ufrag]))
	}
	if len(alice.leg.paths) != mostPaths || len(m.byAddr) != mostPaths || m.byAddr[addr(1)] != alice.leg {
		t.Errorf("%d paths, %d addresses", len(alice.leg.paths), len(m.byAddr))
	}
}

// RFC 8445, section 9: checks with the former credentials are good until the new ones are
// used, and DTLS goes on.
func TestICERestarts(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "aA", addr(1)), m.enter("c", "bob", "aA", addr(2))
	old := alice.leg.ufrag
	oldPwd := alice.leg.passwords[old]
	offer, err := description.Parse(strings.Replace(offerOf("alice", "aA"), "aliceufrag", "another", 1), 9, false)
	must(t, err)
	ssrc := alice.leg.slots[0].ssrc
	answer, err := m.join(Join{Conference: "c", Participant: "alice"}, offer)
	must(t, err)
	if alice.leg.ufrag == old || !strings.Contains(answer, "a=ice-ufrag:"+alice.leg.ufrag) || alice.leg.slots[0].ssrc != ssrc {
		t.Fatal("no new credentials, or another slot")
	}
	m.receive(alice.at, alice.stunCheck(old, oldPwd))
	if m.stats.Drops[DropSTUN] != 0 {
		t.Error("the former credentials are void before the new ones are used")
	}
	m.receive(addr(9), alice.stunCheck(alice.leg.ufrag, alice.leg.passwords[alice.leg.ufrag], nominate))
	m.receive(alice.at, alice.stunCheck(old, oldPwd))
	if m.stats.Drops[DropSTUN] != 1 {
		t.Error("the former credentials are good after the new ones were used")
	}
	alice.at = addr(9)
	bob.says("one")
	m.pass(100 * time.Millisecond)
	bob.says("two")
	if got := alice.heard(); !slices.Contains(got, "two") {
		t.Errorf("alice heard %q", got)
	}
}

// A page that was loaded again is another session: it takes the place of the former.
func TestANewSessionReplacesTheLeg(t *testing.T) {
	m := newManual(t, nil, nil)
	alice := m.enter("c", "alice", "aA", addr(1))
	m.events()
	offer, err := description.Parse(strings.Replace(offerOf("alice", "aA"), "o=alice 1", "o=alice 2", 1), 9, false)
	must(t, err)
	_, err = m.join(Join{Conference: "c", Participant: "alice"}, offer)
	must(t, err)
	if got := m.events(); !slices.Equal(got, []EventKind{EventJoined, EventReplaced}) {
		t.Errorf("%v", got)
	}
	if alice.leg.state != over || len(m.conferences["c"].legs) != 1 || m.byAddr[alice.at] != nil {
		t.Error("the former leg is there still")
	}
}

func TestAnOfferThatChangesMediaKeepsWhatIsThere(t *testing.T) {
	m := newManual(t, nil, nil)
	alice, bob := m.enter("c", "alice", "aAA", addr(1)), m.enter("c", "bob", "aA", addr(2))
	bob.says("one")
	m.pass(100 * time.Millisecond)
	first := alice.leg.slots[0].ssrc
	for lines, slots := range map[string]int{"aA": 1, "aAV": 2} {
		offer, err := description.Parse(offerOf("alice", lines), 9, false)
		must(t, err)
		_, err = m.join(Join{Conference: "c", Participant: "alice"}, offer)
		must(t, err)
		if len(alice.leg.slots) != slots || alice.leg.slots[0].ssrc != first {
			t.Fatalf("%s: %d slots", lines, len(alice.leg.slots))
		}
		m.pass(100 * time.Millisecond)
		alice.got()
		bob.says("two")
		if got := alice.heard(); !slices.Equal(got, []string{"two"}) {
			t.Errorf("%s: alice heard %q", lines, got)
		}
	}
	// A sender that has gone away leaves nothing on slots.
	offer, err := description.Parse(offerOf("bob", "A"), 9, false)
	must(t, err)
	_, err = m.join(Join{Conference: "c", Participant: "bob"}, offer)
	must(t, err)
	m.pass(100 * time.Millisecond)
	if alice.leg.slots[0].track != nil || len(m.conferences["c"].speakers) != 1 {
		t.Error("the slot shows a track that is no more")
	}
}

func TestLimitsHold(t *testing.T) {
	m := newManual(t, nil, func(c *Config) { c.Limits.Conferences, c.Limits.Participants = 2, 2 })
	join := func(conference, name string) error {
		offer, err := description.Parse(offerOf(name, "aA"), 9, false)
		must(t, err)
		_, err = m.join(Join{Conference: conference, Participant: name}, offer)
		return err
	}
	for _, tt := range []struct {
		conference, name string
		err              error
	}{{"a", "alice", nil}, {"a", "bob", nil}, {"a", "carol", ErrFull}, {"a", "bob", nil}, {"b", "alice", nil}, {"c", "alice", ErrFull}} {
		if err := join(tt.conference, tt.name); !errors.Is(err, tt.err) {
			t.Errorf("%s in %s: %v, wanted %v", tt.name, tt.conference, err, tt.err)
		}
	}
	m.endConference(m.conferences["a"], "")
	must(t, join("c", "alice"))
}

func TestLatchingNeedsDTLSToBegin(t *testing.T) {
	m := newManual(t, nil, func(c *Config) { c.Limits.Handshakes = 2 })
	hello := append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 1)
	m.receive(addr(1), hello)
	if m.stats.Drops[DropStranger] != 1 || len(m.pending) != 0 {
		t.Fatal("a handshake begins though nobody waits for one")
	}
	offer, err := description.Parse(strings.NewReplacer("a=ice-ufrag:trunkufrag\r\n", "", "a=ice-pwd:"+strings.Repeat("p", 24)+"\r\n", "").Replace(offerOf("trunk", "A")), 9, true)
	must(t, err)
	_, err = m.join(Join{Conference: "c", Participant: "trunk", Latching: true}, offer)
	must(t, err)
	// Two who wait with one certificate could not be told apart.
	if _, err = m.join(Join{Conference: "d", Participant: "trunk", Latching: true}, offer); err == nil || m.conferences["d"] != nil {
		t.Errorf("a second leg with the same certificate waits: %v", err)
	}
	m.receive(addr(1), []byte{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1})
	for i := range 4 {
		m.receive(addr(10+i), hello)
	}
	if len(m.pending) != 2 || m.stats.Drops[DropHandshakes] != 2 || m.stats.Drops[DropStranger] != 2 {
		t.Errorf("%d handshakes, drops %v", len(m.pending), m.stats.Drops)
	}
	m.close()
}
