package bytestream

import (
	"encoding/binary"
	"errors"

	"github.com/callpath/callpath/relay/negotiation/wire/stun"
)

// ErrFraming is a stream that is not, or no longer, one of STUN messages and
// ChannelData.
var ErrFraming = errors.New("not a stream of STUN messages and ChannelData")

// channelHeader is the length of ChannelData's header.
const channelHeader = 4

// Framer cuts one direction of a connection into STUN messages and ChannelData.
// It keeps at most one frame, which is at most 65,555 bytes.
type Framer struct {
	started bool
	kept    []byte // own memory
	rest    []byte // kept, or what the caller gave
}

// Feed takes the next bytes of the stream, of any length. Call Next until it has
// no more before the next Feed: until then the bytes are not copied.
func (f *Framer) Feed(data []byte) {
	if len(f.kept) == 0 {
		f.rest = data
		return
	}
	f.kept = append(f.kept, data...)
	f.rest = f.kept
}

// Next returns the next whole frame, without the padding of ChannelData. The
// stream must begin with a STUN message. After an error the Framer is of no more
// use.
func (f *Framer) Next() (frame []byte, ok bool, err error) {
	length, padded, err := f.size()
	if err != nil {
		f.kept, f.rest = nil, nil
		return nil, false, err
	}
	if length == 0 || padded > len(f.rest) {
		// f.rest may be a part of f.kept, which append and copy allow.
		f.kept = append(f.kept[:0], f.rest...)
		f.rest = nil
		return nil, false, nil
	}
	f.started = true
	frame, f.rest = f.rest[:length], f.rest[padded:]
	return frame, true, nil
}

// size is the length of the first frame, without and with padding; 0 when more
// bytes are needed to know.
func (f *Framer) size() (length, padded int, err error) {
	b := f.rest
	if len(b) == 0 {
		return 0, 0, nil
	}
	switch b[0] >> 6 {
	case 0:
		if len(b) < stun.HeaderSize {
			return 0, 0, nil
		}
		size := stun.Size(b)
		if !stun.Is(b) || size%4 != 0 {
			return 0, 0, ErrFraming
		}
		return size, size, nil
	case 1:
		if !f.started {
			return 0, 0, ErrFraming
		}
		if len(b) < channelHeader {
			return 0, 0, nil
		}
		length = channelHeader + int(binary.BigEndian.Uint16(b[2:]))
		return length, (length + 3) &^ 3, nil
	}
	return 0, 0, ErrFraming
}
