package server

import (
	"log/slog"
	"net/http"
	"strconv"
)

// refusedHTTP are the answers of signaling that nobody else records: those to
// requests that are refused before anybody is known.
var refusedHTTP = map[int]string{
	http.StatusNotFound:              "path",
	http.StatusMethodNotAllowed:      "method",
	http.StatusRequestTimeout:        "slow-body",
	http.StatusRequestEntityTooLarge: "body-size",
	http.StatusUnsupportedMediaType:  "media-type",
}

// refusedByIssuer are those of the issuer: it records the others itself.
var refusedByIssuer = map[int]string{
	http.StatusNotFound:         "path",
	http.StatusMethodNotAllowed: "method",
}

// httpTellings bounds the records that strangers can cause, in a second and at once.
const httpTellings, httpTellingsAtOnce = 20, 100

// audited records what h refuses before it knows who asks, by status.
func (s *Server) audited(h http.Handler, refusals map[int]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := &watchedWriter{ResponseWriter: w}
		h.ServeHTTP(watched, r)
		rule, refused := refusals[watched.status]
		if !refused || r.Header.Get("Authorization") != "" && watched.status == http.StatusNotFound {
			return
		}
		s.metrics.http.WithLabelValues(strconv.Itoa(watched.status)).Inc()
		if s.tellings.Allow() {
			s.audit.write(false, []slog.Attr{slog.String("event", "audit"), slog.String("part", "signaling"),
				slog.String("what", "request-refused"), slog.Bool("allowed", false), slog.String("client", r.RemoteAddr),
				slog.Int("code", watched.status), slog.String("rule", rule), slog.String("reason", http.StatusText(watched.status))})
		}
	})
}

// watchedWriter notes the status.
type watchedWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *watchedWriter) WriteHeader(status int) {
	w.status = status
	if status == http.StatusRequestEntityTooLarge {
		// net/http does this for its own writer only: the rest of the body is
		// not worth reading.
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController and the WebSocket reach the connection.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
