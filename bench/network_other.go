//go:build !linux

package bench

import (
	"errors"
	"net/netip"

	"github.com/callpath/callpath/relay/forward/kernel/namespace"
)

// network cannot be made.
type network struct{ relay, clients, peers *namespace.Namespace }

var firstClient, relayHost, peerHost netip.Addr

func newNetwork() (*network, error) { return nil, errors.ErrUnsupported }

func (*network) close() {}

func (*network) steer([]int) error { return errors.ErrUnsupported }
