package srtp_test

import (
	"testing"

	"github.com/callpath/callpath/relay/forward/srtp"
)

// master and salt are a master key and salt of a profile's length.
func master(p srtp.Profile) []byte { return sequence(0x10, p.KeySize()) }
func salt(p srtp.Profile) []byte   { return sequence(0xa0, p.SaltSize()) }

func sequence(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// keys are new keys each time, so that each test may seal any SSRC.
func keys(t testing.TB, p srtp.Profile) *srtp.Keys {
	t.Helper()
	k, err := srtp.NewKeys(p, master(p), salt(p))
	if err != nil {
		t.Fatal(err)
	}
	return k
}
