package dns_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/topology/sim/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	v4 = netip.MustParseAddr("20.202.0.1")
	v6 = netip.MustParseAddr("2001:db8::1")
)

func many() []netip.Addr {
	var list []netip.Addr
	for i := range 200 {
		list = append(list, netip.AddrFrom4([4]byte{20, 202, 1, byte(i)}))
	}
	return list
}

func zone() map[string][]netip.Addr {
	return map[string][]netip.Addr{
		"relay.callpath.test":      {v4, v6},
		"Signaling.Callpath.TEST.": {v4},
		"many.callpath.test":       many(),
		"empty.callpath.test":      nil,
	}
}

// serve runs the server on the machine's loopback, over UDP and TCP on the same
// port, until the test ends.
func serve(t *testing.T) netip.AddrPort {
	t.Helper()
	pc, l := sameport(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- dns.Serve(ctx, pc, zone()) }()
	go func() { done <- dns.ServeListener(ctx, l, zone()) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("server: %v", err)
			}
		}
		// Serve leaves its socket open.
		if err := pc.Close(); err != nil {
			t.Error(err)
		}
	})
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

func sameport(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return pc, l
		}
		_ = l.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

func TestLookup(t *testing.T) {
	server := serve(t)
	for _, tt := range []struct {
		title, name string
		want        []netip.Addr
	}{
		{"both families", "relay.callpath.test", []netip.Addr{v4, v6}},
		{"with the last dot", "relay.callpath.test.", []netip.Addr{v4, v6}},
		{"case does not matter (RFC 4343)", "SIGNALING.callpath.test", []netip.Addr{v4}},
		{"truncated, then TCP (RFC 7766, section 5)", "many.callpath.test", many()},
	} {
		t.Run(tt.title, func(t *testing.T) {
			got, err := dns.Lookup(t.Context(), dial, server, tt.name)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	for _, tt := range []struct{ title, name string }{
		{"unknown name", "nobody.callpath.test"},
		{"name without addresses", "empty.callpath.test"},
		{"empty name", ""},
		{"label too long", strings.Repeat("x", 64) + ".test"},
	} {
		t.Run(tt.title, func(t *testing.T) {
			got, err := dns.Lookup(t.Context(), dial, server, tt.name)
			var de *net.DNSError
			if !errors.As(err, &de) || !de.IsNotFound {
				t.Errorf("got %v, %v; want a DNSError with IsNotFound", got, err)
			}
		})
	}
}

// exchange sends one message over UDP.
func exchange(t *testing.T, server netip.AddrPort, m *mdns.Msg) *mdns.Msg {
	t.Helper()
	client := mdns.Client{Timeout: 5 * time.Second}
	answer, _, err := client.Exchange(m, server.String())
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestServerAnswers(t *testing.T) {
	server := serve(t)
	question := func(name string, kind uint16) *mdns.Msg { return new(mdns.Msg).SetQuestion(name, kind) }
	for _, tt := range []struct {
		title   string
		query   *mdns.Msg
		rcode   int
		answers int
	}{
		{"A", question("relay.callpath.test.", mdns.TypeA), mdns.RcodeSuccess, 1},
		{"AAAA", question("relay.callpath.test.", mdns.TypeAAAA), mdns.RcodeSuccess, 1},
		{"ANY", question("relay.callpath.test.", mdns.TypeANY), mdns.RcodeSuccess, 2},
		{"name without the type (RFC 2308, section 2.2)", question("signaling.callpath.test.", mdns.TypeAAAA), mdns.RcodeSuccess, 0},
		{"type that nobody has", question("relay.callpath.test.", mdns.TypeMX), mdns.RcodeSuccess, 0},
		{"unknown name", question("nobody.callpath.test.", mdns.TypeA), mdns.RcodeNameError, 0},
		{"other class", func() *mdns.Msg {
			m := question("relay.callpath.test.", mdns.TypeA)
			m.Question[0].Qclass = mdns.ClassCHAOS
			return m
		}(), mdns.RcodeRefused, 0},
		{"two questions", func() *mdns.Msg {
			m := question("relay.callpath.test.", mdns.TypeA)
			m.Question = append(m.Question, m.Question[0])
			return m
		}(), mdns.RcodeFormatError, 0},
		{"update", new(mdns.Msg).SetUpdate("callpath.test."), mdns.RcodeNotImplemented, 0},
	} {
		t.Run(tt.title, func(t *testing.T) {
			a := exchange(t, server, tt.query)
			if a.Rcode != tt.rcode || len(a.Answer) != tt.answers {
				t.Errorf("got %s with %d records, want %s with %d",
					mdns.RcodeToString[a.Rcode], len(a.Answer), mdns.RcodeToString[tt.rcode], tt.answers)
			}
			if !a.Authoritative || a.RecursionAvailable {
				t.Errorf("authoritative %v, recursion %v; want true, false", a.Authoritative, a.RecursionAvailable)
			}
		})
	}
	t.Run("512 bytes without EDNS (RFC 1035, section 4.2.1)", func(t *testing.T) {
		a := exchange(t, server, question("many.callpath.test.", mdns.TypeA))
		a.Compress = true
		if !a.Truncated || a.Len() > 512 {
			t.Errorf("truncated %v, %d bytes; want true, at most 512", a.Truncated, a.Len())
		}
	})
}

// flaky dials UDP connections whose first datagrams get lost.
func flaky(lost int) func(context.Context, string, string) (net.Conn, error) {
	var left atomic.Int64
	left.Store(int64(lost))
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if network == "udp" && err == nil {
			c = lossy{c, &left}
		}
		return c, err
	}
}

type lossy struct {
	net.Conn
	left *atomic.Int64
}

func (l lossy) Write(b []byte) (int, error) {
	if l.left.Add(-1) >= 0 {
		return len(b), nil
	}
	return l.Conn.Write(b)
}

func TestLookupRepeatsWhatGetsLost(t *testing.T) {
	server := serve(t)
	got, err := dns.Lookup(t.Context(), flaky(1), server, "relay.callpath.test")
	if err != nil || !slices.Equal(got, []netip.Addr{v4, v6}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// fake is a server that answers each datagram with what reply makes of it.
func fake(t *testing.T, reply func(query *mdns.Msg) [][]byte) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(mdns.Msg)
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			for _, b := range reply(q) {
				_, _ = pc.WriteTo(b, from)
			}
		}
	}()
	t.Cleanup(func() { _ = pc.Close(); <-done })
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

func packed(t *testing.T, m *mdns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLookupTakesOnlyAnswersToItsQuestions(t *testing.T) {
	server := fake(t, func(q *mdns.Msg) [][]byte {
		forged := new(mdns.Msg).SetReply(q)
		forged.Id++
		forged.Rcode = mdns.RcodeNameError
		other := new(mdns.Msg).SetReply(q)
		other.Question[0].Name = "other.test."
		right := new(mdns.Msg).SetReply(q)
		right.Answer = []mdns.RR{
			&mdns.CNAME{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeCNAME, Class: mdns.ClassINET}, Target: "x.test."},
		}
		if q.Question[0].Qtype == mdns.TypeA {
			right.Answer = append(right.Answer, &mdns.A{Hdr: mdns.RR_Header{Name: "x.test.", Rrtype: mdns.TypeA, Class: mdns.ClassINET}, A: v4.AsSlice()})
		}
		return [][]byte{{1, 2, 3}, packed(t, forged), packed(t, other), packed(t, right)}
	})
	got, err := dns.Lookup(t.Context(), dial, server, "relay.callpath.test")
	if err != nil || !slices.Equal(got, []netip.Addr{v4}) {
		t.Errorf("got %v, %v; want %v", got, err, v4)
	}
}

func TestLookupReportsAServerThatFails(t *testing.T) {
	t.Run("SERVFAIL", func(t *testing.T) {
		server := fake(t, func(q *mdns.Msg) [][]byte {
			return [][]byte{packed(t, new(mdns.Msg).SetRcode(q, mdns.RcodeServerFailure))}
		})
		_, err := dns.Lookup(t.Context(), dial, server, "relay.callpath.test")
		var de *net.DNSError
		if !errors.As(err, &de) || de.IsNotFound || !strings.Contains(de.Err, "SERVFAIL") {
			t.Errorf("got %v, want SERVFAIL", err)
		}
	})
	t.Run("truncated, but no TCP", func(t *testing.T) {
		server := fake(t, func(q *mdns.Msg) [][]byte {
			a := new(mdns.Msg).SetReply(q)
			a.Truncated = true
			return [][]byte{packed(t, a)}
		})
		if got, err := dns.Lookup(t.Context(), dial, server, "relay.callpath.test"); err == nil {
			t.Errorf("got %v and no error", got)
		}
	})
	t.Run("silence until the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		server := fake(t, func(*mdns.Msg) [][]byte { cancel(); return nil })
		_, err := dns.Lookup(ctx, dial, server, "relay.callpath.test")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		refused := errors.New("no route")
		_, err := dns.Lookup(t.Context(), func(context.Context, string, string) (net.Conn, error) { return nil, refused }, v4Port(), "relay.callpath.test")
		if !errors.Is(err, refused) {
			t.Errorf("got %v, want it to wrap what dial returned", err)
		}
	})
}

func v4Port() netip.AddrPort { return netip.AddrPortFrom(v4, 53) }

func TestTCPServerEndsConnectionsThatSendGarbage(t *testing.T) {
	server := serve(t)
	for _, garbage := range [][]byte{{0, 3, 1, 2, 3}, {0, 0}} {
		c, err := net.Dial("tcp", server.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(garbage); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%x: read %d, %v; want EOF", garbage, n, err)
		}
		_ = c.Close()
	}
}

func TestTCPServerAnswersSeveralQueriesOfAConnection(t *testing.T) {
	server := serve(t)
	c, err := mdns.Dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if err := c.WriteMsg(new(mdns.Msg).SetQuestion("many.callpath.test.", mdns.TypeA)); err != nil {
			t.Fatal(err)
		}
		a, err := c.ReadMsg()
		if err != nil || len(a.Answer) != len(many()) || a.Truncated {
			t.Fatalf("got %v, %v", a, err)
		}
	}
}

// broken returns an error of its own from every read and accept.
type broken struct {
	net.PacketConn
	net.Listener
}

var errBroken = errors.New("broken")

func (broken) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, errBroken }
func (broken) Accept() (net.Conn, error)              { return nil, errBroken }
func (broken) SetReadDeadline(time.Time) error        { return nil }
func (broken) Close() error                           { return nil }

func TestServeReturnsTheErrorOfItsSocket(t *testing.T) {
	if err := dns.Serve(t.Context(), broken{}, nil); !errors.Is(err, errBroken) {
		t.Errorf("Serve: got %v", err)
	}
	if err := dns.ServeListener(t.Context(), broken{}, nil); !errors.Is(err, errBroken) {
		t.Errorf("ServeListener: got %v", err)
	}
}
