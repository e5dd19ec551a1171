package older

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/packetio"

	"github.com/callpath/callpath/scenarios/participant/endpoint"
)

// handshakeTime bounds the DTLS handshake.
const handshakeTime = 15 * time.Second

// packetSize is the largest packet that is read.
const packetSize = 1500

// start connects ICE and then secures the connection, in a goroutine.
func (e *Endpoint) start(controlling, client bool) {
	e.started = true
	peer := e.peer()
	e.running.Go(func() {
		e.cfg.Events.State(endpoint.Connecting, "")
		connect := e.agent.Accept
		if controlling {
			connect = e.agent.Dial
		}
		conn, err := connect(e.ctx, peer.ufrag, peer.pwd)
		if err != nil {
			return // the agent's state has told why
		}
		handshake := newFlight(conn)
		e.running.Go(func() { e.read(conn, handshake) })
		if err := e.secure(handshake, client); err != nil && e.ctx.Err() == nil {
			e.cfg.Recorder.Failure("dtls", err.Error())
			e.cfg.Events.State(endpoint.Failed, "DTLS: "+err.Error())
		}
	})
}

// state translates the agent's.
func (e *Endpoint) state(s ice.ConnectionState) {
	e.mu.Lock()
	up := e.secured != nil
	e.mu.Unlock()
	switch s {
	case ice.ConnectionStateConnected:
		if up {
			e.cfg.Events.State(endpoint.Connected, "")
		}
	case ice.ConnectionStateDisconnected:
		e.cfg.Events.State(endpoint.Disconnected, "")
	case ice.ConnectionStateFailed:
		reason := "ICE: no candidate pair got an answer"
		if up {
			reason = "ICE: no answer on the selected pair any more"
		}
		e.cfg.Events.State(endpoint.Failed, reason)
	}
}

// secured is what the handshake gave.
type secured struct {
	dtls *dtls.Conn
	conn net.Conn // ICE's

	sending sync.Mutex
	out     *srtp.Context

	// The following are the reader's.
	in      *srtp.Context
	readers map[uint32]interceptor.RTPReader // by SSRC
}

// secure makes the handshake and takes SRTP's keys from it (RFC 5764).
func (e *Endpoint) secure(conn *flight, client bool) error {
	cfg, err := e.dtlsConfig()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(e.ctx, handshakeTime)
	defer cancel()
	handshake := dtls.ServerWithContext
	if client {
		handshake = dtls.ClientWithContext
	}
	d, err := handshake(ctx, conn, cfg)
	if err != nil {
		return err
	}
	up, err := keys(d, client)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	up.conn = conn.Conn
	e.mu.Lock()
	e.secured = up
	e.mu.Unlock()
	if e.ctx.Err() != nil {
		return d.Close() // Close came first, and did not see it
	}
	e.running.Go(func() { e.alerts(d) })
	e.cfg.Events.State(endpoint.Connected, "")
	return nil
}

// alerts reads what comes after the handshake: no data, but alerts.
func (e *Endpoint) alerts(d *dtls.Conn) {
	buffer := make([]byte, packetSize)
	for {
		if _, err := d.Read(buffer); err != nil {
			if !errors.Is(err, io.EOF) && e.ctx.Err() == nil {
				e.cfg.Recorder.Failure("dtls", err.Error())
			}
			return
		}
	}
}

// cbc are the suites of the old days, for either kind of certificate.
var cbc = [...]dtls.CipherSuiteID{dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, dtls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA}

func (e *Endpoint) dtlsConfig() (*dtls.Config, error) {
	cfg := &dtls.Config{
		Certificates:          []tls.Certificate{e.certificate},
		CipherSuites:          cbc[:],
		ExtendedMasterSecret:  dtls.RequestExtendedMasterSecret,
		ClientAuth:            dtls.RequireAnyClientCert,
		InsecureSkipVerify:    true, // the fingerprint takes the place of a chain
		VerifyPeerCertificate: e.verify,
		KeyLogWriter:          e.cfg.KeyLogWriter(),
		LoggerFactory:         e.loggers,
	}
	suites, err := endpoint.CipherSuites(e.cfg.Spec.DTLS.CipherSuites)
	if err != nil {
		return nil, err
	}
	if suites != nil {
		cfg.CipherSuites = nil
		for _, id := range suites {
			cfg.CipherSuites = append(cfg.CipherSuites, dtls.CipherSuiteID(id))
		}
	}
	profiles, err := endpoint.Profiles(e.cfg.Spec)
	for _, p := range profiles {
		cfg.SRTPProtectionProfiles = append(cfg.SRTPProtectionProfiles, dtls.SRTPProtectionProfile(p))
	}
	return cfg, err
}

