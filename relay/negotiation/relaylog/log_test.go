package relaylog_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/relaylog"
)

// A leg gets one verdict, which says where its set-up stopped.
func TestTheVerdictSaysWhereTheSetUpStopped(t *testing.T) {
	for _, c := range []struct {
		stage, verdict string
		show           func(*rig)
		want           map[string]any
	}{
		{"checks", "ICE checks sent, none answered", func(r *rig) {
			r.check(relayA, peerA, false)
			r.check(relayA, peerA, false)
		}, map[string]any{"checks_sent": 2, "checks_answered": 0, "ice_ufrag": "ownfrag", "peer_ufrag": "peerfrag"}},
		{"answered", "ICE checks answered but DTLS never began on this path", func(r *rig) {
			r.check(relayA, peerA, true)
		}, map[string]any{"checks_sent": 1, "checks_answered": 1, "checks_received": 0}},
		{"handshake", "DTLS stopped after ServerHelloDone: no answer", func(r *rig) {
			r.check(relayA, peerA, true)
			r.show(false, relayA, peerA, []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		}, nil},
		{"keyed", "DTLS done but no SRTP", func(r *rig) {
			r.check(relayA, peerA, true)
			r.handshake(relayA, peerA)
		}, map[string]any{"version": "DTLS 1.2", "srtp_profile": "SRTP_AEAD_AES_256_GCM", "streams_sent": 0}},
		{"one-way", "SRTP flows one way only: 1 streams sent, 0 received", func(r *rig) {
			r.media(true, 1, 0, 10)
		}, map[string]any{"streams_sent": 1, "streams_received": 0}},
		{"nothing", "what is relayed is neither ICE nor DTLS nor SRTP", func(r *rig) {
			r.show(true, relayA, peerA, []byte("hello"))
		}, nil},
	} {
		t.Run(c.stage, func(t *testing.T) {
			inBubble(t, relaylog.Config{}, func(r *rig) {
				r.log.Allocated(relayA, "udp")
				c.show(r)
				r.wait(29 * time.Second)
				if early := r.lines("leg.verdict"); len(early) > 0 {
					t.Fatalf("a verdict before the leg has stalled: %v", early)
				}
				r.wait(2 * time.Second)
				verdict := r.one("leg.verdict")
				r.has(verdict, map[string]any{"stage": c.stage, "verdict": c.verdict, "level": "WARN", "leg": "test-1.1", "allocation": "test-1",
					"transport": "udp", "relay": relayA.String(), "peer": peerA.String()})
				r.has(verdict, c.want)
				r.wait(time.Minute)
				r.log.Deleted(relayA)
				r.wait(0)
				r.one("leg.verdict") // and no other
				r.has(r.one("leg.record"), map[string]any{"stage": c.stage, "until": "allocation"})
			})
		})
	}
}

// A set-up that is done gets its verdict at once; its media is read for a sample, and
// then it is let go.
func TestAFinishedSetUpIsSampledAndLetGo(t *testing.T) {
	inBubble(t, relaylog.Config{}, func(r *rig) {
		r.log.Allocated(relayA, "tls")
		r.check(relayA, peerA, true)
		own, peer := r.handshake(relayA, peerA)
		r.media(true, 0x11, 65530, 65535)
		r.media(false, 0x22, 10, 30, 15, 16)
		r.wait(time.Second)
		facts := map[string]any{"stage": "media", "level": "INFO", "transport": "tls",
			"verdict": "SRTP flows: 1 streams sent, 1 received, not verified for lack of keys",
			"version": "DTLS 1.2", "cipher_suite": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "srtp_profile": "SRTP_AEAD_AES_256_GCM",
			"own_fingerprint": own, "peer_fingerprint": peer, "checks_sent": 1, "streams_sent": 1, "streams_received": 1}
		r.has(r.one("leg.verdict"), facts)
		if !r.show(true, relayA, peerA, []byte("more")) {
			t.Fatal("let go before the sample was over")
		}
		r.media(false, 0x22, 30, 40, 35)
		r.wait(10 * time.Second)
		last := r.one("leg.record")
		r.has(last, facts)
		r.has(last, map[string]any{"until": "sample", "packets_sent": 5, "packets_received": 27, "lost": 3, "omitted": 0})
		if kinds := last["payloads"].(map[string]any); kinds["srtp"] != 32.0 || kinds["stun"] != 2.0 || kinds["other"] != 1.0 {
			t.Errorf("payloads: %v", kinds)
		}
		if r.show(true, relayA, peerA, []byte("more")) {
			t.Error("more is wanted after the sample")
		}
		r.log.Deleted(relayA)
		r.wait(time.Second)
		r.one("leg.verdict")
		r.one("leg.record")
		for _, what := range []string{"leg.begin", "ice.check.sent", "dtls.client_hello", "dtls.complete", "srtp.first"} {
			if len(r.lines(what)) == 0 {
				t.Errorf("no record %s", what)
			}
		}
		if all := r.out.String(); strings.Contains(all, "people") || strings.Contains(all, "password of") {
			t.Errorf("payload or password in %s", all)
		}
		// The record is the whole one.
		var rec struct{ Record negotiation.Record }
		text, _ := json.Marshal(last)
		if err := json.Unmarshal(text, &rec); err != nil || rec.Record.Stage() != negotiation.StageMedia || len(rec.Record.DTLS) != 1 || rec.Record.Leg != "test-1.1" {
			t.Errorf("record: %v, %+v", err, rec)
		}
	})
}

// A leg that gets further after its verdict gets another.
func TestALegThatGoesOnGetsAnotherVerdict(t *testing.T) {
	inBubble(t, relaylog.Config{Most: time.Hour}, func(r *rig) {
		r.log.Allocated(relayA, "udp")
		r.check(relayA, peerA, false)
		r.wait(31 * time.Second)
		r.check(relayA, peerA, true)
		r.wait(31 * time.Second)
		r.media(true, 1, 0, 10)
		r.media(false, 2, 0, 10)
		r.wait(time.Second)
		var stages []any
		for _, v := range r.lines("leg.verdict") {
			stages = append(stages, v["stage"])
		}
		if len(stages) != 3 || stages[0] != "checks" || stages[1] != "answered" || stages[2] != "media" {
			t.Errorf("stages %v, wanted checks, answered, media", stages)
		}
	})
}

// A path that ICE did not choose is told from one that failed.
func TestAPathThatWasNotSelectedNamesTheOneThatWas(t *testing.T) {
	inBubble(t, relaylog.Config{}, func(r *rig) {
		r.log.Allocated(relayA, "udp")
		r.log.Allocated(relayB, "tcp")
		r.check(relayA, peerA, true)
		r.check(relayB, peerB, true)
		r.handshake(relayA, peerA)
		r.media(true, 1, 0, 10)
		r.media(false, 2, 0, 10)
		r.wait(40 * time.Second)
		for _, v := range r.lines("leg.verdict") {
			if v["leg"] == "test-2.1" {
				r.has(v, map[string]any{"stage": "answered", "carried_by": "test-1.1", "peer": peerB.String(), "transport": "tcp",
					"verdict": "ICE checks answered but DTLS never began on this path: the session went on over leg test-1.1"})
				return
			}
		}
		t.Errorf("no verdict of the second leg in %v", r.lines("leg.verdict"))
	})
}

// What is not read is let go: foreign payloads, unknown allocations, legs over the
// limit, and legs that never come to media.
func TestWhatIsNotReadIsLetGo(t *testing.T) {
	inBubble(t, relaylog.Config{Legs: 2}, func(r *rig) {
		if r.show(true, relayA, peerA, []byte("hello")) {
			t.Error("a payload of no allocation is wanted")
		}
		r.log.Allocated(relayA, "udp")
		r.log.Allocated(relayB, "udp")
		for range 300 {
			r.show(true, relayA, peerA, []byte("hello"))
		}
		r.check(relayB, peerA, true)
		if r.show(true, relayB, peerB, []byte("hello")) {
			t.Error("a leg over the limit is read")
		}
		r.wait(time.Second)
		r.has(r.one("legs.skipped"), map[string]any{"count": 1, "level": "WARN"})
		r.has(r.one("leg.record"), map[string]any{"leg": "test-1.1", "until": "foreign", "stage": "nothing"})
		if r.show(true, relayA, peerA, []byte("hello")) {
			t.Error("foreign payloads are still read")
		}
		r.wait(2 * time.Minute)
		if all := r.lines("leg.record"); len(all) != 2 || all[1]["until"] != "most" {
			t.Errorf("records %v, wanted the second one to end after the most time", all)
		}
	})
}

// Closing writes what is open; nothing is taken afterwards.
func TestCloseEndsAllLegs(t *testing.T) {
	inBubble(t, relaylog.Config{}, func(r *rig) {
		r.log.Allocated(relayA, "udp")
		r.check(relayA, peerA, false)
		r.log.Close()
		r.log.Close()
		r.has(r.one("leg.record"), map[string]any{"until": "closed", "stage": "checks"})
		r.log.Allocated(relayB, "udp")
		if r.show(true, relayA, peerA, []byte("x")) || r.show(true, relayB, peerB, []byte("x")) {
			t.Error("payloads are wanted after Close")
		}
		r.log.Deleted(relayA)
	})
}

// The events of one leg can't fill a disk.
func TestTheEventsOfALegAreBounded(t *testing.T) {
	inBubble(t, relaylog.Config{}, func(r *rig) {
		r.log.Allocated(relayA, "udp")
		for range 400 {
			r.check(relayA, peerB, false) // each with the same few transactions
			r.check(relayA, peerA, false)
			synctest.Wait()
		}
		for ssrc := range uint32(100) {
			r.media(true, ssrc, 0, 1)
		}
		r.log.Deleted(relayA)
		r.wait(time.Second)
		if n := len(r.lines()); n > 2*(512+3) {
			t.Errorf("%d records of two legs", n)
		}
	})
}

// blocked is a handler that hangs until it may go on.
type blocked struct {
	slog.Handler
	until chan struct{}
}

func (b blocked) Handle(ctx context.Context, r slog.Record) error {
	<-b.until
	return b.Handler.Handle(ctx, r)
}

// A log that can't be written loses records, and says how many; nobody waits for it.
func TestASlowLogMakesNobodyWait(t *testing.T) {
	out := &buffer{}
	synctest.Test(t, func(t *testing.T) {
		b := blocked{slog.NewJSONHandler(out, nil), make(chan struct{})}
		r := &rig{t: t, out: out, log: relaylog.New(relaylog.Config{Handler: b, Legs: 10000})}
		for range 5000 {
			r.log.Allocated(relayA, "udp")
			r.show(true, relayA, peerA, []byte("hello"))
			r.log.Deleted(relayA)
		}
		close(b.until)
		r.wait(time.Second)
		r.log.Close()
		if n := r.one("records.dropped")["count"].(float64); n < 500 {
			t.Errorf("%v records dropped, wanted some hundreds", n)
		}
	})
}
