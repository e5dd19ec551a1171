package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/callpath/callpath/cmd/callpath/server"
)

// securely is a dialer that makes TLS, so that the ICE agent knows the authority.
type securely struct{ roots *x509.CertPool }

func (d securely) Dial(network, address string) (net.Conn, error) {
	if d.roots == nil {
		return net.Dial(network, address)
	}
	return tls.Dial(network, address, &tls.Config{RootCAs: d.roots, ServerName: "localhost"})
}

// callThrough connects two WebRTC peers through the relay alone, over a transport,
// and returns them when each hears the other.
func (p *target) callThrough(transport string) [2]*webrtc.PeerConnection {
	p.t.Helper()
	user, password := p.credential("alice")
	dialer, url := securely{}, "turn:"+p.at[transport].String()+"?transport="+transport
	if transport == "tls" {
		dialer.roots, url = p.roots(), "turns:"+p.at["tls"].String()+"?transport=tcp"
	}
	engine := webrtc.SettingEngine{}
	engine.SetICEProxyDialer(dialer)
	engine.SetIncludeLoopbackCandidate(true)
	api := webrtc.NewAPI(webrtc.WithSettingEngine(engine))
	var peers [2]*webrtc.PeerConnection
	var speaking sync.WaitGroup
	silence := make(chan struct{})
	p.t.Cleanup(speaking.Wait)
	p.t.Cleanup(func() { close(silence) })
	heard := make(chan struct{}, len(peers))
	for i := range peers {
		pc, err := api.NewPeerConnection(webrtc.Configuration{
			ICETransportPolicy: webrtc.ICETransportPolicyRelay,
			ICEServers:         []webrtc.ICEServer{{URLs: []string{url}, Username: user, Credential: password}},
		})
		ok(p.t, err)
		p.t.Cleanup(func() { _ = pc.Close() })
		pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
			if _, _, err := t.ReadRTP(); err == nil {
				heard <- struct{}{}
			}
		})
		track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "voice", "voice")
		ok(p.t, err)
		_, err = pc.AddTrack(track)
		ok(p.t, err)
		speaking.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-silence:
					return
				case <-tick.C:
					_ = track.WriteSample(media.Sample{Data: make([]byte, 80), Duration: 20 * time.Millisecond})
				}
			}
		})
		peers[i] = pc
	}
	describe(p.t, peers[0], peers[1])
	for range peers {
		select {
		case <-heard:
		case <-time.After(patience):
			p.t.Fatal("no media through the relay")
		}
	}
	return peers
}

// describe exchanges offer and answer, with all candidates in them.
func describe(t *testing.T, a, b *webrtc.PeerConnection) {
	t.Helper()
	offer, err := a.CreateOffer(nil)
	ok(t, err)
	gathered := webrtc.GatheringCompletePromise(a)
	ok(t, a.SetLocalDescription(offer))
	<-gathered
	ok(t, b.SetRemoteDescription(*a.LocalDescription()))
	answer, err := b.CreateAnswer(nil)
	ok(t, err)
	gathered = webrtc.GatheringCompletePromise(b)
	ok(t, b.SetLocalDescription(answer))
	<-gathered
	ok(t, a.SetRemoteDescription(*b.LocalDescription()))
}

// fingerprintOf is what a peer's SDP promises.
func fingerprintOf(t *testing.T, pc *webrtc.PeerConnection) string {
	t.Helper()
	for line := range strings.Lines(pc.LocalDescription().SDP) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "a=fingerprint:"); ok {
			return value
		}
	}
	t.Fatal("an SDP without a fingerprint")
	return ""
}

