package processor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/transport/v5/packetio"

	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/processor/description"
)

// association is a DTLS association, in which the processor is the server. Its goroutine
// does the handshake, and waits for the peer's end after it. It is a net.PacketConn for
// the DTLS library: what the worker puts is read, what is written goes to the leg's
// address of the moment.
type association struct {
	w      *worker
	buffer *packetio.Buffer
	cancel context.CancelFunc
	remote atomic.Pointer[netip.AddrPort]
	over   atomic.Uint64
	// want are the fingerprints of the leg's offer; nil when the certificate says which
	// leg it is.
	want []description.Fingerprint
	leg  *leg // of the worker's goroutine; nil before it is known
}

// handshaken is how a handshake ended.
type handshaken struct {
	err           error
	mismatch      bool
	latched       *leg
	receive, send *srtp.Keys
	negotiated    Negotiated
}

// backlog bounds the datagrams that an association has not read yet: a few flights.
const backlog = 64

// errMismatch is told to the peer as bad_certificate.
var errMismatch = errors.New("the certificate is not that of the offer")

// handshake begins an association, whose first datagram comes then.
func (w *worker) handshake(l *leg, from netip.AddrPort, want []description.Fingerprint) *association {
	ctx, cancel := context.WithCancel(context.Background())
	a := &association{w: w, buffer: packetio.NewBuffer(), cancel: cancel, want: want, leg: l}
	a.buffer.SetLimitCount(backlog)
	a.move(from)
	if l != nil {
		a.move(l.remote)
	}
	w.running.Go(func() {
		defer cancel()
		a.run(ctx)
	})
	return a
}

// put gives a datagram to the association. When it does not keep up, the datagram is
// lost, as in a socket's buffer.
func (a *association) put(datagram []byte) {
	if _, err := a.buffer.Write(datagram, nil); err != nil {
		a.over.Add(1)
	}
}

func (a *association) lost() uint64 {
	if a == nil {
		return 0
	}
	return a.over.Load()
}

func (a *association) move(to netip.AddrPort) {
	if a != nil {
		a.remote.Store(&to)
	}
}

// close ends the association; its goroutine says goodbye.
func (a *association) close() {
	if a != nil {
		a.cancel()
	}
}

// run does the handshake and waits for the end.
func (a *association) run(ctx context.Context) {
	defer a.buffer.Close()
	result := handshaken{}
	conn, err := a.shake(ctx, &result)
	if err != nil && result.err == nil {
		result.err = err
	}
	a.w.post(func() { a.w.shaken(a, result) })
	if conn == nil {
		return
	}
	if result.err == nil {
		stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
		a.drain(ctx, conn)
		stop()
	}
	_ = conn.Close()
	a.w.post(func() { a.w.hungUp(a) })
}

// drain reads until the peer's close_notify: no application data is expected.
func (a *association) drain(ctx context.Context, conn net.Conn) {
	var b [largest / 8]byte
	for ctx.Err() == nil {
		_, err := conn.Read(b[:])
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, dtls.ErrConnClosed) {
			return
		}
	}
}

// shake does the handshake, and takes its keys.
func (a *association) shake(ctx context.Context, result *handshaken) (*dtls.Conn, error) {
	cfg := &a.w.p.cfg
	profiles := make([]dtls.SRTPProtectionProfile, len(cfg.Profiles))
	for i, p := range cfg.Profiles {
		profiles[i] = dtls.SRTPProtectionProfile(p)
	}
	remote := *a.remote.Load()
	conn, err := dtls.ServerWithOptions(a, net.UDPAddrFromAddrPort(remote),
		dtls.WithCertificates(*cfg.Certificate),
		dtls.WithSRTPProtectionProfiles(profiles...),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), // by chain: the fingerprint is what counts
		dtls.WithVerifyPeerCertificate(a.verify(result)),
		dtls.WithMTU(mtu),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Limits.Connect)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return conn, err
	}
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return conn, errors.New("use_srtp (RFC 5764) was not negotiated")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return conn, errors.New("the DTLS association has no state")
	}
	return conn, result.keys(&state, srtp.Profile(profile))
}

// mtu is what fits through any path of the internet without fragments.
const mtu = 1200

// keys derives the SRTP keys (RFC 5764, section 4.2): both keys, then both salts, the
// client's first.
func (h *handshaken) keys(state *dtls.State, profile srtp.Profile) error {
	k, s := profile.KeySize(), profile.SaltSize()
	material, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*k+2*s)
	if err != nil {
		return fmt.Errorf("SRTP keys: %w", err)
	}
	if h.receive, err = srtp.NewKeys(profile, material[:k], material[2*k:2*k+s]); err != nil {
		return err
	}
	if h.send, err = srtp.NewKeys(profile, material[k:2*k], material[2*k+s:]); err != nil {
		return err
	}
	h.negotiated.Version = "DTLS 1.2" // the library has no other
	h.negotiated.CipherSuite = dtls.CipherSuiteName(state.CipherSuiteID)
	h.negotiated.SRTPProfile = profile.String()
	return nil
}

