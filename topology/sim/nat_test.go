package sim_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/stunprobe"
)

var behaviors = []topology.Behavior{
	topology.EndpointIndependent, topology.AddressDependent, topology.AddressAndPortDependent,
}

// RFC 5780, sections 4.3 and 4.4: a client inside finds the behaviour of its NAT.
func TestDiscoveryFindsEachNATBehaviour(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup // side by side: most of the time is waiting for no answer
	for _, mapping := range behaviors {
		for _, filtering := range behaviors {
			n := twoSites()
			n.Sites[0].NAT.Mapping, n.Sites[0].NAT.Filtering = mapping, filtering
			i := run(t, n, nil)
			all.Go(func() {
				m, f, err := stunprobe.Discover(ctx, i.Host("alice").ListenPacket, end("198.51.100.20:3478"))
				if err != nil {
					t.Errorf("%s, %s: %v", mapping, filtering, err)
				} else if m != mapping || f != filtering {
					t.Errorf("found mapping %s and filtering %s, want %s and %s", m, f, mapping, filtering)
				}
			})
		}
	}
	all.Wait()
}

func TestDiscoveryWithoutNAT(t *testing.T) {
	i := run(t, twoSites(), nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m, f, err := stunprobe.Discover(ctx, i.Host("server").ListenPacket, end("198.51.100.20:3478"))
	if err != nil || m != topology.EndpointIndependent || f != topology.EndpointIndependent {
		t.Errorf("found mapping %q, filtering %q, error %v; want both endpoint-independent", m, f, err)
	}
}

// mapped is a host's external endpoint of a socket, as the server sees it.
func mapped(t *testing.T, inside, server net.PacketConn) netip.AddrPort {
	t.Helper()
	send(t, inside, end(publicServer+":7000"), "who am I")
	return expect(t, server, "who am I")
}

// RFC 4787, REQ-9: hosts behind one NAT talk by their external addresses, and see
// each other's external address as the source.
func TestHairpinning(t *testing.T) {
	r := newRecorder()
	n := twoSites()
	n.Sites[0].NAT.Filtering = topology.EndpointIndependent
	i := run(t, n, r)
	server := listenUDP(t, i, "server", publicServer+":7000")
	alice := listenUDP(t, i, "alice", "10.1.0.10:5000")
	bob := listenUDP(t, i, "bob", "10.1.1.10:5000")
	aliceOutside, bobOutside := mapped(t, alice, server), mapped(t, bob, server)

	send(t, alice, bobOutside, "hello neighbour")
	if from := expect(t, bob, "hello neighbour"); from != aliceOutside {
		t.Errorf("bob sees %v, want alice's external endpoint %v", from, aliceOutside)
	}
	want := "alice > edge office > router inner > bob"
	if got := r.ways("alice", "bob"); len(got) != 1 || got[0] != want {
		t.Errorf("way: %q, want %q", got, want)
	}
	// A socket that talks to itself is hairpinned too.
	send(t, alice, aliceOutside, "hello me")
	expect(t, alice, "hello me")
}

func TestInnerRouterAndNeighbours(t *testing.T) {
	r := newRecorder()
	i := run(t, twoSites(), r)
	alice := listenUDP(t, i, "alice", "10.1.0.10:5000")
	bob := listenUDP(t, i, "bob", "10.1.1.10:5000")
	send(t, alice, end("10.1.1.10:5000"), "to the lab")
	if from := expect(t, bob, "to the lab"); from != end("10.1.0.10:5000") {
		t.Errorf("bob sees %v, want alice's own address", from)
	}
	send(t, bob, end("10.1.0.10:5000"), "to the lan")
	expect(t, alice, "to the lan")
	for _, c := range []struct{ from, to, want string }{
		{"alice", "bob", "alice > router office > router inner > bob"},
		{"bob", "alice", "bob > router inner > router office > alice"},
	} {
		if got := r.ways(c.from, c.to); len(got) != 1 || got[0] != c.want {
			t.Errorf("way from %s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestTCPThroughNATByName(t *testing.T) {
	i := run(t, twoSites(), nil)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	l, err := i.Host("server").Listen(ctx, "tcp", publicServer+":443")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan netip.AddrPort, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- netip.AddrPort{}
			return
		}
		defer c.Close()
		done <- c.RemoteAddr().(*net.TCPAddr).AddrPort()
		buf := make([]byte, 1<<16)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	c, err := i.Host("carol").DialContext(ctx, "tcp4", "server.test:443")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := <-done; from.Addr().Unmap() != address("192.0.2.2") {
		t.Errorf("server sees %v, want the home's NAT", from)
	}
	echo(t, c, 1<<20)
}

// echo writes n bytes to a connection whose other end returns them.
func echo(t *testing.T, c net.Conn, n int) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	out := make([]byte, n)
	for k := range out {
		out[k] = byte(k * 7 >> 3)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(out)
		failed <- err
	}()
	in := make([]byte, 0, n)
	buf := make([]byte, 1<<16)
	for len(in) < n {
		k, err := c.Read(buf)
		if err != nil {
			t.Fatalf("read after %d of %d bytes: %v", len(in), n, err)
		}
		in = append(in, buf[:k]...)
	}
	if err := <-failed; err != nil {
		t.Fatalf("write: %v", err)
	}
	if string(in) != string(out) {
		t.Error("other bytes came back than were sent")
	}
}
