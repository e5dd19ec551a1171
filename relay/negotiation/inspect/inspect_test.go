package inspect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/callpath/callpath/relay/negotiation/inspect"
)

var update = flag.Bool("update", false, "write the golden files anew")

// With the descriptions and the key log beside it, a capture gives the record that
// was made while the call was made.
func TestACaptureGivesTheRecordOfTheCall(t *testing.T) {
	c := recorded(t)
	for name, file := range map[string][]byte{
		"Ethernet":      pcap(t, layers.LinkTypeEthernet, ethernet, c.packets),
		"raw IP":        pcap(t, layers.LinkTypeRaw, nil, c.packets),
		"Linux, cooked": pcap(t, layers.LinkTypeLinuxSLL, cooked, c.packets),
		"pcapng":        pcapng(t, "dumpcap", host{"eth0", c.packets}),
		"of ours":       pcapng(t, "callpath", host{"alice-pc/eth0", c.packets}),
	} {
		t.Run(name, func(t *testing.T) {
			r := read(t, file, c.options())
			got := only(t, r)
			if wanted := aliceName; name == "of ours" {
				if got.Leg != "alice-pc" {
					t.Errorf("leg %q, want alice-pc", got.Leg)
				}
			} else if got.Leg != wanted || len(got.Addresses) != 1 || got.Addresses[0].String() != wanted {
				t.Errorf("leg %q of %v, want %s", got.Leg, got.Addresses, wanted)
			}
			if got.Verdict != c.want.Verdict || !got.Started.Equal(c.want.Started) {
				t.Errorf("verdict %q from %v, want %q from %v", got.Verdict, got.Started, c.want.Verdict, c.want.Started)
			}
			for what, pair := range map[string][2]any{
				"TURN": {got.TURN, c.want.TURN}, "DTLS": {got.DTLS, c.want.DTLS}, "SRTP": {got.SRTP, c.want.SRTP}, "checks": {got.ICE.Checks, c.want.ICE.Checks},
			} {
				if g, w := marshal(t, pair[0]), marshal(t, pair[1]); g != w {
					t.Errorf("%s: got\n%s\nwant\n%s", what, g, w)
				}
			}
			if got.ICE.Selected == nil || got.ICE.Selected.Remote.Address != c.want.ICE.Selected.Remote.Address {
				t.Errorf("selected %+v, want %+v", got.ICE.Selected, c.want.ICE.Selected)
			}
			if len(got.Findings)+len(got.Problems) > 0 || got.Troubled() {
				t.Errorf("a sound call has findings: %q, %q", got.Findings, got.Problems)
			}
			if r.Packets != uint64(len(c.packets)) || len(r.Notes) > 0 {
				t.Errorf("%d packets, notes %q", r.Packets, r.Notes)
			}
		})
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestGoldenText(t *testing.T) {
	c := recorded(t)
	got := text(t, read(t, pcap(t, layers.LinkTypeEthernet, ethernet, c.packets), c.options()))
	const golden = "testdata/call.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; go test -run %s -update writes it anew. Got:\n%s", golden, t.Name(), got)
	}
}

func TestWithoutKeysAndDescriptions(t *testing.T) {
	c := recorded(t)
	l := only(t, read(t, pcap(t, layers.LinkTypeRaw, nil, c.packets), inspect.Options{}))
	contains(t, "verdict", l.Verdict, "not verified for lack of keys")
	if len(l.DTLS) != 1 || l.DTLS[0].Peer == nil || l.DTLS[0].Peer.Promised != "" {
		t.Errorf("handshakes %+v, want one without a promise", l.DTLS)
	}
	if l.Troubled() {
		t.Errorf("findings %q, problems %q", l.Findings, l.Problems)
	}
}

