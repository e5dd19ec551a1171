package rig_test

import (
	"context"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/participant/internal/rig"
	"github.com/callpath/callpath/scenarios/participant/modern"
)

// TestSides connects two endpoints, and lets one that waits in vain give up.
func TestSides(t *testing.T) {
	r := rig.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	sides := map[string]*rig.Side{}
	for _, name := range []string{"alice", "bob"} {
		s := r.Side(name, language.Participant{Media: []string{"pcmu"}})
		e, err := modern.New(ctx, s.Config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}()
		s.Endpoint = e
		sides[name] = s
	}
	alice, bob := sides["alice"], sides["bob"]
	if err := rig.Connect(alice, bob); err != nil {
		t.Fatal(err)
	}
	for _, s := range sides {
		if err := s.Await(ctx, func(s rig.Seen) bool { return s.State == endpoint.Connected }); err != nil {
			t.Fatal(err)
		}
	}
	if err := alice.Send(3); err != nil {
		t.Fatal(err)
	}
	if err := bob.Await(ctx, func(s rig.Seen) bool { return s.Packets[media.PCMU] > 0 }); err != nil {
		t.Fatal(err)
	}
	if n := bob.Received()[media.PCMU]; n == 0 {
		t.Error("nothing was counted")
	}
	if err := rig.Restart(alice, bob); err != nil {
		t.Fatal(err)
	}
	short, stop := context.WithCancel(ctx)
	stop()
	if err := alice.Await(short, func(rig.Seen) bool { return false }); err == nil {
		t.Error("waiting in vain gives no error")
	}
}
