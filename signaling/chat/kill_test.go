package chat_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/store"
)

// The test binary is also the process that is killed: with writerFolder set, it writes
// there until then, and says on its standard output what was acknowledged to it.
const (
	writerFolder = "CALLPATH_CHAT_WRITER_FOLDER"
	writerRound  = "CALLPATH_CHAT_WRITER_ROUND"
)

// ack is one line of the writer.
type ack struct {
	What                      string // send, edit, delete, mark, meeting
	Thread, ID, Text, Meeting string
	Number, Version           uint64
}

// stamped gives a text that shows whether it is whole.
func stamped(name string, size int) string {
	text := name + " " + strings.Repeat("x", size)
	return fmt.Sprintf("%s %x", text, sha256.Sum256([]byte(text)))
}

func whole(text string) bool {
	cut := strings.LastIndexByte(text, ' ')
	return cut > 0 && fmt.Sprintf("%x", sha256.Sum256([]byte(text[:cut]))) == text[cut+1:]
}

func openAll(folder string) (*store.File, *chat.Service, error) {
	f, err := store.Open(store.Config{Path: filepath.Join(folder, "state")})
	if err != nil {
		return nil, nil, err
	}
	vault, err := customerkey.OpenFileVault(filepath.Join(folder, "vault"))
	if err != nil {
		return nil, nil, err
	}
	s, err := chat.New(chat.Config{Store: f, Vault: vault})
	return f, s, err
}

