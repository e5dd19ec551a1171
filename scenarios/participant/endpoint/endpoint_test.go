package endpoint

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pion/transport/v5"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/signaling"
)

func TestProfiles(t *testing.T) {
	tests := []struct {
		names []string
		want  []SRTPProfile
	}{
		{nil, []SRTPProfile{AEADAES256GCM, AEADAES128GCM, AESCM128HMACSHA1_80}},
		{[]string{"aes-cm-128-hmac-sha1-80", "aead-aes-128-gcm"}, []SRTPProfile{AESCM128HMACSHA1_80, AEADAES128GCM}},
	}
	for _, test := range tests {
		got, err := Profiles(language.Participant{SRTPProfiles: test.names})
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("Profiles(%v) = %v, %v, want %v", test.names, got, err, test.want)
		}
	}
	if _, err := Profiles(language.Participant{SRTPProfiles: []string{"null"}}); err == nil || !strings.Contains(err.Error(), "aead-aes-256-gcm") {
		t.Errorf("a wrong profile gives %v, want an error that names the valid ones", err)
	}
}

func TestCipherSuites(t *testing.T) {
	got, err := CipherSuites([]string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"})
	if err != nil || !slices.Equal(got, []uint16{0xc02b, 0xc00a}) {
		t.Errorf("CipherSuites = %x, %v, want c02b, c00a", got, err)
	}
	if _, err := CipherSuites([]string{"TLS_NULL"}); err == nil || !strings.Contains(err.Error(), "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA") {
		t.Errorf("a wrong suite gives %v, want an error that names the valid ones", err)
	}
}

func TestKey(t *testing.T) {
	if key, err := Key(language.Participant{}); err != nil {
		t.Error(err)
	} else if _, ok := key.(*ecdsa.PrivateKey); !ok {
		t.Errorf("the key is a %T, want ECDSA", key)
	}
	key, err := Key(language.Participant{DTLS: language.DTLS{Certificate: "rsa"}})
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := key.(*rsa.PrivateKey); !ok || k.N.BitLen() != 2048 {
		t.Errorf("the key is a %T, want RSA of 2048 bits", key)
	}
	if _, err := Key(language.Participant{DTLS: language.DTLS{Certificate: "dsa"}}); err == nil {
		t.Error("a wrong kind of certificate is taken")
	}
}

func TestFormats(t *testing.T) {
	names := func(formats []media.Format) (out []string) {
		for _, f := range formats {
			out = append(out, string(f.Codec))
		}
		return out
	}
	got, err := Formats(language.Participant{Media: []string{"h264", "pcmu"}})
	if want := []string{"h264", "pcmu", "opus", "vp8"}; err != nil || !slices.Equal(names(got), want) {
		t.Errorf("formats are %v, %v, want %v", names(got), err, want)
	}
	sent, err := Sent(language.Participant{})
	if want := []string{"opus", "vp8"}; err != nil || !slices.Equal(names(sent), want) {
		t.Errorf("without a list are sent %v, %v, want %v", names(sent), err, want)
	}
	for _, wrong := range [][]string{{"opus", "pcmu"}, {"g722"}} {
		if _, err := Formats(language.Participant{Media: wrong}); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

func TestLoggers(t *testing.T) {
	var out strings.Builder
	var complaints []string
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l := NewLoggers(log, func(scope, text string) { complaints = append(complaints, scope+": "+text) }).NewLogger("dtls")
	l.Trace("not this")
	l.Tracef("nor %s", "this")
	l.Debug("one")
	l.Debugf("%d", 2)
	l.Info("three")
	l.Infof("%d", 4)
	l.Warn("five")
	l.Warnf("failed: %w", errors.New("six"))
	l.Error("seven")
	l.Errorf("%d", 8)
	if want := []string{"dtls: five", "dtls: failed: six", "dtls: seven", "dtls: 8"}; !slices.Equal(complaints, want) {
		t.Errorf("complaints are %q, want %q", complaints, want)
	}
	if n := strings.Count(out.String(), "scope=dtls"); n != 8 || strings.Contains(out.String(), "this") {
		t.Errorf("%d lines: %s", n, out.String())
	}
	quiet := NewLoggers(slog.New(slog.DiscardHandler), nil).NewLogger("ice")
	quiet.Warn("nobody hears it")
}

// noNetwork is a machine that reaches nothing, or a connection that is given.
type noNetwork struct{ conn net.Conn }

func (n noNetwork) DialContext(context.Context, string, string) (net.Conn, error) {
	if n.conn != nil {
		return n.conn, nil
	}
	return nil, errors.New("network is down")
}

func (noNetwork) ListenPacket(context.Context, string, string) (net.PacketConn, error) {
	return nil, errors.New("network is down")
}

func (noNetwork) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("network is down")
}

func (noNetwork) Net() transport.Net { return nil }

// TestDialerFails: its errors name the relay, and a failed handshake closes the
// connection and is told to the recorder.
func TestDialerFails(t *testing.T) {
	recorder := negotiation.NewRecorder(negotiation.Config{Leg: "alice"})
	cfg := Config{
		Machine: noNetwork{}, Recorder: recorder,
		Servers: []signaling.ICEServer{{URLs: []string{"turns:relay.test:443?transport=tcp", "not a url"}}},
	}
	d := NewDialer(cfg)
	defer d.Close()
	if _, err := d.Dial("tcp4", "relay.test:443"); err == nil || !strings.Contains(err.Error(), "relay.test:443") {
		t.Errorf("Dial gives %v, want an error that names the relay", err)
	}
	near, far := net.Pipe()
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Machine = noNetwork{near}
	d = NewDialer(cfg)
	defer d.Close()
	if _, err := d.Dial("tcp4", "relay.test:443"); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("Dial gives %v, want that TLS failed", err)
	}
	if _, err := near.Write([]byte{1}); err == nil {
		t.Error("the connection is still open")
	}
}
