//go:build linux

package fan

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/relay/forward/srtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryPacketGoesToAllReceivers(t *testing.T) {
	for _, p := range []srtp.Profile{srtp.AEADAES128GCM, srtp.AES128CMHMACSHA180} {
		for _, receivers := range []int{1, 3, batchSize + 1} {
			r, err := Measure(t.Context(), Config{Profile: p, Payload: 160, Receivers: receivers, Duration: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if r.Packets == 0 || r.Packets%uint64(receivers) != 0 || r.Unsent > 0 {
				t.Errorf("%v to %d: %d sent, %d not", p, receivers, r.Packets, r.Unsent)
			}
			if r.Way <= 0 || r.Seal <= 0 || r.Send <= 0 || r.Floor() != r.Seal+r.Send {
				t.Errorf("%v to %d: took %+v", p, receivers, r)
			}
		}
	}
}

func TestMeasurementEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Measure(ctx, Config{Profile: srtp.AEADAES128GCM, Payload: 160, Receivers: 1, Duration: time.Hour})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, wanted %v", err, context.Canceled)
	}
}

func TestUnknownProfileIsAnError(t *testing.T) {
	if _, err := Measure(t.Context(), Config{Receivers: 1, Duration: time.Millisecond}); err == nil {
		t.Error("measured without a profile")
	}
}
