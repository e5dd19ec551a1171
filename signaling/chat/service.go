package chat

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/chat/dlp"
	"github.com/callpath/callpath/signaling/store"
)

// Store keeps records; *store.File and *store.Memory are ones. It is safe for
// concurrent use.
type Store interface {
	// Get returns store.ErrNotFound when there is no such record.
	Get(store.Name) ([]byte, error)
	// Begin puts changes in line, to be made together or not at all, in the order of
	// the calls. done returns when they are durable, or failed.
	Begin(...store.Change) (done func() error)
	// Sequence returns at most limit records of a sequence from number from on, or, if
	// backwards, from number from on down.
	Sequence(bucket, key string, from uint64, limit int, backwards bool) ([]store.Record, error)
	Each(bucket string, f func(key string, value []byte) error) error
}

// Config is what a Service needs.
type Config struct {
	// Store and Vault are required: where the records are, and where the customers'
	// root keys are.
	Store Store
	Vault customerkey.KeyVault
	// Policy returns the rules of data loss prevention for a tenant, nil for none. It is
	// called for each draft, so that new rules hold at once. Nil: no tenant has any.
	Policy func(tenant string) *dlp.Policy
	// OnEvent takes the audit, and OnKeyEvent that of the keys. They are called by the
	// goroutine of the request, by several at once, with no lock held.
	OnEvent    func(Event)
	OnKeyEvent func(customerkey.Event)
	// Now is time.Now if nil; Rand, of which thread IDs and the IDs of messages without
	// a ClientID are made, crypto/rand.Reader. Rand is safe for concurrent use.
	Now  func() time.Time
	Rand io.Reader
}

// Service is the chat of all tenants. It is safe for concurrent use. It needs no
// closing; its Store outlives it.
type Service struct {
	cfg  Config
	keys *customerkey.Keys
}

// New makes a Service.
func New(cfg Config) (*Service, error) { return nil, errors.ErrUnsupported }

// Keys is the hierarchy of keys, for its administration: create, rotate, revoke,
// restore, rewrap. Each tenant needs a data encryption policy before its first message.
func (s *Service) Keys() *customerkey.Keys { return s.keys }

// CreateThread makes a thread. An empty ID gets a random one. To create the thread of
// a meeting again returns the one that is there; other IDs must be free.
func (s *Service) CreateThread(ctx context.Context, t Thread) (Thread, error) {
	return Thread{}, errors.ErrUnsupported
}

// Thread returns a thread to one of those in it.
func (s *Service) Thread(ctx context.Context, r Request) (Thread, error) {
	return Thread{}, errors.ErrUnsupported
}

// Members returns who is in the thread: its members, or the roster.
func (s *Service) Members(ctx context.Context, r Request) ([]Member, error) {
	return nil, errors.ErrUnsupported
}

// SetMembers replaces the members of a thread that is not a meeting's. Any member may.
func (s *Service) SetMembers(ctx context.Context, r Request, members []Member) (Thread, error) {
	return Thread{}, errors.ErrUnsupported
}

// Send stores a message and returns it with those who are to be told. Calls for one
// thread that overlap may return in another order than that of their numbers.
func (s *Service) Send(ctx context.Context, r Request, d Draft) (Sent, error) {
	return Sent{}, errors.ErrUnsupported
}

// Edit replaces the text of the person's own message, after data loss prevention as
// in Send.
func (s *Service) Edit(ctx context.Context, r Request, message string, d Draft) (Sent, error) {
	return Sent{}, errors.ErrUnsupported
}

// Delete leaves a tombstone without text in place of a message. To delete it again
// is no error.
func (s *Service) Delete(ctx context.Context, r Request, message string) (Sent, error) {
	return Sent{}, errors.ErrUnsupported
}

// History returns a page of messages.
func (s *Service) History(ctx context.Context, r Request, p Page) (History, error) {
	return History{}, errors.ErrUnsupported
}

// MarkDelivered records that all messages up to a number have reached the person, and
// MarkRead that they were read (and so delivered). Marks never go back.
func (s *Service) MarkDelivered(ctx context.Context, r Request, number uint64) (Mark, error) {
	return Mark{}, errors.ErrUnsupported
}

// MarkRead records that all messages up to a number were read.
func (s *Service) MarkRead(ctx context.Context, r Request, number uint64) (Mark, error) {
	return Mark{}, errors.ErrUnsupported
}

// Marks returns the marks of those in the thread who have any.
func (s *Service) Marks(ctx context.Context, r Request) (map[string]Mark, error) {
	return nil, errors.ErrUnsupported
}
