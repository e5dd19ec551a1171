package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
)

// buildDir is a directory of this run of the tests, which TestMain removes.
var buildDir = filepath.Join(os.TempDir(), fmt.Sprintf("callpath-e2e-%d", os.Getpid()))

// callpath builds the program once.
var callpath = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "callpath")
	out, err := exec.Command("go", "build", "-o", path, "github.com/callpath/callpath/cmd/callpath").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// process is callpath serve as a process of its own, with what it says.
type process struct {
	url       string
	passwords map[string]string
	state     string
	log       string // its negotiation log
	cmd       *exec.Cmd
	reading   sync.WaitGroup

	mu      sync.Mutex
	ended   bool
	records []map[string]any // of its log
}

// newProcess starts one on loopback with its first users, and waits until it serves.
func newProcess(t *testing.T, flags ...string) *process {
	t.Helper()
	path, err := callpath()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{passwords: map[string]string{}, state: t.TempDir()}
	p.log = filepath.Join(p.state, "negotiation.ndjson")
	p.cmd = exec.Command(path, append([]string{"serve", "--state=" + p.state, "--listen=127.0.0.1",
		"--relay-udp=0", "--relay-tcp=0", "--relay-tls=0", "--relay-dtls=0", "--processor-udp=0", "--signaling-https=0", "--admin-listen=",
		"--log-format=json", "--negotiation-log=" + p.log, "--drain=1s"}, flags...)...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	logs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(t) })
	p.reading.Go(func() { p.readLog(logs) })
	said := bufio.NewScanner(out)
	for p.url == "" && said.Scan() {
		if at, ok := strings.CutPrefix(said.Text(), "  web client "); ok {
			p.url = strings.Fields(at)[0]
		}
	}
	p.reading.Go(func() { _, _ = io.Copy(io.Discard, out) })
	if p.url == "" {
		t.Fatal("callpath serve does not say where the web client is")
	}
	for _, user := range []string{"alice", "bob"} {
		data, err := os.ReadFile(filepath.Join(p.state, "users", user+".password"))
		if errors.Is(err, os.ErrNotExist) {
			continue // the configuration says who signs in
		}
		if err != nil {
			t.Fatal(err)
		}
		p.passwords[user] = strings.TrimSpace(string(data))
	}
	return p
}

func (p *process) readLog(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var record map[string]any
		if json.Unmarshal(lines.Bytes(), &record) != nil {
			record = map[string]any{"msg": lines.Text()}
		}
		p.mu.Lock()
		p.records = append(p.records, record)
		p.mu.Unlock()
	}
}

// end ends the server, after which its logs are whole.
func (p *process) end(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	ended := p.ended
	p.ended = true
	p.mu.Unlock()
	if ended {
		return
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("callpath serve: %v", err)
	}
	hard := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	p.reading.Wait()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("callpath serve: %v; it said %v", err, p.records)
	}
	hard.Stop()
}

// audit are the records of the audit log about something, in order.
func (p *process) audit(what string) []map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []map[string]any
	for _, r := range p.records {
		if r["msg"] == "audit" && r["what"] == what {
			out = append(out, r)
		}
	}
	return out
}

// allocations are those that the audit log has, by user.
func (p *process) allocations() map[string][]allocation {
	made := map[string][]allocation{}
	for _, r := range p.audit("allocation-created") {
		user, _ := r["user"].(string)
		made[user] = append(made[user], allocation{fmt.Sprint(r["transport"]), fmt.Sprint(r["relay"])})
	}
	return made
}

// leg is a record of the negotiation log about the end of a leg's reading.
type leg struct {
	Msg       string             `json:"msg"`
	Transport string             `json:"transport"`
	Relay     string             `json:"relay"`
	Peer      string             `json:"peer"`
	Stage     string             `json:"stage"`
	Verdict   string             `json:"verdict"`
	Ufrag     string             `json:"ice_ufrag"` // of the allocation's user
	PeerUfrag string             `json:"peer_ufrag"`
	Record    negotiation.Record `json:"record"`
}

// legs are the ends of the legs in the negotiation log.
func (p *process) legs(t *testing.T) []leg {
	t.Helper()
	f, err := os.Open(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var legs []leg
	for lines := json.NewDecoder(f); ; {
		var l leg
		switch err := lines.Decode(&l); {
		case err == io.EOF:
			return legs
		case err != nil:
			t.Fatalf("the negotiation log: %v", err)
		case l.Msg == "leg.record": // see package relaylog
			legs = append(legs, l)
		}
	}
}

// record is that of the leg between two relayed addresses, with the handshake of
// their ICE session: a browser may find a better pair once it is done.
func (p *process) record(t *testing.T, _, local, remote string) negotiation.Record {
	t.Helper()
	legs := p.legs(t)
	i := slices.IndexFunc(legs, func(l leg) bool { return l.Relay == local && l.Peer == remote })
	if i < 0 {
		t.Fatalf("the negotiation log has no leg from %s to %s: %+v", local, remote, legs)
	}
	path := legs[i]
	if path.Stage != negotiation.StageMedia.String() {
		t.Errorf("the negotiation log has the leg from %s to %s at stage %q (%s), wanted media", local, remote, path.Stage, path.Verdict)
	}
	record := path.Record
	for _, l := range legs {
		if len(record.DTLS) == 0 && path.Ufrag != "" && l.Ufrag == path.Ufrag && l.PeerUfrag == path.PeerUfrag {
			record.DTLS = l.Record.DTLS
		}
	}
	return record
}

// Two pages call each other through the program as its users have it, and what their
// panels say is what its audit log and its negotiation log say.
func TestTwoPagesCallEachOtherThroughServe(t *testing.T) {
	driver := newDriver(t)
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			p := newProcess(t)
			o := options{Transport: transport, ForceRelay: true, Name: "serve-" + transport, Pictured: true}
			if transport == "udp" {
				o.Interrupt = p.withdrawal(t)
			}
			got := driver.run(t, p.url, p.passwords, o)
			p.end(t)
			for user, peer := range map[string]string{"alice": "bob", "bob": "alice"} {
				t.Run(user, func(t *testing.T) { agree(t, p, got, user, peer, transport) })
			}
			signedIn(t, p)
			if refreshed := p.audit("refresh"); transport == "udp" && len(refreshed) < 2 {
				t.Errorf("refreshed: %v, wanted both users after their tokens were void", refreshed)
			}
			if ended := p.audit("revoke"); len(ended) != 1 || ended[0]["user"] != "alice" || ended[0]["allowed"] != true {
				t.Errorf("sign-ins ended: %v, wanted that of alice", ended)
			}
		})
	}
}

