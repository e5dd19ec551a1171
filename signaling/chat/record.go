package chat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/store"
)

const (
	// bucketMessages has the messages, numbered, a sequence for each thread, and
	// bucketIDs the number of each message by its ID.
	bucketMessages = "chat-messages"
	bucketIDs      = "chat-message-ids"
)

// content is a message as it is sealed under the Customer Key. Its thread is where it
// stands, and its number too.
type content struct {
	ID       string    `json:"id"`
	Sender   string    `json:"sender"`
	ClientID string    `json:"client_id,omitempty"`
	Sent     time.Time `json:"sent"`
	Edited   time.Time `json:"edited,omitzero"`
	Deleted  time.Time `json:"deleted,omitzero"`
	Text     string    `json:"text,omitempty"`
	Masked   bool      `json:"masked,omitempty"`
}

func (c content) check() error {
	switch {
	case c.Deleted.IsZero() == (c.Text == ""):
		return errors.New("a text and a deletion exclude each other, and one of them is wanted")
	case !utf8.ValidString(c.Text):
		return errors.New("the text is not UTF-8")
	case c.Sent.IsZero():
		return errors.New("it was never sent")
	}
	return errors.Join(checkName("id", c.ID), checkName("sender", c.Sender))
}

func decodeContent(data []byte) (c content, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return content{}, err
	}
	if err := c.check(); err != nil {
		return content{}, err
	}
	return c, nil
}

// A record of a message is a byte with the format, a byte with the length of the
// message's ID, the ID, and what customerkey sealed for this tenant, thread and ID.
const recordFormat = 1

func encodeRecord(id string, sealed []byte) []byte {
	return append(append([]byte{recordFormat, byte(len(id))}, id...), sealed...)
}

func decodeRecord(data []byte) (id string, sealed []byte, err error) {
	if len(data) < 2 || data[0] != recordFormat || data[1] == 0 || data[1] > MaxName || len(data) <= 2+int(data[1]) {
		return "", nil, errors.New("it is no record of a message")
	}
	end := 2 + int(data[1])
	return string(data[2:end]), data[end:], nil
}

// messageID makes the ID of a message. It follows from the client's ID, so that the
// same message sent again is found by it, whoever sends the same in another's name.
func (s *Service) messageID(r Request, clientID string) (string, error) {
	if clientID == "" {
		return s.newID()
	}
	if err := checkName("Draft.ClientID", clientID); err != nil {
		return "", err
	}
	h := sha256.New()
	for _, part := range []string{"callpath chat message", r.Thread, r.Person, clientID} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write([]byte(part))
	}
	return idText(h.Sum(nil)[:16]), nil
}

func idName(thread, id string) store.Name {
	return store.Name{Bucket: bucketIDs, Key: thread + "\x00" + id}
}

func messageName(thread string, number uint64) store.Name {
	return store.Name{Bucket: bucketMessages, Key: thread, Number: number}
}

// number finds a message; 0 when there is none.
func (s *Service) number(thread, id string) (uint64, error) {
	data, err := s.cfg.Store.Get(idName(thread, id))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, stored(err)
	case len(data) != 8 || binary.BigEndian.Uint64(data) == 0:
		return 0, refuse(Damaged, "the number of message %q of thread %q is damaged", id, thread)
	}
	return binary.BigEndian.Uint64(data), nil
}

// seal encrypts a message and returns its record.
func (s *Service) seal(ctx context.Context, t *Thread, c content) ([]byte, error) {
	plaintext, err := json.Marshal(c)
	if err != nil {
		return nil, refuse(Failed, "can't write message %q", c.ID).because(err)
	}
	sealed, err := s.keys.Seal(ctx, customerkey.Place{Tenant: t.Tenant, Chat: t.ID, Message: c.ID}, plaintext)
	if err != nil {
		return nil, refuse(Unreadable, "the keys of tenant %q can't be used", t.Tenant).because(err)
	}
	return encodeRecord(c.ID, sealed), nil
}

// open decrypts records of a thread. One that is damaged fails all: a history with
// holes would pass for a whole one.
func (s *Service) open(ctx context.Context, t *Thread, records []store.Record) ([]content, error) {
	damaged := func(r store.Record) error {
		return refuse(Damaged, "record %s is damaged", r.Name)
	}
	all := make([]customerkey.Sealed, len(records))
	for i, r := range records {
		id, sealed, err := decodeRecord(r.Value)
		if err != nil {
			return nil, damaged(r)
		}
		all[i] = customerkey.Sealed{Chat: t.ID, Message: id, Data: sealed}
	}
	opened, err := s.keys.OpenAll(ctx, t.Tenant, all)
	if err != nil {
		return nil, refuse(Unreadable, "the keys of tenant %q can't be used", t.Tenant).because(err)
	}
	contents := make([]content, len(records))
	for i, plaintext := range opened {
		if plaintext == nil {
			return nil, damaged(records[i])
		}
		if contents[i], err = decodeContent(plaintext); err != nil || contents[i].ID != all[i].Message {
			return nil, damaged(records[i])
		}
	}
	return contents, nil
}

// read returns one message; found is false when there is none.
func (s *Service) read(ctx context.Context, t *Thread, id string) (c content, number uint64, found bool, err error) {
	if number, err = s.number(t.ID, id); err != nil || number == 0 {
		return content{}, 0, false, err
	}
	value, err := s.cfg.Store.Get(messageName(t.ID, number))
	if errors.Is(err, store.ErrNotFound) {
		return content{}, 0, false, refuse(Damaged, "message %q of thread %q is gone", id, t.ID)
	}
	if err != nil {
		return content{}, 0, false, stored(err)
	}
	contents, err := s.open(ctx, t, []store.Record{{Name: messageName(t.ID, number), Value: value}})
	if err != nil {
		return content{}, 0, false, err
	}
	if contents[0].ID != id {
		return content{}, 0, false, refuse(Damaged, "record %s is that of another message", messageName(t.ID, number))
	}
	return contents[0], number, true, nil
}

// message is what a reader sees of a content.
func (c content) message(in *entered, number uint64) Message {
	m := Message{Thread: in.thread.ID, ID: c.ID, Number: number, Sender: c.Sender,
		Sent: c.Sent, Edited: c.Edited, Deleted: c.Deleted, Text: c.Text, Masked: c.Masked}
	if c.Sender == in.person.ID {
		m.ClientID = c.ClientID
	}
	return m
}
