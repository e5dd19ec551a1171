package media

import "testing"

// TestMuLaw holds the encoder against ITU-T G.711, table 2a: for positive values,
// the decision value at which each segment begins and its character signal. The
// table's values have 14 bits; ours are four times as large.
func TestMuLaw(t *testing.T) {
	tests := []struct {
		name  string
		value int
		code  byte
	}{
		{"zero", 0, 0xff},
		{"last before decision value 1", 1*4 - 1, 0xff},
		{"decision value 1", 1 * 4, 0xfe},
		{"decision value 2", 3 * 4, 0xfd},
		{"segment 2", 31 * 4, 0xef},
		{"segment 3", 95 * 4, 0xdf},
		{"segment 4", 223 * 4, 0xcf},
		{"segment 5", 479 * 4, 0xbf},
		{"segment 6", 991 * 4, 0xaf},
		{"segment 7", 2015 * 4, 0x9f},
		{"segment 8", 4063 * 4, 0x8f},
		{"decision value 127", 7903 * 4, 0x80},
		{"virtual decision value 128", 8159 * 4, 0x80},
		{"most that 16 bits hold", 32767, 0x80},
	}
	for _, test := range tests {
		if got := muLaw(int16(test.value)); got != test.code {
			t.Errorf("%s: %d is 0x%02x, want 0x%02x", test.name, test.value, got, test.code)
		}
		if test.value == 0 {
			continue
		}
		if got, want := muLaw(int16(-test.value)), test.code&0x7f; got != want {
			t.Errorf("%s: %d is 0x%02x, want 0x%02x", test.name, -test.value, got, want)
		}
	}
	if got := muLaw(-32768); got != 0x00 {
		t.Errorf("the least that 16 bits hold is 0x%02x, want 0x00", got)
	}
}

// linear decodes one octet to the middle of its step (G.711, table 2a).
func linear(octet byte) int {
	octet = ^octet
	magnitude := (int(octet&0x0f)<<3+muLawBias)<<(octet>>4&7) - muLawBias
	if octet&0x80 != 0 {
		return -magnitude
	}
	return magnitude
}

// TestMuLawRoundTrip decodes every octet and encodes it again.
func TestMuLawRoundTrip(t *testing.T) {
	for octet := range 256 {
		want := byte(octet)
		if want == 0x7f {
			want = 0xff // negative zero
		}
		if got := muLaw(int16(linear(byte(octet)))); got != want {
			t.Errorf("0x%02x decodes to %d, which is 0x%02x, want 0x%02x", octet, linear(byte(octet)), got, want)
		}
	}
}

// TestVoice is loud enough to be heard, and not the same for two phases.
func TestVoice(t *testing.T) {
	one, other := voice(0, 0, pcmuRate), voice(0.5, 0, pcmuRate)
	loudest, same := 0, 0
	for i := range one {
		loudest = max(loudest, linear(one[i]))
		if one[i] == other[i] {
			same++
		}
	}
	if loudest < 8000 || loudest > 32000 {
		t.Errorf("the loudest sample is %d, want 8000 to 32000", loudest)
	}
	if same > len(one)/4 {
		t.Errorf("%d of %d samples are the same in two voices", same, len(one))
	}
}
