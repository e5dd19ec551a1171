package result

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Milliseconds is the duration as a number.
func (d Duration) Milliseconds() float64 { return float64(d) / float64(time.Millisecond) }

// MarshalJSON writes milliseconds, with a fraction down to the nanosecond.
func (d Duration) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, d.Milliseconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads milliseconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var ms float64
	if err := json.Unmarshal(data, &ms); err != nil {
		return fmt.Errorf("duration %s: wanted a number of milliseconds", data)
	}
	ns := math.Round(ms * float64(time.Millisecond))
	if math.Abs(ns) >= math.MaxInt64 {
		return fmt.Errorf("duration %s ms is out of range", data)
	}
	*d = Duration(ns)
	return nil
}

// String is short, for people: about three digits, in a unit that fits, for
// example "0.42 ms", "84 ms", "3.25 s" or "2 min 5 s".
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t < 0:
		return "-" + (-d).String()
	case t == 0:
		return "0 ms"
	case t < 9950*time.Microsecond:
		digits := 1
		if t < 995*time.Microsecond {
			digits = 2
		}
		return strconv.FormatFloat(d.Milliseconds(), 'f', digits, 64) + " ms"
	case t < 999500*time.Microsecond:
		return strconv.FormatFloat(d.Milliseconds(), 'f', 0, 64) + " ms"
	case t < 9995*time.Millisecond:
		return strconv.FormatFloat(t.Seconds(), 'f', 2, 64) + " s"
	case t < 59950*time.Millisecond:
		return strconv.FormatFloat(t.Seconds(), 'f', 1, 64) + " s"
	}
	seconds := int64(t.Round(time.Second) / time.Second)
	return fmt.Sprintf("%d min %d s", seconds/60, seconds%60)
}
