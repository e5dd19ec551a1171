package media

import (
	"fmt"
	"strings"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// Codec is an encoding, by the name that scenarios use.
type Codec string

// The encodings.
const (
	Opus Codec = "opus" // RFC 6716, as RTP by RFC 7587
	PCMU Codec = "pcmu" // G.711 µ-law, as RTP by RFC 3551
	VP8  Codec = "vp8"  // RFC 6386, as RTP by RFC 7741
	H264 Codec = "h264" // as RTP by RFC 6184, packetization mode 1
)

// Kinds of media, as in SDP.
const (
	Audio = "audio"
	Video = "video"
)

// Format is how a codec appears in SDP and RTP.
type Format struct {
	Codec Codec
	// Kind is Audio or Video.
	Kind string
	// Encoding is the name in a=rtpmap.
	Encoding string
	// ClockRate is in hertz; Channels is zero where SDP does not say it.
	ClockRate uint32
	Channels  uint16
	// PayloadType is the one that our offers use: PCMU's is static (RFC 3551,
	// table 4), the others are dynamic.
	PayloadType uint8
	// Parameters is the value of a=fmtp; empty for none.
	Parameters string
}

// formats is in the order of preference.
var formats = [...]Format{
	{Opus, Audio, "opus", 48000, 2, 111, "minptime=10;useinbandfec=1"},
	{PCMU, Audio, "PCMU", 8000, 0, 0, ""},
	{VP8, Video, "VP8", 90000, 0, 96, ""},
	{H264, Video, "H264", 90000, 0, 102, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
}

// Formats returns every format that a participant takes, the preferred first.
func Formats() []Format { return append([]Format(nil), formats[:]...) }

// Codecs returns the names of all codecs.
func Codecs() []Codec {
	var names []Codec
	for _, f := range formats {
		names = append(names, f.Codec)
	}
	return names
}

// FormatOf returns the format of a codec. The error names the valid ones.
func FormatOf(c Codec) (Format, error) {
	for _, f := range formats {
		if f.Codec == c {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("media: no codec %q; valid: %v", c, Codecs())
}

// ByEncoding returns the format with the name of a=rtpmap or a MIME type, in any
// case ("VP8", "video/vp8").
func ByEncoding(name string) (Format, bool) {
	if _, sub, ok := strings.Cut(name, "/"); ok {
		name = sub
	}
	for _, f := range formats {
		if strings.EqualFold(f.Encoding, name) {
			return f, true
		}
	}
	return Format{}, false
}

// MIME is the media type, for example "video/VP8".
func (f Format) MIME() string { return f.Kind + "/" + f.Encoding }

// RTPMap is the value of a=rtpmap without the payload type, for example
// "opus/48000/2".
func (f Format) RTPMap() string {
	if f.Channels > 0 {
		return fmt.Sprintf("%s/%d/%d", f.Encoding, f.ClockRate, f.Channels)
	}
	return fmt.Sprintf("%s/%d", f.Encoding, f.ClockRate)
}

// Samples is a duration in units of the RTP clock.
func (f Format) Samples(d time.Duration) uint32 {
	return uint32(d * time.Duration(f.ClockRate) / time.Second)
}

// payloader splits a frame into RTP payloads.
func (f Format) payloader() rtp.Payloader {
	switch f.Codec {
	case Opus:
		return &codecs.OpusPayloader{}
	case VP8:
		return &codecs.VP8Payloader{EnablePictureID: true}
	case H264:
		return &codecs.H264Payloader{}
	default:
		return &codecs.G711Payloader{}
	}
}
