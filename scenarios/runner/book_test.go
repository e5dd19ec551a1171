package runner

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// second is a time of the run.
func second(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }

// tell has the controller tell of one person, at second after second.
func tell(b *book, when int, what meeting.EventName, person, by, rule string) []string {
	return b.happened(signaling.Event{Kind: signaling.EventMeeting, Time: second(when), Meeting: "id", What: what, Person: person, User: by, Rule: rule})
}

// The course of a person follows the controller's events; how somebody went is told by
// who did it.
func TestTheCourseOfAPerson(t *testing.T) {
	b := newBook(began)
	b.add("review", signaling.KindMeeting, "id", true)
	b.happened(signaling.Event{Meeting: "another", What: meeting.PersonAdmitted, Person: "zoe"})
	b.happened(signaling.Event{Meeting: "id", What: meeting.MeetingStarted, Region: "europe"})
	b.happened(signaling.Event{Meeting: "id", What: meeting.MeetingStarted, Region: "asia"})
	tell(b, 1, meeting.PersonAdmitted, "alice", "", "AutoAdmittedUsers")
	tell(b, 2, meeting.PersonWaits, "bob", "", "AutoAdmittedUsers")
	tell(b, 3, meeting.PersonAdmitted, "bob", "alice", "")
	tell(b, 3, meeting.PersonRefused, "carol", "", "DisableAnonymousJoin")
	tell(b, 3, meeting.PersonWaits, "dave", "", "AutoAdmittedUsers")
	b.leaves("bob")
	if alone := tell(b, 4, meeting.PersonLeft, "bob", "", ""); !slices.Equal(alone, []string{"alice"}) {
		t.Errorf("alone is %v, wanted alice", alone)
	}
	b.joins("bob", "review")
	tell(b, 5, meeting.PersonAdmitted, "bob", "", "")
	tell(b, 6, meeting.PersonLeft, "bob", "", "") // not by a step of his
	tell(b, 7, meeting.PersonLeft, "alice", "bob", "")
	b.close()
	tell(b, 8, meeting.PersonTimedOut, "dave", "", "")

	meetings, _, lobby := b.gather()
	want := map[string]string{
		"alice": "present by AutoAdmittedUsers, ended", "bob": "lobby by AutoAdmittedUsers, present, left, present, lost",
		"carol": "refused by DisableAnonymousJoin", "dave": "lobby by AutoAdmittedUsers",
	}
	if len(meetings) != 1 || len(meetings[0].People) != len(want) || meetings[0].Region != "europe" {
		t.Fatalf("got %+v", meetings)
	}
	for _, a := range meetings[0].People {
		text := ""
		for i, s := range a.Stays {
			if i > 0 {
				text += ", "
			}
			text += language.Stay{Place: s.Place, Rule: s.Rule}.Text()
		}
		if text != want[a.Person] {
			t.Errorf("%s: %s, wanted %s", a.Person, text, want[a.Person])
		}
	}
	if stay := meetings[0].People[1].Stays[1]; stay.By != "alice" || stay.At != result.Duration(3*time.Second) {
		t.Errorf("bob was let in as %+v", stay)
	}
	if !slices.Equal(lobby.Waited, []string{"bob", "dave"}) {
		t.Errorf("waited: %v", lobby.Waited)
	}
	for when, waited := range map[int]bool{1: false, 2: true, 3: false} {
		if got := b.during("bob", second(when)); got != waited {
			t.Errorf("at %d s bob waits: %v", when, got)
		}
	}
	// The wait ends with the person's, though the steps are over.
	if b.waiting("dave") || b.waiting("nobody") {
		t.Error("somebody waits still")
	}
}

func TestWhatIsDeniedIsAnOutcome(t *testing.T) {
	b := newBook(began)
	b.add("review", signaling.KindMeeting, "id", true)
	refused := fmt.Errorf("wrapped: %w", &signaling.Problem{Status: 403, Code: signaling.CodeForbidden, Rule: "role"})
	for err, denied := range map[error]bool{
		refused: true, &signaling.Problem{Status: 409}: true, &signaling.Problem{Status: 400, Rule: "processing-needs"}: true,
		&signaling.Problem{Status: 404}: false, errors.New("no network"): false, nil: false,
	} {
		if got := b.denied("review", "admit", "bob", err); got != denied {
			t.Errorf("%v is an outcome: %v", err, got)
		}
	}
	meetings, _, _ := b.gather()
	if got := meetings[0].Denied; len(got) != 3 || got[0].Text() != "admit by bob" {
		t.Errorf("denied: %+v", got)
	}
}

