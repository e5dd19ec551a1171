package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"

	"github.com/callpath/callpath/signaling/store"
)

const bucketThreads = "chat-threads"

// CreateThread makes a thread; Created is set here. An empty ID gets a random one. To
// create the thread of a meeting again returns the one that is there; other IDs must
// be free.
func (s *Service) CreateThread(_ context.Context, t Thread) (made Thread, err error) {
	e := s.begin(ActCreate, t.ID, t.CreatedBy)
	e.Tenant, e.Rule = t.Tenant, RuleValid
	defer func() {
		e.Thread = made.ID
		s.end(e, err)
	}()
	if t.ID == "" {
		if t.ID, err = s.newID(); err != nil {
			return Thread{}, err
		}
	}
	if err := t.check(); err != nil {
		return Thread{}, err
	}
	defer s.lock("thread", t.ID)()
	old, err := s.loadThread(t.ID)
	var refused *Error
	switch {
	case err == nil && t.Meeting != "" && old.Meeting == t.Meeting && old.Tenant == t.Tenant:
		return old, nil
	case err == nil:
		return Thread{}, refuse(Exists, "there is a thread %q already", t.ID)
	case !errors.As(err, &refused) || refused.Code != NotFound:
		return Thread{}, err
	}
	t.Created = s.cfg.Now()
	t.Members = slices.Clone(t.Members)
	return t, s.saveThread(t)
}

func (t *Thread) check() error {
	if err := checkName("Thread.ID", t.ID); err != nil {
		return err
	}
	if err := checkName("Thread.Tenant", t.Tenant); err != nil {
		return err
	}
	if t.CreatedBy != "" {
		if err := checkName("Thread.CreatedBy", t.CreatedBy); err != nil {
			return err
		}
	}
	if t.Meeting != "" {
		if len(t.Members) > 0 {
			return refuse(Invalid, "Thread.Members is set for the thread of a meeting, wanted none: each request brings the roster")
		}
		return checkName("Thread.Meeting", t.Meeting)
	}
	if len(t.Members) == 0 {
		return refuse(Invalid, "Thread.Members is empty, wanted 1 to %d people", MaxMembers)
	}
	return checkMembers("Thread.Members", t.Members)
}

// Thread returns a thread to one of those in it.
func (s *Service) Thread(_ context.Context, r Request) (t Thread, err error) {
	e := s.begin(ActRead, r.Thread, r.Person)
	defer func() { s.end(e, err) }()
	in, err := s.enter(r, e)
	if err != nil {
		return Thread{}, err
	}
	return in.thread, nil
}

// Members returns who is in the thread: its members, or the roster.
func (s *Service) Members(_ context.Context, r Request) (members []Member, err error) {
	e := s.begin(ActRead, r.Thread, r.Person)
	defer func() { s.end(e, err) }()
	in, err := s.enter(r, e)
	if err != nil {
		return nil, err
	}
	return slices.Clone(in.roster), nil
}

// SetMembers replaces the members of a thread that is not a meeting's. Any member may.
func (s *Service) SetMembers(_ context.Context, r Request, members []Member) (t Thread, err error) {
	e := s.begin(ActMembers, r.Thread, r.Person)
	defer func() { s.end(e, err) }()
	defer s.lock("thread", r.Thread)()
	in, err := s.enter(r, e)
	if err != nil {
		return Thread{}, err
	}
	if t = in.thread; t.Meeting != "" {
		return Thread{}, refuse(Invalid, "thread %q is a meeting's, whose roster its members are", t.ID)
	}
	t.Members = slices.Clone(members)
	if err := t.check(); err != nil {
		return Thread{}, err
	}
	return t, s.saveThread(t)
}

func (s *Service) loadThread(id string) (Thread, error) {
	data, err := s.cfg.Store.Get(store.Name{Bucket: bucketThreads, Key: id})
	if errors.Is(err, store.ErrNotFound) {
		return Thread{}, refuse(NotFound, "there is no thread %q", id)
	}
	if err != nil {
		return Thread{}, stored(err)
	}
	t, err := decodeThread(data)
	if err != nil || t.ID != id {
		return Thread{}, refuse(Damaged, "the record of thread %q is damaged", id)
	}
	return t, nil
}

func decodeThread(data []byte) (t Thread, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Thread{}, err
	}
	if err := t.check(); err != nil {
		return Thread{}, err
	}
	return t, nil
}

func (s *Service) saveThread(t Thread) error {
	data, err := json.Marshal(t)
	if err != nil {
		return refuse(Failed, "can't write thread %q", t.ID).because(err)
	}
	return stored(s.cfg.Store.Begin(store.Change{Name: store.Name{Bucket: bucketThreads, Key: t.ID}, Value: data})())
}

// stored is the error of a store as one of chat's, nil for nil.
func stored(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrDamaged):
		return refuse(Damaged, "the store").because(err)
	}
	return refuse(Failed, "the store").because(err)
}

// lock takes the stripe of something and returns how to release it.
func (s *Service) lock(kind, name string) (unlock func()) {
	h := fnv.New32a()
	h.Write([]byte(kind + "\x00" + name))
	m := &s.stripes[h.Sum32()%uint32(len(s.stripes))]
	m.Lock()
	return m.Unlock
}
