package sim_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
)

// Each network of the catalogue runs, and its clients find the relay and the
// signaling controller by name and reach them over TCP.
func TestCatalogueRuns(t *testing.T) {
	for _, name := range topology.Catalog() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time is waiting for packets
			n, err := topology.Named(name)
			if err != nil {
				t.Fatal(err)
			}
			i := run(t, n, nil)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			for _, role := range []topology.Role{topology.TransportRelay, topology.SignalingController} {
				for _, server := range n.HostsWith(role) {
					serveEcho(t, i, server.Name, ":443")
					for _, client := range n.HostsWith(topology.Client) {
						c, err := i.Host(client.Name).DialContext(ctx, "tcp", net.JoinHostPort(server.Names[0], "443"))
						if err != nil {
							t.Errorf("%s to %s: %v", client.Name, server.Names[0], err)
							continue
						}
						echo(t, c, 1<<12)
						_ = c.Close()
					}
				}
			}
		})
	}
}
