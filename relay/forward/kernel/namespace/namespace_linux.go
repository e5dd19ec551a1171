package namespace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace with lo and what Join adds. Its methods are safe
// for concurrent use.
type Namespace struct {
	fd   int
	work chan func()
	done chan struct{}
	once sync.Once
}

// New makes a namespace. The error is the system's when this process may not.
func New() (*Namespace, error) {
	n := &Namespace{fd: -1, work: make(chan func()), done: make(chan struct{})}
	made := make(chan error)
	go n.run(made)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	return n, nil
}

// run is a thread that is in the namespace, and ends with this goroutine. Processes
// that it starts may be bound to its life.
func (n *Namespace) run(made chan<- error) {
	defer close(n.done)
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		err = up("lo")
	}
	made <- err
	if err != nil {
		return
	}
	for do := range n.work {
		do()
	}
}

// Close ends this process's hold on the namespace.
func (n *Namespace) Close() {
	n.once.Do(func() {
		close(n.work)
		<-n.done
		unix.Close(n.fd)
	})
}

// Do does something on a thread in the namespace, one thing at a time. Sockets that
// are opened and processes that are started there belong to it. Do must not be called
// after Close, or within Do.
func (n *Namespace) Do(do func() error) error {
	result := make(chan error, 1)
	n.work <- func() { result <- do() }
	return <-result
}

// Enter puts the calling goroutine into the namespace for the rest of its life. It
// keeps its thread, which ends with it.
func (n *Namespace) Enter() error {
	runtime.LockOSThread()
	if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}

// Path is a file that stands for the namespace, for processes that run while it is
// open here.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.fd) }

// Within does something on a thread in the namespace that a path stands for.
func Within(path string, do func() error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	defer unix.Close(fd)
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter network namespace %s: %w", path, err)
			return
		}
		result <- do()
	}()
	return <-result
}

// ListenPacket opens a socket in the namespace, as net.ListenConfig does.
func (n *Namespace) ListenPacket(ctx context.Context, network, address string) (conn net.PacketConn, err error) {
	err = n.Do(func() (err error) {
		conn, err = (&net.ListenConfig{}).ListenPacket(ctx, network, address)
		return err
	})
	return conn, err
}

// End is one end of a veth pair.
type End struct {
	*Namespace
	// Name is the interface's, unique in its namespace; Prefixes are its addresses.
	Name     string
	Prefixes []netip.Prefix
}

// Join joins two namespaces by a veth pair, which is up when Join returns. It is gone
// with either namespace. Messages that a process has sent for a card to cut (UDP_SEGMENT)
// cross it whole.
func Join(a, b End) error {
	err := a.Do(func() error {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: a.Name, NumRxQueues: 1, NumTxQueues: 1}, PeerName: b.Name, PeerNamespace: netlink.NsFd(b.fd)}
		return netlink.LinkAdd(pair)
	})
	for _, e := range []End{a, b} {
		if err == nil {
			// An end of a veth pair merges only what comes from one that does not cut
			// runs of TCP.
			err = e.Do(func() error {
				return errors.Join(toggle(e.Name, unix.ETHTOOL_STSO, false), e.address(), up(e.Name))
			})
		}
	}
	if err != nil {
		return fmt.Errorf("veth pair %s, %s: %w", a.Name, b.Name, err)
	}
	return nil
}

func (e End) address() error {
	l, err := netlink.LinkByName(e.Name)
	if err != nil {
		return err
	}
	for _, p := range e.Prefixes {
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD // nobody else is there
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			return fmt.Errorf("address %v: %w", p, err)
		}
	}
	return nil
}

// OneByOne has packets leave an interface one by one, as they cross a wire: the kernel
// cuts what a process has sent as one for the card to cut.
func (e End) OneByOne() error {
	return e.Do(func() error {
		l, err := netlink.LinkByName(e.Name)
		if err == nil {
			err = netlink.LinkSetGSOMaxSegs(l, 1)
		}
		if err != nil {
			return fmt.Errorf("interface %s: segmentation: %w", e.Name, err)
		}
		return nil
	})
}

// Merging has the kernel merge what comes in at an interface, as it does with a card's
// packets, for those who can take it (UDP_GRO).
func (e End) Merging() error {
	return e.Do(func() error {
		if err := toggle(e.Name, unix.ETHTOOL_SGRO, true); err != nil {
			return fmt.Errorf("interface %s: merging: %w", e.Name, err)
		}
		return nil
	})
}

// ChecksumsInPackets has packets leave an interface with their checksums made, and
// those of the receiver checked.
func (e End) ChecksumsInPackets() error {
	return e.Do(func() error {
		if err := toggle(e.Name, unix.ETHTOOL_STXCSUM, false); err != nil {
			return fmt.Errorf("interface %s: checksums: %w", e.Name, err)
		}
		return nil
	})
}

// toggle is what ethtool -K does, for one feature.
func toggle(name string, command uint32, on bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	value := struct{ command, on uint32 }{command: command}
	if on {
		value.on = 1
	}
	request := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}

// Route adds a route: by a neighbour, or to the namespace itself when via is the zero
// value, so that it has all addresses of the prefix.
func (n *Namespace) Route(to netip.Prefix, via netip.Addr) error {
	return n.Do(func() error {
		r := &netlink.Route{Dst: ipNet(to)}
		if via.IsValid() {
			r.Gw = via.AsSlice()
		} else {
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			r.LinkIndex, r.Type, r.Scope, r.Table = lo.Attrs().Index, unix.RTN_LOCAL, netlink.SCOPE_HOST, unix.RT_TABLE_LOCAL
		}
		if err := netlink.RouteAdd(r); err != nil {
			return fmt.Errorf("route to %v: %w", to, err)
		}
		return nil
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func up(name string) error {
	l, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return nil
}
