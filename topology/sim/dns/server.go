package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// ttl of the records, in seconds. Clients here do not cache.
	ttl = 60
	// maxUDP is the largest answer over UDP when the client says that it takes
	// more than 512 bytes (RFC 6891; the size is that of DNS flag day 2020).
	maxUDP = 1232
	// idle is how long a TCP client may stay silent (RFC 7766, section 6.2.3).
	idle = 10 * time.Second
)

// records are the addresses of names in canonical form.
type records map[string][]netip.Addr

func newRecords(zone map[string][]netip.Addr) records {
	r := make(records, len(zone))
	for name, addrs := range zone {
		name = dns.CanonicalName(name)
		r[name] = append(r[name], addrs...)
	}
	return r
}

// Serve answers queries on pc from zone, whose keys are names with or without
// the last dot, in any case. It blocks until ctx ends or pc is closed, and then
// returns nil; pc is not closed. Any other error of pc is returned.
func Serve(ctx context.Context, pc net.PacketConn, zone map[string][]netip.Addr) error {
	r := newRecords(zone)
	stop := context.AfterFunc(ctx, func() { _ = pc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, dns.MaxMsgSize)
	for {
		n, from, err := pc.ReadFrom(buf)
		switch {
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		if answer := r.answer(buf[:n], maxUDP); answer != nil {
			// An answer that cannot be sent is as good as one that gets lost.
			_, _ = pc.WriteTo(answer, from)
		}
	}
}

// ServeListener answers queries over TCP connections of l, as Serve does. It
// returns when ctx ended or l was closed, and all its connections are closed.
func ServeListener(ctx context.Context, l net.Listener, zone map[string][]netip.Addr) error {
	r := newRecords(zone)
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			if c != nil {
				_ = c.Close()
			}
			return nil
		case err != nil:
			return err
		}
		serving.Go(func() { r.serveConn(ctx, c) })
	}
}

// serveConn answers the queries of one connection until it ends.
func (r records) serveConn(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()
	for {
		if c.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		query, err := readMessage(c)
		if err != nil {
			return
		}
		answer := r.answer(query, dns.MaxMsgSize)
		if answer == nil || writeMessage(c, answer) != nil {
			return
		}
	}
}

// answer returns the answer to a query in wire format, at most as long as max
// and as the client says it can take, or nil for what deserves none.
func (r records) answer(query []byte, max int) []byte {
	var q dns.Msg
	if err := q.Unpack(query); err != nil || q.Response {
		return nil
	}
	a := new(dns.Msg).SetReply(&q)
	a.Authoritative = true
	a.RecursionAvailable = false
	size := dns.MinMsgSize
	if opt := q.IsEdns0(); opt != nil {
		size = int(opt.UDPSize())
		a.SetEdns0(maxUDP, false)
	}
	if max == dns.MaxMsgSize {
		size = max
	}
	r.fill(a, &q)
	a.Truncate(min(max, size))
	wire, err := a.Pack()
	if err != nil {
		// The question came off the wire but cannot be put back on it.
		return nil
	}
	return wire
}

// fill sets the answer's result and records.
func (r records) fill(a, q *dns.Msg) {
	switch {
	case q.Opcode != dns.OpcodeQuery:
		a.Rcode = dns.RcodeNotImplemented
		return
	case len(q.Question) != 1:
		a.Rcode = dns.RcodeFormatError
		return
	case q.Question[0].Qclass != dns.ClassINET:
		a.Rcode = dns.RcodeRefused
		return
	}
	asked := q.Question[0]
	addrs, known := r[dns.CanonicalName(asked.Name)]
	if !known {
		a.Rcode = dns.RcodeNameError
		return
	}
	for _, addr := range addrs {
		h := dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeAAAA, Class: dns.ClassINET, Ttl: ttl}
		if addr = addr.Unmap(); addr.Is4() {
			h.Rrtype = dns.TypeA
		}
		if asked.Qtype != h.Rrtype && asked.Qtype != dns.TypeANY {
			continue
		}
		if h.Rrtype == dns.TypeA {
			a.Answer = append(a.Answer, &dns.A{Hdr: h, A: addr.AsSlice()})
		} else {
			a.Answer = append(a.Answer, &dns.AAAA{Hdr: h, AAAA: addr.AsSlice()})
		}
	}
}

// readMessage reads one message of a TCP connection (RFC 1035, section 4.2.2).
func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(r, m); err != nil {
		return nil, err
	}
	return m, nil
}

func writeMessage(w io.Writer, m []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
	return err
}

// isTimeout reports whether a read ended because its deadline passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
