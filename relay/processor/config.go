package processor

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/negotiation"
)

// Config says what a Processor works with. Only Sockets is needed.
type Config struct {
	// Sockets are the UDP sockets for media, which Run closes. Each has a goroutine, and
	// a conference lives on one of them, so that no two goroutines touch one flow. A
	// socket of IPv4 and one of IPv6 are a pair that serves the same conferences: the
	// first with the first, and so on; one socket for both families is cheaper. A
	// *net.UDPConn is read and written in batches; any other net.PacketConn, such as
	// one of a simulated host, datagram by datagram.
	Sockets []net.PacketConn
	// Public are the host candidates: the addresses at which clients reach the sockets.
	// With one socket all are its own (an IPv4 and an IPv6 address of a socket for
	// both); with several there is one for each, in their order. By default they are
	// the sockets' local addresses, which must then not be unspecified.
	Public []netip.AddrPort
	// Region is the hosting region, for events and logs.
	Region string
	// Certificate is the DTLS certificate. By default one is made (ECDSA, P-256).
	Certificate *tls.Certificate
	// Profiles are the SRTP protection profiles in order of preference. By default
	// AEAD_AES_256_GCM, AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80.
	Profiles []srtp.Profile
	// Limits bound what clients can make the processor hold.
	Limits Limits
	// OnLayout is told which participant is on which slot, whenever that changes;
	// OnEvent what happens to participants. One goroutine calls both, in order. They
	// may call the Processor; while they do not return, what follows waits in memory.
	OnLayout func(Layout)
	OnEvent  func(Event)
	// Recorder returns a recorder for a participant's leg, or nil. It is shown the
	// leg's ICE checks and DTLS handshake, and the beginning of its media. It is called
	// while the socket waits, and must be quick.
	Recorder func(conference, participant string) *negotiation.Recorder
	// Now is the clock; time.Now by default. Rand is what identifiers and credentials
	// are made of; crypto/rand by default.
	Now  func() time.Time
	Rand io.Reader
	// Log gets the events, without keys, credentials or media; nil discards.
	Log *slog.Logger
}

// Limits bound what a Processor holds. A field that is 0 has its default.
type Limits struct {
	// Conferences is how many there may be at once; 1000 by default.
	Conferences int
	// Participants is how many one conference may have; 500 by default.
	Participants int
	// Media is how many m-lines an offer may have; 128 by default.
	Media int
	// Handshakes is how many DTLS handshakes from addresses that are no participant's
	// yet may go on at once on a socket; 64 by default.
	Handshakes int
	// Connect is how long a participant may take from the answer to verified keys; 30 s
	// by default. Consent is after how long without a valid check a participant is
	// taken away (RFC 7675 section 5.1); 30 s by default.
	Connect, Consent time.Duration
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Conferences, 1000}, {&l.Participants, 500}, {&l.Media, 128}, {&l.Handshakes, 64}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	for _, d := range []*time.Duration{&l.Connect, &l.Consent} {
		if *d <= 0 {
			*d = 30 * time.Second
		}
	}
	return l
}

// Join is a participant's wish to send and receive media.
type Join struct {
	// Conference and Participant are the caller's names, which are not empty. Who may
	// join what has been decided.
	Conference, Participant string
	// Offer is the SDP that the client made (package description says what it must have).
	Offer string
	// Mix asks for one stream of audio with all others in it, without the participant's
	// own voice, instead of a stream for each of them.
	Mix bool
	// Latching is for peers without ICE, such as a trunk's: the offer has no
	// credentials, and the peer's address is where a DTLS handshake comes from that
	// proves to have the offer's certificate (RFC 7362 calls this latching).
	Latching bool
}

// ErrClosed is returned after Run has ended.
var ErrClosed = errors.New("the media processor has ended")

// ErrFull is what is wrong when a limit is reached.
var ErrFull = errors.New("the media processor is full")

func (c *Config) complete() error {
	if len(c.Sockets) == 0 {
		return errors.New("Config.Sockets is empty; at least one UDP socket is needed")
	}
	if len(c.Sockets) > 1 && len(c.Public) > 0 && len(c.Public) != len(c.Sockets) {
		return fmt.Errorf("Config.Public has %d addresses for %d sockets; valid: none, or one for each", len(c.Public), len(c.Sockets))
	}
	if len(c.Public) == 0 {
		for _, s := range c.Sockets {
			local, err := netip.ParseAddrPort(s.LocalAddr().String())
			if err != nil {
				return fmt.Errorf("socket %v: %w", s.LocalAddr(), err)
			}
			if local.Addr().IsUnspecified() {
				return fmt.Errorf("socket %v has no address to offer; Config.Public must name it", local)
			}
			c.Public = append(c.Public, netip.AddrPortFrom(local.Addr().Unmap(), local.Port()))
		}
	}
	if len(c.Profiles) == 0 {
		c.Profiles = []srtp.Profile{srtp.AEADAES256GCM, srtp.AEADAES128GCM, srtp.AES128CMHMACSHA180}
	}
	for _, p := range c.Profiles {
		if p.KeySize() == 0 {
			return fmt.Errorf("Config.Profiles: %v is not supported", p)
		}
	}
	c.Limits = c.Limits.withDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = randReader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Certificate == nil {
		made, err := newCertificate()
		if err != nil {
			return err
		}
		c.Certificate = made
	}
	return nil
}
