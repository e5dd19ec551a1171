package language

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/library"
	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/document"
)

var update = flag.Bool("update", false, "write the messages of testdata/bad anew; read them before they are committed")

var networkType = reflect.TypeFor[topology.Network]()

// Each bad file has its findings beside it, every one of them, in full.
func TestBadFilesAreRefusedWithEveryFinding(t *testing.T) {
	for _, file := range files(t, "bad") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Parse(filepath.Base(file), read(t, file))
			if _, ok := errors.AsType[document.Errors](err); !ok {
				t.Fatalf("accepted, or the error is not of type document.Errors: %v", err)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(read(t, golden)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestLibraryIsValid(t *testing.T) {
	for _, name := range library.Names() {
		data, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(name+".yaml", data); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestLoadReadsEveryForm(t *testing.T) {
	s, err := Load(filepath.Join("testdata", "good", "every-form.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(v float64) *float64 { return &v }
	yes, no, three := true, false, 3
	d := func(d time.Duration) Duration { return Duration(d) }

	if s.Name != "every-form" || s.Seed != 7 || s.Timeout != d(90*time.Second) || !strings.HasSuffix(s.File, "every-form.yaml") {
		t.Errorf("head: %q, seed %d, timeout %s, file %s", s.Name, s.Seed, s.Timeout, s.File)
	}
	equal(t, "relay", s.Relay, Relay{Allow: []string{"office/desks", "10.9.0.0/16"}, Deny: []string{"bob-pc"}, AllocationsPerUser: 4})
	// In the order of the file, which is not that of the alphabet.
	equal(t, "participants", s.Participants, []Participant{
		{
			Name: "bob", Host: "bob-pc", Client: "teams", Media: []string{"pcmu"}, ICE: "relay",
			Transports: []string{"tls", "tcp"}, Credential: "valid", Fingerprint: "right", TURNClient: "v3", Peer: "10.0.0.1",
			DTLS: DTLS{
				Stack: "v2", Setup: "passive", Certificate: "rsa",
				CipherSuites: []string{"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
			},
			SRTPProfiles: []string{"aes-cm-128-hmac-sha1-80", "aead-aes-128-gcm"},
		},
		{Name: "alice", Host: "alice-pc"},
	})
	for i := range s.Steps {
		if s.Steps[i].Line == 0 {
			t.Errorf("steps[%d] has no line", i)
		}
		s.Steps[i].Line = 0
	}
	equal(t, "steps", s.Steps, []Step{
		{Wait: &Wait{For: d(100 * time.Millisecond)}},
		{Call: &Call{From: "alice", To: "bob"}},
		{Answer: &Answer{By: "bob"}},
		{Connect: &Connect{}},
		{Connect: &Connect{}},
		{Connect: &Connect{Within: d(10 * time.Second)}},
		{Connect: &Connect{Within: d(11 * time.Second)}},
		{Hold: &One{By: "alice"}},
		{Resume: &One{By: "alice"}},
		{Mute: &One{By: "bob"}},
		{Unmute: &One{By: "bob"}},
		{Restart: &One{By: "alice"}},
		{Wait: &Wait{For: d(3 * time.Second)}},
		{Change: &Change{Link: &LinkChange{Of: "office/desks", To: topology.Link{Delay: topology.Duration(40 * time.Millisecond), Loss: 0.02}}}},
		{Change: &Change{Unblock: &UnblockChange{Site: "office", Name: "no-udp"}}},
		{Change: &Change{Move: &MoveChange{Host: "alice-pc", Site: "home", Subnet: "lan"}}},
		{Hangup: &One{By: "bob"}},
	})
	equal(t, "before", s.Before, []Change{
		{Block: &BlockChange{
			Site: "office", Name: "no-udp", Direction: "outbound", Protocol: "udp",
			Ports: []topology.PortRange{{First: 3478, Last: 3480}, {First: 50000, Last: 50000}}, To: []string{"relay"}, Action: "reject",
		}},
		{NAT: &NATChange{Site: "home", To: topology.NAT{Mapping: topology.AddressAndPortDependent, Filtering: topology.AddressAndPortDependent}}},
	})
	equal(t, "expect", s.Expect, Expect{
		Call: "connected", Steps: []string{"invite", "answer"}, SetupWithin: d(5 * time.Second),
		MediaInVPN: &no, RelaySawPlaintext: &no, RelayRefused: "403", RelayUnused: &no, Violations: &three,
		Each: ParticipantExpect{
			Flows: []topology.Flow{"3", "2*"}, SignalingFlows: []topology.Flow{}, Relayed: &yes, Intact: &yes,
			Loss: &Range{Max: f(0.02)}, RTT: &Range{Min: f(10), Max: f(80)}, Jitter: &Range{Min: f(0), Max: f(0)},
			Bitrate: &Range{Min: f(30e3)}, Gap: &Range{Max: f(1500)}, Restarts: &Range{Min: f(1), Max: f(2)},
		},
		Participants: map[string]ParticipantExpect{
			"alice": {
				Pair: []string{"srflx|prflx", "relay"}, DTLSVersion: "DTLS 1.2", CipherSuite: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
				SRTPProfile: "SRTP_AES128_CM_HMAC_SHA1_80", DTLSRole: "client", Certificate: "ecdsa", Fingerprint: "verified",
				ICERole: "controlling", Verdict: "media", ExtendedKeys: &yes,
				Retransmitted: &Range{Min: f(0), Max: f(0)}, MOS: &Range{Min: f(3.5), Max: f(4.5)},
			},
			"bob": {Protocol: "tls", RelayPort: 443, Freezes: &Range{Max: f(1)}, Bitrate: &Range{Min: f(300e3), Max: f(2e6)}},
		},
	})
	for path, line := range s.Lines {
		want := lineOf(t, s.File, path)
		if line != want {
			t.Errorf("%s stands in line %d, got %d", path, want, line)
		}
	}
	if s.Lines["expect.participants.alice.mos"] == 0 || s.Lines["expect.call"] == 0 {
		t.Errorf("lines: %v", s.Lines)
	}
}

// lineOf finds a path in the good file in which every last key stands once but
// for bitrate, which stands first for each.
func lineOf(t *testing.T, file, path string) int {
	t.Helper()
	key := path[strings.LastIndexByte(path, '.')+1:]
	_, after, _ := strings.Cut(string(read(t, file)), "\nexpect:\n")
	before := strings.Count(string(read(t, file)), "\n") - strings.Count(after, "\n")
	skip := strings.HasSuffix(path, "bob.bitrate")
	for i, line := range strings.Split(after, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), key+":") {
			if skip {
				skip = false
				continue
			}
			return before + i + 1
		}
	}
	return 0
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

func TestLoadNamesTheFileThatCannotBeRead(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestLoadRefusesAFileThatIsTooLarge(t *testing.T) {
	file := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(file, make([]byte, 3*document.MaxSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "huge.yaml:1:1: the file is too large") {
		t.Errorf("got %v", err)
	}
}

// Each scenario gets a network of its own, so that one run cannot change that of
// another.
func TestEachScenarioHasItsOwnNetwork(t *testing.T) {
	data, err := library.Read("fig2-intranet")
	if err != nil {
		t.Fatal(err)
	}
	a, err := Parse("a", data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse("b", data)
	if err != nil {
		t.Fatal(err)
	}
	a.Network.Hosts[0].Name = "changed"
	if b.Network.Hosts[0].Name == "changed" {
		t.Error("two scenarios share a network")
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range library.Names() {
		if data, err := library.Read(name); err == nil {
			f.Add(data)
		}
	}
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			f.Fatalf("no seeds in %s: %v", pattern, err)
		}
		for _, file := range found {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz.yaml", data)
		if err == nil {
			if n := len(s.Participants); s.Network == nil || n < 1 || n != 2 && !s.Conference() || len(s.Steps) == 0 {
				t.Errorf("accepted without network, participants or steps: %q", data)
			}
			return
		}
		found, ok := errors.AsType[document.Errors](err)
		if !ok || len(found) == 0 {
			t.Fatalf("an error that names no place: %v", err)
		}
		for _, e := range found {
			if e.File != "fuzz.yaml" || e.Line < 1 || e.Column < 1 || e.Problem == "" {
				t.Errorf("finding without place or words: %+v", *e)
			}
		}
	})
}
