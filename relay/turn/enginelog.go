package turn

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/pion/logging"
)

// engineLog passes the engine's own log on at debug level, whatever level the
// engine gives it: what matters to people is an event already. The engine says a
// last word when its reader has ended, which may be after the Server's Close; it
// goes nowhere.
type engineLog struct {
	log *slog.Logger

	mu    sync.RWMutex
	ended bool
}

func (e *engineLog) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}

// NewLogger makes the logger of one part of the engine.
func (e *engineLog) NewLogger(scope string) logging.LeveledLogger {
	return engineLogger{e, e.log.With("engine", scope)}
}

type engineLogger struct {
	of  *engineLog
	log *slog.Logger
}

func (l engineLogger) line(level, text string) {
	l.of.mu.RLock()
	defer l.of.mu.RUnlock()
	if !l.of.ended {
		l.log.Debug(text, "engine_level", level)
	}
}

func (l engineLogger) linef(level, format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.line(level, fmt.Sprintf(format, args...))
	}
}

func (l engineLogger) Trace(text string)                 { l.line("trace", text) }
func (l engineLogger) Tracef(format string, args ...any) { l.linef("trace", format, args) }
func (l engineLogger) Debug(text string)                 { l.line("debug", text) }
func (l engineLogger) Debugf(format string, args ...any) { l.linef("debug", format, args) }
func (l engineLogger) Info(text string)                  { l.line("info", text) }
func (l engineLogger) Infof(format string, args ...any)  { l.linef("info", format, args) }
func (l engineLogger) Warn(text string)                  { l.line("warn", text) }
func (l engineLogger) Warnf(format string, args ...any)  { l.linef("warn", format, args) }
func (l engineLogger) Error(text string)                 { l.line("error", text) }
func (l engineLogger) Errorf(format string, args ...any) { l.linef("error", format, args) }
