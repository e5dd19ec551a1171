// Package diagram draws a topology: as text for terminals, as Mermaid and as SVG.
package diagram

import "github.com/callpath/callpath/topology"

// Options say what is drawn beside the network itself.
type Options struct {
	// Flows adds the numbered flows of the article.
	Flows bool
	// Paths are lit up over the drawing.
	Paths []Path
}

// Path is one way to light up.
type Path struct {
	Label string
	// Media tells media from signaling.
	Media bool
	Way   topology.Way
}

// Text draws for a terminal, at most 100 columns wide.
func Text(n *topology.Network, o Options) string { return "" }

// Mermaid draws a Mermaid flowchart.
func Mermaid(n *topology.Network, o Options) string { return "" }

// SVG draws a self-contained SVG.
func SVG(n *topology.Network, o Options) string { return "" }
