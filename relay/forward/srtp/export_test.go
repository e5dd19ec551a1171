package srtp

import "crypto/cipher"

// Keystream is the key stream of AES-CM as this package makes it.
func Keystream(block cipher.Block) func(dst, src []byte, high, low uint64) {
	c := newCounter(block)
	return c.xor
}
