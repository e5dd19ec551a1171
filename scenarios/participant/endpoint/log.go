package endpoint

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// Loggers gives pion's stacks loggers that write to slog. It is safe for
// concurrent use.
type Loggers struct {
	log      *slog.Logger
	complain func(scope, text string)
}

// NewLoggers returns loggers that write to log at debug level: what goes wrong in
// a scenario is told by its result. Trace lines are dropped. complain, when not
// nil, gets every warning and error: some failures are told nowhere else.
func NewLoggers(log *slog.Logger, complain func(scope, text string)) *Loggers {
	return &Loggers{log: log, complain: complain}
}

// NewLogger implements logging.LoggerFactory.
func (l *Loggers) NewLogger(scope string) logging.LeveledLogger {
	return &logger{loggers: l, scope: scope}
}

type logger struct {
	loggers *Loggers
	scope   string
}

func (l *logger) write(complaint bool, text func() string) {
	enabled := l.loggers.log.Enabled(context.Background(), slog.LevelDebug)
	complaint = complaint && l.loggers.complain != nil
	if !complaint && !enabled {
		return
	}
	said := text()
	if complaint {
		l.loggers.complain(l.scope, said)
	}
	if enabled {
		l.loggers.log.Debug("stack", slog.String("scope", l.scope), slog.String("text", said))
	}
}

func plain(msg string) func() string { return func() string { return msg } }

func formatted(format string, args []any) func() string {
	return func() string { return fmt.Errorf(format, args...).Error() }
}

func (l *logger) Trace(string)                   {}
func (l *logger) Tracef(string, ...any)          {}
func (l *logger) Debug(msg string)               { l.write(false, plain(msg)) }
func (l *logger) Debugf(format string, a ...any) { l.write(false, formatted(format, a)) }
func (l *logger) Info(msg string)                { l.write(false, plain(msg)) }
func (l *logger) Infof(format string, a ...any)  { l.write(false, formatted(format, a)) }
func (l *logger) Warn(msg string)                { l.write(true, plain(msg)) }
func (l *logger) Warnf(format string, a ...any)  { l.write(true, formatted(format, a)) }
func (l *logger) Error(msg string)               { l.write(true, plain(msg)) }
func (l *logger) Errorf(format string, a ...any) { l.write(true, formatted(format, a)) }
