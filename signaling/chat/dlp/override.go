package dlp

// Override says whether the sender may send nevertheless what a rule withholds, as
// Purview's "block with override" has it.
type Override int

// The overrides.
const (
	// NoOverride: a rule that warns delivers the message.
	NoOverride Override = iota
	// Confirm withholds the message until the sender confirms it.
	Confirm
	// Justify withholds it until the sender gives a reason, which is audited.
	Justify
)
