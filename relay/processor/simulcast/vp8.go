package simulcast

import "encoding/binary"

// Descriptor is a VP8 payload descriptor (RFC 7741, section 4.2).
type Descriptor struct {
	// Size is its length in bytes, 6 at most; 0 means that there is none.
	Size uint8
	// NonReference: no other frame needs this one (N).
	NonReference bool
	// Start: a partition begins with this packet (S). Partition is its index (PID).
	Start     bool
	Partition uint8
	// PictureBits is how long the picture id is: 15, 7, or 0 when there is none.
	PictureBits uint8
	PictureID   uint16
	// HasTL0, HasTemporal and HasKeyIndex are the bits L, T and K.
	HasTL0, HasTemporal, HasKeyIndex bool
	// TL0 counts the frames of temporal layer 0 (TL0PICIDX).
	TL0 uint8
	// Temporal is the temporal layer (TID), and Sync says that the frame needs layer 0
	// only (Y).
	Temporal uint8
	Sync     bool
	// KeyIndex counts key frames (KEYIDX), modulo 32.
	KeyIndex uint8
	// Where in the payload the numbers are.
	pictureAt, tl0At, layerAt uint8
}

// The bits of the descriptor's bytes.
const (
	vp8X         = 0x80 // in the first byte
	vp8N         = 0x20
	vp8S         = 0x10
	vp8Partition = 0x07
	vp8I         = 0x80 // in the extension
	vp8L         = 0x40
	vp8T         = 0x20
	vp8K         = 0x10
	vp8M         = 0x80 // in the picture id
	vp8Temporal  = 6    // bits to the right of TID
	vp8Y         = 0x20
	vp8KeyIndex  = 0x1f
)

// ParseVP8 reads the payload descriptor of a VP8 payload. ok is false when it is cut, or
// nothing follows it.
func ParseVP8(payload []byte) (d Descriptor, ok bool) {
	at := uint8(0)
	next := func() byte {
		if at++; int(at) > len(payload) {
			return 0 // the length shows it in the end
		}
		return payload[at-1]
	}
	first := next()
	d.NonReference, d.Start, d.Partition = first&vp8N != 0, first&vp8S != 0, first&vp8Partition
	if first&vp8X != 0 {
		extension := next()
		if extension&vp8I != 0 {
			d.pictureAt, d.PictureBits = at, 7
			d.PictureID = uint16(next())
			if d.PictureID&vp8M != 0 {
				d.PictureBits = 15
				d.PictureID = d.PictureID&^vp8M<<8 | uint16(next())
			}
		}
		if extension&vp8L != 0 {
			d.HasTL0, d.tl0At = true, at
			d.TL0 = next()
		}
		if extension&(vp8T|vp8K) != 0 {
			d.layerAt = at
			layers := next()
			if d.HasTemporal = extension&vp8T != 0; d.HasTemporal {
				d.Temporal, d.Sync = layers>>vp8Temporal, layers&vp8Y != 0
			}
			if d.HasKeyIndex = extension&vp8K != 0; d.HasKeyIndex {
				d.KeyIndex = layers & vp8KeyIndex
			}
		}
	}
	if len(payload) <= int(at) {
		return Descriptor{}, false
	}
	d.Size = at
	return d, true
}

// Numbers are what a packet has for the receiver.
type Numbers struct {
	Seq       uint16
	Timestamp uint32
	// What is inside of a VP8 payload, and where; a place of 0 is none.
	picture                            uint16
	pictureBits                        uint8
	tl0, keyIndex                      uint8
	pictureAt, tl0At, keyIndexAt, size uint8
}

// Patch writes the numbers that are inside of the payload (VP8's) in their places. It
// does not change its length. One payload can be patched for one receiver after the
// other, since what it writes replaces what was written before; with the Numbers
// of a receiver it can be done again later, for a retransmission.
func (n *Numbers) Patch(payload []byte) {
	if len(payload) < int(n.size) {
		return // of another packet
	}
	if at := n.pictureAt; at != 0 {
		if n.pictureBits == 15 {
			binary.BigEndian.PutUint16(payload[at:], vp8M<<8|n.picture)
		} else {
			payload[at] = byte(n.picture)
		}
	}
	if n.tl0At != 0 {
		payload[n.tl0At] = n.tl0
	}
	if at := n.keyIndexAt; at != 0 {
		payload[at] = payload[at]&^vp8KeyIndex | n.keyIndex
	}
}
