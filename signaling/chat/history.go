package chat

import (
	"context"
	"math"
	"slices"
)

// sees says whether somebody may see a message: not what is older than they may read, but
// always their own.
func (m Member) sees(c content) bool { return !c.Sent.Before(m.Since) || c.Sender == m.ID }

func (in *entered) hidden(c content) bool { return !in.person.sees(c) }

// History returns a page of messages. It asks the vault for the tenant's keys each
// time: when they are revoked, nothing is read any more.
func (s *Service) History(ctx context.Context, r Request, p Page) (h History, err error) {
	e := s.begin(ActRead, r.Thread, r.Person)
	defer func() { s.end(e, err) }()
	in, err := s.enter(r, e)
	if err != nil {
		return History{}, err
	}
	if p.Limit == 0 {
		p.Limit = DefaultPage
	}
	if p.Limit < 1 || p.Limit > MaxPage {
		return History{}, refuse(Invalid, "Page.Limit is %d, wanted 1 to %d", p.Limit, MaxPage)
	}
	from := p.from()
	if from == 0 {
		return History{Next: p.Cursor}, nil
	}
	records, err := s.cfg.Store.Sequence(bucketMessages, in.thread.ID, from, p.Limit+1, !p.Forward)
	if err != nil {
		return History{}, stored(err)
	}
	h.Next = p.Cursor
	if h.More = len(records) > p.Limit; h.More {
		records = records[:p.Limit]
	}
	contents, err := s.open(ctx, &in.thread, records)
	if err != nil {
		return History{}, err
	}
	for i, c := range contents {
		if h.Next = records[i].Number; !in.hidden(c) {
			h.Messages = append(h.Messages, c.message(in, h.Next))
		}
	}
	if !p.Forward {
		slices.Reverse(h.Messages)
	}
	return h, nil
}

// from is the first number of a page, 0 when there can be none.
func (p Page) from() uint64 {
	switch {
	case p.Forward && p.Cursor == math.MaxUint64:
		return 0
	case p.Forward:
		return p.Cursor + 1
	case p.Cursor == 0:
		return math.MaxUint64
	}
	return p.Cursor - 1
}
