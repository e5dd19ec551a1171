package participant

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	internet "github.com/callpath/callpath/scenarios/participant/internal/rig"
)

// TestLoss: lost video is sent again, a lost picture is asked for, and nothing is
// corrupt.
func TestLoss(t *testing.T) {
	t.Parallel()
	r, _, bob := both(t, language.Participant{}, language.Participant{})
	ctx := testContext(t)
	flows(ctx, t, bob, 30)
	var mu sync.Mutex
	chance := rand.New(rand.NewPCG(1, 2))
	r.Switch.Drop(func(p internet.Packet) bool {
		mu.Lock()
		defer mu.Unlock()
		return p.UDP && p.From.Addr() == internet.Machines["alice"] && p.To.Addr() == internet.Machines["bob"] && chance.Float64() < 0.1
	})
	flows(ctx, t, bob, 250)
	var audio, video float64
	for _, s := range bob.Result().Streams {
		if s.Corrupt > 0 {
			t.Errorf("%s: %d corrupt packets", s.Codec, s.Corrupt)
		}
		if s.Kind == media.Audio {
			audio = s.LossRate
		} else {
			video = s.LossRate
		}
	}
	if audio < 0.02 || audio > 0.25 {
		t.Errorf("the audio's loss is %.3f, want about 0.1", audio)
	}
	if video >= audio {
		t.Errorf("the video's loss is %.3f, with NACK, the audio's %.3f", video, audio)
	}
	// Nothing at all for a moment: the picture is lost, and comes back.
	r.Switch.Drop(func(p internet.Packet) bool { return p.UDP && p.Between("alice") && p.Between("bob") })
	select {
	case <-time.After(1200 * time.Millisecond):
	case <-ctx.Done():
	}
	r.Switch.Drop(nil)
	flows(ctx, t, bob, 100)
	res := bob.Result()
	if gap := time.Duration(res.Gap); gap < time.Second {
		t.Errorf("the longest gap is %s, want 1 s or more", gap)
	}
	worst := 0.0
	for _, s := range res.Series {
		worst = max(worst, s.Loss)
	}
	if worst < 0.5 {
		t.Errorf("the worst sample has a loss of %.2f, want that of the outage", worst)
	}
	await(ctx, t, "a freeze is counted", func() bool {
		for _, s := range bob.Result().Streams {
			if s.Freezes > 0 {
				return true
			}
		}
		return false
	})
}
