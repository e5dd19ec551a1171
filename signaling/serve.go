package signaling

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of a connection, so that a client who sends byte by byte cannot hold
// one for long. A WebSocket is free of them once it is up, and has its own.
const (
	headerTimeout   = 10 * time.Second // the TLS handshake, too
	requestTimeout  = 30 * time.Second
	responseTimeout = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	maxHeaderBytes  = 16 << 10
	shutdownTimeout = 3 * time.Second
)

// Serve serves h over HTTPS on ln until ctx ends, then lets requests in flight
// finish for a short time and returns nil. It refuses TLS below 1.2 whatever
// conf says, bounds header size and the time of each request, and closes ln.
// WebSockets are the Controller's: close it after Serve has returned.
func Serve(ctx context.Context, ln net.Listener, conf *tls.Config, h http.Handler) error {
	if conf == nil || len(conf.Certificates) == 0 && conf.GetCertificate == nil && conf.GetConfigForClient == nil {
		_ = ln.Close()
		return errors.New("signaling: the TLS configuration has no certificate")
	}
	conf = strict(conf)
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout + responseTimeout, // it begins with the headers
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(tls.NewListener(ln, conf)) }()
	select {
	case err := <-served:
		return fmt.Errorf("signaling: serving on %s: %w", ln.Addr(), errors.Join(err, server.Close()))
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(late)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("signaling: closing %s: %w", ln.Addr(), err)
	}
	return nil
}

// strict is conf with TLS 1.2 or later, and HTTP/1.1, which WebSockets need.
func strict(conf *tls.Config) *tls.Config {
	conf = conf.Clone()
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	conf.NextProtos = []string{"http/1.1"}
	if choose := conf.GetConfigForClient; choose != nil {
		conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil {
				return nil, err
			}
			return strict(chosen), nil
		}
	}
	return conf
}
