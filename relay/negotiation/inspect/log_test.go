package inspect_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/inspect"
	"github.com/callpath/callpath/relay/negotiation/relaylog"
)

// runLog is what a run writes of the recorded call, with everything or only from
// slog.LevelInfo on.
func runLog(t testing.TB, c call, level slog.Level, scenarios ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, scenario := range scenarios {
		log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level})).With("scenario", scenario)
		now := epoch
		r := negotiation.NewRecorder(negotiation.Config{Leg: "alice", Log: log, Keys: true, Now: func() time.Time { return now }})
		r.Description(true, "offer", c.offer)
		r.Description(false, "answer", c.answer)
		for line := range strings.Lines(c.keyLog) {
			r.KeyLog(strings.TrimSpace(line))
		}
		for _, p := range c.packets {
			r.Packet(epoch.Add(p.at), p.outbound, p.packet)
		}
		log.Info("permission-created", "user", "alice", "relay", "20.202.0.1:50000", "peer", "10.1.0.20") // of the relay, no leg
		r.Tell()
	}
	return out.Bytes()
}

// The record that ends a leg in a log is the one that JSON has.
func TestLogsOfRuns(t *testing.T) {
	c := recorded(t)
	for _, tt := range []struct {
		scenarios, names []string
	}{
		{[]string{"one"}, []string{"alice"}},
		{[]string{"one", "two"}, []string{"one/alice", "two/alice"}},
		{[]string{"one", "one"}, []string{"alice", "alice (2)"}},
	} {
		r := read(t, runLog(t, c, slog.LevelInfo, tt.scenarios...), inspect.Options{})
		if strings.Join(names(r), " ") != strings.Join(tt.names, " ") {
			t.Errorf("legs %v, wanted %v", names(r), tt.names)
		}
		for _, l := range r.Legs {
			if l.Troubled() || l.Stage() != negotiation.StageMedia || len(l.ICE.Checks) == 0 || len(l.Descriptions) != 2 || len(l.SRTP) != 2 {
				t.Errorf("%s: %s", l.Leg, marshal(t, l))
			}
		}
		if r.Format != "log" || r.First.IsZero() || r.Last.Before(r.First) {
			t.Errorf("report: %+v", r)
		}
	}
}

// A log that has not ended yet tells what its events do.
func TestALogWithoutTheLastRecord(t *testing.T) {
	c := recorded(t)
	whole := runLog(t, c, slog.LevelDebug, "one")
	cut := whole[:bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1]
	l := only(t, read(t, cut, inspect.Options{}))
	want := only(t, read(t, whole, inspect.Options{}))
	contains(t, "problems", strings.Join(l.Problems, "\n"), "no last record")
	contains(t, "verdict", l.Verdict, "no verdict yet, the last event is ")
	if len(l.DTLS) != 1 || len(l.SRTP) != 2 || l.ICE.Selected == nil {
		t.Fatalf("record: %s", marshal(t, l))
	}
	got, wanted := l.DTLS[0], want.DTLS[0]
	if !got.Complete || got.Version != wanted.Version || got.CipherSuite != wanted.CipherSuite || got.SRTPProfile != wanted.SRTPProfile ||
		got.Role != wanted.Role || got.Duration != wanted.Duration || len(got.CipherSuitesOffered) != len(wanted.CipherSuitesOffered) {
		t.Errorf("handshake: %+v, wanted what is in %+v", got, wanted)
	}
	if len(l.ICE.Checks) != len(want.ICE.Checks) || len(l.ICE.Local) != len(want.ICE.Local) {
		t.Errorf("%d checks and %d local candidates, wanted %d and %d", len(l.ICE.Checks), len(l.ICE.Local), len(want.ICE.Checks), len(want.ICE.Local))
	}
	for i, check := range l.ICE.Checks {
		if other := want.ICE.Checks[i]; check.Result != other.Result || check.Direction != other.Direction || check.Remote != other.Remote {
			t.Errorf("check %d: %+v, wanted %+v", i, check, other)
		}
	}
	for i, s := range l.SRTP {
		if s.SSRC != want.SRTP[i].SSRC || s.Direction != want.SRTP[i].Direction {
			t.Errorf("stream %d: %+v", i, s)
		}
	}
}

