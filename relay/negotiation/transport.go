package negotiation

import (
	"fmt"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/negotiation/wire/bytestream"
	"github.com/callpath/callpath/relay/negotiation/wire/ip"
)

// Bounds of what is kept of TCP: connections that may carry TURN, each with at
// most 256 KiB out of order and one frame in each direction, and those known to
// carry something else.
const (
	maxConnections = 64
	maxIgnored     = 1024
)

// connections are the leg's TCP connections and streams of plaintext.
type connections struct {
	byPath map[path]*connection
	order  []path
	// ignored are the connections that carry something else, oldest first; known
	// has them as a set.
	ignored []path
	known   map[path]bool
}

// connection is one connection, by index(outbound).
type connection struct {
	segments [2]bytestream.Assembler
	frames   [2]bytestream.Framer
}

// at finds or begins a connection; nil for one that is ignored.
func (c *connections) at(p path) *connection {
	if c.known[p] {
		return nil
	}
	found := c.byPath[p]
	if found == nil {
		if len(c.order) == maxConnections {
			delete(c.byPath, c.order[0])
			c.order = c.order[1:]
		}
		if c.byPath == nil {
			c.byPath = map[path]*connection{}
		}
		found = &connection{}
		c.byPath[p] = found
		c.order = append(c.order, p)
	}
	return found
}

// forget ends a connection.
func (c *connections) forget(p path) {
	if _, ok := c.byPath[p]; ok {
		delete(c.byPath, p)
		c.order = slices.DeleteFunc(c.order, func(o path) bool { return o == p })
	}
}

// ignore forgets a connection that does not carry TURN, and what comes on it.
func (c *connections) ignore(p path) {
	c.forget(p)
	if c.known == nil {
		c.known = map[path]bool{}
	}
	if len(c.ignored) == maxIgnored {
		delete(c.known, c.ignored[0])
		c.ignored = c.ignored[1:]
	}
	c.known[p] = true
	c.ignored = append(c.ignored, p)
}

// segment takes one TCP segment.
func (r *Recorder) segment(t time.Time, outbound bool, p path, s ip.Segment) {
	syn := s.Flags&ip.SYN != 0
	if s.Flags&ip.RST != 0 {
		r.streams.forget(p)
		return
	}
	if syn && outbound {
		// A new connection, perhaps on the ports of an old one.
		r.streams.forget(p)
		if r.streams.known[p] {
			delete(r.streams.known, p)
			r.streams.ignored = slices.DeleteFunc(r.streams.ignored, func(o path) bool { return o == p })
		}
	}
	if len(s.Payload) == 0 && !syn {
		return
	}
	c := r.streams.at(p)
	if c == nil {
		return
	}
	segments := &c.segments[index(outbound)]
	if err := segments.Feed(s.Sequence, syn, s.Payload); err != nil {
		r.journal.problem(t, fmt.Sprintf("%v, between %v and %v", err, p.local, p.remote))
		r.streams.ignore(p)
		return
	}
	for {
		data, ok := segments.Next()
		if !ok || !r.framed(t, outbound, p, c, data) {
			return
		}
	}
}

// plaintext takes a piece of a stream that needs no putting in order.
func (r *Recorder) plaintext(t time.Time, outbound bool, p path, data []byte) {
	if c := r.streams.at(p); c != nil {
		r.framed(t, outbound, p, c, data)
	}
}

// framed takes the next bytes of a stream; it is false when the stream is of no
// more use.
func (r *Recorder) framed(t time.Time, outbound bool, p path, c *connection, data []byte) bool {
	frames := &c.frames[index(outbound)]
	frames.Feed(data)
	for {
		frame, ok, err := frames.Next()
		if err != nil {
			if r.turn.at(p) != nil {
				r.journal.problem(t, fmt.Sprintf("%v, between %v and %v", err, p.local, p.remote))
			}
			r.streams.ignore(p)
			return false
		}
		if !ok {
			return true
		}
		r.payload(t, outbound, p, frame)
	}
}
