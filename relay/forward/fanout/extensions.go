package fanout

import "encoding/binary"

// Extensions says what each id of a header extension element (RFC 8285) becomes: ids
// are agreed with each peer by itself. 0 takes the element away, which is right for
// what was not agreed with the receiver.
type Extensions [256]uint8

const (
	oneByte     = 0xbede
	twoByte     = 0x1000
	twoByteMask = 0xfff0 // the last four bits are the application's
	// stop ends the elements with one-byte headers; no id can be that or more.
	stop = 15
)

// Rewrite translates the ids in an RTP header, in place; the header does not change
// its length. Elements that are taken away become padding, as does everything from
// where it is malformed. An id that the form of the packet's extension cannot hold
// counts as 0. Extensions of other kinds than RFC 8285's stay as they are.
func (x *Extensions) Rewrite(header []byte) {
	if len(header) < 12 || header[0]&0x10 == 0 {
		return
	}
	at := 12 + 4*int(header[0]&0x0f)
	if len(header) < at+4 {
		return
	}
	kind, rest := binary.BigEndian.Uint16(header[at:]), header[at+4:]
	switch {
	case kind == oneByte:
		x.rewriteOne(rest)
	case kind&twoByteMask == twoByte:
		x.rewriteTwo(rest)
	}
}

// rewriteOne translates elements with one-byte headers: four bits of id, four bits of
// length less one.
func (x *Extensions) rewriteOne(rest []byte) {
	for len(rest) > 0 {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		id, size := rest[0]>>4, int(rest[0]&0x0f)+2
		if id == 0 || id == stop || size > len(rest) {
			clear(rest)
			return
		}
		if to := x[id]; to == 0 || to >= stop {
			clear(rest[:size])
		} else {
			rest[0] = to<<4 | rest[0]&0x0f
		}
		rest = rest[size:]
	}
}

// rewriteTwo translates elements with two-byte headers: a byte of id, a byte of length.
func (x *Extensions) rewriteTwo(rest []byte) {
	for len(rest) > 0 {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		if len(rest) < 2 || 2+int(rest[1]) > len(rest) {
			clear(rest)
			return
		}
		size := 2 + int(rest[1])
		if to := x[rest[0]]; to == 0 {
			clear(rest[:size])
		} else {
			rest[0] = to
		}
		rest = rest[size:]
	}
}