// verify compares the peer's certificate with the offer's fingerprints (RFC 8122, section
// 6.2); that the peer has its key, the handshake proves.
func (a *association) verify(result *handshaken) func([][]byte, [][]*x509.Certificate) error {
	return func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 {
			return errors.New("no certificate")
		}
		if a.want == nil {
			l, f := a.w.latches.find(raw[0])
			if l == nil {
				result.mismatch, result.err = true, errMismatch
				return errMismatch
			}
			result.latched, result.negotiated.Fingerprint = l, f.String()
			return nil
		}
		f, ok := matching(a.want, raw[0])
		if !ok {
			result.mismatch = true
			result.err = fmt.Errorf("%w: it is %v", errMismatch, description.FingerprintOf(a.want[0].Algorithm, raw[0]))
			return errMismatch
		}
		result.negotiated.Fingerprint = f.String()
		return nil
	}
}

func matching(want []description.Fingerprint, certificate []byte) (description.Fingerprint, bool) {
	for _, f := range want {
		if description.FingerprintOf(f.Algorithm, certificate) == f {
			return f, true
		}
	}
	return description.Fingerprint{}, false
}

// shaken takes the end of a handshake, in the worker's goroutine.
func (w *worker) shaken(a *association, result handshaken) {
	at := *a.remote.Load()
	if a.leg == nil {
		if w.pending[at] == a {
			delete(w.pending, at)
		}
		l := result.latched
		// Anybody can show a certificate that was sent in the clear. Who has not come to the
		// end of a handshake has not proved to have its key, and must not end the leg.
		if result.err != nil || l == nil || l.association != nil || l.state == over {
			w.drop(DropStranger)
			reason := "no participant waits for this certificate"
			if result.err != nil {
				reason = result.err.Error()
			}
			w.event(Event{Kind: EventFailed, Remote: at, Reason: reason})
			a.close()
			return
		}
		// The address is the leg's now (RFC 7362, section 4).
		w.latches.remove(l)
		a.leg, l.association = l, a
		l.paths = append(l.paths, at)
		w.byAddr[at] = l
		l.move(at, true)
	}
	a.leg.secured(a, result)
}

// hungUp takes the end of an association that was complete.
func (w *worker) hungUp(a *association) {
	if a.leg != nil && a.leg.association == a {
		a.leg.on(closed, "the peer has closed DTLS")
	}
}

// latches are the legs without ICE whose peers have not come yet. Handshakes look here
// from their own goroutines.
type latches struct {
	mu   sync.Mutex // guards legs
	legs []latch
}

type latch struct {
	leg          *leg
	fingerprints []description.Fingerprint
}

// add refuses a certificate for which another leg waits: its media could get into the other's
// conference. Another leg of the same participant may, which is about to be replaced.
func (t *latches) add(l *leg, fingerprints []description.Fingerprint) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, one := range t.legs {
		if !slices.ContainsFunc(one.fingerprints, func(f description.Fingerprint) bool { return slices.Contains(fingerprints, f) }) {
			continue
		}
		if one.leg.conference != l.conference || one.leg.name != l.name {
			return errors.New("another participant waits for a handshake with the same certificate; valid: one certificate for each until it is connected")
		}
		t.legs[i].fingerprints = nil
	}
	t.legs = append(t.legs, latch{l, fingerprints})
	return nil
}

func (t *latches) remove(l *leg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.legs = slices.DeleteFunc(t.legs, func(one latch) bool { return one.leg == l })
}

func (t *latches) empty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.legs) == 0
}

func (t *latches) find(certificate []byte) (*leg, description.Fingerprint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.legs {
		if f, ok := matching(one.fingerprints, certificate); ok {
			return one.leg, f
		}
	}
	return nil, description.Fingerprint{}
}

// ReadFrom reads one datagram, for the DTLS library.
func (a *association) ReadFrom(p []byte) (int, net.Addr, error) {
	n, _, err := a.buffer.Read(p, nil)
	return n, a.RemoteAddr(), err
}

// WriteTo sends a datagram to the leg, whatever the address.
func (a *association) WriteTo(p []byte, _ net.Addr) (int, error) {
	to := *a.remote.Load()
	if err := a.w.port.WriteTo(p, to); err != nil {
		return 0, err
	}
	kept := slices.Clone(p)
	a.w.post(func() {
		if a.leg != nil {
			a.leg.tape(true, to, kept)
		}
	})
	return len(p), nil
}

// RemoteAddr is where the leg is.
func (a *association) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(*a.remote.Load()) }

// Close ends reading.
func (a *association) Close() error { return a.buffer.Close() }

// LocalAddr is the worker's first address.
func (a *association) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(a.w.public[0]) }

// SetDeadline sets the deadline for reading; writing does not wait.
func (a *association) SetDeadline(t time.Time) error { return a.buffer.SetReadDeadline(t) }

// SetReadDeadline sets the deadline for reading.
func (a *association) SetReadDeadline(t time.Time) error { return a.buffer.SetReadDeadline(t) }

// SetWriteDeadline does nothing, as writing does not wait.
func (a *association) SetWriteDeadline(time.Time) error { return nil }