// writing is the process that is killed. It returns false in the test itself.
func writing() bool {
	folder := os.Getenv(writerFolder)
	if folder == "" {
		return false
	}
	if err := write(folder, os.Getenv(writerRound)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func write(folder, round string) error {
	f, s, err := openAll(folder)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	said, turns := 0, make(chan bool, 1)
	say := func(a ack) {
		line, _ := json.Marshal(a)
		mu.Lock()
		defer mu.Unlock()
		_, _ = os.Stdout.Write(append(line, '\n'))
		if said++; said%60 == 0 {
			select {
			case turns <- true:
			default:
			}
		}
	}
	failed := make(chan error)
	for _, thread := range []string{"t", "u"} {
		for _, person := range []string{"alice", "bob"} {
			go func() { failed <- talk(s, chat.Request{Thread: thread, Person: person}, round, say) }()
		}
	}
	for n := range 2 {
		go func() { failed <- meet(f, fmt.Sprintf("meeting %d of round %s", n, round), say) }()
	}
	go func() { failed <- rotate(f, s, turns) }()
	return <-failed
}

// rotate changes all keys at each turn: those of the store and the tenant's.
func rotate(f *store.File, s *chat.Service, turns <-chan bool) error {
	for range turns {
		if err := f.Rotate(); err != nil {
			return err
		}
		if err := s.Keys().Rotate(context.Background(), "contoso"); err != nil {
			return err
		}
	}
	return nil
}

// talk sends, edits, deletes and marks without end.
func talk(s *chat.Service, r chat.Request, round string, say func(ack)) error {
	ctx := context.Background()
	for i := 1; ; i++ {
		name := fmt.Sprintf("%s-%s-%s-%d", round, r.Thread, r.Person, i)
		text := stamped(name, i%7*300)
		sent, err := s.Send(ctx, r, chat.Draft{ClientID: name, Text: text})
		if err != nil {
			return err
		}
		a := ack{What: "send", Thread: r.Thread, ID: sent.Message.ID, Number: sent.Message.Number, Text: text}
		say(a)
		switch i % 4 {
		case 1:
			a.What, a.Text = "edit", stamped(name+" edited", i%5*300)
			_, err = s.Edit(ctx, r, a.ID, chat.Draft{Text: a.Text})
		case 2:
			a.What = "delete"
			_, err = s.Delete(ctx, r, a.ID)
		case 3:
			a.What, a.ID = "mark", r.Person
			_, err = s.MarkRead(ctx, r, a.Number)
		default:
			continue
		}
		if err != nil {
			return err
		}
		say(a)
	}
}

// meet keeps a meeting and its policies: two records that belong together.
func meet(f *store.File, name string, say func(ack)) error {
	for version := uint64(1); ; version++ {
		text := []byte(stamped(fmt.Sprint(name, " ", version), int(version%9)*500))
		if err := f.Write(
			store.Change{Name: store.Name{Bucket: "meetings", Key: name}, Value: text},
			store.Change{Name: store.Name{Bucket: "policies", Key: name}, Value: text},
		); err != nil {
			return err
		}
		say(ack{What: "meeting", Meeting: name, Version: version})
	}
}

// acknowledged is all that the test knows to be durable.
type acknowledged struct {
	messages map[string]ack // the last of each
	marks    map[[2]string]uint64
	meetings map[string]uint64
	total    int
}

func (k *acknowledged) add(a ack) {
	k.total++
	switch a.What {
	case "mark":
		k.marks[[2]string{a.Thread, a.ID}] = max(a.Number, k.marks[[2]string{a.Thread, a.ID}])
	case "meeting":
		k.meetings[a.Meeting] = a.Version
	default:
		k.messages[a.ID] = a
	}
}

// Nothing that was acknowledged is missing after kill -9, and nothing is half there.
func TestKilledAtRandomMoments(t *testing.T) {
	folder := t.TempDir()
	vault, err := customerkey.OpenFileVault(filepath.Join(folder, "vault"))
	must(t, err)
	for _, r := range roots {
		must(t, vault.Ensure(r))
	}
	f, s, err := openAll(folder)
	must(t, err)
	must(t, s.Keys().Ensure(t.Context(), customerkey.Policy{Tenant: "contoso", Name: "chat", Roots: roots}))
	for _, id := range []string{"t", "u"} {
		_, err := s.CreateThread(t.Context(), chat.Thread{ID: id, Tenant: "contoso", Members: []chat.Member{{ID: "alice"}, {ID: "bob"}}})
		must(t, err)
	}
	must(t, f.Close())

	random := rand.New(rand.NewPCG(4, 20))
	known := &acknowledged{map[string]ack{}, map[[2]string]uint64{}, map[string]uint64{}, 0}
	const rounds = 20
	for round := range rounds {
		killAfter(t, folder, round, random.IntN(150), known)
		verify(t, folder, known)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	if known.total < 10*rounds {
		t.Errorf("only %d acknowledgements in %d rounds", known.total, rounds)
	}
	t.Logf("%d acknowledgements, %d messages, over %d kills", known.total, len(known.messages), rounds)
}

// killAfter runs the writer and kills it once it has said a number of lines.
func killAfter(t *testing.T, folder string, round, lines int, known *acknowledged) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerFolder+"="+folder, writerRound+"="+strconv.Itoa(round))
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	scanner := bufio.NewScanner(out)
	scanner.Buffer(nil, 1<<20)
	for n := 0; ; n++ {
		if n == lines {
			must(t, cmd.Process.Kill()) // SIGKILL
		}
		// The rest of the pipe was said before the kill.
		if !scanner.Scan() {
			break
		}
		var a ack
		if json.Unmarshal(scanner.Bytes(), &a) != nil {
			break // half a line, the last one
		}
		known.add(a)
	}
	must(t, scanner.Err())
	if err := cmd.Wait(); err == nil || complaints.Len() > 0 {
		t.Fatalf("the writer ended by itself: %v, %s", err, complaints.String())
	}
}

func verify(t *testing.T, folder string, known *acknowledged) {
	t.Helper()
	f, s, err := openAll(folder)
	must(t, err)
	defer f.Close()
	must(t, f.Check())
	found := map[string]chat.Message{}
	for _, thread := range []string{"t", "u"} {
		for p := (chat.Page{Forward: true, Limit: chat.MaxPage}); ; {
			h, err := s.History(t.Context(), chat.Request{Thread: thread, Person: "alice"}, p)
			must(t, err)
			for _, m := range h.Messages {
				if found[m.ID] = m; m.Deleted.IsZero() && !whole(m.Text) {
					t.Errorf("message %s is half there: %.200q", m.ID, m.Text)
				}
			}
			if p.Cursor = h.Next; !h.More {
				break
			}
		}
		marks, err := s.Marks(t.Context(), chat.Request{Thread: thread, Person: "alice"})
		must(t, err)
		for _, person := range []string{"alice", "bob"} {
			if got, want := marks[person].Read, known.marks[[2]string{thread, person}]; got < want {
				t.Errorf("%s has read up to %d in %s, wanted %d", person, got, thread, want)
			}
		}
	}
	for id, a := range known.messages {
		m, there := found[id]
		// A change that was not acknowledged may be there, or not, but whole.
		switch changed := !m.Deleted.IsZero() || !m.Edited.IsZero(); {
		case !there:
			t.Errorf("message %s (%d) of %s is missing", id, a.Number, a.Thread)
		case m.Number != a.Number || m.Thread != a.Thread:
			t.Errorf("message %s is number %d of %s, wanted %d of %s", id, m.Number, m.Thread, a.Number, a.Thread)
		case a.What == "delete" && m.Deleted.IsZero():
			t.Errorf("message %s is there again", id)
		case a.What == "edit" && m.Text != a.Text, a.What == "send" && !changed && m.Text != a.Text:
			t.Errorf("message %s has the text %.60q, wanted %.60q", id, m.Text, a.Text)
		}
	}
	pairs := map[string]string{}
	must(t, f.Each("meetings", func(key string, value []byte) error {
		pairs[key] = string(value)
		if !whole(string(value)) {
			t.Errorf("%s is half there: %.100q", key, value)
		}
		return nil
	}))
	must(t, f.Each("policies", func(key string, value []byte) error {
		if pairs[key] != string(value) {
			t.Errorf("%s and its policies are of different versions: %.60q, %.60q", key, pairs[key], value)
		}
		return nil
	}))
	for name, version := range known.meetings {
		words := strings.Fields(pairs[name])
		if len(words) < 7 {
			t.Errorf("%s is missing: %.60q", name, pairs[name])
			continue
		}
		if got, err := strconv.ParseUint(words[5], 10, 64); err != nil || got < version {
			t.Errorf("%s has the version %d, %v; wanted %d or later", name, got, err, version)
		}
	}
}
