package topology

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// String is the duration as Go writes it, for example "1.5s".
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration with its unit, such as "20ms", "1.5s" or "2h4m".
// It cannot be negative.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration; wanted a number with its unit, such as 20ms, 3s or 1m30s", text)
	}
	if parsed < 0 {
		return fmt.Errorf("the duration %q is negative", text)
	}
	*d = Duration(parsed)
	return nil
}

// String is the fraction in per cent, for example "2%".
func (f Fraction) String() string {
	// Rounded, for 0.07 × 100 is not 7 in binary.
	return strconv.FormatFloat(math.Round(float64(f)*1e8)/1e6, 'f', -1, 64) + "%"
}

// MarshalText writes a form that UnmarshalText reads back exactly.
func (f Fraction) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(f), 'f', -1, 64)), nil
}

// UnmarshalText reads a fraction from 0 to 1, written 0.02 or "2%".
func (f *Fraction) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return fmt.Errorf("%q is no fraction; wanted 0%% to 100%%, or 0 to 1", text)
	}
	*f = Fraction(v)
	return nil
}

// MarshalJSON writes a number.
func (f Fraction) MarshalJSON() ([]byte, error) { return f.MarshalText() }

// UnmarshalJSON reads a number, or the text forms.
func (f *Fraction) UnmarshalJSON(data []byte) error { return fromJSON(data, f) }

// bandwidthUnits are those of Bandwidth, the largest first.
var bandwidthUnits = []struct {
	suffix string
	bits   uint64
}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}

// String is in the largest unit that needs no fraction, for example "10mbit".
func (b Bandwidth) String() string {
	for _, u := range bandwidthUnits {
		if b != 0 && uint64(b)%u.bits == 0 {
			return strconv.FormatUint(uint64(b)/u.bits, 10) + u.suffix
		}
	}
	return "0"
}

// MarshalText writes the form that UnmarshalText reads.
func (b Bandwidth) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads a number of bits per second with its unit: bit, kbit, mbit
// or gbit. A bare 0 is no limit.
func (b *Bandwidth) UnmarshalText(text []byte) error {
	s := strings.ToLower(strings.TrimSpace(string(text)))
	if s == "0" {
		*b = 0
		return nil
	}
	for _, u := range bandwidthUnits {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		bits := math.Round(v * float64(u.bits))
		if err != nil || !(bits >= 1 && bits <= 1e12) {
			break
		}
		*b = Bandwidth(bits)
		return nil
	}
	return fmt.Errorf("%q is no bandwidth; wanted 1bit to 1000gbit, such as 512kbit, 10mbit or 1gbit", text)
}

// UnmarshalJSON reads the text form.
func (b *Bandwidth) UnmarshalJSON(data []byte) error { return fromJSON(data, b) }

// Contains says whether port is in the range.
func (r PortRange) Contains(port uint16) bool { return r.First <= port && port <= r.Last }

// String is "443" or "3478-3481".
func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// MarshalText writes the form that UnmarshalText reads.
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads one port, or a range such as "3478-3481".
func (r *PortRange) UnmarshalText(text []byte) error {
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, errB := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if errA != nil || errB != nil || a == 0 || a > b {
		return fmt.Errorf("%q is no port range; wanted a port from 1 to 65535, or a range such as 3478-3481", text)
	}
	*r = PortRange{uint16(a), uint16(b)}
	return nil
}

// UnmarshalJSON reads a number, or the text forms.
func (r *PortRange) UnmarshalJSON(data []byte) error { return fromJSON(data, r) }

// fromJSON gives a JSON string or number to a type that reads text.
func fromJSON(data []byte, into encoding.TextUnmarshaler) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		var number json.Number
		if err := json.Unmarshal(data, &number); err != nil {
			return err
		}
		text = number.String()
	}
	return into.UnmarshalText([]byte(text))
}
