// Package diagram draws a topology: as text for terminals, as a Mermaid flowchart,
// and as a self-contained SVG. The three show the same: sites as boxes with their
// hosts, the NAT and the firewall at each edge, VPNs as double lines, the numbered
// flows of "Call flow topologies", and paths that packets took.
//
// It draws what a topology.Network says and computes nothing about a call; flows
// come from topology.Classify. The same network always gives the same drawing.
//
// Start reading at Text; what all three share is in view.go.
package diagram

import "github.com/callpath/callpath/topology"

// Options say what is drawn beside the network itself.
type Options struct {
	// Flows adds the numbers of the flows that the network makes possible, and
	// their legend.
	Flows bool
	// Paths are lit up over the drawing, in this order.
	Paths []Path
}

// Path is one way to light up.
type Path struct {
	// Label says whose it is, for example "alice: media".
	Label string
	// Media tells media from signaling.
	Media bool
	Way   topology.Way
}
