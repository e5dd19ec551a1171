package packet

import "testing"

// RFC 1071, section 3: the sum of 00 01 f2 03 f4 f5 f6 f7 is ddf2.
func TestSumOfRFC1071(t *testing.T) {
	data := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := fold(add(0, data)); got != 0xddf2 {
		t.Errorf("sum %04x, want ddf2", got)
	}
	if got := fold(add(0, []byte{1})); got != 0x0100 {
		t.Errorf("sum of an odd byte %04x, want 0100", got)
	}
}

// RFC 1624, section 4: a field changes from 5555 to 3285, and the checksum from
// dd2f to 0000, where the older equation gives ffff.
func TestAdjustOfRFC1624(t *testing.T) {
	sum := []byte{0xdd, 0x2f}
	adjust(sum, 0x5555, 0x3285)
	if sum[0] != 0 || sum[1] != 0 {
		t.Errorf("checksum %x, want 0000", sum)
	}
}
