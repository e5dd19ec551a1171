package server

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that reads "10m".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("found %q, wanted a duration such as 30s or 10m", text)
	}
	*d = Duration(v)
	return nil
}

// Count is a limit: a whole number from 1 to maxCount.
type Count int

const maxCount = math.MaxInt32

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Count) UnmarshalText(text []byte) error {
	v, err := strconv.Atoi(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("found %q, wanted a whole number from 1 to %d", text, maxCount)
	case v < 1 || v > maxCount:
		return fmt.Errorf("found %d, wanted a whole number from 1 to %d", v, maxCount)
	}
	*c = Count(v)
	return nil
}

// Bandwidth is in bits a second and reads "20Mbit"; 0 is no limit.
type Bandwidth int64

// units are those of Bandwidth, the longer words first.
var units = []struct {
	name string
	bits int64
}{{"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9}, {"bit", 1}}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bandwidth) UnmarshalText(text []byte) error {
	s, factor := string(text), int64(1)
	for _, u := range units {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, factor = number, u.bits
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
	if err != nil || n < 0 || factor == 1 && n != 0 && s == string(text) {
		return fmt.Errorf("found %q, wanted a bandwidth such as 500kbit, 20Mbit or 1Gbit, or 0 for no limit", text)
	}
	*b = Bandwidth(n * factor)
	return nil
}

// Prefix is a netip.Prefix that may also be written as a single address.
type Prefix struct{ netip.Prefix }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Prefix) UnmarshalText(text []byte) error {
	prefix, err := parsePrefix(string(text))
	if err != nil {
		return err
	}
	p.Prefix = prefix
	return nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return prefix, fmt.Errorf("found %q, wanted an address or a prefix such as 192.0.2.0/24 or 2001:db8::/64", s)
	}
	if prefix != prefix.Masked() {
		return prefix, errors.New("found " + strconv.Quote(s) + ", whose address has bits beyond the prefix; write " + prefix.Masked().String())
	}
	return prefix, nil
}

func prefixes(list []Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = p.Prefix
	}
	return out
}
