package srtp

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"hash"
)

const (
	tagCM     = 10 // HMAC-SHA1-80
	tagGCM    = 16
	indexWord = 4 // the E bit and the SRTCP index
	// headerRTCP is what stays readable of an SRTCP packet: the first report's first
	// word and its sender.
	headerRTCP = 8
	encrypted  = 1 << 31 // the E bit
)

// transform is a profile's cryptography with the session keys of SRTP or of SRTCP. It
// has scratch memory, so one goroutine at a time uses it. It trusts lengths: who calls
// has checked them, and that there is room.
type transform interface {
	// seal appends the sealed payload to header.
	seal(header, payload []byte, ssrc uint32, index uint64) []byte
	// open decrypts what follows the header of an SRTP packet, in place.
	open(packet []byte, header int, ssrc uint32, index uint64) bool
	// sealRTCP seals an RTCP packet and appends its tag and word.
	sealRTCP(packet []byte, ssrc, word uint32) []byte
	// openRTCP decrypts an SRTCP packet, or checks it when the word has no E bit.
	openRTCP(packet []byte, ssrc, word uint32) bool
}

// gcm is RFC 7714.
type gcm struct {
	aead cipher.AEAD
	// The session salt, which the nonce is xored with (section 8.1, 9.1).
	salt32 uint32
	salt64 uint64
	nonce  [12]byte
	// aad is the associated data of an encrypted SRTCP packet, which does not stand in
	// one piece in the packet (section 9.2); tag is the tag of one that is not.
	aad [headerRTCP + indexWord]byte
	tag [tagGCM]byte
}

func newGCM(aead cipher.AEAD, salt []byte) *gcm {
	return &gcm{aead: aead, salt32: binary.BigEndian.Uint32(salt), salt64: binary.BigEndian.Uint64(salt[4:])}
}

// iv is the nonce: two bytes of zero, the SSRC, and 48 bits of index, which for SRTP
// are the rollover counter and the sequence number.
func (g *gcm) iv(ssrc uint32, index uint64) []byte {
	binary.BigEndian.PutUint32(g.nonce[:], g.salt32^ssrc>>16)
	binary.BigEndian.PutUint64(g.nonce[4:], g.salt64^(uint64(ssrc)<<48|index))
	return g.nonce[:]
}

func (g *gcm) seal(header, payload []byte, ssrc uint32, index uint64) []byte {
	return g.aead.Seal(header, g.iv(ssrc, index), payload, header)
}

func (g *gcm) open(packet []byte, header int, ssrc uint32, index uint64) bool {
	_, err := g.aead.Open(packet[header:header], g.iv(ssrc, index), packet[header:], packet[:header])
	return err == nil
}

func (g *gcm) sealRTCP(packet []byte, ssrc, word uint32) []byte {
	copy(g.aad[:], packet[:headerRTCP])
	binary.BigEndian.PutUint32(g.aad[headerRTCP:], word)
	sealed := g.aead.Seal(packet[:headerRTCP], g.iv(ssrc, uint64(word&^encrypted)), packet[headerRTCP:], g.aad[:])
	return binary.BigEndian.AppendUint32(sealed, word)
}

func (g *gcm) openRTCP(packet []byte, ssrc, word uint32) bool {
	nonce := g.iv(ssrc, uint64(word&^encrypted))
	end := len(packet) - indexWord
	if word&encrypted == 0 {
		body := end - tagGCM
		copy(g.tag[:], packet[body:end])
		binary.BigEndian.PutUint32(packet[body:], word)
		_, err := g.aead.Open(g.tag[:0], nonce, g.tag[:], packet[:body+indexWord])
		return err == nil
	}
	copy(g.aad[:], packet[:headerRTCP])
	binary.BigEndian.PutUint32(g.aad[headerRTCP:], word)
	_, err := g.aead.Open(packet[headerRTCP:headerRTCP], nonce, packet[headerRTCP:end], g.aad[:])
	return err == nil
}

// cm is RFC 3711 section 4.1.1 (AES in counter mode) with 4.2.1 (HMAC-SHA1, cut to 80
// bits).
type cm struct {
	keystream counter
	// The session salt, shifted by 16 bits, as the two halves of a counter block.
	saltHigh, saltLow uint64
	mac               hash.Hash
	// Scratch memory for tag and its arguments.
	roc [4]byte
	sum [sha1.Size]byte
}

func newCM(block cipher.Block, authKey, salt []byte) *cm {
	var padded [16]byte
	copy(padded[:], salt)
	c := &cm{
		keystream: newCounter(block),
		saltHigh:  binary.BigEndian.Uint64(padded[:8]),
		saltLow:   binary.BigEndian.Uint64(padded[8:]),
		mac:       hmac.New(sha1.New, authKey),
	}
	c.mac.Reset() // makes it keep the states after the padded key, which it does on first reset only
	return c
}

func (c *cm) xor(dst, src []byte, ssrc uint32, index uint64) {
	c.keystream.xor(dst, src, c.saltHigh^uint64(ssrc), c.saltLow^index<<16)
}

// tag computes the tag of a packet and, for SRTP, the rollover counter, which is not
// sent.
func (c *cm) tag(packet, roc []byte) []byte {
	c.mac.Reset()
	c.mac.Write(packet)
	c.mac.Write(roc)
	return c.mac.Sum(c.sum[:0])[:tagCM]
}

func (c *cm) seal(header, payload []byte, ssrc uint32, index uint64) []byte {
	end := len(header) + len(payload)
	sealed := header[:end+tagCM]
	c.xor(sealed[len(header):end], payload, ssrc, index)
	binary.BigEndian.PutUint32(c.roc[:], uint32(index>>16))
	copy(sealed[end:], c.tag(sealed[:end], c.roc[:]))
	return sealed
}

func (c *cm) open(packet []byte, header int, ssrc uint32, index uint64) bool {
	end := len(packet) - tagCM
	binary.BigEndian.PutUint32(c.roc[:], uint32(index>>16))
	if subtle.ConstantTimeCompare(packet[end:], c.tag(packet[:end], c.roc[:])) != 1 {
		return false
	}
	c.xor(packet[header:end], packet[header:end], ssrc, index)
	return true
}

func (c *cm) sealRTCP(packet []byte, ssrc, word uint32) []byte {
	c.xor(packet[headerRTCP:], packet[headerRTCP:], ssrc, uint64(word&^encrypted))
	packet = binary.BigEndian.AppendUint32(packet, word)
	return append(packet, c.tag(packet, nil)...)
}

func (c *cm) openRTCP(packet []byte, ssrc, word uint32) bool {
	end := len(packet) - tagCM
	if subtle.ConstantTimeCompare(packet[end:], c.tag(packet[:end], nil)) != 1 {
		return false
	}
	if word&encrypted != 0 {
		body := packet[headerRTCP : end-indexWord]
		c.xor(body, body, ssrc, uint64(word&^encrypted))
	}
	return true
}
