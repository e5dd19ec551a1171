package chat

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/callpath/callpath/signaling/store"
)

const bucketMarks = "chat-marks"

func markName(thread, person string) store.Name {
	return store.Name{Bucket: bucketMarks, Key: thread + "\x00" + person}
}

// MarkDelivered records that all messages up to a number have reached the person's
// client. Marks never go back.
func (s *Service) MarkDelivered(_ context.Context, r Request, number uint64) (Mark, error) {
	return s.mark(r, number, Mark{Delivered: number})
}

// MarkRead records that the person has read all messages up to a number, and so has
// them.
func (s *Service) MarkRead(_ context.Context, r Request, number uint64) (Mark, error) {
	return s.mark(r, number, Mark{Delivered: number, Read: number})
}

func (s *Service) mark(r Request, number uint64, to Mark) (m Mark, err error) {
	e := s.begin(ActMark, r.Thread, r.Person)
	defer func() { s.end(e, err) }()
	in, err := s.enter(r, e)
	if err != nil {
		return Mark{}, err
	}
	last, err := s.last(in.thread.ID)
	if err != nil {
		return Mark{}, err
	}
	if number == 0 || number > last {
		return Mark{}, refuse(Invalid, "number %d, wanted that of a message: 1 to %d", number, last)
	}
	defer s.lock("mark", in.thread.ID+"\x00"+in.person.ID)()
	before, _, err := s.loadMark(in.thread.ID, in.person.ID)
	if err != nil {
		return Mark{}, err
	}
	m = Mark{max(before.Delivered, to.Delivered), max(before.Read, to.Read)}
	if m == before {
		return m, nil
	}
	change := store.Change{Name: markName(in.thread.ID, in.person.ID), Value: m.encode()}
	return m, stored(s.cfg.Store.Begin(change)())
}

// Marks returns the marks of those in the thread who have any.
func (s *Service) Marks(_ context.Context, r Request) (marks map[string]Mark, err error) {
	e := s.begin(ActRead, r.Thread, r.Person)
	defer func() { s.end(e, err) }()
	in, err := s.enter(r, e)
	if err != nil {
		return nil, err
	}
	marks = map[string]Mark{}
	for _, member := range in.roster {
		m, found, err := s.loadMark(in.thread.ID, member.ID)
		if err != nil {
			return nil, err
		}
		if found {
			marks[member.ID] = m
		}
	}
	return marks, nil
}

func (s *Service) loadMark(thread, person string) (m Mark, found bool, err error) {
	data, err := s.cfg.Store.Get(markName(thread, person))
	if errors.Is(err, store.ErrNotFound) {
		return Mark{}, false, nil
	}
	if err != nil {
		return Mark{}, false, stored(err)
	}
	if m, err = decodeMark(data); err != nil {
		return Mark{}, false, refuse(Damaged, "the mark of %q in thread %q is damaged", person, thread)
	}
	return m, true, nil
}

func (m Mark) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, m.Delivered), m.Read)
}

func decodeMark(data []byte) (Mark, error) {
	if len(data) != 16 {
		return Mark{}, errors.New("a mark has 16 bytes")
	}
	m := Mark{binary.BigEndian.Uint64(data), binary.BigEndian.Uint64(data[8:])}
	if m.Delivered == 0 || m.Read > m.Delivered {
		return Mark{}, errors.New("read before it was delivered")
	}
	return m, nil
}
