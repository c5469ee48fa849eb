// Package graph draws small directed graphs, such as the routers between a host
// and its destinations: as DOT for Graphviz, and as SVG by itself.
//
// Text in a graph may come from anywhere, such as the names of foreign hosts:
// it is escaped, and control characters are replaced.
package graph

// Graph is what is drawn. Edges lead down where they can; nodes and edges are
// drawn in the order given where nothing speaks for another.
type Graph struct {
	Title       string
	Description string // one sentence on what the graph shows
	Nodes       []Node
	Edges       []Edge
}

// Node is a box of text.
type Node struct {
	ID    string   // by which edges name it; unique
	Lines []string // the first is its name
	Kind  Kind
}

// Edge is an arrow. An edge between nodes that the graph does not have is not
// drawn; one from a node to itself is in DOT only.
type Edge struct {
	From, To string
	Lines    []string // beside the arrow
}

// Kind is what a node is, and so what it looks like.
type Kind string

// The kinds of nodes. The empty one is a plain box.
const (
	Host        Kind = "host"
	Router      Kind = "router"
	Silent      Kind = "silent" // known to be there, though it says nothing
	Destination Kind = "destination"
	Cloud       Kind = "cloud" // stands for many nodes
)

// index is where the nodes are, by ID. The first of two with one ID counts.
func (g *Graph) index() map[string]int {
	index := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		if _, had := index[n.ID]; !had {
			index[n.ID] = i
		}
	}
	return index
}
