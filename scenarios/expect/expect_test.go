package expect

import (
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

// goodRun is a run in which alice, behind a relay, talks to bob, and everything
// went well.
func goodRun() *result.Run {
	handshake := negotiation.DTLS{
		Role: "client", Version: "DTLS 1.2", CipherSuite: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		SRTPProfile: "SRTP_AEAD_AES_256_GCM", ExtendedMasterSecret: true, Complete: true,
		Own:  &negotiation.Certificate{Key: "ECDSA P-256", Fingerprint: "AA", Promised: "AA", Matched: true},
		Peer: &negotiation.Certificate{Key: "ECDSA P-256", Fingerprint: "BB", Promised: "BB", Matched: true},
	}
	relayed := negotiation.Candidate{Type: "relay", Address: addrPort("20.202.0.10:50000")}
	alice := result.Participant{
		Name: "alice", Host: "alice-pc", Path: "relay → host over udp", Pair: [2]string{"relay", "host"},
		Protocol: "udp", Relayed: true,
		Flows:          []topology.Flow{"4", "3"},
		SignalingFlows: []topology.Flow{"4"},
		Negotiation: negotiation.Record{
			Verdict: "media flows, SRTP keyed by DTLS 1.2",
			ICE: negotiation.ICE{
				Role:     "controlling",
				Selected: &negotiation.Pair{Local: relayed, Remote: negotiation.Candidate{Type: "host"}},
			},
			TURN: []negotiation.TURN{
				{Server: addrPort("20.202.0.2:3478"), Relayed: addrPort("20.202.0.10:49999")},
				{Server: addrPort("20.202.0.2:3481"), Relayed: relayed.Address},
			},
			DTLS: []negotiation.DTLS{{Version: "DTLS 1.2", Retransmissions: 9}, handshake},
		},
		Streams: []result.Stream{
			{
				Kind: "audio", Codec: "opus", Received: 150, Intact: 150, LossRate: 0.01,
				RTT: ms(40), Jitter: ms(2), Bitrate: 32e3, MOS: 4.3,
			},
			{
				Kind: "video", Codec: "vp8", Received: 400, Intact: 400, LossRate: 0.005,
				STUNRTT: ms(42), Jitter: ms(5), Bitrate: 500e3, Freezes: 1,
			},
		},
		Restarts: 1, Gap: ms(120),
		Joined: true, Rejoins: 1, Processor: "processor", Hears: []string{"carol", "bob"}, Sees: []string{"carol"}, Slides: []string{"dave"},
	}
	bob := alice
	bob.Name, bob.Host = "bob", "bob-pc"
	return &result.Run{
		Call: result.Call{State: "connected", Setup: ms(800)},
		Steps: []result.Step{
			{Name: "resolve", At: ms(1)}, {Name: "invite", At: ms(5)}, {Name: "hold", At: ms(6)}, {Name: "answer", At: ms(7)},
		},
		Legs: []result.Leg{
			{From: "alice-pc", To: "relay", Traffic: result.TrafficMedia, Media: 500, Way: topology.Way{{Kind: topology.HopHost, Name: "alice-pc"}}},
		},
		Participants: []result.Participant{alice, bob},
		Relay: result.Relay{
			Packets: 600, Searched: 550, Payloads: map[string]uint64{"stun": 50, "srtp": 550},
			Refusals: []string{"CreatePermission 403: peer 10.0.0.1 is denied by rule private"},
		},
		Processors: []result.Processor{{Host: "processor", Joins: 2, PacketsIn: 400, PacketsOut: 400}},
		Lobby:      &result.Lobby{Waited: []string{"dave"}},
	}
}

// all is about both participants of goodRun.
func all(change func(*result.Participant)) func(*result.Run) {
	return func(r *result.Run) {
		for i := range r.Participants {
			change(&r.Participants[i])
		}
	}
}

// stream changes a stream of both participants; 0 is audio, 1 video.
func stream(i int, change func(*result.Stream)) func(*result.Run) {
	return all(func(p *result.Participant) {
		streams := append([]result.Stream(nil), p.Streams...)
		change(&streams[i])
		p.Streams = streams
	})
}

// dtls changes the handshake that counts of both participants.
func dtls(change func(*negotiation.DTLS)) func(*result.Run) {
	return all(func(p *result.Participant) {
		d := p.Negotiation.DTLS[1]
		own, peer := *d.Own, *d.Peer
		d.Own, d.Peer = &own, &peer
		change(&d)
		p.Negotiation.DTLS = []negotiation.DTLS{p.Negotiation.DTLS[0], d}
	})
}

// kinds has for each kind of expectation what a scenario states, which goodRun
// meets, and changes of the run after which it is not met.
var kinds = []struct {
	key    string
	state  func(*language.Expect)
	wanted string
	seen   string
	spoil  map[string]func(*result.Run)
	// absent is true for what a run always knows, so that "nothing seen" cannot
	// be said of it.
	absent bool
}{
	{
		key: "call", state: func(e *language.Expect) { e.Call = "connected" }, wanted: "connected", seen: "connected",
		spoil: map[string]func(*result.Run){
			"failed: no answer": func(r *result.Run) { r.Call = result.Call{State: "failed", Reason: "no answer"} },
		},
	},
	{
		key:    "steps",
		state:  func(e *language.Expect) { e.Steps = []string{"resolve", "invite", "answer"} },
		wanted: "resolve, invite, answer", seen: "resolve, invite, answer",
		spoil: map[string]func(*result.Run){
			"resolve, answer, invite": func(r *result.Run) { r.Steps[1].At, r.Steps[3].At = r.Steps[3].At, r.Steps[1].At },
			"invite, answer":          func(r *result.Run) { r.Steps = r.Steps[1:] },
		},
	},
	{
		key:    "reason",
		state:  func(e *language.Expect) { e.Reason = "Fingerprint" },
		wanted: `something with "Fingerprint"`, seen: "the fingerprint is not the SDP's",
		spoil: map[string]func(*result.Run){"no answer": func(r *result.Run) { r.Call.Reason = "no answer" }},
	},
	{
		key:    "setup-within",
		state:  func(e *language.Expect) { e.SetupWithin = language.Duration(2 * time.Second) },
		wanted: "<= 2s", seen: "800ms",
		spoil: map[string]func(*result.Run){"2.001s": func(r *result.Run) { r.Call.Setup = ms(2001) }},
	},
	{
		key: "media-in-vpn", state: func(e *language.Expect) { e.MediaInVPN = ptr(false) }, wanted: "no", seen: "no",
		spoil: map[string]func(*result.Run){
			"yes (7 packets from alice-pc to relay in corporate)": func(r *result.Run) {
				r.Legs[0].Packets = 7
				r.Legs[0].Way = append(r.Legs[0].Way, topology.Hop{Kind: topology.HopTunnel, Name: "corporate"})
			},
		},
	},
	{
		key: "relay-saw-plaintext", state: func(e *language.Expect) { e.RelaySawPlaintext = ptr(false) },
		wanted: "no", seen: "no (0 of 550 packets)",
		spoil: map[string]func(*result.Run){"yes (1 of 550 packets)": func(r *result.Run) { r.Relay.Plaintext = 1 }},
	},
	{
		key: "relay-refused", state: func(e *language.Expect) { e.RelayRefused = "403" },
		wanted: `something with "403"`, seen: "CreatePermission 403: peer 10.0.0.1 is denied by rule private",
		spoil: map[string]func(*result.Run){"Allocate 486": func(r *result.Run) { r.Relay.Refusals = []string{"Allocate 486"} }},
	},
	{
		key: "processor-allocated", state: func(e *language.Expect) { e.ProcessorAllocated = ptr(false) },
		wanted: "no", seen: "no (0 packets of TURN at the media processor)",
		spoil: map[string]func(*result.Run){
			"yes (3 packets of TURN at the media processor)": func(r *result.Run) { r.Processors[0].TURN = 3 },
			"nothing seen": func(r *result.Run) { r.Processors[0].PacketsIn = 0 },
		},
	},
	{
		key: "processor-used", state: func(e *language.Expect) { e.ProcessorUsed = ptr(true) },
		wanted: "yes", seen: "yes (400 packets)",
		spoil: map[string]func(*result.Run){"no (0 packets)": func(r *result.Run) { r.Processors[0].PacketsIn = 0 }},
	},
	{
		key: "lobby-crossed", state: func(e *language.Expect) { e.LobbyCrossed = ptr(false) },
		wanted: "no", seen: "no (dave waited; 0 packets of media and 0 messages of a chat meanwhile)",
		spoil: map[string]func(*result.Run){
			"yes (dave waited; 2 packets of media and 0 messages of a chat meanwhile)": func(r *result.Run) { r.Lobby.Media = 2 },
			"yes (dave waited; 0 packets of media and 1 messages of a chat meanwhile)": func(r *result.Run) { r.Lobby.Messages = 1 },
			"nothing seen": func(r *result.Run) { r.Lobby.Waited = nil },
		},
	},
	{
		key: "processor", state: func(e *language.Expect) { e.Each.Processor = "processor" }, wanted: "processor", seen: "processor",
		spoil: map[string]func(*result.Run){"processor-2": all(func(p *result.Participant) { p.Processor = "processor-2" })},
	},
	{
		key: "hears", state: func(e *language.Expect) { e.Each.Hears = []string{"bob", "carol"} }, wanted: "bob, carol", seen: "bob, carol",
		spoil: map[string]func(*result.Run){
			"bob":              all(func(p *result.Participant) { p.Hears = []string{"bob"} }),
			"bob, carol, dave": all(func(p *result.Participant) { p.Hears = []string{"dave", "bob", "carol"} }),
		},
	},
	{
		key: "sees", state: func(e *language.Expect) { e.Each.Sees = []string{"carol"} }, wanted: "carol", seen: "carol",
		spoil: map[string]func(*result.Run){"nobody": all(func(p *result.Participant) { p.Sees = nil })},
	},
	{
		key: "slides", state: func(e *language.Expect) { e.Each.Slides = []string{"dave"} }, wanted: "dave", seen: "dave",
		spoil: map[string]func(*result.Run){"nobody": all(func(p *result.Participant) { p.Slides = nil })},
	},
	{
		key: "rejoins", state: func(e *language.Expect) { e.Each.Rejoins = at(1) }, wanted: "1", seen: "1",
		spoil: map[string]func(*result.Run){"2": all(func(p *result.Participant) { p.Rejoins = 2 })},
	},
	{
		key: "relay-unused", state: func(e *language.Expect) { e.RelayUnused = ptr(false) },
		wanted: "no", seen: "no (550 payloads of media)", absent: true,
		spoil: map[string]func(*result.Run){
			"yes (0 payloads of media)": func(r *result.Run) { r.Relay.Payloads = map[string]uint64{"stun": 12} },
		},
	},
	{
		key: "violations", state: func(e *language.Expect) { e.Violations = ptr(0) }, wanted: "0", seen: "0", absent: true,
		spoil: map[string]func(*result.Run){
			"1: media in the VPN": func(r *result.Run) { r.Violations = []string{"media in the VPN"} },
		},
	},
	{
		key:    "flows",
		state:  func(e *language.Expect) { e.Each.Flows = []topology.Flow{"3", "4"} },
		wanted: "3, 4", seen: "3, 4",
		spoil: map[string]func(*result.Run){
			"4":       all(func(p *result.Participant) { p.Flows = []topology.Flow{"4"} }),
			"3, 4, 5": all(func(p *result.Participant) { p.Flows = []topology.Flow{"5", "4", "3"} }),
		},
	},
	{
		key:    "signaling-flows",
		state:  func(e *language.Expect) { e.Each.SignalingFlows = []topology.Flow{"4"} },
		wanted: "4", seen: "4",
		spoil: map[string]func(*result.Run){
			"2*, 4": all(func(p *result.Participant) { p.SignalingFlows = []topology.Flow{"2*", "4"} }),
		},
	},
	{
		key:    "pair",
		state:  func(e *language.Expect) { e.Each.Pair = []string{"relay", "host|srflx"} },
		wanted: "relay → host|srflx", seen: "relay → host",
		spoil: map[string]func(*result.Run){
			"relay → prflx": all(func(p *result.Participant) { p.Pair[1] = "prflx" }),
			"host → relay":  all(func(p *result.Participant) { p.Pair = [2]string{"host", "relay"} }),
		},
	},
	{
		key: "protocol", state: func(e *language.Expect) { e.Each.Protocol = "udp" }, wanted: "udp", seen: "udp",
		spoil: map[string]func(*result.Run){"tls": all(func(p *result.Participant) { p.Protocol = "tls" })},
	},
	{
		key: "relay-port", state: func(e *language.Expect) { e.Each.RelayPort = 3481 }, wanted: "3481", seen: "3481",
		spoil: map[string]func(*result.Run){
			"443": all(func(p *result.Participant) {
				p.Negotiation.TURN = []negotiation.TURN{{Server: addrPort("20.202.0.2:443"), Relayed: addrPort("20.202.0.10:50000")}}
			}),
			"nothing seen": all(func(p *result.Participant) {
				p.Negotiation.ICE.Selected = &negotiation.Pair{Local: negotiation.Candidate{Type: "host"}}
			}),
		},
	},
	{
		key: "relayed", state: func(e *language.Expect) { e.Each.Relayed = ptr(true) }, wanted: "yes", seen: "yes (relay → host over udp)",
		spoil: map[string]func(*result.Run){
			"no (host → host)": all(func(p *result.Participant) { p.Relayed, p.Path = false, "host → host" }),
		},
	},
	{
		key: "dtls-version", state: func(e *language.Expect) { e.Each.DTLSVersion = "DTLS 1.2" }, wanted: "DTLS 1.2", seen: "DTLS 1.2",
		spoil: map[string]func(*result.Run){"DTLS 1.0": dtls(func(d *negotiation.DTLS) { d.Version = "DTLS 1.0" })},
	},
	{
		key:    "cipher-suite",
		state:  func(e *language.Expect) { e.Each.CipherSuite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" },
		wanted: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", seen: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		spoil: map[string]func(*result.Run){
			"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": dtls(func(d *negotiation.DTLS) { d.CipherSuite = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA" }),
		},
	},
	{
		key:    "srtp-profile",
		state:  func(e *language.Expect) { e.Each.SRTPProfile = "aead-aes-256-gcm" },
		wanted: "SRTP_AEAD_AES_256_GCM", seen: "SRTP_AEAD_AES_256_GCM",
		spoil: map[string]func(*result.Run){
			"SRTP_AEAD_AES_128_GCM": dtls(func(d *negotiation.DTLS) { d.SRTPProfile = "SRTP_AEAD_AES_128_GCM" }),
		},
	},
	{
		key: "dtls-role", state: func(e *language.Expect) { e.Each.DTLSRole = "client" }, wanted: "client", seen: "client",
		spoil: map[string]func(*result.Run){"server": dtls(func(d *negotiation.DTLS) { d.Role = "server" })},
	},
	{
		key: "certificate", state: func(e *language.Expect) { e.Each.Certificate = "ecdsa" }, wanted: "ecdsa", seen: "ecdsa",
		spoil: map[string]func(*result.Run){
			"rsa":          dtls(func(d *negotiation.DTLS) { d.Own.Key = "RSA 2048" }),
			"nothing seen": dtls(func(d *negotiation.DTLS) { d.Own = nil }),
		},
	},
	{
		key: "fingerprint", state: func(e *language.Expect) { e.Each.Fingerprint = "verified" }, wanted: "verified", seen: "verified",
		spoil: map[string]func(*result.Run){
			"mismatch":     dtls(func(d *negotiation.DTLS) { d.Peer.Matched = false }),
			"not promised": dtls(func(d *negotiation.DTLS) { d.Peer.Promised = "" }),
			"nothing seen": dtls(func(d *negotiation.DTLS) { d.Peer = nil }),
		},
	},
	{
		key: "extended-master-secret", state: func(e *language.Expect) { e.Each.ExtendedKeys = ptr(true) }, wanted: "yes", seen: "yes",
		spoil: map[string]func(*result.Run){"no": dtls(func(d *negotiation.DTLS) { d.ExtendedMasterSecret = false })},
	},
	{
		key: "dtls-retransmissions", state: func(e *language.Expect) { e.Each.Retransmitted = at(0) }, wanted: "0", seen: "0",
		spoil: map[string]func(*result.Run){"3": dtls(func(d *negotiation.DTLS) { d.Retransmissions = 3 })},
	},
	{
		key: "ice-role", state: func(e *language.Expect) { e.Each.ICERole = "controlling" }, wanted: "controlling", seen: "controlling",
		spoil: map[string]func(*result.Run){"controlled": all(func(p *result.Participant) { p.Negotiation.ICE.Role = "controlled" })},
	},
	{
		key: "verdict", state: func(e *language.Expect) { e.Each.Verdict = "Media flows" },
		wanted: `something with "Media flows"`, seen: "media flows, SRTP keyed by DTLS 1.2",
		spoil: map[string]func(*result.Run){
			"no handshake": all(func(p *result.Participant) { p.Negotiation.Verdict = "no handshake" }),
		},
	},
	{
		key: "loss", state: func(e *language.Expect) { e.Each.Loss = between(0, 0.02) },
		wanted: "0 % to 2 %", seen: "opus 1 %, vp8 0.5 %",
		spoil: map[string]func(*result.Run){"opus 1 %, vp8 3 %": stream(1, func(s *result.Stream) { s.LossRate = 0.03 })},
	},
	{
		key: "rtt", state: func(e *language.Expect) { e.Each.RTT = between(30, 50) },
		wanted: "30 ms to 50 ms", seen: "opus 40 ms, vp8 42 ms",
		spoil: map[string]func(*result.Run){
			"opus 51 ms, vp8 42 ms":        stream(0, func(s *result.Stream) { s.RTT = ms(51) }),
			"opus 40 ms, vp8 nothing seen": stream(1, func(s *result.Stream) { s.STUNRTT = 0 }),
		},
	},
	{
		key: "jitter", state: func(e *language.Expect) { e.Each.Jitter = between(0, 10) },
		wanted: "0 ms to 10 ms", seen: "opus 2 ms, vp8 5 ms",
		spoil: map[string]func(*result.Run){"opus 12.5 ms, vp8 5 ms": stream(0, func(s *result.Stream) { s.Jitter = result.Duration(12500 * time.Microsecond) })},
	},
	{
		key: "mos", state: func(e *language.Expect) { e.Each.MOS = &language.Range{Min: ptr(4.0)} }, wanted: ">= 4", seen: "opus 4.3",
		spoil: map[string]func(*result.Run){"opus 3.1": stream(0, func(s *result.Stream) { s.MOS = 3.1 })},
	},
	{
		key: "bitrate", state: func(e *language.Expect) { e.Each.Bitrate = &language.Range{Min: ptr(500e3), Max: ptr(2e6)} },
		wanted: "500 kbit/s to 2 Mbit/s", seen: "532 kbit/s",
		spoil: map[string]func(*result.Run){
			"32 kbit/s":    stream(1, func(s *result.Stream) { s.Received = 0 }),
			"3.03 Mbit/s":  stream(1, func(s *result.Stream) { s.Bitrate = 3e6 }),
			"nothing seen": all(func(p *result.Participant) { p.Streams = nil }),
		},
	},
	{
		key: "freezes", state: func(e *language.Expect) { e.Each.Freezes = &language.Range{Max: ptr(1.0)} }, wanted: "<= 1", seen: "1",
		spoil: map[string]func(*result.Run){
			"2":            stream(1, func(s *result.Stream) { s.Freezes = 2 }),
			"nothing seen": all(func(p *result.Participant) { p.Streams = p.Streams[:1] }),
		},
	},
	{
		key: "gap", state: func(e *language.Expect) { e.Each.Gap = &language.Range{Max: ptr(150.0)} }, wanted: "<= 150 ms", seen: "120 ms",
		spoil: map[string]func(*result.Run){"151 ms": all(func(p *result.Participant) { p.Gap = ms(151) })},
	},
	{
		key: "intact", state: func(e *language.Expect) { e.Each.Intact = ptr(true) }, wanted: "yes", seen: "yes (550 intact, 0 corrupt)",
		spoil: map[string]func(*result.Run){
			"no (550 intact, 1 corrupt)": stream(0, func(s *result.Stream) { s.Corrupt = 1 }),
			"no (150 intact, 0 corrupt)": stream(1, func(s *result.Stream) { s.Intact = 0 }),
		},
	},
	{
		key: "restarts", state: func(e *language.Expect) { e.Each.Restarts = at(1) }, wanted: "1", seen: "1",
		spoil: map[string]func(*result.Run){"0": all(func(p *result.Participant) { p.Restarts = 0 })},
	},
}

// scenario states one thing about alice and bob.
func scenario(state func(*language.Expect)) *language.Scenario {
	s := &language.Scenario{Participants: []language.Participant{{Name: "alice", Host: "alice-pc"}, {Name: "bob", Host: "bob-pc"}}}
	state(&s.Expect)
	return s
}

// stated are the checks that do not hold always.
func stated(checks []result.Expectation) []result.Expectation {
	var some []result.Expectation
	for _, c := range checks {
		if !strings.HasPrefix(c.Key, "always.") {
			some = append(some, c)
		}
	}
	return some
}

func TestEachKindCanBeMetAndCanFail(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.key, func(t *testing.T) {
			good := goodRun()
			if kind.key == "reason" {
				good.Call.Reason = "the fingerprint is not the SDP's"
			}
			judge(t, kind.key, kind.state, good, kind.wanted, kind.seen, true)
			for seen, spoil := range kind.spoil {
				bad := goodRun()
				spoil(bad)
				judge(t, kind.key, kind.state, bad, kind.wanted, seen, false)
			}
			if !kind.absent {
				judge(t, kind.key, kind.state, &result.Run{}, kind.wanted, "nothing seen", false)
			}
		})
	}
}

func judge(t *testing.T, key string, state func(*language.Expect), r *result.Run, wanted, seen string, met bool) {
	t.Helper()
	checks := stated(Check(scenario(state), r))
	if len(checks) == 0 {
		t.Fatal("the expectation was not evaluated")
	}
	for _, c := range checks {
		if c.Key != "expect."+key || c.Wanted != wanted || c.Seen != seen || c.Met != met {
			t.Errorf("got  %s: wanted %q, seen %q, met %v\nwant %s: wanted %q, seen %q, met %v",
				c.Key, c.Wanted, c.Seen, c.Met, "expect."+key, wanted, seen, met)
		}
	}
}

// A kind without a test here might be one that cannot fail.
func TestEveryRowIsTested(t *testing.T) {
	tested := map[string]bool{}
	for _, kind := range kinds {
		tested[kind.key] = len(kind.spoil) > 0
	}
	for _, row := range runRows {
		if !tested[row.key] {
			t.Errorf("no test of %q", row.key)
		}
	}
	for _, row := range participantRows {
		if !tested[row.key] {
			t.Errorf("no test of %q", row.key)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func at(v float64) *language.Range { return between(v, v) }

func between(low, high float64) *language.Range { return &language.Range{Min: &low, Max: &high} }

func ms(n int) result.Duration { return result.Duration(time.Duration(n) * time.Millisecond) }
