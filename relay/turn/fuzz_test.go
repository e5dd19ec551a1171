package turn_test

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/callpath/callpath/relay/turn"
	"github.com/pion/stun/v4"
)

// pipe is a UDP socket in memory: what a test puts in is read, what is written is
// handed out.
type pipe struct {
	in, out chan []byte
	once    sync.Once
	done    chan struct{}
	net.PacketConn
}

func newPipe() *pipe {
	return &pipe{in: make(chan []byte), out: make(chan []byte, 64), done: make(chan struct{})}
}

var pipeClient = net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.7:4000"))

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case data := <-p.in:
		return copy(b, data), pipeClient, nil
	case <-p.done:
		return 0, nil, net.ErrClosed
	}
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case p.out <- bytes.Clone(b):
	case <-p.done:
	}
	return len(b), nil
}

func (p *pipe) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:3478"))
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// FuzzDatagram sends the relay what anybody could. It must survive, answer with no
// more than a small multiple, and allocate nothing.
func FuzzDatagram(f *testing.F) {
	username, password := turn.Credential(secret, "alice", "", newClock().Now())
	for _, m := range []*stun.Message{
		stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transportUDP),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest), stun.NewUsername(username),
			stun.NewRealm(realm), stun.NewNonce("AAAAAAAAAAAAAAAAAAAAAA"), stun.NewLongTermIntegrity(username, realm, password)),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), peer(netip.MustParseAddrPort("192.0.2.9:9")),
			attribute{stun.AttrData, []byte("data")}),
	} {
		f.Add(m.Raw)
		f.Add(m.Raw[:len(m.Raw)-1])
	}
	f.Add([]byte{0x40, 0x00, 0x00, 0x04, 1, 2, 3, 4})
	f.Add([]byte{0x40, 0x00, 0xff, 0xff})
	f.Add([]byte{})

	socket := newPipe()
	server, err := turn.New(turn.Config{Realm: realm, Secrets: [][]byte{secret}, PacketConns: []net.PacketConn{socket},
		Addresses: []netip.Addr{loopback}, Limits: turn.Limits{Requests: -1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { server.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		const most, mtu = 5, 1500
		if len(data) > mtu {
			return
		}
		socket.in <- data
		end := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
		socket.in <- end.Raw
		answered := 0
		for raw := range socket.out {
			m := &stun.Message{Raw: raw}
			if err := m.Decode(); err != nil {
				t.Fatalf("the answer %x is not STUN: %v", raw, err)
			}
			if m.TransactionID == end.TransactionID {
				break
			}
			answered += len(raw)
		}
		if answered > most*len(data) {
			t.Errorf("%d bytes are answered with %d: %x", len(data), answered, data)
		}
		if n := server.Stats().Allocations; n != 0 {
			t.Errorf("there are %d allocations", n)
		}
	})
}
