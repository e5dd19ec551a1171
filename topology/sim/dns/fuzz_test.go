package dns

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// FuzzAnswer checks that whatever comes off the wire gets either no answer or
// one that is a valid message with the query's identifier and fits.
func FuzzAnswer(f *testing.F) {
	r := newRecords(map[string][]netip.Addr{"relay.callpath.test": {
		netip.MustParseAddr("20.202.0.1"), netip.MustParseAddr("2001:db8::1"),
	}})
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeMX, dns.TypeAXFR} {
		q := new(dns.Msg).SetQuestion("relay.callpath.test.", kind)
		plain, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
		q.SetEdns0(4096, true)
		extended, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(extended)
		f.Add(extended[:len(extended)-3])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, query []byte) {
		for _, limit := range []int{maxUDP, dns.MaxMsgSize} {
			answer := r.answer(query, limit)
			if answer == nil {
				continue
			}
			if len(answer) > limit {
				t.Errorf("query %x: answer of %d bytes, want at most %d", query, len(answer), limit)
			}
			var a dns.Msg
			if err := a.Unpack(answer); err != nil {
				t.Fatalf("query %x: answer %x: %v", query, answer, err)
			}
			if !a.Response || len(query) < 2 || a.Id != uint16(query[0])<<8|uint16(query[1]) {
				t.Errorf("query %x: answer %x is not a response with its identifier", query, answer)
			}
		}
	})
}
