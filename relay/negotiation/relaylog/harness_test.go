package relaylog_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/dpipe"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/relay/negotiation/relaylog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	relayA = netip.MustParseAddrPort("20.202.0.10:50000")
	relayB = netip.MustParseAddrPort("20.202.0.10:50001")
	peerA  = netip.MustParseAddrPort("198.51.100.20:60000")
	peerB  = netip.MustParseAddrPort("[2001:db8::20]:60000")
)

// buffer is what was written.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// rig is a log in the time of a synctest bubble.
type rig struct {
	t   *testing.T
	log *relaylog.Log
	out *buffer
	ids byte
}

// inBubble runs a test with a log, in fake time.
func inBubble(t *testing.T, cfg relaylog.Config, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, out: &buffer{}}
		if cfg.Handler == nil {
			cfg.Handler = slog.NewJSONHandler(r.out, &slog.HandlerOptions{Level: slog.LevelDebug})
		}
		cfg.Run = "test"
		r.log = relaylog.New(cfg)
		t.Cleanup(r.log.Close)
		test(r)
	})
}

// wait lets the log do what is due after some time.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// lines are the records written so far whose message is one of those wanted, or all.
func (r *rig) lines(wanted ...string) []map[string]any {
	r.t.Helper()
	r.out.mu.Lock()
	defer r.out.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(r.out.String()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			r.t.Fatalf("%v in %s", err, line)
		}
		for _, w := range wanted {
			if v["msg"] == w {
				all = append(all, v)
			}
		}
		if len(wanted) == 0 {
			all = append(all, v)
		}
	}
	return all
}

// one is the only record of a message.
func (r *rig) one(message string) map[string]any {
	r.t.Helper()
	all := r.lines(message)
	if len(all) != 1 {
		r.t.Fatalf("%d records %s, wanted 1: %v", len(all), message, all)
	}
	return all[0]
}

// has compares attributes of a record; numbers are float64.
func (r *rig) has(line map[string]any, wanted map[string]any) {
	r.t.Helper()
	for key, want := range wanted {
		if n, ok := want.(int); ok {
			want = float64(n)
		}
		if line[key] != want {
			r.t.Errorf("%s: %s is %v, wanted %v", line["msg"], key, line[key], want)
		}
	}
}

func (r *rig) show(toPeer bool, relay, peer netip.AddrPort, payload []byte) bool {
	return r.log.Payload(time.Now(), relay, peer, toPeer, payload)
}

// check is a connectivity check of the client, and its answer when there is one.
func (r *rig) check(relay, peer netip.AddrPort, answered bool) {
	r.t.Helper()
	r.ids++
	id := [stun.TransactionIDSize]byte{r.ids}
	priority := binary.BigEndian.AppendUint32(nil, 1<<24)
	r.show(true, relay, peer, message(r.t, id, stun.ClassRequest, stun.NewUsername("peerfrag:ownfrag"),
		raw{0x24, priority}, raw{0x802a, make([]byte, 8)}))
	if answered {
		r.show(false, relay, peer, message(r.t, id, stun.ClassSuccessResponse,
			&stun.XORMappedAddress{IP: relay.Addr().AsSlice(), Port: int(relay.Port())}))
	}
}

type raw struct {
	kind  stun.AttrType
	value []byte
}

func (a raw) AddTo(m *stun.Message) error { m.Add(a.kind, a.value); return nil }

func message(t *testing.T, id [stun.TransactionIDSize]byte, class stun.MessageClass, setters ...stun.Setter) []byte {
	t.Helper()
	all := append([]stun.Setter{stun.NewTransactionIDSetter(id), stun.NewType(stun.MethodBinding, class)}, setters...)
	m, err := stun.Build(append(all, stun.NewShortTermIntegrity("the password of ICE"), stun.Fingerprint)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// media shows packets of one SSRC, without those that are lost.
func (r *rig) media(toPeer bool, ssrc uint32, from, to uint16, lost ...uint16) {
next:
	for n := from; n < to; n++ {
		for _, l := range lost {
			if n == l {
				continue next
			}
		}
		b := make([]byte, 172)
		b[0], b[1] = 0x80, 111
		binary.BigEndian.PutUint16(b[2:], n)
		binary.BigEndian.PutUint32(b[8:], ssrc)
		copy(b[12:], "what people say")
		r.show(toPeer, relayA, peerA, b)
	}
}

// handshake runs DTLS through the relay, with the client of TURN as that of DTLS, and
// returns the fingerprints of both.
func (r *rig) handshake(relay, peer netip.AddrPort) (own, other string) {
	r.t.Helper()
	left, right := dpipe.Pipe()
	a := tapped{left, func(b []byte) { r.show(true, relay, peer, b) }}
	b := tapped{right, func(b []byte) { r.show(false, relay, peer, b) }}
	certificates := []tls.Certificate{certificate(r.t), certificate(r.t)}
	var running sync.WaitGroup
	var errs [2]error
	var conns [2]*dtls.Conn
	for i, start := range []func() (*dtls.Conn, error){
		func() (*dtls.Conn, error) {
			return dtls.ClientWithOptions(dtlsnet.PacketConnFromConn(a), a.RemoteAddr(), dtls.WithCertificates(certificates[0]), dtls.WithInsecureSkipVerify(true),
				dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM))
		},
		func() (*dtls.Conn, error) {
			return dtls.ServerWithOptions(dtlsnet.PacketConnFromConn(b), b.RemoteAddr(), dtls.WithCertificates(certificates[1]), dtls.WithClientAuth(dtls.RequireAnyClientCert),
				dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM))
		},
	} {
		running.Go(func() {
			if conns[i], errs[i] = start(); errs[i] == nil {
				errs[i] = conns[i].Handshake()
			}
		})
	}
	running.Wait()
	for i, err := range errs {
		if err != nil {
			r.t.Fatalf("DTLS of side %d: %v", i, err)
		}
	}
	r.t.Cleanup(func() {
		_ = left.Close()
		_ = right.Close()
		_ = conns[0].Close()
		_ = conns[1].Close()
	})
	return fingerprint(certificates[0]), fingerprint(certificates[1])
}

type tapped struct {
	net.Conn
	pass func([]byte)
}

func (c tapped) Write(b []byte) (int, error) {
	c.pass(b)
	return c.Conn.Write(b)
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func fingerprint(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	var parts []string
	for _, b := range sum {
		parts = append(parts, fmt.Sprintf("%02X", b))
	}
	return "sha-256 " + strings.Join(parts, ":")
}
