package user

import (
	"errors"
	"testing"
	"testing/synctest"
)

func TestWhoWaitsTooLongForTheirTurnIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(Config{Hashing: 1})
		if err != nil {
			t.Fatal(err)
		}
		d.hashing <- struct{}{} // somebody else's turn, for ever
		if right, err := d.CheckPassword(t.Context(), "a", "b"); right || !errors.Is(err, ErrBusy) {
			t.Errorf("%v, %v, wanted %v", right, err, ErrBusy)
		}
	})
}
