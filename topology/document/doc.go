// Package document reads one YAML document strictly and knows where each value
// stands, so that an error can name file, line and column, say what would be
// valid, and propose the nearest right word:
//
//	meeting.yaml:12:7: steps[2].call.from: no participant "alcie"; valid: alice, bob; did you mean "alice"?
//
// Scenario and topology files are written by hand and come from strangers. So the
// package accepts the part of YAML 1.2 that people write on purpose, and refuses
// the rest with a reason: more than one document, keys that stand twice, anchors,
// aliases, merge keys, tags and directives (with them a few lines may expand into
// gigabytes, or mean something else than they show), tabs, and documents that are
// empty, larger than MaxSize, deeply nested or not UTF-8.
//
// It is not a general YAML library. Syntax is read by goccy/go-yaml; from its tree
// on, everything is here, because a decoder that stops at its first error, or that
// forgets places, cannot give the errors above.
//
// Decoding follows encoding/json in spirit: struct fields by their yaml tag (with
// ",inline"), maps, slices, pointers, encoding.TextUnmarshaler for single values,
// and UnmarshalYAML(func(any) error) error for types with several forms. What a
// type's own method returns is placed at its value; Errors that came from the
// function it was given keep their own places. A number is taken where text is
// wanted, as it was written; nothing else is converted.
//
// Start reading at Parse, then Document.Decode and Document.Error.
package document
