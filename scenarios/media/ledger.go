// Package media is the encoded media that participants send, and the proof that
// it arrived unchanged.
package media

// Ledger knows what each participant of a run sent. It is safe for concurrent
// use.
type Ledger struct{}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{} }

// Plaintext is true when a piece of media that a participant sent stands in
// payload as it was before encryption.
func (l *Ledger) Plaintext(payload []byte) bool { return false }

// Needles returns up to n pieces of 16 bytes of the media that was sent last.
func (l *Ledger) Needles(n int) [][]byte { return nil }
