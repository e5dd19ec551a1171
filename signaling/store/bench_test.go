package store_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/callpath/callpath/signaling/store"
)

// How the time of a save depends on the number of savers: ns/op is the time between
// two durable saves, so its fall is what sharing of commits gives.
func BenchmarkSave(b *testing.B) {
	value := make([]byte, 500)
	for _, savers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("savers=%d", savers), func(b *testing.B) {
			f := open(b, filepath.Join(b.TempDir(), "state"))
			var next atomic.Int64
			var wait sync.WaitGroup
			b.ResetTimer()
			for range savers {
				wait.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if err := f.Save("b", fmt.Sprint(i), value); err != nil {
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

func BenchmarkSequence(b *testing.B) {
	f := open(b, filepath.Join(b.TempDir(), "state"))
	for i := range 5000 {
		f.Begin(store.Change{Name: store.Name{Bucket: "b", Key: "k", Number: uint64(i + 1)}, Value: make([]byte, 500)})
	}
	must(b, f.Save("b", "last", nil))
	for b.Loop() {
		if all, err := f.Sequence("b", "k", 4000, 50, true); err != nil || len(all) != 50 {
			b.Fatal(len(all), err)
		}
	}
}
