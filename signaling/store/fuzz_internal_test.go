package store

import (
	"bytes"
	"testing"
)

func testSealer(t testing.TB) *sealer {
	p, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.sealer()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(Name{Bucket: "b", Key: "k"}, []byte("value")))
	f.Add([]byte{1, 'b', 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			return
		}
		again, err := decode(encode(r.Name, r.Value))
		if err != nil || again.Name != r.Name || !bytes.Equal(again.Value, r.Value) {
			t.Fatalf("%x is %+v, and encoded again %+v, %v", data, r, again, err)
		}
		if err := (Change{Name: r.Name, Value: r.Value}).check(); err != nil {
			t.Fatalf("%x decodes to a record that could not be saved: %v", data, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	s := testSealer(f)
	good, err := s.seal(Change{Name: Name{"b", "k", 3}, Value: []byte("value")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.bucket, good.record, good.value)
	f.Add([]byte("b"), []byte("r"), []byte{})
	f.Fuzz(func(t *testing.T, bucket, record, value []byte) {
		r, err := s.open(bucket, record, value)
		if same := bytes.Equal(bucket, good.bucket) && bytes.Equal(record, good.record) && bytes.Equal(value, good.value); (err == nil) != same {
			t.Fatalf("opened %+v, %v", r, err)
		}
	})
}
