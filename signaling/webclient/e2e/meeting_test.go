package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/signaling"
)

// meetingPatience is how long the whole meeting may take on a busy machine.
const meetingPatience = 8 * time.Minute

// stage is a line of a script.
type stage struct {
	Stage   string                       `json:"stage"`
	Link    string                       `json:"link"`
	Waiting map[string]int               `json:"waiting"`
	Panels  map[string]map[string]string `json:"panels"`
	Chats   map[string][]string          `json:"chats"`
	Shared  bool                         `json:"shared"`
}

// pages is a script, stage by stage.
type pages struct {
	t      *testing.T
	lines  *bufio.Scanner
	input  io.Writer
	stderr *bytes.Buffer
}

// meet runs a script, whose name is that of its pictures, too.
func (d driver) meet(t *testing.T, p *process, name string, synthetic ...string) *pages {
	t.Helper()
	for _, file := range []string{"pages.mjs", name + ".mjs"} {
		data, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(d.folder, file), data, 0o600))
	}
	folder := os.Getenv("CALLPATH_PICTURES")
	if folder == "" {
		folder = t.TempDir()
	}
	argument, err := json.Marshal(map[string]any{"url": p.url, "chromium": d.chromium, "passwords": p.passwords,
		"synthetic": append([]string{}, synthetic...), "pictures": folder, "name": name})
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), meetingPatience)
	cmd := exec.CommandContext(ctx, d.node, name+".mjs", string(argument))
	w := &pages{t: t, stderr: &bytes.Buffer{}}
	cmd.Dir, cmd.Stderr = d.folder, w.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	w.input, err = cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = w.input.(io.Closer).Close() // it ends without its next line
		err := cmd.Wait()
		cancel()
		if err != nil {
			t.Errorf("%s.mjs: %v\n%s", name, err, w.stderr)
		} else {
			t.Logf("%s.mjs:\n%s", name, w.stderr) // when it came where
		}
	})
	w.lines = bufio.NewScanner(out)
	w.lines.Buffer(nil, 1<<20)
	return w
}

// await reads the next stage, which must have the name.
func (w *pages) await(name string) stage {
	w.t.Helper()
	var s stage
	if !w.lines.Scan() {
		w.t.Fatalf("the pages did not come to %q", name)
	}
	if err := json.Unmarshal(w.lines.Bytes(), &s); err != nil || s.Stage != name {
		w.t.Fatalf("the pages said %q (%v), wanted %q", w.lines.Text(), err, name)
	}
	return s
}

func (w *pages) goOn() {
	w.t.Helper()
	if _, err := fmt.Fprintln(w.input); err != nil {
		w.t.Fatal(err)
	}
}

// members starts a server with three pages' and three synthetic users, of whom only
// carol is from outside.
func members(t *testing.T) *process {
	t.Helper()
	folder := t.TempDir()
	config := "chat: {dlp: dlp.yaml}\nidentity:\n  users:\n"
	must(t, os.WriteFile(filepath.Join(folder, "dlp.yaml"), []byte("name: home\nrules:\n"+
		"  - {name: cards, content: [{type: payment-card}], action: block, notice: Cards are not for chats.}\n"+
		"  - {name: accounts, content: [{type: iban}], action: warn, override: justify, notice: Is that number needed?}\n"), 0o600))
	passwords := map[string]string{}
	for _, user := range []string{"alice", "bob", "carol", "dave", "erin", "frank"} {
		kind := "teams"
		if user == "carol" {
			kind = "acs"
		}
		passwords[user] = "the password of " + user
		must(t, os.WriteFile(filepath.Join(folder, user), []byte(passwords[user]), 0o600))
		config += fmt.Sprintf("    - {id: %s, name: %s, kind: %s, password: %s}\n", user, strings.ToUpper(user[:1])+user[1:], kind, user)
	}
	file := filepath.Join(folder, "callpath.yaml")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	p := newProcess(t, "--config="+file)
	p.passwords = passwords
	return p
}

