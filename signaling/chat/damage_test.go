package chat_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/store"
)

// broken is a store in which some operations fail.
type broken struct {
	store.Memory
	saving, getting, listing atomic.Bool
}

var errDisk = errors.New("disk full")

func (b *broken) Begin(changes ...store.Change) func() error {
	if b.saving.Load() {
		return func() error { return errDisk }
	}
	return b.Memory.Begin(changes...)
}

func (b *broken) Get(n store.Name) ([]byte, error) {
	if b.getting.Load() {
		return nil, fmt.Errorf("record %s: %w", n, store.ErrDamaged)
	}
	return b.Memory.Get(n)
}

func (b *broken) Sequence(bucket, key string, from uint64, limit int, backwards bool) ([]store.Record, error) {
	if b.listing.Load() {
		return nil, errDisk
	}
	return b.Memory.Sequence(bucket, key, from, limit, backwards)
}

func TestAStoreThatFails(t *testing.T) {
	s := new(broken)
	b := newBench(t, s)
	b.thread(t, "t")
	ctx := t.Context()
	first := b.send(t, as("alice"), "first").Message
	d := chat.Draft{ClientID: "c", Text: "text"}
	members := []chat.Member{{ID: "alice"}}

	s.saving.Store(true)
	for what, call := range map[string]func() error{
		"Send":       func() error { _, err := b.Send(ctx, as("alice"), d); return err },
		"Edit":       func() error { _, err := b.Edit(ctx, as("alice"), first.ID, d); return err },
		"Delete":     func() error { _, err := b.Delete(ctx, as("alice"), first.ID); return err },
		"MarkRead":   func() error { _, err := b.MarkRead(ctx, as("alice"), 1); return err },
		"SetMembers": func() error { _, err := b.SetMembers(ctx, as("alice"), members); return err },
		"CreateThread": func() error {
			_, err := b.CreateThread(ctx, chat.Thread{Tenant: "contoso", Members: members})
			return err
		},
	} {
		err := call()
		if refused(t, err, chat.Failed); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v, wanted the store's error", what, err)
		}
	}
	s.saving.Store(false)
	if got := b.texts(t, as("bob")); got != "first" {
		t.Errorf("history after the failures: %s", got)
	}
	if sent, err := b.Send(ctx, as("alice"), d); err != nil || sent.Repeated || sent.Message.Number != 2 {
		t.Errorf("sent again: %+v, %v; wanted a new message", sent, err)
	}

	s.listing.Store(true)
	_, err := b.History(ctx, as("bob"), chat.Page{})
	refused(t, err, chat.Failed)
	_, err = b.MarkRead(ctx, as("bob"), 1)
	refused(t, err, chat.Failed)
	_, err = b.Send(ctx, as("bob"), chat.Draft{Text: "x"})
	refused(t, err, chat.Failed)
	s.listing.Store(false)

	s.getting.Store(true)
	_, err = b.Send(ctx, as("bob"), chat.Draft{Text: "x"})
	if e := refused(t, err, chat.Damaged); !strings.Contains(e.Error(), "record chat-threads/t") {
		t.Errorf("error %v, wanted it to name the record", e)
	}
	_, err = b.CreateThread(ctx, chat.Thread{ID: "t", Tenant: "contoso", Members: members})
	refused(t, err, chat.Damaged)
}

func TestDamagedRecordsAreNamed(t *testing.T) {
	name := func(bucket, key string, number uint64) store.Name {
		return store.Name{Bucket: bucket, Key: key, Number: number}
	}
	for what, c := range map[string]struct {
		spoil func(s *store.Memory, first, second chat.Message) error
		want  string
	}{
		"a message that is none": {func(s *store.Memory, _, _ chat.Message) error {
			return s.Write(store.Change{Name: name("chat-messages", "t", 1), Value: []byte("\x01\x02ab")})
		}, "chat-messages/t#1"},
		"a message that was changed": {func(s *store.Memory, _, _ chat.Message) error {
			value, err := s.Get(name("chat-messages", "t", 1))
			value[len(value)-1] ^= 1
			return errors.Join(err, s.Write(store.Change{Name: name("chat-messages", "t", 1), Value: value}))
		}, "chat-messages/t#1"},
		"a message under the ID of another": {func(s *store.Memory, first, second chat.Message) error {
			value, err := s.Get(name("chat-messages", "t", 1))
			value = bytes.Replace(value, []byte(first.ID), []byte(second.ID), 1)
			return errors.Join(err, s.Write(store.Change{Name: name("chat-messages", "t", 1), Value: value}))
		}, "chat-messages/t#1"},
		"a message in the place of another": {func(s *store.Memory, first, second chat.Message) error {
			value, err := s.Get(name("chat-messages", "t", 2))
			return errors.Join(err, s.Write(store.Change{Name: name("chat-messages", "t", 1), Value: value}))
		}, "another message"},
		"a message that is gone": {func(s *store.Memory, first, _ chat.Message) error {
			return s.Write(store.Change{Name: name("chat-messages", "t", 1), Delete: true})
		}, "is gone"},
		"a number that is none": {func(s *store.Memory, first, _ chat.Message) error {
			return s.Save("chat-message-ids", "t\x00"+first.ID, []byte("x"))
		}, "the number of message"},
		"a thread that is none": {func(s *store.Memory, _, _ chat.Message) error {
			return s.Save("chat-threads", "t", []byte("{}"))
		}, `thread "t"`},
		"a thread of another name": {func(s *store.Memory, _, _ chat.Message) error {
			return s.Save("chat-threads", "t", []byte(`{"id":"u","tenant":"contoso","members":[{"id":"alice"}]}`))
		}, `thread "t"`},
		"a mark that is none": {func(s *store.Memory, _, _ chat.Message) error {
			return s.Save("chat-marks", "t\x00alice", make([]byte, 16))
		}, `the mark of "alice"`},
		"wrapped keys that are none": {func(s *store.Memory, _, _ chat.Message) error {
			return s.Save("customer-keys", "contoso", []byte("{}"))
		}, "damaged"},
	} {
		t.Run(what, func(t *testing.T) {
			s := new(store.Memory)
			b := newBench(t, s)
			b.thread(t, "t")
			first, second := b.send(t, as("alice"), "first").Message, b.send(t, as("alice"), "second").Message
			must(t, c.spoil(s, first, second))
			_, editing := b.Edit(t.Context(), as("alice"), first.ID, chat.Draft{Text: "x"})
			_, marking := b.Marks(t.Context(), as("alice"))
			_, deeper := b.MarkRead(t.Context(), as("alice"), 1)
			err := errors.Join(editing, marking, deeper)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("errors %v, wanted %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "first") || strings.Contains(err.Error(), "second")) {
				t.Errorf("the error holds a text: %v", err)
			}
		})
	}
}
