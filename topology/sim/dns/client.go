package dns

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// timeouts are how long each attempt over UDP waits; there are no more.
var timeouts = [...]time.Duration{time.Second, 2 * time.Second, 4 * time.Second}

// tcpTimeout bounds an exchange over TCP.
const tcpTimeout = 5 * time.Second

// Lookup asks server for all addresses of name. Over UDP it tries three times
// within seven seconds in all; truncated answers are fetched over TCP. dial is
// called with "udp" and "tcp" and the server's literal address.
//
// The error is a *net.DNSError: IsNotFound if the name does not exist or has no
// address, IsTimeout if nothing came back in time; it wraps the error of ctx if
// that ended.
func Lookup(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), server netip.AddrPort, name string) ([]netip.Addr, error) {
	l := &lookup{dial: dial, server: server, name: name}
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil, &net.DNSError{Err: "not a domain name", Name: name, IsNotFound: true}
	}
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
		q.SetEdns0(maxUDP, false)
		l.queries = append(l.queries, &query{msg: q})
	}
	if err := l.overUDP(ctx); err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, q := range l.queries {
		if q.answer.Truncated {
			if err := l.overTCP(ctx, q); err != nil {
				return nil, err
			}
		}
		more, err := l.addresses(q.answer)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, more...)
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, Server: server.String(), IsNotFound: true}
	}
	return addrs, nil
}

// lookup is one call of Lookup.
type lookup struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	server  netip.AddrPort
	name    string
	queries []*query
}

// query is a question, and its answer once there is one.
type query struct {
	msg, answer *dns.Msg
}

// answers reports whether m answers the question.
func (q *query) answers(m *dns.Msg) bool {
	return m.Response && m.Id == q.msg.Id && len(m.Question) == 1 &&
		dns.CanonicalName(m.Question[0].Name) == dns.CanonicalName(q.msg.Question[0].Name) &&
		m.Question[0].Qtype == q.msg.Question[0].Qtype
}

// overUDP asks until all queries are answered.
func (l *lookup) overUDP(ctx context.Context) error {
	c, err := l.dial(ctx, "udp", l.server.String())
	if err != nil {
		return l.failed(ctx, err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for _, timeout := range timeouts {
		if err = c.SetReadDeadline(time.Now().Add(timeout)); err != nil {
			break
		}
		// After the deadline is set, so that one of the two sees the end.
		if ctx.Err() != nil {
			break
		}
		var done bool
		if done, err = l.attempt(c); done {
			return nil
		}
	}
	return l.failed(ctx, err)
}

// attempt sends what is not answered yet and takes answers until all are there
// or the connection returns an error.
func (l *lookup) attempt(c net.Conn) (done bool, err error) {
	for _, q := range l.queries {
		if q.answer != nil {
			continue
		}
		wire, err := q.msg.Pack()
		if err != nil {
			return false, err
		}
		if _, err := c.Write(wire); err != nil {
			return false, err
		}
	}
	buf := make([]byte, dns.MaxMsgSize)
	for {
		missing := false
		for _, q := range l.queries {
			missing = missing || q.answer == nil
		}
		if !missing {
			return true, nil
		}
		n, err := c.Read(buf)
		if err != nil {
			return false, err
		}
		m := new(dns.Msg)
		if m.Unpack(buf[:n]) != nil {
			continue // garbage may come from anyone
		}
		for _, q := range l.queries {
			if q.answers(m) {
				q.answer = m
			}
		}
	}
}

// overTCP asks a question whose answer did not fit into a datagram.
func (l *lookup) overTCP(ctx context.Context, q *query) error {
	ctx, cancel := context.WithTimeout(ctx, tcpTimeout)
	defer cancel()
	c, err := l.dial(ctx, "tcp", l.server.String())
	if err != nil {
		return l.failed(ctx, err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	wire, err := q.msg.Pack()
	if err != nil {
		return l.failed(ctx, err)
	}
	if err := writeMessage(c, wire); err != nil {
		return l.failed(ctx, err)
	}
	wire, err = readMessage(c)
	if err != nil {
		return l.failed(ctx, err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		return l.failed(ctx, err)
	}
	if !q.answers(m) {
		return &net.DNSError{Err: "answer to another question", Name: l.name, Server: l.server.String()}
	}
	q.answer = m
	return nil
}

// addresses reads an answer. A name that does not exist has none, and says so
// by an error.
func (l *lookup) addresses(m *dns.Msg) ([]netip.Addr, error) {
	switch m.Rcode {
	case dns.RcodeSuccess:
	case dns.RcodeNameError:
		return nil, &net.DNSError{Err: "no such host", Name: l.name, Server: l.server.String(), IsNotFound: true}
	default:
		return nil, &net.DNSError{Err: "server answered " + dns.RcodeToString[m.Rcode], Name: l.name, Server: l.server.String(), IsTemporary: true}
	}
	var addrs []netip.Addr
	for _, rr := range m.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs, nil
}

// failed wraps what ended an exchange.
func (l *lookup) failed(ctx context.Context, err error) error {
	e := &net.DNSError{Name: l.name, Server: l.server.String(), IsTimeout: isTimeout(err), IsTemporary: true}
	if ctx.Err() != nil {
		err = ctx.Err()
		e.IsTimeout = err == context.DeadlineExceeded
	}
	e.UnwrapErr = err
	e.Err = err.Error()
	if e.IsTimeout {
		e.Err = "no answer in time"
	}
	return e
}
