package media

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"
)

func packet(ssrc uint32, seq uint16, payload string) *rtp.Packet {
	return &rtp.Packet{Header: rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: seq}, Payload: []byte(payload)}
}

// TestCompare is every way in which a payload may arrive.
func TestCompare(t *testing.T) {
	var shown [][]byte
	l := NewLedger(func(payload []byte) { shown = append(shown, bytes.Clone(payload)) })
	alice, err := l.Open("alice", Opus, 1)
	if err != nil {
		t.Fatal(err)
	}
	carol, err := l.Open("carol", Opus, 2)
	if err != nil {
		t.Fatal(err)
	}
	alice.Send(packet(1, 10, "first of alice"))
	alice.Send(packet(1, 11, "second of alice"))
	carol.Send(packet(2, 10, "first of carol"))
	tests := []struct {
		name string
		p    *rtp.Packet
		want Verdict
	}{
		{"as it was sent", packet(1, 10, "first of alice"), Intact},
		{"again", packet(1, 10, "first of alice"), Intact},
		{"one byte changed", packet(1, 10, "first of alicf"), Corrupt},
		{"cut short", packet(1, 10, "first of alic"), Corrupt},
		{"payload of another packet", packet(1, 10, "second of alice"), Misdirected},
		{"payload of another sender", packet(1, 11, "first of carol"), Misdirected},
		{"stream of another sender", packet(2, 10, "first of carol"), Misdirected},
		{"payload under an unknown SSRC", packet(3, 10, "first of alice"), Misdirected},
		{"unknown SSRC and payload", packet(3, 10, "nobody's"), Unknown},
		{"sequence number never sent", packet(1, 500, "nobody's"), Unknown},
	}
	c := l.Comparer("alice")
	for _, test := range tests {
		if got := c.Compare(test.p); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if len(shown) != 3 || string(shown[2]) != "first of carol" {
		t.Errorf("onSend was shown %q", shown)
	}
	if _, err := l.Open("bob", VP8, 1); err == nil {
		t.Error("an SSRC in use is taken again")
	}
	sender, codec, sent, ok := l.Sent(1)
	if sender != "alice" || codec != Opus || sent != (Sent{Packets: 2, Bytes: 29}) || !ok {
		t.Errorf("Sent(1) = %s, %s, %+v, %v", sender, codec, sent, ok)
	}
	if _, _, _, ok := l.Sent(7); ok {
		t.Error("Sent(7) is ok, though nobody uses it")
	}
}

// TestCompareOld: what the ring has overwritten is neither right nor wrong.
func TestCompareOld(t *testing.T) {
	l := NewLedger(nil)
	s, err := l.Open("alice", VP8, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range remembered + 1 {
		s.Send(packet(1, uint16(i), string(rune('a'+i%26))+"payload"))
	}
	c := l.Comparer("alice")
	if got := c.Compare(packet(1, 0, "whatever")); got != Old {
		t.Errorf("an overwritten packet is %s, want old", got)
	}
	if got := c.Compare(packet(1, remembered, "whatever")); got != Corrupt {
		t.Errorf("a kept one is %s, want corrupt", got)
	}
}
