package server_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling"
)

// saying is a message that was acknowledged. What was tried with it and not
// acknowledged may have happened or not.
type saying struct {
	texts   []string // one of these
	deleted []bool   // one of these
}

// wish is a message whose send was not acknowledged.
type wish struct{ path, id, text string }

// ledger is what clients know of a server that is killed again and again.
type ledger struct {
	mu       sync.Mutex
	chats    map[string]map[string]*saying // by path and ID
	wishes   []wish
	meetings map[string]string   // subject by ID
	mic      map[string][]string // what allowAttendeeToEnableMic of a meeting may be
}

// person sends requests with a token that outlives restarts, each once.
type person struct {
	http  *http.Client
	base  string
	token string
}

func (p *process) person(token string) *person {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots()}}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &person{&http.Client{Transport: transport, Timeout: patience}, p.url(), token}
}

// do returns the status, 0 when there is no answer. repeat is the request's ID, so that
// it can be sent again.
func (u *person) do(method, path, body, repeat string, out any) int {
	req, err := http.NewRequest(method, u.base+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+u.token)
	if repeat != "" {
		req.Header.Set("Repeatability-Request-ID", repeat)
		req.Header.Set("Repeatability-First-Sent", time.Now().UTC().Format(http.TimeFormat))
	}
	re, err := u.http.Do(req)
	if err != nil {
		return 0
	}
	defer re.Body.Close()
	text, err := io.ReadAll(re.Body)
	if err != nil || out != nil && re.StatusCode < 300 && json.Unmarshal(text, out) != nil {
		return 0
	}
	return re.StatusCode
}

// uuid is one of a test: it need not be hard to guess.
func uuid(rng *rand.Rand) string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rng.Uint32(), rng.Uint32()&0xffff, rng.Uint32()&0xfff, rng.Uint32()&0xfff, rng.Uint64()&0xffffffffffff)
}

// say sends a message, edits one or deletes one.
func (l *ledger) say(u *person, path string, rng *rand.Rand) int {
	l.mu.Lock()
	var id string
	for id = range l.chats[path] {
		break
	}
	known := l.chats[path][id]
	l.mu.Unlock()
	text := "message " + strconv.FormatUint(rng.Uint64(), 10)
	switch what := rng.IntN(5); {
	case what == 0 && known != nil && len(known.deleted) == 1 && !known.deleted[0]:
		l.change(func() { known.texts = append(known.texts, text) })
		code := u.do("PATCH", path+"/"+id, `{"text":"`+text+`"}`, "", nil)
		if code == http.StatusOK {
			l.change(func() { known.texts = []string{text} })
		}
		return code
	case what == 1 && known != nil && len(known.deleted) == 1 && !known.deleted[0]:
		l.change(func() { known.deleted = append(known.deleted, true) })
		code := u.do("DELETE", path+"/"+id, "", "", nil)
		if code == http.StatusOK {
			l.change(func() { known.deleted = []bool{true} })
		}
		return code
	}
	w := wish{path, uuid(rng), text}
	return l.send(u, w)
}

func (l *ledger) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

func (l *ledger) send(u *person, w wish) int {
	var m signaling.ChatMessage
	code := u.do("POST", w.path, `{"text":"`+w.text+`"}`, w.id, &m)
	l.change(func() {
		switch code {
		case http.StatusCreated:
			if l.chats[w.path] == nil {
				l.chats[w.path] = map[string]*saying{}
			}
			l.chats[w.path][m.ID] = &saying{texts: []string{w.text}, deleted: []bool{false}}
		case 0:
			l.wishes = append(l.wishes, w)
		}
	})
	return code
}