// A relay's log has the same records, and says which allocation a leg is of.
func TestLogsOfARelay(t *testing.T) {
	relay, peer := netip.MustParseAddrPort("20.202.0.1:50000"), netip.MustParseAddrPort("198.51.100.1:49152")
	var out bytes.Buffer
	log := relaylog.New(relaylog.Config{Handler: slog.NewJSONHandler(&out, nil), Run: "r"})
	log.Allocated(relay, "tls")
	const size = 100
	for n := range byte(20) {
		packet := append([]byte{0x80, 111, 0, n, 0, 0, 0, 0, 0, 0, 0, 7}, make([]byte, size)...)
		log.Payload(epoch.Add(time.Duration(n)*time.Millisecond), relay, peer, true, packet)
	}
	log.Deleted(relay)
	log.Close()
	l := only(t, read(t, out.Bytes(), inspect.Options{}))
	if l.Leg != "r-1.1" || l.Relayed == nil || l.Stage() != negotiation.StageOneWay || len(l.SRTP) != 1 || l.SRTP[0].Packets != 20 {
		t.Fatalf("leg: %s", marshal(t, l))
	}
	want := inspect.Relayed{Allocation: "r-1", Transport: "tls", Relay: relay, Peer: peer, Stage: "one-way", Until: "allocation"}
	if *l.Relayed != want {
		t.Errorf("relayed: %+v, wanted %+v", *l.Relayed, want)
	}
	contains(t, "text", text(t, read(t, out.Bytes(), inspect.Options{})), "r-1.1: SRTP flows one way only",
		"r-1 over tls, relayed address 20.202.0.1:50000", "the allocation ended")
	// While the leg is read there is only its verdict.
	lines := strings.SplitAfter(out.String(), "\n")
	var live string
	for _, line := range lines {
		if !strings.Contains(line, `"leg.record"`) {
			live += line
		}
	}
	l = only(t, read(t, []byte(live), inspect.Options{}))
	contains(t, "verdict", l.Verdict, "SRTP flows one way only")
	contains(t, "text", text(t, read(t, []byte(live), inspect.Options{})), "it is still read")
}

// A path that ICE did not choose is no failure.
func TestALegThatWasNotChosen(t *testing.T) {
	const line = `{"time":"2026-03-01T09:00:00Z","msg":"leg.record","leg":"r-2.1","allocation":"r-2","transport":"udp","relay":"20.202.0.1:50000","peer":"198.51.100.1:1",` +
		`"stage":"answered","carried_by":"r-1.1","until":"most","record":{"leg":"r-2.1","ice":{"checks":[{"direction":"sent","result":"succeeded"}]},"verdict":"ICE checks answered"}}`
	r := read(t, []byte(line), inspect.Options{})
	if l := only(t, r); l.Troubled() || l.Relayed.CarriedBy != "r-1.1" {
		t.Errorf("leg: %s", marshal(t, l))
	}
	contains(t, "text", text(t, r), "✓ r-2.1: ICE checks answered", "carried by", "leg r-1.1", "it had been read for long enough")
	again := read(t, []byte(marshal(t, r)), inspect.Options{})
	if got, want := marshal(t, again), marshal(t, r); got != want {
		t.Errorf("read back: got\n%s\nwant\n%s", got, want)
	}
}

