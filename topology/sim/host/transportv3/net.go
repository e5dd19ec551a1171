// Package transportv3 offers a host's sockets to the older pion/turn/v3.
package transportv3

import (
	"github.com/callpath/callpath/topology/sim/host"
	"github.com/pion/transport/v3"
)

// New returns the sockets of h as a Net of pion/transport/v3.
func New(h *host.Host) transport.Net { return nil }