// The log has a verdict for both legs of a call that is relayed, over each transport,
// with what the peers negotiated.
func TestTheNegotiationLogSaysWhatWasNegotiated(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "negotiation.log")
			p := startServer(t, "--relay-peers-allow=127.0.0.0/8", "--negotiation-log="+path)
			peers := p.callThrough(transport)
			verdicts := awaitVerdicts(t, path, 2)
			info, err := os.Stat(path)
			ok(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("mode of the log: %v, wanted 0600", info.Mode().Perm())
			}
			fingerprints := map[string]string{} // own to peer's
			for _, v := range verdicts {
				for key, want := range map[string]string{"stage": "media", "transport": transport, "version": "DTLS 1.2"} {
					if v[key] != want {
						t.Errorf("%s: %v, wanted %s; in %v", key, v[key], want, v)
					}
				}
				if !strings.HasPrefix(v["srtp_profile"].(string), "SRTP_AE") || v["checks_answered"].(float64) == 0 {
					t.Errorf("verdict: %v", v)
				}
				fingerprints[v["own_fingerprint"].(string)] = v["peer_fingerprint"].(string)
			}
			a, b := fingerprintOf(t, peers[0]), fingerprintOf(t, peers[1])
			if fingerprints[a] != b || fingerprints[b] != a {
				t.Errorf("fingerprints %v, wanted those of the SDP: %s, %s", fingerprints, a, b)
			}
			text, err := os.ReadFile(path)
			ok(t, err)
			if user, password := p.credential("alice"); strings.Contains(string(text), "alice") || strings.Contains(string(text), password) {
				t.Errorf("%s or a password in the log", user)
			}
		})
	}
}

// awaitVerdicts reads the log until it has n verdicts.
func awaitVerdicts(t *testing.T, path string, n int) []map[string]any {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(path)
		ok(t, err)
		var verdicts []map[string]any
		for line := range strings.Lines(string(text)) {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == "leg.verdict" {
				verdicts = append(verdicts, record)
			}
		}
		if len(verdicts) >= n {
			return verdicts
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d verdicts, wanted %d; the log:\n%s", len(verdicts), n, text)
		}
	}
}

// The log can be the server's own, of legs over DTLS too.
func TestTheNegotiationLogCanBeTheServersLog(t *testing.T) {
	for _, transport := range []string{"udp", "dtls"} {
		t.Run(transport, func(t *testing.T) {
			p := startServer(t, "--relay-peers-allow=127.0.0.0/8", "--negotiation-log=-")
			var s *session
			if user, password := p.credential("alice"); transport == "dtls" {
				s = p.challenged(p.dialDTLS(), user, password)
			} else {
				s = p.session(transport, user, password)
			}
			s.mustAllocate()
			echo := echoPeer(t)
			if code := codeOf(s.channel(0x4000, echo)); code != 0 {
				t.Fatalf("channel refused with %d", code)
			}
			ok(t, s.ping(0x4000, 1))
			s.free()
			p.await("the leg's record", func() bool { return p.has("leg.record") != nil })
			p.mu.Lock()
			defer p.mu.Unlock()
			if r := p.has("leg.record"); r["part"] != "negotiation" || r["transport"] != transport || r["peer"] != echo.String() || r["stage"] != "nothing" || r["until"] != "allocation" {
				t.Errorf("record: %v", r)
			}
		})
	}
}

// challenged is a session over a connection.
func (p *target) challenged(conn net.Conn, user, password string) *session {
	p.t.Helper()
	s := &session{t: p.t, conn: conn, user: user, password: password}
	response := s.send(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transportUDP))
	var realm stun.Realm
	ok(p.t, realm.GetFrom(response), s.nonce.GetFrom(response))
	s.realm = realm.String()
	return s
}

// dialDTLS connects to the relay over DTLS. Reads of the connection may be of parts of
// a datagram, as those of a stream.
func (p *target) dialDTLS() net.Conn {
	p.t.Helper()
	at := net.UDPAddrFromAddrPort(p.at["dtls"])
	socket, err := net.ListenUDP("udp4", nil)
	ok(p.t, err)
	conn, err := dtls.ClientWithOptions(socket, at, dtls.WithRootCAs(p.roots()), dtls.WithServerName("localhost"))
	ok(p.t, err)
	p.t.Cleanup(func() { _ = conn.Close(); _ = socket.Close() })
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	ok(p.t, conn.HandshakeContext(ctx))
	return buffered{conn, bufio.NewReader(conn)}
}

type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

func TestANegotiationLogThatCannotBeWrittenIsNamed(t *testing.T) {
	flags := map[string]string{"state": t.TempDir(), "listen": "127.0.0.1", "relay-udp": "0", "relay-tcp": "0", "relay-tls": "0",
		"relay-dtls": "0", "signaling-https": "0", "admin-listen": "127.0.0.1:0", "negotiation-log": t.TempDir()}
	cfg, err := server.Load(server.Source{Flags: flags})
	ok(t, err)
	if _, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "negotiation-log: ") {
		t.Errorf("error: %v, wanted one about negotiation-log", err)
	}
}
