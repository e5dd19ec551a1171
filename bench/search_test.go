package bench

import (
	"errors"
	"testing"
)

func TestSearchFindsTheHighestRateCarried(t *testing.T) {
	for _, c := range []struct {
		name   string
		limit  float64 // carried up to here
		what   outcome // beyond it
		search search
		low    float64
		high   float64
		end    string
	}{
		{"above the first try", 150_000, lost, search{20_000, 5e6, 20, 1.05}, 140_000, 150_000, "loss"},
		{"below the first try", 3_000, lost, search{20_000, 5e6, 20, 1.05}, 2_800, 3_000, "loss"},
		{"where the generator ends", 150_000, held, search{20_000, 5e6, 20, 1.05}, 140_000, 150_000, "generator"},
		{"beyond the range", 1e9, lost, search{20_000, 100_000, 20, 1.05}, 100_000, 100_000, "range"},
		{"out of tries on the way up", 1e9, lost, search{20_000, 5e6, 3, 1.05}, 80_000, 80_000, "tries"},
		{"out of tries in between", 150_000, lost, search{20_000, 5e6, 5, 1.05}, 113_000, 114_000, "loss"},
		{"nothing at all", 0, lost, search{20_000, 5e6, 6, 1.05}, 0, 0, "loss"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tries := 0
			got, err := c.search.run(func(rate float64) (outcome, error) {
				tries++
				if rate > c.limit {
					return c.what, nil
				}
				return carried, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got.Rate < c.low || got.Rate > c.high || got.Limit != c.end || got.Tries != tries || tries > c.search.tries {
				t.Errorf("found %+v in %d tries, wanted %.0f to %.0f by %s", got, tries, c.low, c.high, c.end)
			}
		})
	}
}

func TestSearchEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	if _, err := (search{1, 2, 3, 1.1}).run(func(float64) (outcome, error) { return carried, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	for _, s := range []search{{}, {2, 1, 3, 1.1}, {1, 2, 0, 1.1}, {1, 2, 3, 1}} {
		if _, err := s.run(func(float64) (outcome, error) { return carried, nil }); err == nil {
			t.Errorf("searched %+v", s)
		}
	}
}
