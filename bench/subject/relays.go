package subject

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pion/logging"
	turnv3 "github.com/pion/turn/v3"
	turnv5 "github.com/pion/turn/v5"

	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/relay/forward/kernel"
	"github.com/callpath/callpath/relay/turn"
)

// builtins are the subjects within this program.
var builtins = []builtin{
	{"callpath", "this program's transport relay", loader.TURN, openCallpath, nil},
	{"callpath-kernel", "this program's transport relay, bound channels in the kernel", loader.TURN, openCallpathKernel, kernel.Available},
	{"pion-v5", "pion/turn v5 as its documentation starts it", loader.TURN, openPionV5, nil},
	{"pion-v3", "pion/turn v3 as its documentation starts it", loader.TURN, openPionV3, nil},
	{"forward-single", "bare forwarder, one system call for each packet", loader.Plain, openForwarder(single), nil},
	{"forward-batched", "bare forwarder, recvmmsg and sendmmsg", loader.Plain, openForwarder(batched), nil},
	{"forward-segmented", "bare forwarder, UDP_GRO and UDP_SEGMENT", loader.Plain, openForwarder(segmented), nil},
}

// listen opens the socket that clients send to, with the system's own buffers.
func listen(at netip.AddrPort) (net.PacketConn, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return conn, nil
}

// around is where the benchmark's peers are, which every safe relay denies: on
// loopback, and on the hosts that it makes.
var around = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.9.0.0/16")}

func openCallpath(s settings) (io.Closer, error) { return callpath(s, nil) }

// openCallpathKernel is an error where the kernel does not forward.
func openCallpathKernel(s settings) (io.Closer, error) {
	path, err := kernel.Open(kernel.Config{})
	if err != nil {
		return nil, err
	}
	server, err := callpath(s, path)
	if err != nil {
		return nil, errors.Join(err, path.Close())
	}
	return server, nil
}

func callpath(s settings, path *kernel.Path) (io.Closer, error) {
	conn, err := listen(s.Server)
	if err != nil {
		return nil, err
	}
	turn.TuneCollector() // as serve does
	server, err := turn.New(turn.Config{
		Realm: Realm, Secrets: [][]byte{s.Secret}, PacketConns: []net.PacketConn{conn},
		Addresses: []netip.Addr{s.Server.Addr()},
		Peers:     turn.PeerPolicy{Allow: around},
		Kernel:    path,
		Quota:     turn.Quota{Total: load.MaxFlows},
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return server, nil
}

// quiet has pion's servers log nothing: what they log when they are overrun would be
// part of what is measured.
func quiet() *logging.DefaultLoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	f.ScopeLevels = nil
	return f
}

func openPionV5(s settings) (io.Closer, error) {
	conn, err := listen(s.Server)
	if err != nil {
		return nil, err
	}
	log := quiet()
	at := s.Server.Addr()
	server, err := turnv5.NewServer(turnv5.ServerConfig{
		Realm: Realm, LoggerFactory: log,
		AuthHandler: turnv5.LongTermTURNRESTAuthHandler(string(s.Secret), log.NewLogger("turn")),
		PacketConnConfigs: []turnv5.PacketConnConfig{{PacketConn: conn, RelayAddressGenerator: &turnv5.RelayAddressGeneratorStatic{
			RelayAddress: net.IP(at.AsSlice()), Address: at.String(),
		}}},
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return server, nil
}

func openPionV3(s settings) (io.Closer, error) {
	conn, err := listen(s.Server)
	if err != nil {
		return nil, err
	}
	log := quiet()
	at := s.Server.Addr()
	server, err := turnv3.NewServer(turnv3.ServerConfig{
		Realm: Realm, LoggerFactory: log,
		AuthHandler: turnv3.LongTermTURNRESTAuthHandler(string(s.Secret), log.NewLogger("turn")),
		PacketConnConfigs: []turnv3.PacketConnConfig{{PacketConn: conn, RelayAddressGenerator: &turnv3.RelayAddressGeneratorStatic{
			RelayAddress: net.IP(at.AsSlice()), Address: at.String(),
		}}},
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return server, nil
}
