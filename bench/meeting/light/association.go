package light

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/transport/v5/packetio"

	"github.com/callpath/callpath/relay/forward/srtp"
)

// association is a client's DTLS association, in which it is the client. For the DTLS
// library it is a net.PacketConn: the engine puts what comes, and sends what is written.
type association struct {
	engine *Engine
	client *Client
	remote netip.AddrPort
	buffer *packetio.Buffer
}

// backlog bounds the datagrams that were not read yet: a few flights.
const backlog = 64

func newAssociation(c *Client, remote netip.AddrPort) *association {
	a := &association{engine: c.engine, client: c, remote: remote, buffer: packetio.NewBuffer()}
	a.buffer.SetLimitCount(backlog)
	return a
}

// keying is what a handshake yields.
type keying struct {
	profile       srtp.Profile
	send, receive *srtp.Keys
}

// errFingerprint is what is wrong with a peer that is not who the answer said.
var errFingerprint = errors.New("the peer's certificate is not that of the answer")

// profiles are those that are offered, in order of preference.
var profiles = []srtp.Profile{srtp.AEADAES128GCM, srtp.AEADAES256GCM, srtp.AES128CMHMACSHA180}

// mtu is what fits through any path of the internet without fragments.
const mtu = 1200

// shake does the handshake. The connection is to be closed by the caller, also after an
// error when it is not nil.
func (a *association) shake(ctx context.Context, certificate tls.Certificate, fingerprint []byte) (*dtls.Conn, keying, error) {
	offered := make([]dtls.SRTPProtectionProfile, len(profiles))
	for i, p := range profiles {
		offered[i] = dtls.SRTPProtectionProfile(p)
	}
	conn, err := dtls.ClientWithOptions(a, net.UDPAddrFromAddrPort(a.remote),
		dtls.WithCertificates(certificate),
		dtls.WithSRTPProtectionProfiles(offered...),
		dtls.WithInsecureSkipVerify(true), // by chain: the fingerprint is what counts
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 {
				return errFingerprint
			}
			if sum := sha256.Sum256(raw[0]); !bytes.Equal(sum[:], fingerprint) {
				return errFingerprint
			}
			return nil
		}),
		dtls.WithMTU(mtu),
		// What goes wrong is told by errors.
		dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}),
	)
	if err != nil {
		return nil, keying{}, fmt.Errorf("DTLS: %w", err)
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return conn, keying{}, fmt.Errorf("DTLS handshake: %w", err)
	}
	selected, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return conn, keying{}, errors.New("DTLS: use_srtp (RFC 5764) was not negotiated")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return conn, keying{}, errors.New("DTLS: the association has no state")
	}
	k, err := derive(&state, srtp.Profile(selected))
	return conn, k, err
}

// derive makes the SRTP keys (RFC 5764, section 4.2): both keys, then both salts, the
// client's first.
func derive(state *dtls.State, profile srtp.Profile) (keying, error) {
	k, s := profile.KeySize(), profile.SaltSize()
	material, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*k+2*s)
	if err != nil {
		return keying{}, fmt.Errorf("SRTP keys: %w", err)
	}
	out := keying{profile: profile}
	if out.send, err = srtp.NewKeys(profile, material[:k], material[2*k:2*k+s]); err != nil {
		return out, err
	}
	out.receive, err = srtp.NewKeys(profile, material[k:2*k], material[2*k+s:])
	return out, err
}

// put gives a datagram to the library. One that does not fit is lost, as in a socket.
func (a *association) put(datagram []byte) { _, _ = a.buffer.Write(datagram, nil) }

// ReadFrom reads one datagram.
func (a *association) ReadFrom(p []byte) (int, net.Addr, error) {
	n, _, err := a.buffer.Read(p, nil)
	return n, a.RemoteAddr(), err
}

// WriteTo has the engine send a datagram to the peer, whatever the address.
func (a *association) WriteTo(p []byte, _ net.Addr) (int, error) {
	kept := slices.Clone(p)
	if !a.engine.post(func() { a.client.send(kept) }) {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

// RemoteAddr is the peer's.
func (a *association) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(a.remote) }

// LocalAddr is the client's.
func (a *association) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(a.client.local)
}

// Close ends reading.
func (a *association) Close() error { return a.buffer.Close() }

// SetDeadline sets the deadline for reading; writing does not wait.
func (a *association) SetDeadline(t time.Time) error { return a.buffer.SetReadDeadline(t) }

// SetReadDeadline sets the deadline for reading.
func (a *association) SetReadDeadline(t time.Time) error { return a.buffer.SetReadDeadline(t) }

// SetWriteDeadline does nothing, as writing does not wait.
func (a *association) SetWriteDeadline(time.Time) error { return nil }
