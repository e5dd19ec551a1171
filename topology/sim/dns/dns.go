// Package dns is the DNS of the simulated internet: an authoritative server and
// a resolver client.
package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// Serve answers queries on pc from zone until ctx ends or pc is closed.
func Serve(ctx context.Context, pc net.PacketConn, zone map[string][]netip.Addr) error {
	return errors.ErrUnsupported
}

// ServeListener answers queries over TCP.
func ServeListener(ctx context.Context, l net.Listener, zone map[string][]netip.Addr) error {
	return errors.ErrUnsupported
}

// Lookup asks server for the addresses of name.
func Lookup(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), server netip.AddrPort, name string) ([]netip.Addr, error) {
	return nil, errors.ErrUnsupported
}
