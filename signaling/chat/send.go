package chat

import (
	"context"
	"encoding/binary"
	"math"
	"sync"

	"github.com/callpath/callpath/signaling/store"
)

// line gives the messages of one thread their numbers. The lock is not held while the
// store makes them durable, so that all who wait share that.
type line struct {
	users int // how many hold it; Service.mu guards it

	mu   sync.Mutex
	next uint64 // 0: to be asked of the store
	// pending are messages that have a number and are not durable yet, by ID, and how
	// to wait until they are.
	pending map[string]func() error
}

func (s *Service) hold(thread string) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[thread]
	if l == nil {
		l = &line{pending: map[string]func() error{}}
		s.lines[thread] = l
	}
	l.users++
	return l
}

func (s *Service) release(thread string, l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(s.lines, thread)
	}
}

// Send stores a message and returns it with those who are to be told. Calls for one
// thread that overlap may return in another order than that of their numbers.
func (s *Service) Send(ctx context.Context, r Request, d Draft) (sent Sent, err error) {
	e := s.begin(ActSend, r.Thread, r.Person)
	defer func() { s.end(e, err) }()
	in, err := s.enter(r, e)
	if err != nil {
		return Sent{}, err
	}
	id, err := s.messageID(r, d.ClientID)
	if err != nil {
		return Sent{}, err
	}
	e.Message = id
	if sent, found, err := s.again(ctx, in, id, e); found || err != nil {
		return sent, err
	}
	now := s.cfg.Now()
	text, err := s.inspect(in, id, now, d, e)
	if err != nil {
		return Sent{}, err
	}
	c := content{ID: id, Sender: in.person.ID, ClientID: d.ClientID, Sent: now, Text: text.text, Masked: text.masked}
	record, err := s.seal(ctx, &in.thread, c)
	if err != nil {
		return Sent{}, err
	}
	number, err := s.add(in.thread.ID, id, record)
	if err != nil {
		return Sent{}, err
	}
	if number == 0 { // the same message came by another request meanwhile
		sent, _, err := s.again(ctx, in, id, e)
		return sent, err
	}
	return Sent{Message: c.message(in, number), Recipients: in.readers(c), Notices: text.notices}, nil
}

// again returns a message that was sent before.
func (s *Service) again(ctx context.Context, in *entered, id string, e *Event) (sent Sent, found bool, err error) {
	c, number, found, err := s.read(ctx, &in.thread, id)
	if err != nil || !found {
		return Sent{}, false, err
	}
	e.Reason = "sent before"
	return Sent{Message: c.message(in, number), Repeated: true}, true, nil
}

// add numbers a message and makes it durable. The number is 0 when the message was
// there before.
func (s *Service) add(thread, id string, record []byte) (number uint64, err error) {
	l := s.hold(thread)
	defer s.release(thread, l)
	l.mu.Lock()
	if done := l.pending[id]; done != nil {
		l.mu.Unlock()
		return 0, stored(done())
	}
	if number, err = s.number(thread, id); err != nil || number != 0 {
		l.mu.Unlock()
		return 0, err
	}
	if l.next == 0 {
		if l.next, err = s.last(thread); err != nil {
			l.next = 0
			l.mu.Unlock()
			return 0, err
		}
		l.next++
	}
	number = l.next
	l.next++
	done := s.cfg.Store.Begin(
		store.Change{Name: messageName(thread, number), Value: record},
		store.Change{Name: idName(thread, id), Value: binary.BigEndian.AppendUint64(nil, number)},
	)
	l.pending[id] = done
	l.mu.Unlock()

	err = done()
	l.mu.Lock()
	delete(l.pending, id)
	l.mu.Unlock()
	return number, stored(err)
}

// last is the highest number of a thread.
func (s *Service) last(thread string) (uint64, error) {
	records, err := s.cfg.Store.Sequence(bucketMessages, thread, math.MaxUint64, 1, true)
	if err != nil {
		return 0, stored(err)
	}
	if len(records) == 0 {
		return 0, nil
	}
	return records[0].Number, nil
}

// readers are the others who may see a message.
func (in *entered) readers(c content) []string {
	var all []string
	for _, m := range in.others() {
		if m.sees(c) {
			all = append(all, m.ID)
		}
	}
	return all
}
