package server

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/callpath/callpath/relay/negotiation/relaylog"
	"github.com/callpath/callpath/relay/turn"
)

// negotiationLog writes what the relay sees of ICE, DTLS and SRTP. Nil is no log.
type negotiationLog struct {
	log *relaylog.Log
	// legs is for the legs of the media processor.
	legs *slog.Logger
	file *rotated // nil when the server's own log is written to
}

// toLog, as the value of negotiation-log, is the server's own log.
const toLog = "-"

// newNegotiationLog opens the log that the configuration names; nil when it names
// none.
func (c *Config) newNegotiationLog(log *slog.Logger) (*negotiationLog, error) {
	n := &negotiationLog{}
	var handler slog.Handler
	switch c.NegotiationLog {
	case "":
		return nil, nil
	case toLog:
		handler = log.With("part", "negotiation").Handler()
	default:
		f, err := newRotated(c.NegotiationLog, rotationCheck, time.Now)
		if err != nil {
			return nil, fmt.Errorf("negotiation-log: %w", err)
		}
		n.file = f
		handler = slog.NewJSONHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	run := make([]byte, 4)
	_, _ = rand.Read(run) // never fails
	n.legs = slog.New(handler)
	n.log = relaylog.New(relaylog.Config{Handler: handler, Run: hex.EncodeToString(run)})
	return n, nil
}

// watch has the relay tell the log.
func (n *negotiationLog) watch(cfg *turn.Config) {
	if n == nil {
		return
	}
	next := cfg.OnEvent
	cfg.OnEvent = func(e turn.Event) {
		switch e.Kind {
		case turn.AllocationCreated:
			n.log.Allocated(e.Relay, string(e.Transport))
		case turn.AllocationDeleted:
			n.log.Deleted(e.Relay)
		}
		next(e)
	}
	cfg.Watch = func(r turn.Relayed) bool {
		return n.log.Payload(r.Time, r.Relay, r.Peer, r.ToPeer, r.Payload)
	}
}

// processor is where the media processor's legs are recorded; nil without a log.
func (n *negotiationLog) processor() *slog.Logger {
	if n == nil {
		return nil
	}
	return n.legs
}

// close writes what is left. The relay must be closed before.
func (n *negotiationLog) close() error {
	if n == nil {
		return nil
	}
	n.log.Close()
	if n.file == nil {
		return nil
	}
	return n.file.Close()
}
