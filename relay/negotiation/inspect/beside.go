package inspect

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// What is given beside a capture: descriptions and key logs.

// Description is an offer or answer.
type Description struct {
	// File stands in errors.
	File string
	// Text is the SDP, or JSON of the form {"type": …, "sdp": …}, as browsers
	// print it.
	Text string
}

// maxSDP is the longest description, as negotiation has it.
const maxSDP = 256 << 10

// description is what is known of one.
type description struct {
	kind, sdp string
	fragments set[string]
}

// parse reads enough of a description to know whose it is.
func (d Description) parse() (description, error) {
	fail := func(problem, valid string) (description, error) {
		return description{}, fmt.Errorf("%s: %s; valid: %s", d.File, problem, valid)
	}
	out := description{sdp: d.Text}
	if strings.HasPrefix(strings.TrimSpace(d.Text), "{") {
		var wrapped struct{ Type, SDP string }
		if err := json.Unmarshal([]byte(d.Text), &wrapped); err != nil {
			return fail(err.Error(), `an SDP, or {"type": "offer", "sdp": "v=0…"}`)
		}
		out.kind, out.sdp = wrapped.Type, wrapped.SDP
	}
	if !strings.HasPrefix(strings.TrimSpace(out.sdp), "v=0") {
		return fail("no SDP", `text that begins with "v=0", or {"type": "offer", "sdp": "v=0…"}`)
	}
	if len(out.sdp) > maxSDP {
		return fail(fmt.Sprintf("%d bytes", len(out.sdp)), fmt.Sprintf("up to %d", maxSDP))
	}
	kind := "answer"
	for line := range strings.Lines(out.sdp) {
		line = strings.TrimRight(line, "\r\n")
		if fragment, ok := strings.CutPrefix(line, "a=ice-ufrag:"); ok {
			out.fragments.add(strings.TrimSpace(fragment))
		}
		if line == "a=setup:actpass" { // only offers leave it open (RFC 8842, section 5.2)
			kind = "offer"
		}
	}
	if len(out.fragments) == 0 {
		return fail("no a=ice-ufrag, which tells whose it is", "the SDP of an ICE agent")
	}
	if out.kind == "" {
		out.kind = kind
	}
	return out, nil
}

// describe gives the descriptions to the legs that sent and received them.
func (l *legs) describe(all []Description) error {
	for _, given := range all {
		d, err := given.parse()
		if err != nil {
			return err
		}
		found := false
		var valid set[string]
		for _, g := range l.all {
			for _, local := range []bool{true, false} {
				if g.named(local, d.fragments) {
					g.recorder.Description(local, d.kind, d.sdp)
					g.described, found = true, true
				}
			}
			for _, e := range g.ends {
				for _, fragment := range slices.Concat(e.own, e.addressed, e.peers) {
					valid.add(fragment)
				}
			}
		}
		if !found {
			return fmt.Errorf("%s: no ICE check of the capture is of a=ice-ufrag:%s; those have %s",
				given.File, strings.Join(d.fragments, ", "), orNone(strings.Join(valid, ", ")))
		}
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// named tells whether the leg, or its peer, has one of the user name fragments.
func (g *leg) named(local bool, fragments set[string]) bool {
	for _, e := range g.ends {
		for _, f := range fragments {
			if local && (e.own.has(f) || e.addressed.has(f)) || !local && e.peers.has(f) {
				return true
			}
		}
	}
	return false
}

// maxLine is the longest line of a key log that is looked at; CLIENT_RANDOM has
// 176 bytes.
const maxLine = 4 << 10

// errNoKeyLog is a file without one line of a key log.
var errNoKeyLog = errors.New(`no line of an NSS key log; valid: lines like "CLIENT_RANDOM <64 hexadecimal digits> <96 hexadecimal digits>"`)

// keyLog gives the lines of a key log to the legs whose handshakes they are of, and
// tells how many these were.
func (l *legs) keyLog(in io.Reader) (used int, err error) {
	b := bufio.NewReaderSize(in, maxLine)
	lines := 0
	for {
		line, err := b.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && err != io.EOF && !long {
			return used, fmt.Errorf("key log: %w", err)
		}
		random, ok := randomOf(string(line))
		if ok && !long {
			lines++
		}
		for _, g := range l.all {
			if ok && g.greeted(random) {
				g.recorder.KeyLog(strings.TrimSpace(string(line)))
				used++
			}
		}
		for long {
			_, err = b.ReadSlice('\n')
			long = errors.Is(err, bufio.ErrBufferFull)
		}
		if err == io.EOF {
			break
		}
	}
	if lines == 0 {
		return 0, errNoKeyLog
	}
	return used, nil
}

// randomOf is the client's random of a line of a key log. Lines with other labels,
// such as those of TLS 1.3, are key log too, but of no handshake here.
func randomOf(line string) (random [32]byte, ok bool) {
	f := strings.Fields(line)
	if len(f) != 3 || f[0] != strings.ToUpper(f[0]) || len(f[1]) != 2*len(random) {
		return random, false
	}
	_, err := hex.Decode(random[:], []byte(f[1]))
	return random, err == nil
}

// greeted tells whether a handshake with this random is one of the leg's.
func (g *leg) greeted(random [32]byte) bool {
	return slices.ContainsFunc(g.ends, func(e *end) bool { return e.randoms.has(random) })
}
