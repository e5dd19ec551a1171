package signaling_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/authority"
	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/meeting/policy"
	"github.com/callpath/callpath/signaling/store"
)

// killFolder, in the environment, makes the test binary the server that is killed.
const killFolder = "CALLPATH_SIGNALING_KILL"

// TestServerToBeKilled is that server: a controller and a chat on one file. Its first
// line tells the address and the authority; after that each line that it reads sets
// DisableAnonymousJoin, and is answered once that is acknowledged.
func TestServerToBeKilled(t *testing.T) {
	folder := os.Getenv(killFolder)
	if folder == "" {
		t.Skip("it is a part of TestKilledAtAnyMomentNothingAcknowledgedIsLost")
	}
	file, err := store.Open(store.Config{Path: filepath.Join(folder, "state")})
	if err != nil {
		t.Fatal(err)
	}
	vault, err := customerkey.OpenFileVault(filepath.Join(folder, "vault"))
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"one", "two"} {
		_ = vault.Create(root) // it is there after the first start
	}
	messages, err := chat.New(chat.Config{Store: file, Vault: vault})
	if err != nil {
		t.Fatal(err)
	}
	if err := messages.Keys().Ensure(context.Background(), customerkey.Policy{Tenant: signaling.HomeTenant, Name: "chat", Roots: [2]string{"one", "two"}}); err != nil {
		t.Fatal(err)
	}
	cfg := signaling.Config{TURN: turn, Store: file, Chat: messages, Log: slog.New(slog.DiscardHandler),
		Limits: signaling.Limits{WritesPerMinute: 1 << 30, MeetingsPerUser: 1 << 20, ReconnectGrace: time.Hour}}
	hosting(&processor{}, nil)(&cfg)
	c, err := signaling.NewController(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.New(authority.Config{})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := a.TLS(host)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		fmt.Println("serving", ln.Addr(), base64.StdEncoding.EncodeToString(a.PEM()))
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			if err := c.SetPolicies(policies(t, "DisableAnonymousJoin="+lines.Text())); err != nil {
				fmt.Println("failed", err)
				return
			}
			fmt.Println("set", lines.Text())
		}
		os.Exit(0) // the test that started it has ended
	}()
	if err := signaling.Serve(context.Background(), ln, conf, c.Handler()); err != nil {
		t.Error(err)
	}
}

// victim is a running server.
type victim struct {
	cmd     *exec.Cmd
	input   io.WriteCloser
	lines   *bufio.Scanner
	address string
	roots   *x509.CertPool
}

func startVictim(t *testing.T, folder string) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command(os.Args[0], "-test.run=^TestServerToBeKilled$", "-test.timeout=2m"), roots: x509.NewCertPool()}
	v.cmd.Env = append(os.Environ(), killFolder+"="+folder)
	var err error
	if v.input, err = v.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.cmd.Process.Kill() }) // also when the test fails
	v.lines = bufio.NewScanner(output)
	v.lines.Buffer(nil, 1<<20)
	said := ""
	for v.lines.Scan() {
		said += v.lines.Text() + "\n"
		if f := strings.Fields(v.lines.Text()); len(f) == 3 && f[0] == "serving" {
			pem, err := base64.StdEncoding.DecodeString(f[2])
			if err != nil || !v.roots.AppendCertsFromPEM(pem) {
				t.Fatal("no authority: ", err)
			}
			v.address = f[1]
			return v
		}
	}
	v.kill()
	t.Fatalf("the server does not start:\n%s", said)
	return nil
}

// kill is SIGKILL.
func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}

// caller sends one request after the other as a user, each once.
type caller struct {
	http  *http.Client
	token string
}

func (v *victim) caller(t *testing.T, user string) *caller {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: v.roots, ServerName: host},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", v.address)
		}}
	t.Cleanup(transport.CloseIdleConnections)
	c := &caller{http: &http.Client{Transport: transport, Timeout: patience}}
	var in struct{ Token string }
	if code := c.do("POST", "/v1/sign-in", fmt.Sprintf(`{"user":%q,"secret":%q}`, user, secret+user), &in); code != 200 {
		t.Fatalf("sign-in of %s: %d", user, code)
	}
	c.token = in.Token
	return c
}

