package store_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/callpath/callpath/signaling/store"
)

func TestADumpShowsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f := open(t, path)
	for round := range 6 { // so that there are old pages
		for i := range 80 {
			f.Begin(
				store.Change{Name: store.Name{Bucket: "meetings", Key: fmt.Sprint("weekly-", i)}, Value: fmt.Append(nil, "organizer alice@contoso.example, round ", round)},
				store.Change{Name: store.Name{Bucket: "messages", Key: "thread-of-alice", Number: uint64(i + 1)}, Value: []byte("the merger is on friday")},
				store.Change{Name: store.Name{Bucket: "meetings", Key: fmt.Sprint("weekly-", (i+40)%80)}, Delete: i%3 == 0},
			)
		}
		must(t, f.Save("meetings", "flush", []byte("friday")))
	}
	must(t, f.Close())
	dump, err := os.ReadFile(path)
	must(t, err)
	ring, err := os.ReadFile(path + ".key")
	must(t, err)
	var keys struct {
		Keys []struct{ Keyset, Names []byte }
	}
	must(t, json.Unmarshal(ring, &keys))
	secrets := [][]byte{
		[]byte("meetings"), []byte("messages"), []byte("weekly-"), []byte("thread-of"), []byte("alice"), []byte("contoso"),
		[]byte("merger"), []byte("friday"), []byte("organizer"), keys.Keys[0].Names, keys.Keys[0].Keyset,
		[]byte(base64.StdEncoding.EncodeToString(keys.Keys[0].Names)),
	}
	// The key itself stands within the keyset.
	for i := 0; i+16 <= len(keys.Keys[0].Keyset); i++ {
		secrets = append(secrets, keys.Keys[0].Keyset[i:i+16])
	}
	for _, s := range secrets {
		if bytes.Contains(dump, s) {
			t.Errorf("the file holds %q", s)
		}
	}
	if !bytes.Contains(dump, []byte("callpath")) {
		t.Error("not even the header is found: the test reads nothing")
	}
}