// What is no log of ours is refused with the number of the line.
func TestForeignLogs(t *testing.T) {
	const ours = `{"time":"2026-03-01T09:00:00Z","level":"INFO","msg":"srtp.first","leg":"alice","ssrc":"0x00000007","direction":"sent"}` + "\n"
	for name, tt := range map[string]struct {
		log, want string
		legs      int
	}{
		"other objects":   {`{"a": 1}` + "\n" + `{"a": 2}` + "\n", `line 1: an object without "time" and "msg"`, 0},
		"another program": {`{"time":"2026-03-01T09:00:00Z","msg":"started"}` + "\n", "no line is about a leg", 0},
		"broken":          {ours + "\n" + `{"time":` + "\n" + ours, "line 3: unexpected end", 1},
		"types":           {ours + `{"time":"2026-03-01T09:00:00Z","msg":"srtp.first","leg":7}` + "\n", "line 2: json: cannot unmarshal", 1},
		"attributes":      {ours + `{"time":"2026-03-01T09:00:00Z","msg":"srtp.first","leg":"b","ssrc":7}` + "\n", "line 2: json: cannot unmarshal", 2},
		"no time":         {ours + `{"msg":"x"}` + "\n", `line 2: an object without "time" and "msg"`, 1},
		"bad time":        {ours + `{"time":"noon","msg":"x"}` + "\n", "line 2: parsing time", 1},
		"no record":       {ours + `{"time":"2026-03-01T09:00:00Z","msg":"leg.record","leg":"alice"}` + "\n", "line 2: a leg.record without a record", 1},
		"endless":         {ours + strings.Repeat("x", 9<<20), "line 2: a line of more than 8388608 bytes", 1},
	} {
		r, err := inspect.Read(t.Context(), source([]byte(tt.log)), inspect.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "call.pcap: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		if legs := 0; r != nil {
			if legs = len(r.Legs); legs != tt.legs {
				t.Errorf("%s: %d legs, wanted the %d before the error", name, legs, tt.legs)
			}
		} else if tt.legs > 0 {
			t.Errorf("%s: no report of what came before", name)
		}
	}
	// What stands between the lines is told and passed over.
	r := read(t, []byte("\n"+ours+"callpath: interrupted\n"+ours), inspect.Options{})
	contains(t, "notes", strings.Join(r.Notes, "\n"), "1 lines that are no JSON were passed over, the first is line 3")
	var many strings.Builder
	for n := range 5000 {
		many.WriteString(strings.Replace(ours, "alice", "leg"+strings.Repeat("x", n%7)+string(rune('a'+n%26))+strings.Repeat("y", n/26), 1))
	}
	if r := read(t, []byte(many.String()), inspect.Options{}); len(r.Legs) != 4096 || len(r.Notes) != 1 {
		t.Errorf("%d legs, notes %q; wanted the first 4096", len(r.Legs), r.Notes)
	}
}

// A run's JSON has the SDP, so that a certificate that nobody promised is found
// without any file beside it.
func TestAFingerprintThatTheRunsSDPDoesNotHave(t *testing.T) {
	c := recorded(t)
	rec := c.want
	rec.Problems = nil
	for i, d := range rec.Descriptions {
		if d.Side == "remote" {
			rec.Descriptions[i].SDP = strings.Replace(d.SDP, "a=fingerprint:sha-256 05", "a=fingerprint:sha-256 06", 1)
		}
	}
	run := map[string]any{"scenario": "fig3", "participants": []any{map[string]any{"name": "alice", "negotiation": rec}}}
	l := only(t, read(t, []byte(marshal(t, run)), inspect.Options{}))
	if len(l.Findings) != 1 {
		t.Fatalf("findings: %q", l.Findings)
	}
	contains(t, "finding", l.Findings[0], "fingerprint not in SDP: the peer's certificate has sha-256 05:28:", "and the remote SDP promises sha-256 06:28:")
	for _, secret := range []string{c.offer, c.answer} {
		_, after, _ := strings.Cut(secret, "a=ice-pwd:")
		password, _, _ := strings.Cut(after, "\r\n")
		if password == "" || strings.Contains(marshal(t, c.want), password) {
			t.Errorf("the password %q of ICE is in the record", password)
		}
	}
}

func FuzzLog(f *testing.F) {
	c := recorded(f)
	f.Add(runLog(f, c, slog.LevelDebug, "one"))
	f.Add([]byte(`{"time":"2026-03-01T09:00:00Z","msg":"leg.verdict","leg":"1","allocation":"1","relay":"1.2.3.4:5","verdict":"x"}`))
	f.Add([]byte(`{"time":"2026-03-01T09:00:00Z","msg":"dtls.server_hello","leg":"1","version":["a","b"],"cipher_suite":3}`))
	f.Fuzz(func(t *testing.T, log []byte) {
		r, err := inspect.Read(t.Context(), source(log), inspect.Options{})
		if r == nil {
			if err == nil {
				t.Fatal("neither a report nor an error")
			}
			return
		}
		text(t, r)
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
