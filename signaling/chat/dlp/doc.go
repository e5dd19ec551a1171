// Package dlp is data loss prevention for chat messages, in the way Microsoft
// Purview describes it: a policy is a list of rules, a rule looks for sensitive
// information types, and its action is to block the message, to mask the values in
// it, or to warn the sender; a warning may withhold the message until the sender
// overrides it, with a justification if the rule wants one.
//
// A sensitive information type is four things: a pattern, a checksum, evidence (a
// word such as "visa" or "Steuer-ID" near the value), and from these a confidence:
// low, medium or high. The built-in types are payment cards, IBANs, and national
// identifiers of Belgium, Germany, the Netherlands, Poland and Spain; each has a
// check digit or letter, and each is listed by Types.
//
// Text is read as a person reads it. Digits of any script, wide and circled forms,
// spaces and dashes of any kind count as their plain forms, accents and invisible
// characters count as nothing, and a value may be cut into groups. A value begins and
// ends where a word does; one that is glued to other letters is not found. Look-alike
// letters of other scripts, numbers in words, and pictures are not read. Every
// check of a message costs time in proportion to its size, which is bounded by
// MaxSize. What can't be checked is blocked.
//
// It is a pure library: it stores, sends and logs nothing, and takes no decision
// about who is external. signaling/chat is to be built on it: chat calls
// Policy.Inspect before it stores or delivers a message, gives the recipients
// Decision.Text, the sender Decision.Sender, and the audit log Decision.Audit. None
// of the types here holds a detected value, except where the message itself does.
//
// Custom types, named entities, and trainable classifiers, which Purview has too, are
// absent.
//
// Start reading at Policy.Inspect, then Scan, then detectors.go.
package dlp
