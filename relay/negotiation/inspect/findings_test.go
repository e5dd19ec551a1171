package inspect_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/inspect"
)

// findings are those of a record, which is read as a run's.
func findings(t *testing.T, rec negotiation.Record) []string {
	t.Helper()
	run := map[string]any{"scenario": "x", "participants": []any{map[string]any{"name": "alice", "negotiation": rec}}}
	return only(t, read(t, []byte(marshal(t, run)), inspect.Options{})).Findings
}

func TestFindings(t *testing.T) {
	own, peer := addr("192.0.2.1:5000"), addr("203.0.113.7:51000")
	sent := func(result string, relayed bool, to netip.AddrPort) negotiation.Check {
		return negotiation.Check{Local: own, Remote: to, Direction: "sent", Result: result, Relayed: relayed, Sent: 4}
	}
	arrived := negotiation.Check{Local: own, Remote: peer, Direction: "received", Result: "succeeded"}
	dtls := func(change func(*negotiation.DTLS)) negotiation.Record {
		d := negotiation.DTLS{Local: own, Remote: peer, Role: "client", Flights: []negotiation.Flight{{From: "client", Messages: []string{"ClientHello"}}}}
		change(&d)
		return negotiation.Record{DTLS: []negotiation.DTLS{d}}
	}
	both := []negotiation.SRTP{{Direction: "sent", Packets: 5}, {Direction: "received", Packets: 5}}
	turn := func(errors ...string) negotiation.Record {
		return negotiation.Record{TURN: []negotiation.TURN{{Server: addr("20.202.0.1:3478"), Protocol: "udp", Username: "alice", Errors: errors}}}
	}
	for name, tt := range map[string]struct {
		record negotiation.Record
		want   string // empty: none
	}{
		"nothing": {negotiation.Record{}, ""},
		"no check answered": {negotiation.Record{ICE: negotiation.ICE{Checks: []negotiation.Check{sent("no answer", false, peer), sent("no answer", true, peer)}}},
			"none of 2 ICE checks (8 requests) to 203.0.113.7:51000 was answered: UDP 49152–65535 blocked?"},
		"no check answered, to many": {negotiation.Record{ICE: negotiation.ICE{Checks: []negotiation.Check{sent("no answer", false, addr("192.0.2.9:1")),
			sent("no answer", false, addr("192.0.2.9:2")), sent("no answer", false, addr("192.0.2.9:3")), sent("no answer", false, addr("192.0.2.9:4"))}}},
			"to 192.0.2.9:1, 192.0.2.9:2, 192.0.2.9:3 and 1 more was answered: UDP 1 blocked?"},
		"no relayed check answered": {negotiation.Record{ICE: negotiation.ICE{Checks: []negotiation.Check{sent("no answer", true, peer)}}}, "all went through the relay"},
		"no check answered, those of the peer arrive": {negotiation.Record{ICE: negotiation.ICE{Checks: []negotiation.Check{sent("no answer", false, peer), arrived}}},
			"the peer's checks arrive, so one direction works"},
		"answered, nothing nominated": {negotiation.Record{ICE: negotiation.ICE{Checks: []negotiation.Check{sent("succeeded", false, peer)}}}, "no pair was nominated"},
		"no ClientHello answered": {dtls(func(d *negotiation.DTLS) { d.Retransmissions = 6 }),
			"no ClientHello answered, of 7 sent to 203.0.113.7:51000: UDP 49152–65535 blocked?"},
		"ClientHello not answered here": {dtls(func(d *negotiation.DTLS) { d.Role = "server" }), "arrived, but no answer was sent"},
		"DTLS stopped in the middle": {dtls(func(d *negotiation.DTLS) {
			d.Flights = append(d.Flights, negotiation.Flight{From: "server", Messages: []string{"ServerHello", "Certificate"}})
		}), "stopped after the server's ServerHello, Certificate"},
		"DTLS ended by an alert": {dtls(func(d *negotiation.DTLS) {
			d.Alerts = []string{"server: fatal handshake_failure"}
			d.Flights = append(d.Flights, negotiation.Flight{From: "server", Messages: []string{"ServerHello"}})
		}), "ended by an alert from the server: fatal handshake_failure: no cipher suite, group or SRTP profile in common?"},
		"DTLS ended by an unusual alert": {dtls(func(d *negotiation.DTLS) {
			d.Alerts = []string{"client: fatal internal_error"}
			d.Flights = append(d.Flights, negotiation.Flight{From: "server", Messages: []string{"ServerHello"}})
		}), "ended by an alert from the client: fatal internal_error"},
		"DTLS done but no SRTP": {dtls(func(d *negotiation.DTLS) { d.Complete, d.SRTPProfile = true, "SRTP_AEAD_AES_128_GCM" }),
			"DTLS is done, but no SRTP packet was seen"},
		"no SRTP profile": {dtls(func(d *negotiation.DTLS) { d.Complete = true }), "agreed on no SRTP profile"},
		"no encryption":   {dtls(func(d *negotiation.DTLS) { d.Complete, d.SRTPProfile = true, "SRTP_NULL_HMAC_SHA1_80" }), "media is not encrypted"},
		"an old version":  {dtls(func(d *negotiation.DTLS) { d.Complete, d.SRTPProfile, d.Version = true, "x", "DTLS 1.0" }), "RFC 8996"},
		"one way out":     {negotiation.Record{SRTP: both[:1]}, "SRTP is sent but none is received"},
		"one way in":      {negotiation.Record{SRTP: both[1:]}, "SRTP is received but none is sent"},
		"allocation refused": {turn("Allocate 486 Allocation Quota Reached"),
			`TURN server 20.202.0.1:3478 refused Allocate: 486 Allocation Quota Reached, the user's quota is used up (user "alice")`},
		"allocation refused with a code of its own": {turn("Allocate 499 Nobody"), `refused Allocate: 499 Nobody (user "alice")`},
		"no answer from the relay":                  {turn("Allocate no answer"), "did not answer Allocate over udp: UDP 3478–3481 blocked?"},
		"no answer from the relay over TLS": {negotiation.Record{TURN: []negotiation.TURN{{Server: addr("20.202.0.1:443"), Protocol: "tls", Errors: []string{"Allocate no answer"}}}},
			"TCP 443 blocked?"},
		"no answer from the relay over DTLS": {negotiation.Record{TURN: []negotiation.TURN{{Server: addr("20.202.0.1:5349"), Protocol: "dtls", Errors: []string{"Allocate no answer"}}}},
			"UDP 5349 blocked?"},
		"a peer refused": {turn("CreatePermission 403 Forbidden"), "403 Forbidden, the server's policy forbids"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(findings(t, tt.record), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	flowing := turn("CreatePermission 403 Forbidden")
	flowing.SRTP = both
	flowing.DTLS = dtls(func(d *negotiation.DTLS) { d.Complete, d.SRTPProfile = true, "x" }).DTLS
	if got := findings(t, flowing); len(got) > 0 {
		t.Errorf("a refused peer that nobody needed: %q", got)
	}
}

// What a peer writes into its messages does not reach the terminal as it is.
func TestTextIsPlain(t *testing.T) {
	rec := negotiation.Record{Leg: "x", Verdict: "evil \x1b[2J", Problems: []string{"a\u202eb\nc"}}
	rec.TURN = []negotiation.TURN{{Username: "mallory\x07\tx"}}
	rec.DTLS = []negotiation.DTLS{{Alerts: []string{"server: fatal x"}, MKI: "01", Own: &negotiation.Certificate{Key: "RSA", Promised: "other"}}}
	rec.ICE.Local = []negotiation.Candidate{{Type: "srflx", Related: addr("10.0.0.1:1")}}
	for range 100 {
		rec.SRTP = append(rec.SRTP, negotiation.SRTP{Direction: "sent"})
	}
	r := &inspect.Report{File: "evil\x1b.pcap", Notes: []string{"\x1b"}, Legs: []inspect.Leg{{Record: rec, Transactions: []inspect.Transaction{{What: "turn.refused", Text: "\x1b", Count: 3}}}}}
	got := text(t, r)
	for _, c := range got {
		if c != '\n' && c < ' ' || c == '\u202e' {
			t.Errorf("the text has %q:\n%s", c, got)
		}
	}
	contains(t, "text", got, "mallory· x", "and 40 more", "(3 times)", "but the SDP promised other", "related to 10.0.0.1:1")
	var colored strings.Builder
	if err := r.Text(&colored, true); err != nil {
		t.Fatal(err)
	}
	contains(t, "colours", colored.String(), "\x1b[31m✗\x1b[0m x: evil ·[2J")
	if err := r.Text(failing{}, true); err == nil {
		t.Error("no error of the writer")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errTape }
