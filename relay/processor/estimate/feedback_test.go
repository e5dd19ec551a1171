package estimate_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/callpath/callpath/relay/processor/estimate"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// header is that of a feedback packet of so many words more than its first.
const (
	wellFormed = "8fcd0005" + "00000001" + "00000002" + "0000" + "0002" + "000001" + "00" + "2002" + "0404"
	vectors    = "afcd0008" + "00000001" + "00000002" + "0000" + "0015" + "000001" + "00" + // 14 of one bit, 7 of two
		"b000" + "d900" + "01020304" + "0000" + "00000002"
)

func TestMalformedFeedbackIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, packet string
		ok           bool
	}{
		{"well-formed", wellFormed, true},
		{"followed by another", wellFormed + "80c90001", true},
		{"nothing", "", false},
		{"another type", "80c90001" + "00000001", false},
		{"another format", "81cd0002" + "00000001" + "00000002", false},
		{"another version", "0fcd0005" + wellFormed[8:], false},
		{"longer than it is", "8fcd0006" + wellFormed[8:], false},
		{"shorter than its header", "8fcd0003" + wellFormed[8:], false},
		{"of no packets", "8fcd0005" + "00000001" + "00000002" + "0000" + "0000" + "000001" + "00" + "2002" + "0404", false},
		{"without the last chunk", "8fcd0004" + "00000001" + "00000002" + "0000" + "0002" + "000001" + "00", false},
		{"without the last delta", "8fcd0005" + "00000001" + "00000002" + "0000" + "0004" + "000001" + "00" + "2004" + "0404", false},
		{"without a large delta", "8fcd0005" + "00000001" + "00000002" + "0000" + "0002" + "000001" + "00" + "4002" + "0404", false},
		{"a reserved status in a run", "8fcd0005" + "00000001" + "00000002" + "0000" + "0002" + "000001" + "00" + "6002" + "0404", false},
		{"chunks of no statuses", "8fcd0005" + "00000001" + "00000002" + "0000" + "0002" + "000001" + "00" + "2000" + "2000", false},
		{"more padding than packet", "afcd0005" + wellFormed[8:len(wellFormed)-2] + "ff", false},
		{"padding of nothing", "afcd0005" + wellFormed[8:len(wellFormed)-2] + "00", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := estimate.NewSender(estimate.Config{})
			for range 3 {
				s.Next(100, false, begin)
			}
			err := s.Feedback(unhex(t, c.packet), begin)
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
			if got := s.Stats().Malformed; (got == 0) != c.ok {
				t.Errorf("%d malformed", got)
			}
		})
	}
}

// What was never sent, or is long gone, is counted and changes nothing.
func TestFeedbackOfWhatWasNotSent(t *testing.T) {
	s := estimate.NewSender(estimate.Config{})
	before := s.Bitrate(begin)
	if err := s.Feedback(unhex(t, wellFormed), begin); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Unknown; got != 2 || s.Bitrate(begin) != before || s.RTT() != 0 {
		t.Errorf("%d unknown, %d bit/s, rtt %v", got, s.Bitrate(begin), s.RTT())
	}
}

// FuzzFeedback: what is well-formed here is so for another implementation too, which
// counts as many received packets; and whatever comes, estimates stay within bounds.
func FuzzFeedback(f *testing.F) {
	f.Add(unhex(f, wellFormed))
	f.Add(unhex(f, vectors))
	var cc rtcp.TransportLayerCC
	if err := cc.Unmarshal(unhex(f, wellFormed)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		s := estimate.NewSender(estimate.Config{})
		now := begin
		for range 40 {
			s.Next(1000, false, now)
			now = now.Add(5 * time.Millisecond)
		}
		err := s.Feedback(bytes.Clone(packet), now)
		for i := range 3 {
			if again := s.Feedback(packet, now.Add(time.Duration(i)*time.Hour)); (again == nil) != (err == nil) {
				t.Fatalf("%v, then %v", err, again)
			}
		}
		rate := s.Bitrate(now)
		if rate < 30_000 || rate > 50_000_000 || math.IsNaN(s.Stats().Lost) {
			t.Fatalf("%d bit/s, %+v", rate, s.Stats())
		}
		if err != nil {
			if errors.Is(err, bytes.ErrTooLarge) {
				t.Fatal(err)
			}
			return
		}
		var theirs rtcp.TransportLayerCC
		size := 4 * (int(packet[2])<<8 + int(packet[3]) + 1)
		if err := theirs.Unmarshal(packet[:size]); err != nil {
			t.Skip("stricter than the draft: ", err)
		}
		received := 0
		for _, chunk := range theirs.PacketChunks {
			switch c := chunk.(type) {
			case *rtcp.RunLengthChunk:
				if c.PacketStatusSymbol != 0 {
					received += int(c.RunLength)
				}
			case *rtcp.StatusVectorChunk:
				for _, symbol := range c.SymbolList {
					if symbol != 0 {
						received++
					}
				}
			}
		}
		if received < len(theirs.RecvDeltas) {
			t.Fatalf("%d deltas of %d", len(theirs.RecvDeltas), received)
		}
	})
}

func TestParseREMB(t *testing.T) {
	for _, rate := range []float32{0, 1000, 262_143, 300_000, 2_500_000, 1e9} {
		packet, err := (&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: rate, SSRCs: []uint32{5, 6}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, ok := estimate.ParseREMB(packet)
		if !ok || math.Abs(float64(got)-float64(rate)) > float64(rate)/100 {
			t.Errorf("%v bit/s: got %d, %v", rate, got, ok)
		}
		if _, ok := estimate.ParseREMB(packet[:len(packet)-1]); ok {
			t.Error("cut, and taken in")
		}
	}
	for name, packet := range map[string]string{
		"huge":                          "8fce0004" + "00000001" + "00000000" + "52454d42" + "00ffffff",
		"another identifier":            "8fce0004" + "00000001" + "00000000" + "52454d43" + "00000001",
		"more SSRCs than there are":     "8fce0004" + "00000001" + "00000000" + "52454d42" + "01000001",
		"another format of its type":    "81ce0004" + "00000001" + "00000000" + "52454d42" + "00000001",
		"shorter than any packet of it": "8fce0003" + "00000001" + "00000000" + "52454d42",
	} {
		got, ok := estimate.ParseREMB(unhex(t, packet))
		if ok != (name == "huge") || ok && got != math.MaxUint64 {
			t.Errorf("%s: got %d, %v", name, got, ok)
		}
	}
}

// FuzzREMB: the bitrate is the one that another implementation reads.
func FuzzREMB(f *testing.F) {
	f.Add(unhex(f, "8fce0005"+"00000001"+"00000000"+"52454d42"+"010bffff"+"00000005"))
	f.Add(unhex(f, "8fce0004"+"00000001"+"00000000"+"52454d42"+"00ffffff"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		got, ok := estimate.ParseREMB(packet)
		var theirs rtcp.ReceiverEstimatedMaximumBitrate
		if err := theirs.Unmarshal(packet); err != nil {
			return
		}
		if !ok {
			if size := 4 * (int(packet[2])<<8 + int(packet[3]) + 1); packet[0]&0x20 != 0 || size != len(packet) {
				return // padding and the length, which the other does not look at
			}
			t.Fatalf("%x: refused, theirs %v", packet, theirs.Bitrate)
		}
		if got == 0 {
			return // the other makes something of nothing when the exponent is not 0
		}
		if want := float64(theirs.Bitrate); want < 1e18 && math.Abs(float64(got)-want) > want/1e4 {
			t.Fatalf("%x: got %d, theirs %v", packet, got, want)
		}
	})
}
