// Package chat is the chat of meetings and of threads apart from meetings: who said
// what, in which order, and who has received and read it.
//
// A message goes one way: text → normalise → data loss prevention (package dlp) →
// seal under the tenant's Customer Key (package customerkey) → store → recipients.
// What a rule withholds is neither stored nor delivered. What is stored is encrypted
// twice: by the data key of the message, whose hierarchy ends at the customer's root
// keys, and by the store itself (package store), which also hides who talks to whom.
// When the root keys are revoked, every History and Send that begins afterwards is
// refused; the messages are there again when one of the keys is restored.
//
// The messages of a thread are numbered; the order of the numbers is that of the thread. Sending is idempotent by the client's message ID, also
// after a restart. Send returns when the message is durable.
//
// Who may read and write is decided elsewhere. A thread of members has them stored;
// for the thread of a meeting the caller gives the roster of this moment with each
// request, as the policies (package meeting/policy) and the lobby decided it.
//
// It is not a transport: it knows no HTTP, holds no connection and starts no
// goroutine. signaling mounts it and tells the recipients.
//
// Start reading at Service.Send; draft.go is what is done to a text, record.go how a
// message is stored, history.go how it is read. Error and Event are what a caller maps.
package chat
