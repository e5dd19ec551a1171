package filler_test

import (
	"testing"
	"time"

	"github.com/callpath/callpath/bench/meeting/filler"
	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/relay/processor/simulcast"
)

// What a media processor reads of a payload is what it is.
func TestPicturesAreReadAsWhatTheyAre(t *testing.T) {
	for _, p := range []filler.Picture{
		{First: true, Key: true, ID: 1},
		{First: true, ID: 0x7fff},
		{Key: true, ID: 0x100},
		{},
	} {
		p.Stamp = tally.Stamp{Due: 12345, Sender: 7}
		payload := make([]byte, filler.Least)
		p.Fill(payload)
		f, ok := simulcast.VP8.Inspect(payload)
		if !ok || f.Key != (p.First && p.Key) || f.VP8.PictureID != p.ID || f.VP8.Start != p.First {
			t.Errorf("%+v is read as %+v (%t)", p, f, ok)
		}
		if got, ok := tally.ReadStamp(payload); !ok || got != p.Stamp {
			t.Errorf("%+v has the stamp %+v (%t)", p, got, ok)
		}
	}
}

// What is sent again is what was sent.
func TestPayloadsAreTheSameAgain(t *testing.T) {
	stamp := tally.Stamp{Due: 1, Sender: 2}
	for name, fill := range map[string]func([]byte){
		"voice":   func(b []byte) { filler.Voice(b, stamp) },
		"picture": filler.Picture{Stamp: stamp, ID: 3, First: true}.Fill,
	} {
		clean, dirty := make([]byte, filler.VoiceSize), make([]byte, filler.VoiceSize)
		for i := range dirty {
			dirty[i] = byte(i)
		}
		fill(clean)
		fill(dirty)
		if string(clean) != string(dirty) {
			t.Errorf("%s: %x and %x", name, clean, dirty)
		}
	}
}

func TestABitrateIsThatManyBytes(t *testing.T) {
	if got := filler.Bytes(1_000_000, 30, false); got != 4166 || filler.Packets(got) != 4 {
		t.Errorf("%d bytes in %d packets", got, filler.Packets(got))
	}
	if filler.Bytes(1_000_000, 30, true) <= 4166 {
		t.Error("a key frame is no larger")
	}
	if got := filler.Bytes(1, 30, false); got != filler.Least || filler.Packets(got) != 1 {
		t.Errorf("the smallest picture has %d bytes", got)
	}
}

func TestOneOfEightSpeaks(t *testing.T) {
	for second := range 30 {
		speakers := 0
		for sender := range uint32(8) {
			level := filler.Level(int64(time.Duration(second)*time.Second), sender)
			if level&0x80 != 0 {
				speakers++
			}
		}
		if speakers != 1 {
			t.Errorf("second %d: %d speak", second, speakers)
		}
	}
}
