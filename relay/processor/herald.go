package processor

import (
	"context"
	"log/slog"
	"sync"
)

// herald tells callers what happens, in order, in a goroutine of its own, so that no
// worker waits for them.
type herald struct {
	onEvent  func(Event)
	onLayout func(Layout)
	log      *slog.Logger

	mu    sync.Mutex // guards queue
	queue []any
	ready chan struct{}
}

func newHerald(cfg Config) *herald {
	return &herald{onEvent: cfg.OnEvent, onLayout: cfg.OnLayout, log: cfg.Log, ready: make(chan struct{}, 1)}
}

func (h *herald) event(e Event)   { h.put(e) }
func (h *herald) layout(l Layout) { h.put(l) }

func (h *herald) put(what any) {
	h.mu.Lock()
	h.queue = append(h.queue, what)
	h.mu.Unlock()
	select {
	case h.ready <- struct{}{}:
	default:
	}
}

// run tells until ctx ends, and then what is left.
func (h *herald) run(ctx context.Context) {
	for {
		select {
		case <-h.ready:
			h.tell()
		case <-ctx.Done():
			h.tell()
			return
		}
	}
}

func (h *herald) tell() {
	for {
		h.mu.Lock()
		queue := h.queue
		h.queue = nil
		h.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, what := range queue {
			switch what := what.(type) {
			case Event:
				level := slog.LevelInfo
				if what.Kind == EventFingerprint || what.Kind == EventFailed || what.Kind == EventConsent {
					level = slog.LevelWarn
				}
				h.log.LogAttrs(context.Background(), level, string(what.Kind), what.attrs()...)
				if h.onEvent != nil {
					h.onEvent(what)
				}
			case Layout:
				if h.onLayout != nil {
					h.onLayout(what)
				}
			}
		}
	}
}
