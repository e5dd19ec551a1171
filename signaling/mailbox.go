package signaling

import "time"

// maxSeq bounds what a client may say that it has taken: the largest integer
// that every JSON reader keeps exactly (RFC 8259, section 6).
const maxSeq = 1<<53 - 1

// mailbox holds a user's notifications until the client has acknowledged them.
// They have consecutive numbers, and live through a change of WebSocket.
// Controller.mu guards it.
type mailbox struct {
	// id tells this mailbox from one of before a restart, or before the user was
	// forgotten, whose numbers began at 1 as well.
	id    string
	limit int
	last  uint64         // the newest notification's number
	sent  uint64         // the newest that was ever handed to a WebSocket
	queue []Notification // not acknowledged, oldest first, without holes
}

// put adds a notification. When the client has let too many wait, they are
// thrown away and a gap takes their place.
func (m *mailbox) put(n Notification) {
	if len(m.queue) >= m.limit {
		m.gap(n.Time)
	}
	m.append(n)
}

// replace puts a notification in the place of the newest one, when that is of the same
// type and meeting and no client can have it yet: only the newest is of use. Else it is
// false.
func (m *mailbox) replace(n Notification) bool {
	if len(m.queue) == 0 {
		return false
	}
	tail := &m.queue[len(m.queue)-1]
	if tail.Seq <= m.sent || tail.Type != n.Type || tail.Meeting != n.Meeting {
		return false
	}
	n.Seq = tail.Seq
	*tail = n
	return true
}

func (m *mailbox) append(n Notification) {
	m.last++
	n.Seq = m.last
	m.queue = append(m.queue, n)
}

func (m *mailbox) gap(now time.Time) {
	m.queue = nil
	m.append(gapAt(now))
}

func gapAt(now time.Time) Notification {
	return Notification{Type: NotifyGap, Time: now,
		Reason: "notifications were not taken in time and are lost; read the call's state"}
}

// next returns the first notification after number seq.
func (m *mailbox) next(seq uint64) (Notification, bool) {
	if len(m.queue) == 0 || seq >= m.last {
		return Notification{}, false
	}
	first := m.queue[0].Seq
	return m.queue[max(seq+1, first)-first], true
}

// ack removes the notifications up to seq and returns them.
func (m *mailbox) ack(seq uint64) []Notification {
	n := 0
	for n < len(m.queue) && m.queue[n].Seq <= seq {
		n++
	}
	taken := m.queue[:n:n]
	m.queue = m.queue[n:]
	return taken
}

// begin hands everything to a client whose numbers are another mailbox's: a gap, as it
// has missed what that one held, and then all that waits, under new numbers. One gap
// is enough however often it connects before it takes that.
func (m *mailbox) begin(now time.Time) {
	if len(m.queue) > 0 && m.queue[0].Type == NotifyGap {
		return
	}
	waiting := m.queue
	m.gap(now)
	for _, n := range waiting {
		m.append(n)
	}
}

// resume continues after seq, which the client says that it took last. One who
// has taken more than was ever sent, and does not say of which mailbox, comes from
// before a restart of the controller: the numbers go on from there, with a gap.
func (m *mailbox) resume(seq uint64, now time.Time) []Notification {
	if seq > m.last {
		m.last = seq
		m.gap(now)
		return nil
	}
	return m.ack(seq)
}
