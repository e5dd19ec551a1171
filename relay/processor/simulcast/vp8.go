package simulcast

// Descriptor is a VP8 payload descriptor (RFC 7741, section 4.2).
type Descriptor struct {
	// Size is its length in bytes; 0 means that there is none.
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
	// Where in the payload the numbers are; 0 when they are not.
	pictureAt, tl0At, layerAt uint8
}

// ParseVP8 reads the payload descriptor of a VP8 payload.
func ParseVP8(payload []byte) (d Descriptor, ok bool) { return Descriptor{}, false }
