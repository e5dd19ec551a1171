package negotiation_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	retape = flag.Bool("retape", false, "write testdata/call.tape anew from a real call")
)

// tape is what one leg's Recorder was shown, as text that can be played again: one
// line each, as in testdata/call.tape.
type tape struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func (c *tape) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

func (c *tape) packet(t time.Time, outbound bool, packet []byte) {
	c.add("packet %d %t %x", t.Sub(c.start).Microseconds(), outbound, packet)
}

// play shows the lines to a recorder whose time is now.
func play(t *testing.T, r *negotiation.Recorder, now *time.Time, lines []string) {
	t.Helper()
	for n, line := range lines {
		kind, rest, _ := strings.Cut(line, " ")
		f := strings.SplitN(rest, " ", 3)
		fail := func(err error) {
			if err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
		}
		switch kind {
		case "packet":
			us, err := strconv.ParseInt(f[0], 10, 64)
			fail(err)
			packet, err := hex.DecodeString(f[2])
			fail(err)
			*now = epoch.Add(time.Duration(us) * time.Microsecond)
			r.Packet(*now, f[1] == "true", packet)
		case "description":
			sdp, err := strconv.Unquote(f[2])
			fail(err)
			r.Description(f[0] == "true", f[1], sdp)
		case "candidate":
			r.Candidate(f[0] == "true", strings.Join(f[1:], " "))
		case "keylog":
			r.KeyLog(rest)
		case "selected":
			var pair [2]negotiation.Candidate
			fail(json.Unmarshal([]byte(rest), &pair))
			r.Selected(pair[0], pair[1], "")
		default:
			fail(fmt.Errorf("unknown kind %q", kind))
		}
	}
}

// golden compares with a file of testdata, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; go test -run %s -update writes it anew. Got:\n%s", file, t.Name(), got)
	}
}

// The record and the events of a relayed call between two peers of webrtc/v4, of
// which testdata/call.tape has every packet at one peer's interface.
func TestGoldenCall(t *testing.T) {
	b, err := os.ReadFile("testdata/call.tape")
	if err != nil {
		t.Fatal(err)
	}
	now := epoch
	var events bytes.Buffer
	r := negotiation.NewRecorder(negotiation.Config{
		Leg: "alice", Keys: true, Now: func() time.Time { return now },
		OnEvent: func(e negotiation.Event) {
			fmt.Fprintf(&events, "%s %s %s", e.Time.Format("15:04:05.000"), e.Leg, e.Name)
			for _, a := range e.Attrs {
				fmt.Fprintf(&events, " %s", a)
			}
			events.WriteByte('\n')
		},
	})
	play(t, r, &now, strings.Split(strings.TrimSpace(string(b)), "\n"))
	record, err := json.MarshalIndent(r.Record(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "call.json", append(record, '\n'))
	golden(t, "call.events", events.Bytes())
	// A record is a copy: what comes later does not change it.
	before := r.Record()
	play(t, r, &now, strings.Split(strings.TrimSpace(string(b)), "\n"))
	again, err := json.MarshalIndent(before, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, record) {
		t.Error("a record changed after it was returned")
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