// Three pages and three participants without a browser are in one meeting through the
// program, one of each behind the relay over TCP: all see and hear all. Carol, who is no
// member, waits in the lobby until she is admitted; until then she has neither media
// nor chat, as her page, the API and the server's records show.
func TestThreePagesAndThreeOthersMeetThroughServe(t *testing.T) {
	driver := newDriver(t)
	p := members(t)
	w := driver.meet(t, p, "meeting", "dave", "erin", "frank")
	link, err := url.Parse(w.await("scheduled").Link)
	must(t, err)
	meeting := link.Query().Get("meeting")
	dave := p.enter(t, meeting, "dave", "red", "tcp", 440)
	erin := p.enter(t, meeting, "erin", "green", "", 550)
	frank := p.enter(t, meeting, "frank", "blue", "", 660)
	dave.perceives("alice", "erin", "frank")
	w.goOn()

	waiting := w.await("lobby").Waiting
	for what, n := range waiting {
		if n != 0 {
			t.Errorf("carol's page has %d %s in the lobby, wanted none", n, what)
		}
	}
	lurks(t, p, meeting)
	w.goOn()

	together := w.await("together")
	for _, s := range []*synthetic{dave, erin, frank} {
		others := slices.DeleteFunc([]string{"alice", "bob", "carol", "dave", "erin", "frank"}, func(o string) bool { return o == s.user })
		s.perceives(others...)
		s.await("the chat", func() bool {
			return slices.Contains(s.chat, "alice: before carol") && slices.Contains(s.chat, "carol: hello from carol")
		})
	}
	if got := together.Chats["carol"]; len(got) == 0 || got[0] != "hello from carol" {
		t.Errorf("carol's chat has %q, wanted only what was said since she was admitted", got)
	}
	for user, panel := range together.Panels {
		wanted := map[string]string{"dtls-version": "DTLS 1.2", "remote-match": "matches the certificate", "remote-type": "host"}
		if user == "carol" {
			wanted["local-type"], wanted["relay-protocol"] = "relay", "tcp"
		}
		for fact, value := range wanted {
			if panel[fact] != value {
				t.Errorf("%s's panel has %s %q, wanted %q", user, fact, panel[fact], value)
			}
		}
	}
	if got := together.Chats["bob"]; !slices.Equal(got, []string{"before carol", "hello from carol", "it is DE89 3704 0044 0532 0130 00"}) {
		t.Errorf("bob's chat has %q, wanted what was sent, the account with its justification, and no card", got)
	}
	if !together.Shared {
		t.Error("alice does not see the screen that bob shares")
	}
	w.goOn()
	w.await("ended")
	p.end(t)
	recorded(t, p)
}

// lurks tries what carol's client may not do in the lobby.
func lurks(t *testing.T, p *process, meeting string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	carol := p.client(t, "carol")
	_, offered := carol.MeetingMedia(ctx, meeting, "v=0\r\n", false)
	_, _, read := carol.MeetingChat(meeting).Messages(ctx, "")
	_, wrote := carol.MeetingChat(meeting).Send(ctx, "from the lobby")
	_, relay := carol.MeetingICEServers(ctx, meeting)
	_, roster := carol.MeetingParticipants(ctx, meeting)
	for what, err := range map[string]error{"media": offered, "the chat": read, "a message": wrote, "credentials for the relay": relay, "the roster": roster} {
		if codeOf(err) != signaling.CodeForbidden {
			t.Errorf("%s in the lobby: %s, wanted %s", what, codeOf(err), signaling.CodeForbidden)
		}
	}
	if keys := p.keyed("carol"); keys != 0 {
		t.Errorf("carol has %d handshakes with the media processor while she is in the lobby", keys)
	}
	if made := p.allocations()["carol"]; len(made) > 0 {
		t.Errorf("carol has allocations while she is in the lobby: %v", made)
	}
}

// keyed is how many handshakes with a user the media processor has verified.
func (p *process) keyed(user string) int {
	n := 0
	for _, r := range p.audit("dtls-negotiated") {
		if r["user"] == user && r["allowed"] == true && r["rule"] == "fingerprint" {
			n++
		}
	}
	return n
}

// recorded checks what the server wrote down.
func recorded(t *testing.T, p *process) {
	t.Helper()
	for _, user := range []string{"alice", "bob", "carol", "dave", "erin", "frank"} {
		if p.keyed(user) == 0 {
			t.Errorf("the audit log has no verified handshake of %s with the media processor", user)
		}
	}
	for _, user := range []string{"carol", "dave"} {
		over := false
		for _, a := range p.allocations()[user] {
			over = over || a.transport == "tcp"
		}
		if !over {
			t.Errorf("%s has no allocation over TCP: %v", user, p.allocations()[user])
		}
	}
	flowed := 0
	for _, l := range p.legs(t) {
		if strings.HasPrefix(l.Record.Leg, "processor-") && l.Stage == negotiation.StageMedia.String() {
			flowed++
		}
	}
	if flowed != 6 {
		t.Errorf("the negotiation log has %d legs of the media processor with media, wanted 6", flowed)
	}
}

// kill is SIGKILL.
func (p *process) kill() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	p.reading.Wait()
	_ = p.cmd.Wait()
}

// A group call of two pages, one behind the relay, goes on when the server is killed and
// started again: tokens stand, the call is in the store, and the pages find the new media
// processor by themselves.
func TestAGroupCallOutlivesTheServer(t *testing.T) {
	driver := newDriver(t)
	at := listen(t)
	https := fmt.Sprintf("--signaling-https=%d", port(at.Addr()))
	must(t, at.Close())
	first := newProcess(t, https)
	w := driver.meet(t, first, "group")
	together := w.await("together")
	if panel := together.Panels["bob"]; panel["local-type"] != "relay" || panel["remote-match"] != "matches the certificate" {
		t.Errorf("bob's panel: %v, wanted the relay and the promised certificate", panel)
	}
	first.kill()
	second := newProcess(t, https, "--state="+first.state)
	w.goOn()
	w.await("again")
	w.goOn()
	w.await("ended")
	second.end(t)
	for _, user := range []string{"alice", "bob"} {
		if second.keyed(user) == 0 {
			t.Errorf("the audit log has no handshake of %s with the second media processor", user)
		}
	}
}
