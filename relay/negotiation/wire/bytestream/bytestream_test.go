package bytestream_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/callpath/callpath/relay/negotiation/wire/bytestream"
)

type segment struct {
	sequence uint32
	data     string
}

func assemble(t *testing.T, first uint32, segments ...segment) string {
	t.Helper()
	var a bytestream.Assembler
	if err := a.Feed(first-1, true, nil); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, s := range segments {
		if err := a.Feed(s.sequence, false, []byte(s.data)); err != nil {
			t.Fatal(err)
		}
		for data, ok := a.Next(); ok; data, ok = a.Next() {
			got = append(got, data...)
		}
	}
	return string(got)
}

func TestAssembler(t *testing.T) {
	for name, tt := range map[string]struct {
		first    uint32
		segments []segment
		want     string
	}{
		"in order":       {1, []segment{{1, "ab"}, {3, "cd"}}, "abcd"},
		"out of order":   {1, []segment{{5, "ef"}, {3, "cd"}, {1, "ab"}, {7, "g"}}, "abcdefg"},
		"retransmission": {1, []segment{{1, "ab"}, {1, "ab"}, {3, "cd"}, {1, "ab"}}, "abcd"},
		"overlap":        {1, []segment{{1, "abc"}, {2, "bcd"}, {4, "de"}}, "abcde"},
		"overlap kept":   {1, []segment{{4, "def"}, {3, "cde"}, {1, "ab"}}, "abcdef"},
		"gap":            {1, []segment{{1, "ab"}, {4, "d"}}, "ab"},
		"sequence wraps": {1<<32 - 1, []segment{{1, "cd"}, {1<<32 - 1, "ab"}}, "abcd"},
	} {
		if got := assemble(t, tt.first, tt.segments...); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// A connection that was open before the capture began starts where it is seen.
func TestAssemblerWithoutSYN(t *testing.T) {
	var a bytestream.Assembler
	if err := a.Feed(500, false, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if data, ok := a.Next(); !ok || string(data) != "x" {
		t.Errorf("got %q, %v", data, ok)
	}
}

func TestAssemblerIsBounded(t *testing.T) {
	for name, size := range map[string]int{"many segments": 1, "large segments": 60000} {
		var a bytestream.Assembler
		_ = a.Feed(0, true, nil)
		var err error
		for n := 0; n < 200 && err == nil; n++ {
			err = a.Feed(uint32(100+n*size), false, make([]byte, size))
		}
		if !errors.Is(err, bytestream.ErrGap) {
			t.Errorf("%s: got %v, want ErrGap", name, err)
		}
	}
}

var (
	stunMessage = []byte{0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x80, 0x22, 0, 0}
	channelData = []byte{0x40, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0}
)

// RFC 8656, section 12.5: over a stream ChannelData is padded to four bytes.
func TestFramer(t *testing.T) {
	stream := slices.Concat(stunMessage, channelData, channelData, stunMessage)
	want := [][]byte{stunMessage, channelData[:9], channelData[:9], stunMessage}
	for size := 1; size <= len(stream); size++ {
		var f bytestream.Framer
		var got [][]byte
		for piece := range slices.Chunk(stream, size) {
			f.Feed(piece)
			for {
				frame, ok, err := f.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				got = append(got, bytes.Clone(frame))
			}
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("in pieces of %d:\n got %x\nwant %x", size, got, want)
		}
	}
}

func TestFramerRefuses(t *testing.T) {
	noCookie := bytes.Clone(stunMessage)
	noCookie[4] = 0
	odd := bytes.Clone(stunMessage)
	odd[3] = 3
	for name, stream := range map[string][]byte{
		"TLS":                   {0x80, 0, 0, 0},
		"ChannelData first":     channelData,
		"no cookie":             noCookie,
		"length no multiple":    odd,
		"RTP after STUN":        append(bytes.Clone(stunMessage), 0x80, 0),
		"TLS ClientHello first": append([]byte{0x16, 3, 1, 2, 0}, make([]byte, 30)...),
	} {
		var f bytestream.Framer
		f.Feed(stream)
		var err error
		for ok := true; ok && err == nil; {
			_, ok, err = f.Next()
		}
		if !errors.Is(err, bytestream.ErrFraming) {
			t.Errorf("%s: got %v, want ErrFraming", name, err)
		}
	}
}

// However the segments come, the frames are those of the stream.
func FuzzStream(f *testing.F) {
	f.Add(slices.Concat(stunMessage, channelData), uint64(1))
	f.Add([]byte("GET / HTTP/1.1"), uint64(2))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		if len(stream) > 1<<12 {
			return
		}
		frames := func(pieces [][]byte) (all [][]byte, failed bool) {
			var f bytestream.Framer
			for _, p := range pieces {
				f.Feed(p)
				for {
					frame, ok, err := f.Next()
					if err != nil {
						return all, true
					}
					if !ok {
						break
					}
					all = append(all, bytes.Clone(frame))
				}
			}
			return all, false
		}
		whole, wholeFailed := frames([][]byte{stream})

		random := rand.New(rand.NewPCG(seed, 0))
		var segments []segment
		for at := 0; at < len(stream); {
			n := min(1+random.IntN(200), len(stream)-at)
			segments = append(segments, segment{uint32(at), string(stream[at : at+n])})
			at += n
		}
		random.Shuffle(len(segments), func(i, j int) { segments[i], segments[j] = segments[j], segments[i] })
		var a bytestream.Assembler
		_ = a.Feed(1<<32-1, true, nil)
		var pieces [][]byte
		for _, s := range segments {
			if err := a.Feed(s.sequence, false, []byte(s.data)); err != nil {
				t.Skip(err)
			}
			for data, ok := a.Next(); ok; data, ok = a.Next() {
				pieces = append(pieces, bytes.Clone(data))
			}
		}
		if got := slices.Concat(pieces...); !bytes.Equal(got, stream) {
			t.Fatalf("assembled %d bytes of %d", len(got), len(stream))
		}
		cut, cutFailed := frames(pieces)
		if wholeFailed != cutFailed || !slices.EqualFunc(whole, cut, bytes.Equal) {
			t.Fatalf("whole: %x %v, in pieces: %x %v", whole, wholeFailed, cut, cutFailed)
		}
	})
}
