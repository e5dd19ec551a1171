package bench

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/kernel/namespace"
)

// network is three hosts on this machine, each a network namespace: that of the
// relay, between those of the clients and of the peers, which have a wire of their
// own for the load that is sent straight to the sink.
//
//	clients (10.1.0.0/16) ── 10.9.1.0/30 ── relay ── 10.9.2.0/30 ── peers
//	        └───────────────── 10.9.3.0/30 ─────────────────────────┘
type network struct{ relay, clients, peers *namespace.Namespace }

var (
	manyClients = netip.MustParsePrefix("10.1.0.0/16")
	firstClient = netip.MustParseAddr("10.1.0.1")
	relayHost   = netip.MustParseAddr("10.9.1.2")
	peerHost    = netip.MustParseAddr("10.9.2.2")
)

// newNetwork makes the network. The packets that come in at the relay's interfaces
// are handled on the server's CPUs and the others' on the loader's, as a network
// card's interrupts would be.
func newNetwork(serverCPUs, loadCPUs []int) (_ *network, err error) {
	n := &network{}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	for _, to := range []**namespace.Namespace{&n.relay, &n.clients, &n.peers} {
		if *to, err = namespace.New(); err != nil {
			return nil, err
		}
	}
	end := func(at *namespace.Namespace, name, prefix string) namespace.End {
		return namespace.End{Namespace: at, Name: name, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}}
	}
	for _, pair := range [][2]namespace.End{
		{end(n.clients, "relay", "10.9.1.1/30"), end(n.relay, "clients", "10.9.1.2/30")},
		{end(n.peers, "relay", "10.9.2.2/30"), end(n.relay, "peers", "10.9.2.1/30")},
		{end(n.clients, "peers", "10.9.3.1/30"), end(n.peers, "clients", "10.9.3.2/30")},
	} {
		if err := namespace.Join(pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	via := netip.MustParseAddr
	for _, r := range []struct {
		at  *namespace.Namespace
		to  netip.Prefix
		via netip.Addr
	}{
		{n.clients, manyClients, netip.Addr{}},
		{n.clients, netip.PrefixFrom(peerHost, 32), via("10.9.3.2")},
		{n.peers, manyClients, via("10.9.3.1")},
		{n.peers, netip.PrefixFrom(relayHost, 32), via("10.9.2.1")},
		{n.relay, manyClients, via("10.9.1.1")},
	} {
		if err := r.at.Route(r.to, r.via); err != nil {
			return nil, err
		}
	}
	for _, s := range []struct {
		at         *namespace.Namespace
		interfaces []string
		cpus       []int
	}{
		{n.relay, []string{"clients", "peers"}, serverCPUs},
		{n.clients, []string{"relay", "peers"}, loadCPUs},
		{n.peers, []string{"relay", "clients"}, loadCPUs},
	} {
		if err := s.at.Do(func() error { return steer(s.interfaces, s.cpus) }); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *network) close() {
	for _, at := range []*namespace.Namespace{n.relay, n.clients, n.peers} {
		if at != nil {
			at.Close()
		}
	}
}

// steer has the packets that come in by interfaces of this thread's namespace be
// handled on some CPUs. What sysfs shows is the namespace's in which it was mounted.
func steer(interfaces []string, cpus []int) (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("steer packets: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("steer packets: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("steer packets: mount sysfs: %w", err)
	}
	for _, name := range interfaces {
		file := "/sys/class/net/" + name + "/queues/rx-0/rps_cpus"
		if err := os.WriteFile(file, []byte(mask(cpus)), 0); err != nil {
			return fmt.Errorf("steer packets: %w", err)
		}
	}
	return nil
}

// mask is a set of CPUs, as sysfs takes it: hexadecimal words of 32 bits, the highest
// first.
func mask(cpus []int) string {
	var words []uint32
	for _, c := range cpus {
		for len(words) <= c/32 {
			words = append(words, 0)
		}
		words[c/32] |= 1 << (c % 32)
	}
	var text []string
	for i := len(words) - 1; i >= 0; i-- {
		text = append(text, strconv.FormatUint(uint64(words[i]), 16))
	}
	return strings.Join(text, ",")
}
