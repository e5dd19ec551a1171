package topology

import (
	"errors"
	"net/netip"

	"github.com/callpath/callpath/topology/document"
)

var errStub = errors.New("not implemented")

// Parse reads a topology file. The result is validated and complete.
func Parse(file string, data []byte) (*Network, error) { return nil, errStub }

// FromDocument reads the topology that stands at path of a document.
func FromDocument(d *document.Document, path string) (*Network, error) { return nil, errStub }

// Catalog returns the names of the documented topologies, sorted.
func Catalog() []string { return nil }

// Named returns a fresh copy of a documented topology.
func Named(name string) (*Network, error) { return nil, errStub }

// Source returns the YAML of a documented topology.
func Source(name string) ([]byte, error) { return nil, errStub }

// Complete fills in what is left out.
func (n *Network) Complete() error { return errStub }

// Host returns the host of a name, or nil.
func (n *Network) Host(name string) *Host { return nil }

// Site returns the site of a name, or nil.
func (n *Network) Site(name string) *Site { return nil }

// VPN returns the VPN of a name, or nil.
func (n *Network) VPN(name string) *VPN { return nil }

// HostsWith returns the hosts of a role.
func (n *Network) HostsWith(role Role) []*Host { return nil }

// Prefixes resolves a name of a rule or a tunnel.
func (n *Network) Prefixes(name string) ([]netip.Prefix, error) { return nil, errStub }

// Clone returns a deep copy.
func (n *Network) Clone() *Network { return nil }

// Classify returns the documented flows that a way crosses.
func Classify(n *Network, w Way) []Flow { return nil }
