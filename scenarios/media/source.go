package media

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
)

//go:embed assets/speech.ogg assets/screen.ivf assets/screen.h264
var assets embed.FS

// Frame is one encoded frame: a packet of audio or a picture.
type Frame struct {
	// Data must not be changed: it is shared by all sources of a codec.
	Data     []byte
	Duration time.Duration
	// Key is true when decoding can begin here.
	Key bool
}

// audioFrame is the packet time of the audio.
const audioFrame = 20 * time.Millisecond

// pictureTime is the time of one picture of the video files, 20 a second.
const pictureTime = 50 * time.Millisecond

// Source yields the frames of one participant's stream without end. It belongs to
// one goroutine.
type Source struct {
	format Format
	frames []Frame // empty for PCMU
	next   int
	phase  float64 // of PCMU
	sample uint64  // of PCMU
	// Of Mark: whether, whose, and how many frames there have been.
	marked     bool
	ssrc       uint32
	signatures uint32
}

// NewSource opens a codec's media. Sources whose seeds follow each other begin at
// different places; video begins with a key frame.
func NewSource(c Codec, seed uint64) (*Source, error) {
	f, err := FormatOf(c)
	if err != nil {
		return nil, err
	}
	s := &Source{format: f}
	if c == PCMU {
		s.phase = float64(seed*157%500) / 500
		return s, nil
	}
	if s.frames, err = load(c); err != nil {
		return nil, fmt.Errorf("media: %s: %w", c, err)
	}
	var starts []int
	for i, frame := range s.frames {
		if frame.Key {
			starts = append(starts, i)
		}
	}
	// 157 and 3 have no factor in common with the 500 packets and ten key
	// frames of the files, so that neighbouring seeds never meet.
	step := uint64(3)
	if f.Kind == Audio {
		step = 157
	}
	s.next = starts[seed%uint64(len(starts))*step%uint64(len(starts))]
	return s, nil
}

// Format says what the frames are.
func (s *Source) Format() Format { return s.format }

// Next returns the next frame.
func (s *Source) Next() Frame {
	if s.format.Codec == PCMU {
		samples := int(s.format.Samples(audioFrame))
		data := voice(s.phase, s.sample, samples)
		s.sample += uint64(samples)
		return s.signed(Frame{Data: data, Duration: audioFrame, Key: true})
	}
	frame := s.frames[s.next]
	s.next = (s.next + 1) % len(s.frames)
	return s.signed(frame)
}

// Silence takes the place of a frame of audio while its sender is mute. ok is
// false for video, which is not sent then.
func (s *Source) Silence() (frame Frame, ok bool) {
	switch s.format.Codec {
	case Opus:
		// RFC 6716, section 3.1: one fullband CELT frame of 20 ms, mono, whose
		// first symbol says silence.
		return s.signed(Frame{Data: []byte{0xf8, 0xff, 0xfe}, Duration: audioFrame, Key: true}), true
	case PCMU:
		data := bytes.Repeat([]byte{pcmuSilence}, int(s.format.Samples(audioFrame)))
		return s.signed(Frame{Data: data, Duration: audioFrame, Key: true}), true
	}
	return Frame{}, false
}

// Rewind moves video to its next key frame, so that a receiver that has lost the
// picture gets one at once. Audio goes on.
func (s *Source) Rewind() {
	for range s.frames {
		if s.frames[s.next].Key {
			return
		}
		s.next = (s.next + 1) % len(s.frames)
	}
}

// load reads a codec's file whole; 10 s of media have a few hundred kilobytes.
func load(c Codec) ([]Frame, error) {
	reader, ok := map[Codec]struct {
		file string
		read func(io.Reader) ([]Frame, error)
	}{
		Opus: {"assets/speech.ogg", readOgg},
		VP8:  {"assets/screen.ivf", readIVF},
		H264: {"assets/screen.h264", readAnnexB},
	}[c]
	if !ok {
		return nil, errors.New("it has no file")
	}
	data, err := assets.ReadFile(reader.file)
	if err != nil {
		return nil, err
	}
	frames, err := reader.read(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reader.file, err)
	}
	return frames, nil
}

// readOgg takes one packet of 20 ms from each page, which is how the file is made.
func readOgg(in io.Reader) ([]Frame, error) {
	reader, _, err := oggreader.NewWith(in)
	if err != nil {
		return nil, err
	}
	var frames []Frame
	for {
		data, page, err := reader.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return frames, notEmpty(frames)
		}
		if err != nil {
			return nil, err
		}
		if kind, ok := page.HeaderType(data); ok && kind != "" || len(data) == 0 {
			continue // the headers of RFC 7845, section 5
		}
		frames = append(frames, Frame{Data: data, Duration: audioFrame, Key: true})
	}
}

// readIVF reads VP8. A key frame has a zero in the lowest bit (RFC 6386, section
// 9.1).
func readIVF(in io.Reader) ([]Frame, error) {
	reader, _, err := ivfreader.NewWith(in)
	if err != nil {
		return nil, err
	}
	var frames []Frame
	for {
		data, _, err := reader.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return frames, notEmpty(frames)
		}
		if err != nil {
			return nil, err
		}
		if len(data) == 0 {
			return nil, fmt.Errorf("frame %d is empty", len(frames))
		}
		frames = append(frames, Frame{Data: data, Duration: pictureTime, Key: data[0]&1 == 0})
	}
}

// readAnnexB gathers H.264's NAL units into access units, one a picture: each of
// the file's pictures is one slice, with parameter sets before it or not.
func readAnnexB(in io.Reader) ([]Frame, error) {
	reader, err := h264reader.NewReader(in)
	if err != nil {
		return nil, err
	}
	var frames []Frame
	var unit []byte
	for {
		nal, err := reader.NextNAL()
		if errors.Is(err, io.EOF) {
			return frames, notEmpty(frames)
		}
		if err != nil {
			return nil, err
		}
		unit = append(append(unit, 0, 0, 0, 1), nal.Data...)
		switch nal.UnitType {
		case h264reader.NalUnitTypeCodedSliceIdr, h264reader.NalUnitTypeCodedSliceNonIdr:
			key := nal.UnitType == h264reader.NalUnitTypeCodedSliceIdr
			frames = append(frames, Frame{Data: unit, Duration: pictureTime, Key: key})
			unit = nil
		}
	}
}

func notEmpty(frames []Frame) error {
	if len(frames) == 0 || !frames[0].Key {
		return errors.New("it does not begin with a key frame")
	}
	return nil
}
