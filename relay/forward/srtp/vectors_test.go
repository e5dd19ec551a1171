package srtp

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s\n got %x\nwant %x", what, got, want)
	}
}

// RFC 3711 appendix B.2. The segment is as long as a packet's can be: its blocks count
// almost to the end of the 16 bits.
func TestKeystreamOfAESCM(t *testing.T) {
	block, err := aes.NewCipher(unhex(t, "2B7E151628AED2A6ABF7158809CF4F3C"))
	if err != nil {
		t.Fatal(err)
	}
	c := newCM(block, nil, unhex(t, "F0F1F2F3F4F5F6F7F8F9FAFBFCFD"))
	got := make([]byte, 1044512)
	c.xor(got, got, 0, 0)
	equal(t, "first blocks", got[:48], unhex(t, `
		E03EAD0935C95E80E166B16DD92B4EB4
		D23513162B02D0F72A43A2FE4A5F97AB
		41E95B3BB0A2E8DD477901E4FCA894C0`))
	equal(t, "last blocks", got[len(got)-48:], unhex(t, `
		EC8CDF7398607CB0F2D21675EA9EA1E4
		362B7C3C6773516318A077D7FC5073AE
		6A2CC3787889374FBEB4C81B17BA6C44`))
}

// RFC 3711 appendix B.3.
func TestKeyDerivation(t *testing.T) {
	master, err := aes.NewCipher(unhex(t, "E1F97A0D3E018BE0D64FA32C06DE4139"))
	if err != nil {
		t.Fatal(err)
	}
	salt := unhex(t, "0EC675AD498AFEEBB6960B3AABE6")
	for _, c := range []struct {
		name  string
		label byte
		want  string
	}{
		{"cipher key", labelRTP, "C61E7A93744F39EE10734AFE3FF7A087"},
		{"authentication key", labelRTP + 1, `
			CEBE321F6FF7716B6FD4AB49AF256A15
			6D38BAA48F0A0ACF3C34E2359E6CDBCE
			E049646C43D9327AD175578EF7227098
			6371C10C9A369AC2F94A8C5FBCDDDC25
			6D6E919A48B610EF17C2041E47403576
			6B68642C59BBFC2F34DB60DBDFB2`},
		{"cipher salt", labelRTP + 2, "30CBBC08863D8C85D49DB34A9AE1"},
	} {
		want := unhex(t, c.want)
		equal(t, c.name, derive(master, salt, c.label, len(want)), want)
	}
}

// sessionGCM is a transform from session keys, as RFC 7714's vectors give them.
func sessionGCM(t *testing.T, size int) transform {
	t.Helper()
	key := make([]byte, size)
	for i := range key {
		key[i] = byte(i)
	}
	s, err := newSession(shape{aead: true}, key, nil, unhex(t, "517569642070726f2071756f"))
	if err != nil {
		t.Fatal(err)
	}
	return s.transform()
}

const (
	vectorRTP = "8040f17b8041f8d35501a0b2" +
		"47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573"
	vectorRTCP = "81c8000d4d617273" +
		"4e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
)

// RFC 7714 section 16: encryption with its header as associated data (16.1.1, 16.1.2,
// 16.2.1, 16.2.2), and the tag of a packet that is all header (16.1.3, 16.1.4, 16.2.3,
// 16.2.4).
func TestSRTPVectorsOfAEAD(t *testing.T) {
	const ssrc, seq = 0x5501a0b2, 0xf17b
	for _, c := range []struct {
		name      string
		key       int
		header    int
		protected string // after the header
	}{
		{"16.1.1 AEAD_AES_128_GCM", 16, 12, "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833" +
			"899d7f27beb16a9152cf765ee4390cce"},
		{"16.1.3 AEAD_AES_128_GCM", 16, 50, "22493f82d2bce397e9d79e3b19aa4216"},
		{"16.2.1 AEAD_AES_256_GCM", 32, 12, "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b" +
			"7aa3db36dfffd6b0f9bb7878d7a76c13"},
		{"16.2.3 AEAD_AES_256_GCM", 32, 50, "a866d5910f887463067ceefec45215d4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, plain := sessionGCM(t, c.key), unhex(t, vectorRTP)
			want := append(bytes.Clone(plain[:c.header]), unhex(t, c.protected)...)
			buf := make([]byte, len(plain), 100)
			copy(buf, plain)
			sealed := tr.seal(buf[:c.header], buf[c.header:], ssrc, seq)
			equal(t, "sealed", sealed, want)
			if !tr.open(sealed, c.header, ssrc, seq) {
				t.Fatal("not opened")
			}
			equal(t, "opened", sealed[:len(plain)], plain)
		})
	}
}

// RFC 7714 section 17.
func TestSRTCPVectorsOfAEAD(t *testing.T) {
	const ssrc, index = 0x4d617273, 0x5d4
	for _, c := range []struct {
		name      string
		key       int
		protected string
		word      uint32
	}{
		{"17.1 AEAD_AES_128_GCM", 16, "81c8000d4d617273" +
			"63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b" +
			"c84aa45896cf4d2fc5abf87245d9eade" + "800005d4", encrypted | index},
		{"17.2 AEAD_AES_256_GCM", 32, "81c8000d4d617273" +
			"d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad" +
			"1d1eb30c4446839f57ff6f6cb26ac3be" + "800005d4", encrypted | index},
		{"17.3 AEAD_AES_128_GCM", 16, vectorRTCP + "841dd9683dd78ec92ae58790125f62b3" + "000005d4", index},
		{"17.4 AEAD_AES_256_GCM", 32, vectorRTCP + "91db4afbfeee5a978fab4393ed2615fe" + "000005d4", index},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, plain, want := sessionGCM(t, c.key), unhex(t, vectorRTCP), unhex(t, c.protected)
			if c.word&encrypted != 0 {
				buf := make([]byte, len(plain), 100)
				copy(buf, plain)
				equal(t, "sealed", tr.sealRTCP(buf, ssrc, c.word), want)
			}
			if !tr.openRTCP(want, ssrc, c.word) {
				t.Fatal("not opened")
			}
			equal(t, "opened", want[:len(plain)], plain)
		})
	}
}
