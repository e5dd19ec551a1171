//go:build linux

package kernel

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/kernel/namespace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// host is a namespace with a way through the kernel, and a wire to another, on which
// clients and peers are.
type host struct {
	near, far *namespace.Namespace
	*Path
}

var (
	prefixes    = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}
	farPrefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64")}
)

// newHost makes both, or skips the test where the system does not let it.
func newHost(t testing.TB, cfg Config) *host {
	t.Helper()
	h := &host{}
	for _, to := range []**namespace.Namespace{&h.near, &h.far} {
		n, err := namespace.New()
		if errors.Is(err, unix.EPERM) {
			t.Skipf("the way through the kernel is tested with root's rights: %v", err)
		}
		ok(t, err)
		t.Cleanup(n.Close)
		*to = n
	}
	ok(t, namespace.Join(
		namespace.End{Namespace: h.near, Name: "wire", Prefixes: prefixes},
		namespace.End{Namespace: h.far, Name: "wire", Prefixes: farPrefixes}))
	h.Path = h.open(t, cfg)
	return h
}

func (h *host) open(t testing.TB, cfg Config) *Path {
	t.Helper()
	var p *Path
	err := h.near.Do(func() (err error) {
		p, err = Open(cfg)
		return err
	})
	if errors.Is(err, unix.EPERM) || errors.Is(err, ebpf.ErrNotSupported) {
		t.Skipf("nothing can be forwarded in the kernel here: %v", err)
	}
	ok(t, err)
	t.Cleanup(func() { ok(t, p.Close()) })
	return p
}

// run has the program take a frame, and returns what it says and what the frame is
// then.
func (h *host) run(t testing.TB, frame []byte) (verdict int32, out []byte) {
	t.Helper()
	verdict, out, err := h.try(frame)
	ok(t, err)
	return verdict, out
}

// try is run where the system may not make a packet of the frame.
func (h *host) try(frame []byte) (verdict int32, out []byte, err error) {
	err = h.near.Do(func() error {
		opts := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
		v, err := h.collection.Programs["forward"].Run(&opts)
		verdict, out = int32(v), opts.DataOut
		return err
	})
	return verdict, out, err
}

// What the program says.
const (
	left      = -1 // to the sockets
	dropped   = 2
	forwarded = 7
)

// flow is what the tests bind.
type ends struct{ client, server, relay, peer netip.AddrPort }

var (
	flow4 = ends{
		netip.MustParseAddrPort("192.0.2.2:40000"), netip.MustParseAddrPort("192.0.2.1:3478"),
		netip.MustParseAddrPort("192.0.2.1:50001"), netip.MustParseAddrPort("192.0.2.2:41001"),
	}
	flow6 = ends{
		netip.MustParseAddrPort("[2001:db8::2]:40000"), netip.MustParseAddrPort("[2001:db8::1]:3478"),
		netip.MustParseAddrPort("[2001:db8::1]:50001"), netip.MustParseAddrPort("[2001:db8::2]:41001"),
	}
)

const number = 0x4001

func (e ends) channel() Channel {
	return Channel{Number: number, Client: e.client, Server: e.server, Relay: e.relay, Peer: e.peer}
}

// change changes the layers of a frame before they are put together.
type change func(*layers.Ethernet, *layers.IPv4, *layers.IPv6, *layers.UDP)

// frame is a whole frame of UDP, with its checksums.
func frame(t testing.TB, from, to netip.AddrPort, payload []byte, changes ...change) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4}
	ip4 := &layers.IPv4{Version: 4, TTL: 64, TOS: 0xb9, Id: 4711, Protocol: layers.IPProtocolUDP, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice()}
	ip6 := &layers.IPv6{Version: 6, HopLimit: 64, TrafficClass: 0xb9, FlowLabel: 0x12345, NextHeader: layers.IPProtocolUDP, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice()}
	udp := &layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}
	for _, c := range changes {
		c(eth, ip4, ip6, udp)
	}
	var network interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	} = ip4
	if from.Addr().Is6() {
		eth.EthernetType, network = layers.EthernetTypeIPv6, ip6
	}
	ok(t, udp.SetNetworkLayerForChecksum(network))
	b := gopacket.NewSerializeBuffer()
	ok(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, network, udp, gopacket.Payload(payload)))
	// Without the padding that a wire wants.
	size := 14 + 20 + 8 + len(payload)
	if from.Addr().Is6() {
		size += 20
	}
	if ip4.Options != nil {
		size += 4
	}
	return b.Bytes()[:size]
}

// sent are the header fields of what the relay sends in place of what frame makes.
func sent(label uint32) change {
	return func(_ *layers.Ethernet, ip4 *layers.IPv4, ip6 *layers.IPv6, _ *layers.UDP) {
		ip4.TTL, ip4.Id, ip4.Flags = ip4.TTL-1, 0, layers.IPv4DontFragment
		ip6.HopLimit, ip6.FlowLabel = ip6.HopLimit-1, label
	}
}
