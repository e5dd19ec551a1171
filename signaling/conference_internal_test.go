package signaling

import (
	"net/http/httptest"
	"testing"
)

// FuzzRestoreConference gives the controller any record of a store: what is taken up
// is what would be saved again.
func FuzzRestoreConference(f *testing.F) {
	f.Add("m", []byte(`{}`))
	f.Add("m", []byte(`{"Kind":"group","Creator":"olga","Meeting":{"ID":"m","Group":true,"Organizer":"","CoOrganizers":null}}`))
	f.Add("m", []byte(`{"Kind":"meeting","Creator":"olga","Created":"2026-11-24T09:00:00Z","Ended":"2026-11-24T10:00:00Z","Meeting":{"ID":"m","Organizer":"olga","LobbyTimeout":1,"Phase":"ended"}}`))
	f.Fuzz(func(t *testing.T, id string, data []byte) {
		k, err := restoreConference(id, data)
		if err != nil {
			return
		}
		d := &keep{}
		c := &Controller{cfg: Config{Store: d}}
		k.saved = nil
		if err := c.save(k, k.state, k.ended); err != nil {
			return // a time out of JSON's range
		}
		if _, err := restoreConference(id, d.value); err != nil {
			t.Errorf("%q became %q: %v", data, d.value, err)
		}
	})
}

// keep is a store of one record.
type keep struct{ value []byte }

func (k *keep) Save(_, _ string, value []byte) error                        { k.value = value; return nil }
func (k *keep) Delete(_, _ string) error                                    { return nil }
func (k *keep) Each(_ string, _ func(key string, value []byte) error) error { return nil }

// FuzzReadPage asks for a page of a history by any query.
func FuzzReadPage(f *testing.F) {
	for _, q := range []string{"", "after=0", "before=7&limit=200", "after=1&before=2", "limit=-1", "after=9007199254740992", "%zz"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		page, p := readPage(r)
		if p == nil && (page.Limit < 0 || page.Limit > 200 || page.Cursor > maxSeq) {
			t.Errorf("%q: %+v", query, page)
		}
	})
}