// schedule makes a meeting, or sets an option of one.
func (l *ledger) schedule(u *person, rng *rand.Rand) int {
	l.mu.Lock()
	var id string
	for id = range l.meetings {
		break
	}
	most := len(l.meetings)
	l.mu.Unlock()
	if most == 0 || most < 100 && rng.IntN(8) == 0 {
		var m signaling.Meeting
		subject := "subject " + strconv.FormatUint(rng.Uint64(), 10)
		code := u.do("POST", "/v1/meetings", `{"subject":"`+subject+`"}`, "", &m)
		if code == http.StatusCreated {
			l.change(func() { l.meetings[m.ID], l.mic[m.ID] = subject, []string{"true"} })
		}
		return code
	}
	on := strconv.FormatBool(rng.IntN(2) == 0)
	l.change(func() { l.mic[id] = append(l.mic[id], on) })
	code := u.do("PATCH", "/v1/meetings/"+id+"/options", `{"allowAttendeeToEnableMic":`+on+`}`, "", nil)
	if code == http.StatusOK {
		l.change(func() { l.mic[id] = []string{on} })
	}
	return code
}

// check finds what was acknowledged in a server that has started again, and nothing
// that is half there.
func (l *ledger) check(t *testing.T, writers map[string]*person) {
	t.Helper()
	// What was not acknowledged is sent again: it must be there once in the end.
	wishes := l.wishes
	l.wishes = nil
	for _, w := range wishes {
		if code := l.send(writers[w.path], w); code != http.StatusCreated {
			t.Errorf("message %q sent again: %d", w.text, code)
		}
	}
	for path, chat := range l.chats {
		found := map[string]signaling.ChatMessage{}
		for after := "0"; after != ""; {
			var page struct {
				Messages []signaling.ChatMessage
				Next     string
			}
			if code := writers[path].do("GET", path+"?after="+after, "", "", &page); code != http.StatusOK {
				t.Fatalf("%s: %d", path, code)
			}
			for _, m := range page.Messages {
				if _, twice := found[m.ID]; twice || chat[m.ID] == nil {
					t.Errorf("%s has %+v, which nobody knows or which is there twice", path, m)
				}
				found[m.ID] = m
			}
			after = page.Next
		}
		for id, s := range chat {
			m, is := found[id]
			gone := !m.Deleted.IsZero()
			switch {
			case !is:
				t.Errorf("%s: message %s (%q) is missing", path, id, s.texts)
				continue
			case !slices.Contains(s.deleted, gone), gone != (m.Text == ""), !gone && !slices.Contains(s.texts, m.Text):
				t.Errorf("%s: message %s is %+v, wanted one of %q, deleted one of %v", path, id, m, s.texts, s.deleted)
			}
			s.deleted = []bool{gone}
			if !gone {
				s.texts = []string{m.Text}
			}
		}
	}
	alice := writers["alice"]
	for id, subject := range l.meetings {
		var m signaling.Meeting
		if code := alice.do("GET", "/v1/meetings/"+id, "", "", &m); code != http.StatusOK || m.Subject != subject || m.Options == nil {
			t.Errorf("meeting %s: %d %+v, wanted subject %q", id, code, m, subject)
			continue
		}
		if on := strconv.FormatBool(m.Options.AllowAttendeeToEnableMic); !slices.Contains(l.mic[id], on) {
			t.Errorf("meeting %s: allowAttendeeToEnableMic is %s, wanted one of %q", id, on, l.mic[id])
		} else {
			l.mic[id] = []string{on}
		}
	}
}

// settings is a configuration file whose policies change.
type settings struct {
	file string
	off  bool // DisableAnonymousJoin, as the file has it
}

func (s *settings) write(t *testing.T, off bool) {
	t.Helper()
	text := fmt.Sprintf("meetings:\n  organization: {DisableAnonymousJoin: %v}\n", off)
	ok(t, os.WriteFile(s.file+".new", []byte(text), 0o600), os.Rename(s.file+".new", s.file))
	s.off = off
}

// rule changes the policies of a running server until done is closed.
func (s *settings) rule(t *testing.T, p *process, done <-chan struct{}) {
	for n := 1; ; n++ {
		s.write(t, !s.off)
		if p.cmd.Process.Signal(syscall.SIGHUP) != nil {
			return
		}
		p.mu.Lock()
		for p.reloads(reloaded) < n {
			select {
			case <-done:
				p.mu.Unlock()
				return
			default:
				p.changed.Wait()
			}
		}
		p.mu.Unlock()
	}
}

