package topology_test

import (
	"encoding"
	"encoding/json"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
)

// text is a type that reads and writes one value.
type text interface {
	encoding.TextUnmarshaler
	encoding.TextMarshaler
}

func TestUnitsReadAndWriteTheirForms(t *testing.T) {
	duration := func() text { return new(topology.Duration) }
	fraction := func() text { return new(topology.Fraction) }
	bandwidth := func() text { return new(topology.Bandwidth) }
	ports := func() text { return new(topology.PortRange) }
	for _, c := range []struct {
		make     func() text
		in, want string // empty want is a refusal
	}{
		{duration, "20ms", "20ms"}, {duration, "1.5s", "1.5s"}, {duration, "0s", "0s"}, {duration, "2h4m", "2h4m0s"},
		{duration, "20", ""}, {duration, "-1s", ""}, {duration, "", ""}, {duration, "soon", ""},
		{fraction, "2%", "0.02"}, {fraction, "0.02", "0.02"}, {fraction, "0", "0"}, {fraction, "100%", "1"}, {fraction, "7%", "0.07"},
		{fraction, "101%", ""}, {fraction, "-1%", ""}, {fraction, "2", ""}, {fraction, "NaN", ""}, {fraction, "%", ""},
		{bandwidth, "10mbit", "10mbit"}, {bandwidth, "1500kbit", "1500kbit"}, {bandwidth, "1000kbit", "1mbit"}, {bandwidth, "1.5 Gbit", "1500mbit"},
		{bandwidth, "7bit", "7bit"}, {bandwidth, "0", "0"},
		{bandwidth, "10", ""}, {bandwidth, "-1mbit", ""}, {bandwidth, "0mbit", ""}, {bandwidth, "10mb", ""}, {bandwidth, "9e99gbit", ""}, {bandwidth, "NaNbit", ""},
		{ports, "443", "443"}, {ports, "3478-3481", "3478-3481"}, {ports, "1 - 2", "1-2"},
		{ports, "0", ""}, {ports, "5-4", ""}, {ports, "65536", ""}, {ports, "1-2-3", ""}, {ports, "a", ""},
	} {
		v := c.make()
		err := v.UnmarshalText([]byte(c.in))
		if (err == nil) != (c.want != "") {
			t.Errorf("%T %q: got error %v", v, c.in, err)
			continue
		}
		if err != nil {
			continue
		}
		got, err := v.MarshalText()
		if err != nil || string(got) != c.want {
			t.Errorf("%T %q: wrote %q, %v; want %q", v, c.in, got, err, c.want)
		}
		again := c.make()
		if err := again.UnmarshalText(got); err != nil {
			t.Errorf("%T: cannot read back %q: %v", v, got, err)
		}
	}
}

func TestUnitsInJSON(t *testing.T) {
	type all struct {
		D topology.Duration
		F topology.Fraction
		B topology.Bandwidth
		P []topology.PortRange
	}
	want := all{topology.Duration(20 * time.Millisecond), 0.02, 10_000_000, []topology.PortRange{{First: 443, Last: 443}, {First: 3478, Last: 3481}}}
	const written = `{"D":"20ms","F":0.02,"B":"10mbit","P":["443","3478-3481"]}`
	got, err := json.Marshal(want)
	if err != nil || string(got) != written {
		t.Fatalf("got  %s, %v\nwant %s", got, err, written)
	}
	for _, in := range []string{written, `{"D":"0.02s","F":"2%","B":"10000kbit","P":[443,"3478-3481"]}`} {
		var back all
		if err := json.Unmarshal([]byte(in), &back); err != nil {
			t.Fatal(err)
		}
		if back.D != want.D || back.F != want.F || back.B != want.B || back.P[0] != want.P[0] || back.P[1] != want.P[1] {
			t.Errorf("%s: got %+v, want %+v", in, back, want)
		}
	}
	var back all
	for _, in := range []string{`{"F":true}`, `{"P":[{}]}`, `{"B":"x"}`} {
		if json.Unmarshal([]byte(in), &back) == nil {
			t.Errorf("%s: wanted an error", in)
		}
	}
}

func TestFractionInWords(t *testing.T) {
	for f, want := range map[topology.Fraction]string{0: "0%", 0.07: "7%", 0.005: "0.5%", 1: "100%"} {
		if got := f.String(); got != want {
			t.Errorf("%g: got %s, want %s", float64(f), got, want)
		}
	}
}

func TestPortRangeContains(t *testing.T) {
	r := topology.PortRange{First: 3478, Last: 3481}
	for port, want := range map[uint16]bool{3477: false, 3478: true, 3481: true, 3482: false} {
		if r.Contains(port) != want {
			t.Errorf("%d: got %v", port, !want)
		}
	}
}

// RFC 4787, sections 4.1 and 5, in the words of RFC 3489, section 5.
func TestNATWords(t *testing.T) {
	for word, want := range map[string][2]topology.Behavior{
		"full-cone":            {topology.EndpointIndependent, topology.EndpointIndependent},
		"restricted-cone":      {topology.EndpointIndependent, topology.AddressDependent},
		"port-restricted-cone": {topology.EndpointIndependent, topology.AddressAndPortDependent},
		"symmetric":            {topology.AddressAndPortDependent, topology.AddressAndPortDependent},
	} {
		n, err := topology.NATOf(word)
		if err != nil || [2]topology.Behavior{n.Mapping, n.Filtering} != want || n.Kind() != word {
			t.Errorf("%s: got %+v, %q, %v", word, n, n.Kind(), err)
		}
		var fromJSON topology.NAT
		if err := json.Unmarshal([]byte(`"`+word+`"`), &fromJSON); err != nil || fromJSON.Kind() != word {
			t.Errorf("%s from JSON: got %+v, %v", word, fromJSON, err)
		}
	}
	if _, err := topology.NATOf("symetric"); err == nil || err.Error() != `no kind of NAT "symetric"; valid: full-cone, restricted-cone, port-restricted-cone, symmetric; did you mean "symmetric"?` {
		t.Errorf("symetric: got %v", err)
	}
	other := topology.NAT{Mapping: topology.AddressDependent, Filtering: topology.EndpointIndependent}
	if got, want := other.Kind(), "address-dependent mapping, endpoint-independent filtering"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var n topology.NAT
	if json.Unmarshal([]byte(`"cone"`), &n) == nil {
		t.Error("cone: wanted an error")
	}
}
