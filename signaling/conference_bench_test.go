package signaling_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/store"
)

// BenchmarkJoin is what the joins of a whole meeting cost, past the network: each
// tells all who are in already, and is stored before it is acknowledged.
func BenchmarkJoin(b *testing.B) {
	for _, people := range []int{50, 300} {
		for _, durable := range []bool{false, true} {
			b.Run(fmt.Sprintf("people=%d/durable=%v", people, durable), func(b *testing.B) {
				w := memoryWorld(b, hosting(&processor{}, func(cfg *signaling.Config) {
					cfg.Log, cfg.OnEvent = slog.New(slog.DiscardHandler), nil
					cfg.Limits.ReconnectGrace, cfg.Limits.MeetingsPerUser, cfg.Limits.MeetingsAtOnce = time.Hour, 1<<20, 1<<20
					for i := range people {
						id := fmt.Sprint("user", i)
						cfg.Users = append(cfg.Users, signaling.User{ID: id, Client: "teams", Secret: secret + id})
					}
					if durable {
						file, err := store.Open(store.Config{Path: filepath.Join(b.TempDir(), "state")})
						if err != nil {
							b.Fatal(err)
						}
						b.Cleanup(func() { _ = file.Close() })
						cfg.Store = file
					}
				}))
				olga := w.raw("olga")
				var all []*raw
				for i := range people {
					all = append(all, w.raw(fmt.Sprint("user", i)))
				}
				do := func(r *raw, path string) string {
					q := httptest.NewRequest("POST", "https://"+host+path, strings.NewReader("{}"))
					q.Header.Set("Authorization", "Bearer "+r.token)
					q.Header.Set("Content-Type", "application/json")
					re := httptest.NewRecorder()
					w.controller.Handler().ServeHTTP(re, q)
					if re.Code >= 300 {
						b.Fatalf("%s: %d %s", path, re.Code, re.Body)
					}
					return re.Body.String()
				}
				b.ResetTimer()
				for b.Loop() {
					b.StopTimer()
					_, id, _ := strings.Cut(do(olga, "/v1/meetings"), `"id":"`)
					id, _, _ = strings.Cut(id, `"`)
					b.StartTimer()
					for _, r := range all {
						do(r, "/v1/meetings/"+id+"/join")
					}
					b.StopTimer()
					do(olga, "/v1/meetings/"+id+"/end")
					b.StartTimer()
				}
				b.ReportMetric(float64(people)*float64(b.N)/b.Elapsed().Seconds(), "joins/s")
			})
		}
	}
}