// The real process, killed at any moment under the load of real clients, has after its
// next start each message, meeting, option and policy that it has acknowledged, and
// none by half. CALLPATH_KILLS is how often; 20.
func TestKilledAtAnyMomentServeLosesNothingAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes up to a minute")
	}
	kills := 20
	if n, err := strconv.Atoi(os.Getenv("CALLPATH_KILLS")); err == nil {
		kills = n
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	ok(t, err)
	// The issuer's name has the port, and tokens have the issuer's name.
	https := fmt.Sprintf("--signaling-https=%d", ln.Addr().(*net.TCPAddr).Port)
	ok(t, ln.Close())
	state := t.TempDir()
	s := &settings{file: filepath.Join(t.TempDir(), "callpath.yaml")}
	s.write(t, false)
	start := func() *process {
		p := startProcess(t, "--state="+state, "--config="+s.file, https)
		p.state = state
		return p
	}
	p := start()
	aliceToken, bobToken := p.token("alice", p.password("alice")), p.token("bob", p.password("bob"))
	alice, bob := p.person(aliceToken), p.person(bobToken)
	var thread struct{ ID string }
	bob.do("GET", "/v1/calls/none", "", "", nil) // the controller meets him
	if code := alice.do("POST", "/v1/threads", `{"members":["bob"]}`, "", &thread); code != http.StatusCreated {
		t.Fatalf("a thread: %d", code)
	}
	var meeting, probe signaling.Meeting
	for _, m := range []*signaling.Meeting{&meeting, &probe} {
		if code := alice.do("POST", "/v1/meetings", `{}`, "", m); code != http.StatusCreated {
			t.Fatalf("a meeting: %d", code)
		}
	}
	l := &ledger{chats: map[string]map[string]*saying{}, meetings: map[string]string{}, mic: map[string][]string{}}
	inMeeting, inThread := "/v1/meetings/"+meeting.ID+"/messages", "/v1/threads/"+thread.ID+"/messages"
	writers := map[string]*person{inMeeting: alice, inThread: bob, "alice": alice}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range kills {
		done := make(chan struct{})
		var work sync.WaitGroup
		for _, do := range []func(*rand.Rand) int{
			func(rng *rand.Rand) int { return l.say(alice, inMeeting, rng) },
			func(rng *rand.Rand) int { return l.say(bob, inThread, rng) },
			func(rng *rand.Rand) int { return l.schedule(alice, rng) },
		} {
			seed := rng.Uint64()
			work.Go(func() {
				rng := rand.New(rand.NewPCG(seed, 2))
				for code := 1; code != 0; {
					if code = do(rng); code >= 400 && code != http.StatusTooManyRequests {
						t.Errorf("a request got %d", code)
						return
					}
				}
			})
		}
		work.Go(func() { s.rule(t, p, done) })
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond) // the moment
		_ = p.cmd.Process.Kill()
		_ = p.wait()
		close(done)
		p.mu.Lock()
		p.changed.Broadcast()
		p.mu.Unlock()
		work.Wait()

		p = start()
		l.check(t, writers)
		code := bob.do("POST", "/v1/meetings/"+probe.ID+"/join", `{}`, "", nil)
		if wanted := map[bool]int{false: http.StatusOK, true: http.StatusForbidden}[s.off]; code != wanted {
			t.Errorf("DisableAnonymousJoin is %v: a join of an anonymous user gets %d, wanted %d", s.off, code, wanted)
		}
		bob.do("POST", "/v1/meetings/"+probe.ID+"/leave", `{}`, "", nil)
	}
	t.Logf("%d kills: %d and %d messages, %d meetings are there", kills, len(l.chats[inMeeting]), len(l.chats[inThread]), len(l.meetings))
}
