package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"reflect"
	"sync"
	"unsafe"
)

// counter is AES in counter mode for many short messages, each with its own first
// counter block. Not safe for concurrent use.
//
// cipher.NewCTR makes a stream for one message: a heap object of half a kilobyte, most
// of it a copy of the key schedule. That costs more than encrypting 160 bytes. So there
// is one stream per counter, and its position is set back to the start of each message.
// The standard library has no way to do that. It is done through addresses of the
// stream's fields, which are looked up by name and type and tried out before they are
// used. With a toolchain that has another stream, there is one stream per message, as is
// meant by its makers.
type counter struct {
	block  cipher.Block
	stream cipher.Stream // nil when its position cannot be set
	// The first counter block, as two big-endian halves, and the bytes used.
	high, low, used *uint64
}

// counterFields are the names of a stream's fields for high, low and used.
var counterFields = [3]string{"ivhi", "ivlo", "offset"}

func newCounter(block cipher.Block) counter {
	c := counter{block: block, stream: cipher.NewCTR(block, make([]byte, aes.BlockSize))}
	if !settable() || !c.find(counterFields) {
		c.stream = nil
	}
	return c
}

// settable says whether streams of this toolchain can be set to a position.
var settable = sync.OnceValue(func() bool {
	block, err := aes.NewCipher(make([]byte, aes.BlockSize))
	if err != nil {
		return false
	}
	c := counter{block: block, stream: cipher.NewCTR(block, make([]byte, aes.BlockSize))}
	return c.find(counterFields) && c.works()
})

// find looks up the addresses of the fields of the stream's state.
func (c *counter) find(names [3]string) bool {
	v := reflect.ValueOf(c.stream)
	for v.Kind() == reflect.Struct && v.NumField() == 1 { // the exported type wraps it
		v = v.Field(0)
	}
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return false
	}
	for i, p := range []**uint64{&c.high, &c.low, &c.used} {
		f := v.Elem().FieldByName(names[i])
		if !f.IsValid() || f.Kind() != reflect.Uint64 {
			return false
		}
		*p = (*uint64)(unsafe.Pointer(f.UnsafeAddr()))
	}
	return true
}

// works says whether setting the position does what a new stream does: forwards and
// back, after whole and part blocks, and with a carry between the halves.
func (c *counter) works() bool {
	positions := [][2]uint64{{0, 0}, {1<<63 | 5, ^uint64(0) - 3}, {42, 1 << 32}, {1<<63 | 5, ^uint64(0) - 3}}
	for i, p := range positions {
		got, want := make([]byte, 300-7*i), make([]byte, 300-7*i)
		c.xor(got, got, p[0], p[1])
		c.once(want, want, p[0], p[1])
		if string(got) != string(want) {
			return false
		}
	}
	return true
}

// xor writes src, xored with the key stream that starts at the counter block high‖low,
// to dst, which is src or does not overlap it.
func (c *counter) xor(dst, src []byte, high, low uint64) {
	if c.stream == nil {
		c.once(dst, src, high, low)
		return
	}
	*c.high, *c.low, *c.used = high, low, 0
	c.stream.XORKeyStream(dst, src)
}

// once does the same with a stream for this message alone.
func (c *counter) once(dst, src []byte, high, low uint64) {
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[:8], high)
	binary.BigEndian.PutUint64(iv[8:], low)
	cipher.NewCTR(c.block, iv[:]).XORKeyStream(dst, src)
}