// withdrawal is the command that throws the server's signing key away.
func (p *process) withdrawal(t *testing.T) []string {
	t.Helper()
	path, err := callpath()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "identity", "keys", "--state="+p.state).Output()
	if err != nil {
		t.Fatalf("callpath identity keys: %v", err)
	}
	return []string{path, "identity", "withdraw", "--state=" + p.state, strings.TrimSpace(string(out))}
}

// signedIn checks that each user came in by an authorization code and an exchange.
func signedIn(t *testing.T, p *process) {
	t.Helper()
	for what, rule := range map[string]string{"sign-in": "conditional-access", "code": "pkce", "exchange": "conditional-access"} {
		by := map[string]bool{}
		for _, r := range p.audit(what) {
			if r["allowed"] == true && r["rule"] == rule && r["app"] == "web" {
				by[fmt.Sprint(r["user"])] = true
			}
		}
		if !by["alice"] || !by["bob"] {
			t.Errorf("the audit log has a %s by rule %s of %v, wanted alice and bob", what, rule, by)
		}
	}
}

// The users of another organisation, which is another callpath serve, sign in there
// and call here.
func TestUsersOfAnotherIssuerCallThroughServe(t *testing.T) {
	driver := newDriver(t)
	at := listen(t)
	port := port(at.Addr())
	if err := at.Close(); err != nil {
		t.Fatal(err)
	}
	contoso := newProcess(t, fmt.Sprintf("--identity-redirect-uris=https://127.0.0.1:%d/", port))
	issuer := strings.TrimSuffix(contoso.url, "/")
	file := filepath.Join(t.TempDir(), "callpath.yaml")
	text := fmt.Sprintf("identity:\n  external:\n    - {name: contoso, issuer: %q, client: web, ca: %q}\n", issuer, filepath.Join(contoso.state, "authority.pem"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ours := newProcess(t, "--config="+file, fmt.Sprintf("--signaling-https=%d", port))
	if len(ours.passwords) > 0 {
		t.Error("a server whose users are another issuer's has made some of its own")
	}
	passwords := map[string]string{"alice@contoso": contoso.passwords["alice"], "bob@contoso": contoso.passwords["bob"]}
	got := driver.run(t, ours.url, passwords, options{Transport: "any", Name: "contoso", Pictured: true, Provider: "contoso",
		Caller: "alice@contoso", Callee: "bob@contoso"})
	for user := range passwords {
		if frames := got.Advanced[user]; frames.After <= frames.Before {
			t.Errorf("frames that %s sees did not advance: %d, then %d", user, frames.Before, frames.After)
		}
	}
	ours.end(t)
	by := map[string]bool{}
	for _, r := range ours.audit("exchange") {
		by[fmt.Sprint(r["user"])] = r["allowed"] == true && r["issuer"] == issuer
	}
	if !by["alice@contoso"] || !by["bob@contoso"] {
		t.Errorf("the audit log has exchanges of %v, wanted both users of contoso", by)
	}
}

// A page in Firefox calls one in Chromium. Where Firefox does not tell something, its
// panel says so; all else is what the server saw. Under DTLS 1.2 that includes the SRTP
// profile, which DTLS 1.3 encrypts.
func TestFirefoxCallsChromiumThroughServe(t *testing.T) {
	driver := newDriver(t)
	firefox := program(t, "firefox-esr")
	for transport, version := range map[string]string{"udp": "DTLS 1.3", "tcp": "DTLS 1.2"} {
		t.Run(transport, func(t *testing.T) {
			p := newProcess(t)
			got := driver.run(t, p.url, p.passwords, options{Transport: transport, ForceRelay: true, Name: "firefox-" + transport, Pictured: true,
				Firefox: firefox, DTLS12: version == "DTLS 1.2"})
			p.end(t)
			for user, peer := range map[string]string{"alice": "bob", "bob": "alice"} {
				t.Run(user, func(t *testing.T) { agree(t, p, got, user, peer, transport) })
				if panel := got.Panels[user]; panel["dtls-version"] != version {
					t.Errorf("the panel of %s has %q, wanted %s", user, panel["dtls-version"], version)
				}
			}
			if at := got.Panels["alice"]["relay-url"]; at != "not told by this browser" && !strings.HasPrefix(at, "turn:") {
				t.Errorf("the panel of alice has relay %q, wanted its URL, or that Firefox does not tell", at)
			}
		})
	}
}
