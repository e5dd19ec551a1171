package diagram

import "github.com/callpath/callpath/topology"

// SVG draws a self-contained SVG.
func SVG(n *topology.Network, o Options) string { return "" }
