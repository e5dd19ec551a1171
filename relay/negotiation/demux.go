package negotiation

import (
	"encoding/binary"

	"github.com/callpath/callpath/relay/negotiation/wire/dtls"
	"github.com/callpath/callpath/relay/negotiation/wire/stun"
)

// kind is what a datagram is, by its first bytes (RFC 7983, section 7).
type kind uint8

const (
	kindOther kind = iota
	kindSTUN
	kindChannel
	kindDTLS
	kindSRTP
	kindSRTCP
	kinds
)

// kindNames are the words of RelayView.Counts.
var kindNames = [kinds]string{"other", "stun", "channel", "dtls", "srtp", "srtcp"}

const (
	rtpHeader     = 12
	rtcpHeader    = 8
	channelHeader = 4
)

// kindOf sorts a datagram. What only looks the part by its first byte, but is too
// short or has no magic cookie, is other.
func kindOf(b []byte) kind {
	if len(b) == 0 {
		return kindOther
	}
	switch first := b[0]; {
	case first <= 3:
		if stun.Is(b) {
			return kindSTUN
		}
	case first >= 20 && first <= 63:
		if dtls.Is(b) {
			return kindDTLS
		}
	case first >= 64 && first <= 79:
		// RFC 8656, section 12.5: at most padding comes after the data.
		if len(b) >= channelHeader {
			if after := len(b) - channelHeader - int(binary.BigEndian.Uint16(b[2:])); after >= 0 && after < 4 {
				return kindChannel
			}
		}
	case first >= 128 && first <= 191:
		// RFC 5761, section 4: RTCP's types are RTP's payload types 64 to 95.
		if len(b) >= rtcpHeader && b[1] >= 192 && b[1] <= 223 {
			return kindSRTCP
		}
		if len(b) >= rtpHeader {
			return kindSRTP
		}
	}
	return kindOther
}