// do is 0 when there is no answer.
func (c *caller) do(method, path, body string, out any) int {
	req, err := http.NewRequest(method, "https://"+host+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || out != nil && resp.StatusCode < 300 && json.Unmarshal(text, out) != nil {
		return 0
	}
	return resp.StatusCode
}

// record is what was acknowledged, and for what may or may not have happened, the last
// try that was not.
type record struct {
	mu       sync.Mutex
	meetings map[string]string   // ID: subject
	chats    map[string][]string // meeting: texts
	mic      map[string]string   // meeting: what allowAttendeeToEnableMic may be, "false" or "false true"
	policy   string              // as mic, of DisableAnonymousJoin
	waiting  map[string]bool     // meeting: tom is in the lobby
}

// load asks for one thing after the other until the server is gone.
func (r *record) load(olga, tom *caller, rng *rand.Rand) {
	var ids []string
	r.mu.Lock()
	for id := range r.meetings {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	for n := 0; ; n++ {
		var code int
		switch what := rng.IntN(6); {
		case what == 0 || len(ids) == 0:
			var m signaling.Meeting
			subject := "subject " + strconv.Itoa(rng.Int())
			if code = olga.do("POST", "/v1/meetings", `{"subject":"`+subject+`"}`, &m); code == 201 {
				ids = append(ids, m.ID)
				r.mu.Lock()
				r.meetings[m.ID] = subject
				r.mu.Unlock()
			}
		case what == 1 && tom != nil: // one sets options, so that their order is known
			id, on := ids[rng.IntN(len(ids))], strconv.FormatBool(rng.IntN(2) == 0)
			r.mu.Lock()
			r.mic[id] = cmp.Or(r.mic[id], "true") + " " + on
			r.mu.Unlock()
			if code = olga.do("PATCH", "/v1/meetings/"+id+"/options", `{"allowAttendeeToEnableMic":`+on+`}`, nil); code == 200 {
				r.mu.Lock()
				r.mic[id] = on
				r.mu.Unlock()
			}
		case what == 2 && tom != nil:
			id := ids[rng.IntN(len(ids))]
			if code = tom.do("POST", "/v1/meetings/"+id+"/join", `{}`, nil); code == 200 {
				r.mu.Lock()
				r.waiting[id] = true
				r.mu.Unlock()
			}
			if code == 409 {
				continue // he waits in as many as he may
			}
		default:
			id, text := ids[rng.IntN(len(ids))], "message "+strconv.Itoa(rng.Int())
			if code = olga.do("POST", "/v1/meetings/"+id+"/messages", `{"text":"`+text+`"}`, nil); code == 201 {
				r.mu.Lock()
				r.chats[id] = append(r.chats[id], text)
				r.mu.Unlock()
			}
		}
		if code == 0 || code >= 400 {
			return
		}
	}
}

// check finds in a server that has started again what was acknowledged.
func (r *record) check(t *testing.T, olga *caller) {
	t.Helper()
	for id, subject := range r.meetings {
		var m signaling.Meeting
		if code := olga.do("GET", "/v1/meetings/"+id, "", &m); code != 200 || m.Subject != subject || m.Organizer != "olga" || m.Options == nil {
			t.Errorf("meeting %s: %d %+v, wanted subject %q", id, code, m, subject)
			continue
		}
		if may := r.mic[id]; may != "" && !strings.Contains(may, strconv.FormatBool(m.Options.AllowAttendeeToEnableMic)) {
			t.Errorf("meeting %s: allowAttendeeToEnableMic is %v, wanted one of %s", id, m.Options.AllowAttendeeToEnableMic, may)
		}
		r.mic[id] = strconv.FormatBool(m.Options.AllowAttendeeToEnableMic)
		seen := map[string]int{}
		for after := "0"; after != ""; {
			var page struct {
				Messages []signaling.ChatMessage
				Next     string
			}
			if code := olga.do("GET", "/v1/meetings/"+id+"/messages?after="+after, "", &page); code != 200 {
				t.Fatalf("the chat of %s: %d", id, code)
			}
			for _, m := range page.Messages {
				seen[m.Text]++
				if m.From != "olga" || !strings.HasPrefix(m.Text, "message ") {
					t.Errorf("half a message: %+v", m)
				}
			}
			after = page.Next
		}
		for _, text := range r.chats[id] {
			if seen[text] != 1 {
				t.Errorf("meeting %s: %q is there %d times", id, text, seen[text])
			}
		}
	}
}

// A server that is killed at any moment, under load, has after its next start all that
// it has acknowledged: meetings, options, policies, who waits in a lobby, and messages.
// CALLPATH_KILLS is how often; 6.
func TestKilledAtAnyMomentNothingAcknowledgedIsLost(t *testing.T) {
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("CALLPATH_KILLS")); err == nil {
		kills = n
	}
	folder := t.TempDir()
	r := &record{meetings: map[string]string{}, chats: map[string][]string{}, mic: map[string]string{}, waiting: map[string]bool{}}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	v := startVictim(t, folder)
	for range kills {
		var work sync.WaitGroup
		for i := range 3 {
			var tom *caller
			if i == 0 {
				tom = v.caller(t, "tom")
			}
			olga, seed := v.caller(t, "olga"), rng.Uint64()
			work.Go(func() { r.load(olga, tom, rand.New(rand.NewPCG(seed, 2))) })
		}
		work.Go(func() {
			for n := 0; ; n++ {
				off := strconv.FormatBool(n%2 == 0)
				r.mu.Lock()
				r.policy += " " + off
				r.mu.Unlock()
				if _, err := fmt.Fprintln(v.input, off); err != nil || !v.lines.Scan() || v.lines.Text() != "set "+off {
					return
				}
				r.mu.Lock()
				r.policy = off
				r.mu.Unlock()
			}
		})
		time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond) // the moment
		_ = v.cmd.Process.Kill()
		work.Wait()
		v.kill()
		v = startVictim(t, folder)
		olga, ann := v.caller(t, "olga"), v.caller(t, "ann")
		r.check(t, olga)
		tom := v.caller(t, "tom")
		for id := range r.waiting {
			var m signaling.Meeting
			if code := tom.do("GET", "/v1/meetings/"+id, "", &m); code != 200 || m.Place != policy.Lobby {
				t.Errorf("tom, who waited in %s, finds %d %+v", id, code, m)
			}
		}
		id := ""
		for id = range r.meetings {
			break
		}
		if id != "" {
			code := ann.do("POST", "/v1/meetings/"+id+"/join", `{}`, nil)
			off := code == 403
			if r.policy != "" && !strings.Contains(r.policy, strconv.FormatBool(off)) {
				t.Errorf("DisableAnonymousJoin is %v (%d), wanted one of %s", off, code, r.policy)
			}
			ann.do("POST", "/v1/meetings/"+id+"/leave", `{}`, nil)
		}
		n := 0
		for _, texts := range r.chats {
			n += len(texts)
		}
		t.Logf("killed: %d meetings, %d messages, %d waits are there", len(r.meetings), n, len(r.waiting))
	}
	if err := v.input.Close(); err != nil {
		t.Error(err)
	}
	if err := v.cmd.Wait(); err != nil {
		t.Errorf("the server ends with %v", err)
	}
}
