// Package bytestream reads TURN over TCP or TLS: it puts TCP segments in order and
// cuts the bytes into STUN messages and ChannelData (RFC 8656, section 12.5;
// RFC 9293). What it keeps is bounded; a stream that would need more is given up
// with an error, never guessed at.
//
// Start reading at Framer; Assembler stands before it where packets are read.
package bytestream

import (
	"errors"
	"slices"
)

// Bounds of an Assembler.
const (
	maxPending      = 128
	maxPendingBytes = 256 << 10
)

// ErrGap is a stream with more out of order than is kept.
var ErrGap = errors.New("TCP stream with a gap larger than what is kept of it")

// Assembler puts the segments of one direction of a connection in order. The zero
// Assembler begins with the first segment that it gets.
type Assembler struct {
	started bool
	next    uint32
	ready   []byte
	pending []piece // by sequence
	bytes   int
}

type piece struct {
	sequence uint32
	data     []byte
}

// Feed takes one segment; syn is true when its SYN flag is set. Call Next until
// it has no more before the next Feed.
func (a *Assembler) Feed(sequence uint32, syn bool, data []byte) error {
	if syn {
		sequence++
		if !a.started {
			a.started, a.next = true, sequence
		}
	}
	if len(data) == 0 {
		return nil
	}
	if !a.started {
		a.started, a.next = true, sequence
	}
	switch ahead := int32(sequence - a.next); {
	case ahead <= 0:
		// The beginning, or all, may have come before.
		if old := int(-ahead); old < len(data) {
			a.ready = data[old:]
		}
		return nil
	case len(a.pending) == maxPending || a.bytes+len(data) > maxPendingBytes:
		a.pending, a.bytes = nil, 0
		return ErrGap
	}
	at, _ := slices.BinarySearchFunc(a.pending, sequence, func(p piece, s uint32) int { return int(int32(p.sequence - s)) })
	a.pending = slices.Insert(a.pending, at, piece{sequence, slices.Clone(data)})
	a.bytes += len(data)
	return nil
}

// Next returns the next bytes of the stream, as long as there are any.
func (a *Assembler) Next() (data []byte, ok bool) {
	if data = a.ready; len(data) > 0 {
		a.ready = nil
		a.next += uint32(len(data))
		return data, true
	}
	for len(a.pending) > 0 {
		p := a.pending[0]
		ahead := int32(p.sequence - a.next)
		if ahead > 0 {
			return nil, false
		}
		a.pending = a.pending[1:]
		a.bytes -= len(p.data)
		if old := int(-ahead); old < len(p.data) {
			data = p.data[old:]
			a.next += uint32(len(data))
			return data, true
		}
	}
	a.pending = nil
	return nil, false
}
