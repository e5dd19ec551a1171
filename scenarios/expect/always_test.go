package expect

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/library"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func connected(e *language.Expect) { e.Call = "connected" }

// keys of the expectations that were not met, with whom they are about.
func unmet(checks []result.Expectation) string {
	var keys []string
	for _, c := range checks {
		if !c.Met {
			keys = append(keys, strings.TrimSuffix(c.Key+" "+c.About, " "))
		}
	}
	return strings.Join(keys, ", ")
}

func TestWhatAlwaysHoldsOfACallThatMustConnect(t *testing.T) {
	for _, c := range []struct {
		name  string
		state func(*language.Expect)
		run   func(*result.Run)
		want  string
	}{
		{"all is well", connected, func(*result.Run) {}, ""},
		{
			"bob sees another certificate", connected,
			func(r *result.Run) {
				d := r.Participants[1].Negotiation.DTLS[1]
				d.Peer = &negotiation.Certificate{Fingerprint: "CC", Promised: "BB"}
				r.Participants[1].Negotiation.DTLS = []negotiation.DTLS{d}
			},
			"always.fingerprint bob",
		},
		{
			"a byte was changed on the way to alice", connected,
			func(r *result.Run) {
				r.Participants[0].Streams = []result.Stream{{Received: 9, Intact: 8, Corrupt: 1}}
			},
			"always.intact alice",
		},
		{
			"a principle was breached", connected,
			func(r *result.Run) { r.Violations = []string{"media in the VPN"} },
			"always.violations",
		},
		{
			"the call connected, but a later step could not be taken", connected,
			func(r *result.Run) { r.NotTaken = "hangup: no answer" },
			"always.steps-taken",
		},
		{
			"the relay saw plaintext", connected,
			func(r *result.Run) { r.Relay.Plaintext = 3 },
			"always.relay-saw-plaintext",
		},
		{
			"nobody searched what was relayed", connected,
			func(r *result.Run) { r.Relay.Searched = 0 },
			"always.relay-saw-plaintext",
		},
		{
			"nothing was relayed", connected,
			func(r *result.Run) {
				all(func(p *result.Participant) { p.Relayed = false })(r)
				r.Relay = result.Relay{}
			},
			"",
		},
		{
			"the scenario expects a violation and corrupt payloads",
			func(e *language.Expect) {
				e.Call, e.Violations, e.Each.Intact = "connected", ptr(1), ptr(false)
			},
			func(r *result.Run) {
				r.Violations = []string{"media in the VPN"}
				stream(0, func(s *result.Stream) { s.Corrupt = 1 })(r)
			},
			"",
		},
		{
			"a call that is expected to fail", func(e *language.Expect) { e.Call = "failed" },
			func(r *result.Run) { *r = result.Run{Call: result.Call{State: "failed"}} },
			"",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := goodRun()
			c.run(r)
			if got := unmet(Check(scenario(c.state), r)); got != c.want {
				t.Errorf("not met: %q\nwant:    %q", got, c.want)
			}
		})
	}
}

func TestACallThatSaysNothingOfItsOutcomeMustConnectIfItWaitsForMedia(t *testing.T) {
	s := scenario(func(e *language.Expect) {})
	if got := Check(s, &result.Run{}); len(got) != 0 {
		t.Errorf("a scenario that expects nothing got %v", got)
	}
	s.Steps = []language.Step{{Connect: &language.Connect{}}}
	if got, want := unmet(Check(s, &result.Run{})), "always.fingerprint alice, always.intact alice, always.fingerprint bob, always.intact bob"; got != want {
		t.Errorf("not met: %q\nwant:    %q", got, want)
	}
}

func TestChecksAreInTheOrderOfTheFile(t *testing.T) {
	s := scenario(func(e *language.Expect) {
		e.Call = "connected"
		e.Each.Protocol = "udp"
		e.Each.Flows = []topology.Flow{"5"}
		e.Participants = map[string]language.ParticipantExpect{"bob": {Flows: []topology.Flow{"3", "4"}}}
	})
	s.Lines = map[string]int{"expect.call": 30, "expect.flows": 12, "expect.protocol": 31, "expect.participants.bob.flows": 33}
	var got []string
	for _, c := range stated(Check(s, goodRun())) {
		got = append(got, strings.TrimSuffix(c.Key+" "+c.About, " "))
		if c.Line != s.Lines[c.Key] {
			t.Errorf("%s stands in line %d, got %d", c.Key, s.Lines[c.Key], c.Line)
		}
	}
	want := []string{"expect.flows alice", "expect.call", "expect.protocol alice", "expect.protocol bob", "expect.participants.bob.flows bob"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// A finding leads to the line that states it, in files as people write them.
func TestChecksOfTheLibraryNameTheirLines(t *testing.T) {
	for _, name := range library.Names() {
		data, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := language.Parse(name, data)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		for _, c := range stated(Check(s, goodRun())) {
			key := c.Key[strings.LastIndexByte(c.Key, '.')+1:]
			if c.Line < 1 || !strings.Contains(lines[c.Line-1], key+":") {
				t.Errorf("%s: %s is said to stand in line %d", name, c.Key, c.Line)
			}
		}
	}
}

// What is said of one participant takes the place of what is said of each.
func TestOneParticipantsOwnExpectationWins(t *testing.T) {
	s := scenario(func(e *language.Expect) {
		e.Each.DTLSRole = "client"
		e.Participants = map[string]language.ParticipantExpect{"bob": {DTLSRole: "server"}}
	})
	if got, want := unmet(Check(s, goodRun())), "expect.participants.bob.dtls-role bob"; got != want {
		t.Errorf("not met: %q, want %q", got, want)
	}
}

func TestAnEmptyListOfFlowsWantsNone(t *testing.T) {
	s := scenario(func(e *language.Expect) { e.Each.Flows = []topology.Flow{} })
	if got, want := unmet(Check(s, goodRun())), "expect.flows alice, expect.flows bob"; got != want {
		t.Errorf("not met: %q, want %q", got, want)
	}
	if got := unmet(Check(s, &result.Run{})); got != "" {
		t.Errorf("not met without media: %q", got)
	}
}

func TestAHandshakeThatDidNotEndIsShown(t *testing.T) {
	s := scenario(func(e *language.Expect) { e.Each.CipherSuite = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA" })
	r := goodRun()
	all(func(p *result.Participant) {
		p.Negotiation.DTLS = []negotiation.DTLS{{CipherSuite: "other"}, {CipherSuite: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"}}
	})(r)
	if got := unmet(Check(s, r)); got != "" {
		t.Errorf("not met: %q", got)
	}
}

func TestABitrateThatWasNotMeasuredIsNotBelowALimit(t *testing.T) {
	s := &language.Scenario{Participants: []language.Participant{{Name: "alice"}}}
	s.Expect.Each.Bitrate = &language.Range{Max: ptr(2e6)}
	r := goodRun()
	all(func(p *result.Participant) { p.Streams = []result.Stream{{Kind: "video", Received: 3}} })(r)
	checks := Check(s, r)
	if len(checks) != 1 || checks[0].Met || checks[0].Seen != "nothing seen" {
		t.Errorf("got %+v, wanted a bitrate that was not seen", checks)
	}
}
