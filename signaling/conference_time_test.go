package signaling_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// All on a clock of the test's own.
func TestTheTimesOfMeetings(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, w *world, p *processor, olga, zoe *signaling.Client, id string){
		"a wait in the lobby ends after 30 minutes": func(t *testing.T, w *world, _ *processor, olga, zoe *signaling.Client, id string) {
			mustJoin(t, zoe, id, policy.Lobby)
			time.Sleep(30*time.Minute - time.Second)
			if s := w.controller.Stats(); s.Waiting != 1 {
				t.Errorf("figures %+v", s)
			}
			time.Sleep(2 * time.Second)
			if s := w.controller.Stats(); s.Waiting != 0 {
				t.Errorf("figures %+v", s)
			}
			// Who asks again waits anew.
			mustJoin(t, zoe, id, policy.Lobby)
			time.Sleep(29 * time.Minute)
			if s := w.controller.Stats(); s.Waiting != 1 {
				t.Errorf("figures %+v", s)
			}
		},
		"a lost connection leaves after 30 seconds": func(t *testing.T, w *world, p *processor, olga, zoe *signaling.Client, id string) {
			mustMedia(t, olga, id)
			if err := olga.Close(); err != nil {
				t.Error(err)
			}
			time.Sleep(29 * time.Second)
			if s := w.controller.Stats(); s.Present != 1 || p.has(id) != "olga" {
				t.Errorf("figures %+v, media of %q", s, p.has(id))
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if s := w.controller.Stats(); s.Present != 0 || p.has(id) != "" {
				t.Errorf("figures %+v, media of %q", s, p.has(id))
			}
		},
		"a connection that comes back stays": func(t *testing.T, w *world, p *processor, olga, zoe *signaling.Client, id string) {
			if err := olga.Close(); err != nil {
				t.Error(err)
			}
			time.Sleep(29 * time.Second)
			w.join("olga")
			time.Sleep(time.Minute)
			if s := w.controller.Stats(); s.Present != 1 {
				t.Errorf("figures %+v", s)
			}
		},
		"whoever never connects leaves after 30 seconds": func(t *testing.T, w *world, p *processor, olga, zoe *signaling.Client, id string) {
			mustJoin(t, w.client(w.config("mia")), id, policy.Present)
			time.Sleep(31 * time.Second)
			synctest.Wait()
			if s := w.controller.Stats(); s.Present != 1 {
				t.Errorf("figures %+v", s)
			}
		},
		"an ended meeting is kept for a day": func(t *testing.T, w *world, p *processor, olga, zoe *signaling.Client, id string) {
			if err := olga.EndMeeting(context.Background(), id); err != nil {
				t.Fatal(err)
			}
			time.Sleep(24*time.Hour - time.Second)
			if _, err := olga.Meeting(context.Background(), id); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
			_, err := olga.Meeting(context.Background(), id)
			mustBe(t, err, signaling.CodeNotFound, "")
		},
		"a media processor that hangs is given up, and its media ended": func(t *testing.T, w *world, p *processor, olga, zoe *signaling.Client, id string) {
			mustMedia(t, olga, id)
			p.mu.Lock()
			p.before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
			p.mu.Unlock()
			_, err := olga.MeetingMedia(context.Background(), id, offer().SDP, false)
			mustBe(t, err, signaling.CodeUnavailable, "")
			if got := p.has(id); got != "" {
				t.Errorf("media of %q", got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &processor{}
				w := memoryWorld(t, hosting(p, func(cfg *signaling.Config) { cfg.Limits.TokenLifetime = 1000 * time.Hour }))
				olga, zoe := w.join("olga"), w.join("zoe")
				go drain(olga)
				go drain(zoe)
				id := meet(t, olga, "")
				mustJoin(t, olga, id, policy.Present)
				test(t, w, p, olga, zoe, id)
			})
		})
	}
}

// A store that fails for a while keeps nobody in a meeting, or waiting for it, who has gone.
func TestWhoHasGoneLeavesOnceTheStoreWorksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d := &processor{}, &disk{}
		w := memoryWorld(t, hosting(p, func(cfg *signaling.Config) {
			cfg.Store, cfg.Limits.TokenLifetime = d, 1000*time.Hour
		}))
		olga, zoe := w.join("olga"), w.join("zoe")
		go drain(olga)
		go drain(zoe)
		id := meet(t, olga, "")
		mustJoin(t, olga, id, policy.Present)
		mustMedia(t, olga, id)
		mustJoin(t, zoe, id, policy.Lobby)
		time.Sleep(29 * time.Minute)
		d.fail(errDisk)
		if err := olga.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		if s := w.controller.Stats(); s.Present != 1 || s.Waiting != 1 {
			t.Errorf("what is not stored is seen: %+v", s)
		}
		d.fail(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := w.controller.Stats(); s.Present != 0 || s.Waiting != 0 || p.has(id) != "" {
			t.Errorf("figures %+v, media of %q", s, p.has(id))
		}
	})
}
