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

// newNetwork makes the network. What its kernels do for a packet, they do on the CPU of
// the process that has sent it and in its account, forwarding in the kernel included,
// until steer says otherwise.
func newNetwork() (_ *network, err error) {
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
		// What clients and peers send comes one by one, as from a wire, and whoever
		// receives merges it again; what the relay sends, its card can cut.
		for _, e := range pair {
			err := e.Merging()
			if err == nil && e.Namespace != n.relay {
				err = e.OneByOne()
			}
			if err != nil {
				return nil, err
			}
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
	if err := n.relay.Do(mountSysfs); err != nil {
		return nil, err
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

// mountSysfs has this thread's namespace see its own interfaces in /sys.
func mountSysfs() error {
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("sysfs", "/sys", "sysfs", 0, "")
	}
	if err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	return nil
}

// steer has what comes in at the relay's host be handled on some CPUs, as a card's
// interrupts would, or, with none, on that of the process that has sent it.
func (n *network) steer(cpus []int) error {
	return n.relay.Do(func() error {
		for _, name := range []string{"clients", "peers"} {
			file := "/sys/class/net/" + name + "/queues/rx-0/rps_cpus"
			if err := os.WriteFile(file, []byte(mask(cpus)), 0); err != nil {
				return fmt.Errorf("steer packets: %w", err)
			}
		}
		return nil
	})
}

// mask is a set of CPUs, as sysfs takes it: hexadecimal words of 32 bits, the highest
// first.
func mask(cpus []int) string {
	words := make([]uint32, 1)
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