// The proof that a lobby is tight can fail: packets and messages in the time of the
// wait are counted, those before and after are not.
func TestWhatCrossesALobbyIsCounted(t *testing.T) {
	n, err := topology.Named("case5-teams-meeting")
	if err != nil {
		t.Fatal(err)
	}
	b := newBook(began)
	b.add("review", signaling.KindMeeting, "id", true)
	tell(b, 2, meeting.PersonWaits, "dave", "", "")
	traffic := newTraffic(n)
	relay, client := n.Host("relay").Addresses[0], n.Site("home").NAT.Addresses[0]
	for when := range 6 {
		if when == 4 {
			tell(b, 4, meeting.PersonAdmitted, "dave", "alice", "")
		}
		for _, payload := range [][]byte{{128, 96, 0, 1}, {22, 254, 253}, {0, 1, 0, 0}} {
			traffic.delivered(sim.Delivery{Time: second(when), From: "processor", To: "dave-pc",
				Packet: ipPacket(17, netip.MustParseAddrPort("20.202.0.11:3478"), netip.MustParseAddrPort("192.168.1.10:5000"), payload)})
		}
	}
	count := func() uint64 {
		return traffic.mediaDuring("dave-pc", func(at time.Time) bool { return b.during("dave", at) })
	}
	if got := count(); got != 4 { // SRTP and DTLS at 2 s and 3 s, no checks
		t.Errorf("%d packets reached dave in the lobby, wanted 4", got)
	}
	// In a stream to the relay, TLS hides media from the network, not from the relay.
	from := stream{client: netip.AddrPortFrom(client, 40000), toRelay: true}
	traffic.legs[legKey{from: "dave-pc", to: "relay", stream: from}] = &legCount{}
	traffic.relayed(from.client, true, []byte{128, 96}, second(3))
	traffic.relayed(from.client, true, []byte{128, 96}, second(5))
	if got := count(); got != 5 {
		t.Errorf("%d packets with those in the stream to %s, wanted 5", got, relay)
	}
	if got := traffic.mediaDuring("alice-pc", func(time.Time) bool { return true }); got != 0 {
		t.Errorf("%d packets at alice's host", got)
	}

	b.messages = []*messageEntry{{name: "secret", from: "alice", id: "m"}}
	b.received("dave", signaling.Notification{Message: &signaling.ChatMessage{ID: "m", From: "alice", Text: "psst"}}, true)
	b.crosses("dave") // who is not there any more
	tell(b, 6, meeting.PersonWaits, "dave", "", "")
	b.crosses("dave")
	_, messages, lobby := b.gather()
	if lobby.Messages != 2 || messages[0].To[0] != "dave" || messages[0].Text != "psst" {
		t.Errorf("got %+v and %+v", lobby, messages)
	}
	run := &result.Run{Lobby: &result.Lobby{Media: 1}}
	if got := violations(run, nil); len(got) != 1 {
		t.Errorf("violations: %v", got)
	}
}

// A message may be told before the request that sent it is answered.
func TestAMessageThatComesBeforeItsAnswer(t *testing.T) {
	b := newBook(began)
	b.messages = []*messageEntry{{name: "one", from: "alice"}, {name: "of-bob", from: "bob", id: "x"}}
	for range 2 {
		b.received("bob", signaling.Notification{Message: &signaling.ChatMessage{ID: "m", From: "alice", Text: "hi"}}, false)
	}
	b.received("alice", signaling.Notification{Message: &signaling.ChatMessage{ID: "m", From: "alice", Text: "hi"}}, false)
	b.received("bob", signaling.Notification{Message: &signaling.ChatMessage{ID: "other", From: "zoe"}}, false)
	_, messages, _ := b.gather()
	if got := messages[0]; !slices.Equal(got.To, []string{"bob"}) || got.Text != "hi" || len(messages[1].To) != 0 {
		t.Errorf("got %+v", messages)
	}
}
