package srtp

import "errors"

// What is wrong with a packet. They are plain values: a flood of bad packets makes no
// garbage, and says nothing of where the packet came from.
var (
	// ErrMalformed: shorter than its header says, or than the profile needs; not
	// version 2; on sealing also a header whose length is not what it says.
	ErrMalformed = errors.New("srtp: not a packet of this profile")
	// ErrUnauthentic: the tag is not right. The packet's bytes mean nothing now.
	ErrUnauthentic = errors.New("srtp: authentication failed")
	// ErrReplayed: a packet with this index was opened before.
	ErrReplayed = errors.New("srtp: packet was here before")
	// ErrStale: older than the window, so that nobody knows whether it was here before.
	ErrStale = errors.New("srtp: packet is older than the window")
	// ErrClear: an SRTCP packet that is not encrypted, where that is not allowed.
	ErrClear = errors.New("srtp: unencrypted SRTCP is not allowed")
	// ErrStreams: a further SSRC than OpenerConfig.Streams allows.
	ErrStreams = errors.New("srtp: too many streams")
	// ErrRepeated: a packet with this index was sealed before, or so long ago that
	// nobody knows. To seal it again would use a nonce twice.
	ErrRepeated = errors.New("srtp: index was sealed before")
	// ErrTaken: another Sealer of these Keys seals this SSRC.
	ErrTaken = errors.New("srtp: another sealer has this SSRC")
	// ErrExhausted: the key has sealed or opened as many packets of the stream as it
	// may (RFC 3711 section 9.2).
	ErrExhausted = errors.New("srtp: key is exhausted")
	// ErrRoom: the buffer has no room for the sealed packet.
	ErrRoom = errors.New("srtp: no room for the sealed packet")
)
