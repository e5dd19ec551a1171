package chat

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func FuzzDecodeRecord(f *testing.F) {
	f.Add(encodeRecord("id", []byte("sealed")))
	f.Add([]byte{1, 200, 'x'})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, sealed, err := decodeRecord(data)
		if err == nil && !bytes.Equal(encodeRecord(id, sealed), data) {
			t.Fatalf("%x is %q, %x", data, id, sealed)
		}
	})
}

func FuzzDecodeContent(f *testing.F) {
	f.Add([]byte(`{"id":"a","sender":"b","sent":"2026-11-24T09:00:00Z","text":"c","masked":true}`))
	f.Add([]byte(`{"id":"a","sender":"b","sent":"2026-11-24T09:00:00Z","deleted":"2026-11-24T10:00:00Z"}`))
	f.Add([]byte(`{"id":"a"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeContent(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatalf("%s can't be written again: %v", data, err)
		}
		if _, err := decodeContent(again); err != nil {
			t.Fatalf("%s became %s: %v", data, again, err)
		}
	})
}

func FuzzDecodeThread(f *testing.F) {
	f.Add([]byte(`{"id":"a","tenant":"b","members":[{"id":"c","external":true}],"created":"2026-11-24T09:00:00Z"}`))
	f.Add([]byte(`{"id":"a","tenant":"b","meeting":"m","created":"2026-11-24T09:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if thread, err := decodeThread(data); err == nil && (thread.ID == "" || thread.Meeting == "" && len(thread.Members) == 0) {
			t.Fatalf("%s is taken for %+v", data, thread)
		}
	})
}

func FuzzDecodeMark(f *testing.F) {
	f.Add(Mark{3, 2}.encode())
	f.Add(make([]byte, 16))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := decodeMark(data); err == nil && !bytes.Equal(m.encode(), data) {
			t.Fatalf("%x is %+v", data, m)
		}
	})
}

func FuzzNormalise(f *testing.F) {
	for _, text := range []string{"a\r\nb", "Zu\u0308rich", "\ufeff x\x00", "\u0958\u0344", "\xff", "e\u0301\u0302 \n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := normalise(text)
		if err != nil {
			return
		}
		if len(once) > MaxText || !utf8.ValidString(once) {
			t.Fatalf("%q became %q", text, once)
		}
		if twice, err := normalise(once); err != nil || twice != once {
			t.Fatalf("%q became %q, and that %q, %v", text, once, twice, err)
		}
	})
}
