package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// The stack's settings that differ from gVisor's defaults.
const (
	// Ephemeral ports are IANA's dynamic range (RFC 6335, section 6), as on
	// Windows and macOS.
	firstEphemeral = 49152
	lastEphemeral  = 65535

	// bufferSize is a socket's buffer in each direction, and maxBufferSize
	// what it may grow or be set to. TCP at 100 MB/s over 40 ms needs 4 MB.
	bufferSize    = 1 << 20
	maxBufferSize = 8 << 20

	// synRetries bounds how long a connection attempt into silence lasts:
	// 1 + 2 + 4 + 8 = 15 s, near Windows' 21 s. Linux takes two minutes, which
	// nobody waits for in a call.
	synRetries = 3

	loopbackNIC  tcpip.NICID = 1
	loopbackName             = "lo"
	loopbackMTU              = 65536
)

// newStack makes a stack with only a loopback interface.
func newStack(cfg Config) (*stack.Stack, error) {
	name := fnv.New64a()
	name.Write([]byte(cfg.Name))
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol,
			// The zero options switch router solicitation, duplicate address
			// detection and link-local addresses off.
			ipv6.NewProtocolWithOptions(ipv6.Options{}),
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		// Packets from the host to itself stay inside.
		HandleLocal: true,
		RandSource:  &source{r: rand.NewPCG(cfg.Seed, name.Sum64())},
		SecureRNG:   newRandomBytes(cfg.Seed, name.Sum64()),
	})
	if err := configure(s); err != nil {
		s.Destroy()
		return nil, err
	}
	return s, nil
}

func configure(s *stack.Stack) error {
	// In the pinned version a sender may stall for good after a loss: by RACK
	// when the round trip is short (google/gvisor#6113), and by CUBIC's window
	// arithmetic (google/gvisor#11632). SACK with Reno does not.
	sack := tcpip.TCPSACKEnabled(true)
	rack := tcpip.TCPRecovery(0)
	reno := tcpip.CongestionControlOption("reno")
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	syn := tcpip.TCPSynRetriesOption(synRetries)
	for _, o := range []tcpip.SettableTransportProtocolOption{
		&sack, &rack, &reno, &moderate, &syn,
		&tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: bufferSize, Max: maxBufferSize},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: bufferSize, Max: maxBufferSize},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("TCP option %T: %s", o, err)
		}
	}
	for _, o := range []any{
		tcpip.SendBufferSizeOption{Min: stack.MinBufferSize, Default: bufferSize, Max: maxBufferSize},
		tcpip.ReceiveBufferSizeOption{Min: stack.MinBufferSize, Default: bufferSize, Max: maxBufferSize},
	} {
		if err := s.SetOption(o); err != nil {
			return fmt.Errorf("stack option %T: %s", o, err)
		}
	}
	if err := s.SetPortRange(firstEphemeral, lastEphemeral); err != nil {
		return errors.New(err.String())
	}
	if err := s.CreateNICWithOptions(loopbackNIC, loopback.New(), stack.NICOptions{Name: loopbackName}); err != nil {
		return fmt.Errorf("loopback: %s", err)
	}
	for _, p := range loopbackAddresses() {
		if err := s.AddProtocolAddress(loopbackNIC, protocolAddress(p), stack.AddressProperties{}); err != nil {
			return fmt.Errorf("loopback address %s: %s", p, err)
		}
	}
	return nil
}

func loopbackAddresses() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 8),
		netip.PrefixFrom(netip.IPv6Loopback(), 128),
	}
}

// source is a seeded math/rand Source that is safe for concurrent use.
type source struct {
	mu sync.Mutex
	r  *rand.PCG
}

func (s *source) Int63() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.r.Uint64() >> 1)
}

// Seed is part of the interface and never called.
func (s *source) Seed(int64) {}

// randomBytes stands in for the system's random device, seeded. The stack
// chooses ports and sequence numbers from it.
type randomBytes struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func newRandomBytes(seed, name uint64) *randomBytes {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], seed)
	binary.LittleEndian.PutUint64(key[8:], name)
	return &randomBytes{r: rand.NewChaCha8(key)}
}

func (b *randomBytes) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.r.Read(p)
}
