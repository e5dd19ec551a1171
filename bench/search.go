package bench

import (
	"fmt"
	"math"
)

// outcome is what one try of a search found.
type outcome int

const (
	carried outcome = iota
	lost            // the relay lost too much
	held            // the generator could not send so much
)

// search looks for the highest rate that is carried: up by doubling until it is not,
// then by halving the ratio between the two. It makes no more than tries tries, and
// fewer when the highest carried and the lowest not carried are within close, a ratio
// just above 1.
type search struct {
	from, to float64
	tries    int
	close    float64
}

// found is what a search ended with. Rate is 0 when nothing was carried.
type found struct {
	Rate float64
	// Limit is why there is not more: "loss", "generator", or "range" and
	// "tries" when the search came to its own end first.
	Limit string
	Tries int
}

// run makes the search.
func (s search) run(try func(rate float64) (outcome, error)) (found, error) {
	if !(s.from > 0) || s.to < s.from || s.tries < 1 || !(s.close > 1) {
		return found{}, fmt.Errorf("search from %v to %v in %d tries to within %v", s.from, s.to, s.tries, s.close)
	}
	low, high := 0.0, math.Inf(1)
	f := found{Limit: "range"}
	rate := s.from
	for f.Tries < s.tries {
		f.Tries++
		what, err := try(rate)
		if err != nil {
			return f, err
		}
		if what == carried {
			low, f.Rate = rate, rate
		} else {
			high = rate
			f.Limit = map[outcome]string{lost: "loss", held: "generator"}[what]
		}
		switch {
		case low >= s.to:
			return f, nil
		case math.IsInf(high, 1):
			rate = min(2*rate, s.to)
		case low == 0:
			rate = high / 2
		case high/low <= s.close:
			return f, nil
		default:
			rate = math.Sqrt(low * high)
		}
	}
	if math.IsInf(high, 1) {
		f.Limit = "tries"
	}
	return f, nil
}
