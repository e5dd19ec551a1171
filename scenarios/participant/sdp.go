package participant

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The directions of an m-line as two bits (RFC 8866, section 6.7).
const (
	sends    = 1
	receives = 2
)

var directions = map[string]int{"sendrecv": sends | receives, "sendonly": sends, "recvonly": receives, "inactive": 0}

var directionNames = [...]string{0: "inactive", sends: "sendonly", receives: "recvonly", sends | receives: "sendrecv"}

// line is an m-line as mapDirections finds it.
type line struct {
	index     int
	kind      string // "audio", "video", "application"; "" for one that is rejected
	direction int
}

// mapDirections rewrites the direction of each m-line to what change returns for
// it. An m-line without one has that of the session, or sendrecv.
func mapDirections(sdp string, change func(line) int) string {
	var out strings.Builder
	media, session, written, kind := -1, sends|receives, true, ""
	finish := func() {
		if media >= 0 && !written {
			fmt.Fprintf(&out, "a=%s\r\n", directionNames[change(line{media, kind, session})])
		}
	}
	for text := range strings.Lines(sdp) {
		text = strings.TrimRight(text, "\r\n")
		direction, isDirection := directions[strings.TrimPrefix(text, "a=")]
		isDirection = isDirection && strings.HasPrefix(text, "a=")
		switch {
		case strings.HasPrefix(text, "m="):
			finish()
			media++
			written = false
			kind = kindOf(text)
		case isDirection && media < 0:
			session = direction
			continue // it is written into each m-line
		case isDirection:
			fmt.Fprintf(&out, "a=%s\r\n", directionNames[change(line{media, kind, direction})])
			written = true
			continue
		}
		out.WriteString(text + "\r\n")
	}
	finish()
	return out.String()
}

// mirror keeps holds out of the stacks. Where a hold shows in the other side's
// description, the stack is given the direction that was agreed at first; whether
// anything is sent is the participant's own affair. So every stack can be put on
// hold, and none forgets its streams over it.
type mirror struct {
	agreed []int // the other side's directions in its first description
	last   []int // those in its last one
}

// incoming returns a description of the other side for the stack, and whether the
// other side has put this one on hold: none of its m-lines receives that did.
func (m *mirror) incoming(sdp string) (forStack string, held bool) {
	first := m.agreed == nil
	before, now := 0, 0
	m.last = nil
	forStack = mapDirections(sdp, func(l line) int {
		if first || l.index >= len(m.agreed) {
			m.agreed = append(m.agreed, l.direction)
		}
		m.last = append(m.last, l.direction)
		before |= m.agreed[l.index] & receives
		now |= l.direction & receives
		return m.agreed[l.index]
	})
	return forStack, before != 0 && now == 0
}

// kindOf is the kind of an m-line; "" for one whose port is zero, which rejects it
// unless it is bundle-only, which no stack here writes.
func kindOf(text string) string {
	f := strings.Fields(strings.TrimPrefix(text, "m="))
	if len(f) < 2 || f[1] == "0" {
		return ""
	}
	return f[0]
}

// outgoing puts into a description of the stack's what the stack does not know:
// holds (RFC 3264, section 8.4), in which who holds does not receive and who is
// held does not send; and which kinds this side has nothing of to send.
func outgoing(sdp string, sent []string, holding, held bool) string {
	return mapDirections(sdp, func(l line) int {
		direction := l.direction
		if holding {
			direction &^= receives
		}
		if held || !slices.Contains(sent, l.kind) {
			direction &^= sends
		}
		return direction
	})
}

// answering fits an answer to the other side's last offer (RFC 3264, section 6.1):
// it sends only what the offer receives, and receives only what the offer sends.
// They may differ when both sides change a hold at once.
func (m *mirror) answering(sdp string) string {
	return mapDirections(sdp, func(l line) int {
		direction := l.direction
		if l.index < len(m.last) {
			if m.last[l.index]&receives == 0 {
				direction &^= sends
			}
			if m.last[l.index]&sends == 0 {
				direction &^= receives
			}
		}
		return direction
	})
}

// forge changes the fingerprints of a description, so that it promises another
// certificate than the handshake will show.
func forge(sdp string) string {
	var out strings.Builder
	for text := range strings.Lines(sdp) {
		if name, value, ok := strings.Cut(text, " "); ok && strings.HasPrefix(name, "a=fingerprint:") && len(value) > 2 {
			if octet, err := strconv.ParseUint(value[:2], 16, 8); err == nil {
				text = fmt.Sprintf("%s %02X%s", name, octet^0xff, value[2:])
			}
		}
		out.WriteString(text)
	}
	return out.String()
}

// attribute is the value of the first a=name in a description.
func attribute(sdp, name string) string {
	for text := range strings.Lines(sdp) {
		if value, ok := strings.CutPrefix(strings.TrimRight(text, "\r\n"), "a="+name+":"); ok {
			return value
		}
	}
	return ""
}

// clockRates are the RTP clocks of a description by payload type.
func clockRates(sdp string) map[uint8]uint32 {
	rates := map[uint8]uint32{}
	for text := range strings.Lines(sdp) {
		value, ok := strings.CutPrefix(strings.TrimRight(text, "\r\n"), "a=rtpmap:")
		if !ok {
			continue
		}
		number, encoding, _ := strings.Cut(value, " ")
		fields := strings.Split(encoding, "/")
		payloadType, err := strconv.ParseUint(number, 10, 7)
		if err != nil || len(fields) < 2 {
			continue
		}
		if hz, err := strconv.ParseUint(fields[1], 10, 32); err == nil {
			rates[uint8(payloadType)] = uint32(hz)
		}
	}
	return rates
}

// kinds are the kinds of media that the sender of a description sends.
func kinds(sdp string) []string {
	var sent []string
	mapDirections(sdp, func(l line) int {
		if l.direction&sends != 0 && (l.kind == "audio" || l.kind == "video") {
			sent = append(sent, l.kind)
		}
		return l.direction
	})
	return sent
}