func TestAFingerprintThatTheSDPDoesNotHave(t *testing.T) {
	c := recorded(t)
	o := c.options()
	at := strings.Index(c.answer, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
	o.SDP[1].Text = c.answer[:at] + "00:11" + c.answer[at+5:]
	l := only(t, read(t, pcap(t, layers.LinkTypeRaw, nil, c.packets), o))
	contains(t, "problems", strings.Join(l.Problems, "\n"), "is not in the SDP, which promised")
	contains(t, "verdict", l.Verdict, "not the one promised")
}

func TestDescriptionsInJSON(t *testing.T) {
	c := recorded(t)
	o := c.options()
	wrapped, err := json.Marshal(map[string]string{"type": "answer", "sdp": c.answer})
	if err != nil {
		t.Fatal(err)
	}
	o.SDP[1].Text = string(wrapped)
	l := only(t, read(t, pcap(t, layers.LinkTypeRaw, nil, c.packets), o))
	if d := l.DTLS[0]; !d.Own.Matched || !d.Peer.Matched || d.Setup[1] == "" {
		t.Errorf("own %+v, peer %+v, setup %v", d.Own, d.Peer, d.Setup)
	}
}

func TestBesideTheCapture(t *testing.T) {
	c := recorded(t)
	file := pcap(t, layers.LinkTypeRaw, nil, c.packets)
	for name, tt := range map[string]struct {
		sdp, keyLog string
		local       []netip.Addr
		want        string
	}{
		"no SDP":            {sdp: "hello", want: `a.sdp: no SDP; valid: text that begins with "v=0"`},
		"bad JSON":          {sdp: "{", want: "a.sdp: unexpected end"},
		"no ICE":            {sdp: "v=0\r\na=setup:actpass\r\n", want: "no a=ice-ufrag"},
		"too long":          {sdp: "v=0\r\n" + strings.Repeat(" ", 300<<10), want: "up to 262144"},
		"of another call":   {sdp: "v=0\r\na=ice-ufrag:xyz\r\n", want: "no ICE check of the capture is of a=ice-ufrag:xyz; those have "},
		"no key log":        {keyLog: "hello\n" + strings.Repeat("x", 9999) + "\nCLIENT_RANDOM 00 11\n", want: "no line of an NSS key log"},
		"not an endpoint":   {local: []netip.Addr{netip.MustParseAddr(relayName)}, want: "valid: " + aliceName},
		"key log can't end": {keyLog: "fails", want: errTape.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			o := inspect.Options{Local: tt.local}
			if tt.sdp != "" {
				o.SDP = []inspect.Description{{File: "a.sdp", Text: tt.sdp}}
			}
			if tt.keyLog != "" {
				o.KeyLog = strings.NewReader(tt.keyLog)
			}
			if tt.keyLog == "fails" {
				o.KeyLog = worn{}
			}
			r, err := inspect.Read(t.Context(), source(file), o)
			if err == nil || r != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	// A key log of other calls is none of an error.
	o := inspect.Options{KeyLog: strings.NewReader("CLIENT_RANDOM " + strings.Repeat("00", 32) + " " + strings.Repeat("11", 48))}
	contains(t, "notes", strings.Join(read(t, file, o).Notes, "\n"), "no line of the key log is of a DTLS handshake in this capture")
	ours := pcapng(t, "callpath", host{"alice-pc/eth0", c.packets})
	_, err := inspect.Read(t.Context(), source(ours), inspect.Options{Local: []netip.Addr{netip.MustParseAddr(aliceName)}})
	if err == nil || !strings.Contains(err.Error(), "whose packets are whose") {
		t.Errorf("--local for a capture of ours: %v", err)
	}
	nothing := pcap(t, layers.LinkTypeRaw, nil, nil)
	_, err = inspect.Read(t.Context(), source(nothing), inspect.Options{Local: []netip.Addr{netip.MustParseAddr(aliceName)}})
	if err == nil || !strings.Contains(err.Error(), "no address sent") {
		t.Errorf("--local for an empty capture: %v", err)
	}
}

// worn is a reader that fails.
type worn struct{}

func (worn) Read([]byte) (int, error) { return 0, errTape }

// A capture may end anywhere: what came before is reported, with an error unless it
// ends between two packets.
func TestCapturesThatEndAnywhere(t *testing.T) {
	c := recorded(t)
	file := pcap(t, layers.LinkTypeEthernet, ethernet, c.packets[:8])
	ends := []int{len(pcap(t, layers.LinkTypeEthernet, ethernet, nil))}
	for _, p := range c.packets[:8] {
		ends = append(ends, ends[len(ends)-1]+16+14+len(p.packet))
	}
	for n := range len(file) + 1 {
		r, err := inspect.Read(t.Context(), source(file[:n]), inspect.Options{})
		if between := slices.Contains(ends, n); between != (err == nil) {
			t.Fatalf("%d of %d bytes: %v", n, len(file), err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "call.pcap: offset ") {
			t.Fatalf("%d bytes: the error %q names neither file nor offset", n, err)
		}
		if (r != nil) != (n >= ends[1] || n == ends[0]) {
			t.Fatalf("%d bytes: report %v", n, r)
		}
	}
	r, err := inspect.Read(t.Context(), source(file[:len(file)-1]), inspect.Options{})
	if err == nil || r.Packets != 7 || len(r.Legs) != 1 {
		t.Errorf("got %+v and %v, want the 7 packets before the end", r, err)
	}
}

func TestFilesThatAreNoCaptures(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"empty":         {"", "offset 0: the file ends"},
		"blank":         {" \n\t", "ends after 3 bytes"},
		"prose":         {"Once upon a time", "no capture begins with the bytes 4f 6e 63 65; valid: a pcap or pcapng file"},
		"JSON of no":    {`{"hello": 1}`, "neither a run nor records"},
		"JSON cut":      {`[{"scenario": "x", `, "in the middle of a value"},
		"JSON unclosed": {`[{"scenario": "x"}`, "in the middle of a value"},
		"JSON garbage":  {`[{"scenario": "x"} x`, "offset 19, line 1: expected comma"},
		"JSON and more": {`{"scenario": "x"} {}`, "something comes after"},
		"JSON wrong":    {`{"scenario": "x", "participants": 3}`, "cannot unmarshal"},
		"legs wrong":    {`{"legs": [3]}`, "cannot unmarshal"},
		"after array":   {`[] !`, "invalid character"},
	} {
		r, err := inspect.Read(t.Context(), source([]byte(tt.file)), inspect.Options{})
		if err == nil || r != nil || !strings.HasPrefix(err.Error(), "call.pcap: ") || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "valid: ") {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	many := "[" + strings.TrimSuffix(strings.Repeat(`{"scenario":"x"},`, 5000), ",") + "]"
	if _, err := inspect.Read(t.Context(), source([]byte(many)), inspect.Options{}); err == nil || !strings.Contains(err.Error(), "more than 4096") {
		t.Errorf("5000 runs: %v", err)
	}
}

// What inspect prints as JSON it reads again.
func TestReportsReadBack(t *testing.T) {
	c := recorded(t)
	before := read(t, pcap(t, layers.LinkTypeEthernet, ethernet, c.packets), c.options())
	again := read(t, []byte(marshal(t, before)), inspect.Options{})
	if got, want := marshal(t, again), marshal(t, before); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if text(t, again) != text(t, before) {
		t.Error("the texts differ")
	}
}

// The JSON of runs has the records as they were.
func TestRunsReadBack(t *testing.T) {
	c := recorded(t)
	type participant struct {
		Name        string `json:"name"`
		Negotiation any    `json:"negotiation"`
	}
	run := map[string]any{"scenario": "fig3", "participants": []participant{{"alice", c.want}}, "legs": []any{map[string]string{"from": "alice-pc"}}}
	for name, v := range map[string]any{"one": run, "several": []any{run, run}} {
		r := read(t, []byte(marshal(t, v)), inspect.Options{})
		wantName := "alice"
		if name == "several" {
			wantName = "fig3/alice"
		}
		for _, l := range r.Legs {
			want := c.want
			want.Leg = wantName
			if !reflect.DeepEqual(marshal(t, l.Record), marshal(t, want)) {
				t.Errorf("%s: got %s", name, marshal(t, l.Record))
			}
			if l.Troubled() {
				t.Errorf("%s: findings %q", name, l.Findings)
			}
		}
	}
	if r := read(t, []byte("[]"), inspect.Options{}); len(r.Legs) != 0 {
		t.Errorf("legs of no runs: %v", names(r))
	}
}

func TestInterruption(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := recorded(t)
	r, err := inspect.Read(ctx, source(pcap(t, layers.LinkTypeRaw, nil, c.packets)), inspect.Options{})
	if r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v and %v", r, err)
	}
}

func TestProgressCountsBothReadings(t *testing.T) {
	c := recorded(t)
	file := pcap(t, layers.LinkTypeRaw, nil, slices.Repeat(c.packets, 150))
	var last, calls int64
	read(t, file, inspect.Options{Progress: func(n, total int64) {
		if n < last || total != 2*int64(len(file)) {
			t.Errorf("%d of %d after %d", n, total, last)
		}
		last = n
		calls++
	}})
	if last != 2*int64(len(file)) || calls < 4 {
		t.Errorf("told %d times, at last of %d bytes; the file has twice %d", calls, last, len(file))
	}
}

func TestSources(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcap")
	if _, err := inspect.File(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := inspect.File(t.TempDir()); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("got %v", err)
	}
	c := recorded(t)
	file := pcap(t, layers.LinkTypeRaw, nil, c.packets)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := inspect.File(path)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := inspect.Read(t.Context(), src, inspect.Options{}); err != nil || r.File != path || len(r.Legs) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	// A file that can't be opened, can't be read, or is another one when read again.
	for n := range 3 {
		opened := 0
		failing := inspect.Source{Name: "x", Open: func() (io.ReadCloser, error) {
			if opened++; opened > n {
				return nil, errTape
			}
			return io.NopCloser(bytes.NewReader(file)), nil
		}}
		if r, err := inspect.Read(t.Context(), failing, inspect.Options{}); r != nil || !errors.Is(err, errTape) {
			t.Errorf("failing when opened for the %dth time: %v, %v", n+1, r, err)
		}
	}
	opened := 0
	shrinking := inspect.Source{Name: "x", Open: func() (io.ReadCloser, error) {
		if opened++; opened == 3 {
			return io.NopCloser(bytes.NewReader(pcap(t, layers.LinkTypeRaw, nil, c.packets[:5]))), nil
		}
		return io.NopCloser(bytes.NewReader(file)), nil
	}}
	if r, err := inspect.Read(t.Context(), shrinking, inspect.Options{}); r != nil || err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("a file that shrinks: %v, %v", r, err)
	}
	unreadable := inspect.Source{Name: "x", Open: func() (io.ReadCloser, error) { return io.NopCloser(worn{}), nil }}
	if _, err := inspect.Read(t.Context(), unreadable, inspect.Options{}); !errors.Is(err, errTape) {
		t.Errorf("a file that can't be read: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	c := recorded(f)
	f.Add(pcap(f, layers.LinkTypeEthernet, ethernet, c.packets[:6]), c.keyLog, c.offer)
	f.Add(pcap(f, layers.LinkTypeLinuxSLL, cooked, c.packets[60:64]), "", "")
	f.Add(pcapng(f, "callpath", host{"alice-pc/eth0", c.packets[30:40]}, host{"relay/eth0", c.packets[:2]}), "", "v=0\r\na=ice-ufrag:x")
	f.Add([]byte(`[{"scenario":"x","participants":[{"name":"a","negotiation":{"ice":{"checks":[{"result":"no answer","direction":"sent"}]}}}]}]`), "x", "{}")
	f.Fuzz(func(t *testing.T, file []byte, keyLog, sdp string) {
		o := inspect.Options{}
		if keyLog != "" {
			o.KeyLog = strings.NewReader(keyLog)
		}
		if sdp != "" {
			o.SDP = []inspect.Description{{File: "a.sdp", Text: sdp}}
		}
		r, err := inspect.Read(t.Context(), source(file), o)
		if r == nil {
			if err == nil {
				t.Error("neither report nor error")
			}
			return
		}
		if err := r.Text(io.Discard, true); err != nil {
			t.Error(err)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}
