package participant

import (
	"fmt"
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

// mapDirections rewrites the direction of each m-line: change gets its index and
// what it is, and returns what it is to be. An m-line without one has that of the
// session, or sendrecv.
func mapDirections(sdp string, change func(media, direction int) int) string {
	var out strings.Builder
	media, session, written := -1, sends|receives, true
	finish := func() {
		if media >= 0 && !written {
			fmt.Fprintf(&out, "a=%s\r\n", directionNames[change(media, session)])
		}
	}
	for line := range strings.Lines(sdp) {
		text := strings.TrimRight(line, "\r\n")
		direction, isDirection := directions[strings.TrimPrefix(text, "a=")]
		isDirection = isDirection && strings.HasPrefix(text, "a=")
		switch {
		case strings.HasPrefix(text, "m="):
			finish()
			media++
			written = false
		case isDirection && media < 0:
			session = direction
			continue // it is written into each m-line
		case isDirection:
			fmt.Fprintf(&out, "a=%s\r\n", directionNames[change(media, direction)])
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
}

// incoming returns a description of the other side for the stack, and whether the
// other side has put this one on hold: none of its m-lines receives that did.
func (m *mirror) incoming(sdp string) (forStack string, held bool) {
	first := m.agreed == nil
	before, now := 0, 0
	forStack = mapDirections(sdp, func(media, direction int) int {
		if first || media >= len(m.agreed) {
			m.agreed = append(m.agreed, direction)
		}
		before |= m.agreed[media] & receives
		now |= direction & receives
		return m.agreed[media]
	})
	return forStack, before != 0 && now == 0
}

// outgoing puts holds into a description of the stack's (RFC 3264, section 8.4):
// who holds does not receive, who is held does not send.
func outgoing(sdp string, holding, held bool) string {
	return mapDirections(sdp, func(_, direction int) int {
		if holding {
			direction &^= receives
		}
		if held {
			direction &^= sends
		}
		return direction
	})
}

// forge changes the fingerprints of a description, so that it promises another
// certificate than the handshake will show.
func forge(sdp string) string {
	var out strings.Builder
	for line := range strings.Lines(sdp) {
		if name, value, ok := strings.Cut(line, " "); ok && strings.HasPrefix(name, "a=fingerprint:") && len(value) > 2 {
			if octet, err := strconv.ParseUint(value[:2], 16, 8); err == nil {
				line = fmt.Sprintf("%s %02X%s", name, octet^0xff, value[2:])
			}
		}
		out.WriteString(line)
	}
	return out.String()
}

// attribute is the value of the first a=name in a description.
func attribute(sdp, name string) string {
	for line := range strings.Lines(sdp) {
		if value, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "a="+name+":"); ok {
			return value
		}
	}
	return ""
}

// clockRates are the RTP clocks of a description by payload type.
func clockRates(sdp string) map[uint8]uint32 {
	rates := map[uint8]uint32{}
	for line := range strings.Lines(sdp) {
		value, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "a=rtpmap:")
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
	var names []string
	for line := range strings.Lines(sdp) {
		if value, ok := strings.CutPrefix(line, "m="); ok {
			name, rest, _ := strings.Cut(value, " ")
			if port, _, _ := strings.Cut(rest, " "); port == "0" && !strings.Contains(sdp, "a=bundle-only") {
				name = ""
			}
			names = append(names, name)
		}
	}
	var sent []string
	mapDirections(sdp, func(media, direction int) int {
		if name := names[media]; direction&sends != 0 && (name == "audio" || name == "video") {
			sent = append(sent, name)
		}
		return direction
	})
	return sent
}