// verify holds the certificate against the description's fingerprint (RFC 5763,
// section 5; RFC 8122).
func (e *Endpoint) verify(raw [][]byte, _ [][]*x509.Certificate) error {
	peer := e.peer()
	makeHash, ok := map[string]func() hash.Hash{"sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New}[strings.ToLower(peer.hash)]
	if !ok {
		return fmt.Errorf("the fingerprint's hash %q is unknown", peer.hash)
	}
	if len(raw) == 0 {
		return errors.New("the other side has shown no certificate")
	}
	h := makeHash()
	h.Write(raw[0])
	if seen := colons(h.Sum(nil)); !strings.EqualFold(seen, strings.TrimSpace(peer.fingerprint)) {
		return errors.New("the certificate does not match the description's fingerprint")
	}
	return nil
}

// replayWindow is SRTP's (RFC 3711, section 3.3.2: at least 64); more lets
// retransmissions in.
const replayWindow = 1024

// keys takes SRTP's keys from a handshake.
func keys(d *dtls.Conn, client bool) (*secured, error) {
	chosen, ok := d.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, errors.New("no SRTP profile was agreed on")
	}
	profile := srtp.ProtectionProfile(chosen)
	cfg := srtp.Config{Profile: profile}
	state := d.ConnectionState()
	if err := cfg.ExtractSessionKeysFromDTLS(&state, client); err != nil {
		return nil, fmt.Errorf("keys of SRTP: %w", err)
	}
	out, err := srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, profile)
	if err != nil {
		return nil, fmt.Errorf("SRTP: %w", err)
	}
	in, err := srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(64))
	if err != nil {
		return nil, fmt.Errorf("SRTP: %w", err)
	}
	return &secured{dtls: d, out: out, in: in, readers: map[uint32]interceptor.RTPReader{}}, nil
}

// read sorts what ICE brings by its first byte (RFC 7983, section 7) until the
// agent is closed.
func (e *Endpoint) read(conn net.Conn, handshake *flight) {
	defer handshake.end()
	buffer := make([]byte, packetSize)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if n == 0 {
			continue
		}
		packet, arrived := buffer[:n], time.Now()
		switch first := packet[0]; {
		case first >= 20 && first <= 63:
			handshake.put(packet)
		case first >= 128 && first <= 191:
			e.mu.Lock()
			up := e.secured
			e.mu.Unlock()
			if up != nil {
				e.protected(up, bytes.Clone(packet), arrived)
			}
		}
	}
}

// flight is the connection as DTLS sees it: its own packets only.
type flight struct {
	net.Conn
	in *packetio.Buffer
}

func newFlight(conn net.Conn) *flight { return &flight{Conn: conn, in: packetio.NewBuffer()} }

// put drops the packet when the buffer is full or closed: DTLS sends again.
func (f *flight) put(packet []byte) { _, _ = f.in.Write(packet, nil) }

func (f *flight) end() { _ = f.in.Close() }

func (f *flight) Read(p []byte) (int, error) {
	n, _, err := f.in.Read(p, nil)
	return n, err
}

func (f *flight) SetReadDeadline(t time.Time) error { return f.in.SetReadDeadline(t) }

func (f *flight) SetDeadline(t time.Time) error { return f.in.SetReadDeadline(t) }

// Close leaves the connection to ICE.
func (f *flight) Close() error { return f.in.Close() }

// addrPort is the zero AddrPort when there is no address.
func addrPort(address string, port int) netip.AddrPort {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, uint16(port))
}
