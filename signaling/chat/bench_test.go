package chat_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/store"
)

// How the time of a durable message depends on how many send at once, to one thread or
// each to one of their own: ns/op is the time between two messages.
func BenchmarkSend(b *testing.B) {
	for _, threads := range []int{1, 16} {
		for _, senders := range []int{1, 16} {
			b.Run(fmt.Sprintf("threads=%d/senders=%d", threads, senders), func(b *testing.B) {
				f, err := store.Open(store.Config{Path: filepath.Join(b.TempDir(), "state")})
				must(b, err)
				defer f.Close()
				s := newBench(b, f)
				for i := range threads {
					_, err := s.CreateThread(b.Context(), chat.Thread{ID: fmt.Sprint(i), Tenant: "contoso", Members: []chat.Member{{ID: "alice"}, {ID: "bob"}}})
					must(b, err)
				}
				var next atomic.Int64
				var wait sync.WaitGroup
				b.ResetTimer()
				for n := range senders {
					wait.Go(func() {
						r := chat.Request{Thread: fmt.Sprint(n % threads), Person: "alice"}
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							if _, err := s.Send(b.Context(), r, chat.Draft{ClientID: fmt.Sprint(i), Text: "hello, bob"}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wait.Wait()
			})
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	s := newBench(b, new(store.Memory))
	s.thread(b, "t")
	for i := range 2 * chat.DefaultPage {
		s.send(b, as("alice"), fmt.Sprint("hello ", i))
	}
	for b.Loop() {
		if _, err := s.History(b.Context(), as("bob"), chat.Page{}); err != nil {
			b.Fatal(err)
		}
	}
}
