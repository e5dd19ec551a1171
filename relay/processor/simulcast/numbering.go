package simulcast

// numbering makes the numbers inside of VP8 payloads those of one stream (RFC 7741,
// section 4.2). A decoder tells by them what it misses: picture ids rise by one with each
// frame, TL0PICIDX with each frame of temporal layer 0, KEYIDX with each key frame.
type numbering struct {
	// What is added to the source's numbers.
	pictureBy     uint16
	tl0By, keyBy  uint8
	next          bool // what comes next begins a stretch
	goesOn        bool // and there was one before it
	picture       uint16
	tl0, keyIndex uint8 // the newest that were given
}

// rebase says that a new stretch begins, after others when goesOn is true.
func (n *numbering) rebase(goesOn bool) { n.next, n.goesOn = true, goesOn }

// unwrap returns a picture id as one of a sequence of 16 bits, in which pictures counts:
// the one that is nearest to the newest.
func (n *numbering) unwrap(d *Descriptor, pictures *gaps) uint16 {
	if !pictures.begun {
		return d.PictureID
	}
	unused := 16 - uint16(d.PictureBits)
	return pictures.newest + uint16(int16((d.PictureID-pictures.newest)<<unused)>>unused)
}

// put fills in the payload's numbers of n, for a packet that is forwarded.
func (n *numbering) put(to *Numbers, d *Descriptor, pictures *gaps) {
	picture := uint16(0)
	if d.PictureBits > 0 {
		picture = pictures.pass(n.unwrap(d, pictures))
	}
	begins := n.next
	if begins && n.goesOn {
		n.pictureBy, n.tl0By, n.keyBy = n.picture+1-picture, n.tl0+1-d.TL0, n.keyIndex+1-d.KeyIndex
	}
	n.next = false
	to.size = d.Size
	if d.PictureBits > 0 {
		picture += n.pictureBy
		to.picture, to.pictureBits, to.pictureAt = picture&(1<<d.PictureBits-1), d.PictureBits, d.pictureAt
		if begins || int16(picture-n.picture) > 0 {
			n.picture = picture
		}
	}
	if d.HasTL0 {
		to.tl0, to.tl0At = d.TL0+n.tl0By, d.tl0At
		if begins || int8(to.tl0-n.tl0) > 0 {
			n.tl0 = to.tl0
		}
	}
	if d.HasKeyIndex {
		to.keyIndex, to.keyIndexAt = (d.KeyIndex+n.keyBy)&vp8KeyIndex, d.layerAt
		if begins || int8((to.keyIndex-n.keyIndex)<<3) > 0 {
			n.keyIndex = to.keyIndex
		}
	}
}
