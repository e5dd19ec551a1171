// Package callstate is the state machine of a one-to-one call: one table of
// state × event × role → state, pure and without time. The offer/answer part
// follows RFC 3264 (one outstanding offer) and RFC 9429, section 3.2, seen from
// the controller between the two sides; glare is refused as SIP's 491 (RFC 3261,
// section 14.1).
//
// It holds no call: package signaling does. STATES.md is drawn from the table.
//
// Start reading at Transitions.
package callstate
