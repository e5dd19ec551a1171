package signaling_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/authority"
)

func serverTLS(t *testing.T) (*authority.Authority, *tls.Config) {
	t.Helper()
	a, err := authority.New(authority.Config{})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := a.TLS(host)
	if err != nil {
		t.Fatal(err)
	}
	return a, conf
}

// serve runs Serve until stop is called, which returns its error.
func serve(ln net.Listener, conf *tls.Config, h http.Handler) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- signaling.Serve(ctx, ln, conf, h) }()
	return func() error { cancel(); return <-served }
}

// RFC 8996 deprecates TLS 1.0 and 1.1.
func TestTLSBelow12IsRefusedWhateverTheConfigurationSays(t *testing.T) {
	a, conf := serverTLS(t)
	conf.MinVersion = tls.VersionTLS10
	conf.NextProtos = []string{"h2"}
	weak := conf.Clone()
	chosen := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return weak, nil }}
	unchosen := conf.Clone()
	unchosen.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
	for name, conf := range map[string]*tls.Config{"fixed": conf, "chosen for the client": chosen, "not chosen": unchosen} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		stop := serve(ln, conf, http.NotFoundHandler())
		for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
			conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: a.Pool(), ServerName: host,
				MinVersion: tls.VersionTLS10, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}})
			if (err == nil) != want {
				t.Errorf("%s: %s: got %v, wanted ok=%v", name, tls.VersionName(version), err, want)
			}
			if err != nil {
				continue
			}
			if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
				t.Errorf("%s: protocol %q, wanted http/1.1, which WebSockets need", name, got)
			}
			conn.Close()
		}
		if err := stop(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if weak.MinVersion != tls.VersionTLS10 {
			t.Error("the caller's configuration was changed")
		}
	}
}

func TestServeNeedsACertificateAndAListener(t *testing.T) {
	for _, conf := range []*tls.Config{nil, {}} {
		ln := newMemory()
		if err := signaling.Serve(ctx(t), ln, conf, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "no certificate") {
			t.Errorf("got %v", err)
		}
		if _, err := ln.Accept(); err == nil {
			t.Error("the listener is open")
		}
	}
	_, conf := serverTLS(t)
	ln := newMemory()
	ln.Close()
	if err := signaling.Serve(ctx(t), ln, conf, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("got %v, wanted the listener named", err)
	}
}

func TestServeLetsRequestsFinishForAShortTime(t *testing.T) {
	for name, forever := range map[string]bool{"finishes": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, conf := serverTLS(t)
				ln := newMemory()
				entered := make(chan struct{})
				stop := serve(ln, conf, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					close(entered)
					select {
					case <-time.After(time.Second):
					case <-r.Context().Done():
						return
					}
					if forever {
						<-r.Context().Done()
					}
				}))
				client := &http.Client{Transport: &http.Transport{
					DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return ln.dial(ctx) },
					TLSClientConfig: &tls.Config{RootCAs: a.Pool()},
				}}
				got := make(chan error)
				go func() {
					resp, err := client.Get("https://" + host)
					if err == nil {
						resp.Body.Close()
					}
					got <- err
				}()
				<-entered
				stopped := make(chan error)
				go func() { stopped <- stop() }()
				if err := <-got; (err != nil) != forever {
					t.Errorf("the request got %v", err)
				}
				if err := <-stopped; err != nil {
					t.Errorf("Serve: %v", err)
				}
				client.CloseIdleConnections()
			})
		})
	}
}

func TestLongHeadersAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	nobody := w.raw("")
	req, err := http.NewRequestWithContext(ctx(t), "GET", "https://"+host+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	resp, err := nobody.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d, wanted 431", resp.StatusCode)
	}
}
