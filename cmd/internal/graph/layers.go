package graph

import (
	"cmp"
	"slices"
)

// vertex is a point of a layered drawing: a node, or where an edge that spans
// several layers passes through one of them.
type vertex struct {
	node       int // of Graph.Nodes; -1 if an edge passes
	layer      int
	above      []int // vertices that it has edges with, in the layer before
	below      []int // and in the next
	x, y, w, h float64
}

// chain is an edge as the vertices it leads along, downwards.
type chain struct {
	edge     int // of Graph.Edges
	vertices []int
	upwards  bool // the edge itself leads the other way
}

// layered is a graph whose nodes have been put into layers, so that edges lead
// from each layer to the next only.
type layered struct {
	vertices []vertex
	chains   []chain
	layers   [][]int // vertices from left to right
}

func newLayered(g *Graph) *layered {
	index := g.index()
	edges := make([][2]int, len(g.Edges))
	for i, e := range g.Edges {
		edges[i] = [2]int{-1, -1}
		if has(index, e) && e.From != e.To {
			edges[i] = [2]int{index[e.From], index[e.To]}
		}
	}
	upwards := turnLoops(len(g.Nodes), edges)
	l := &layered{}
	for i, layer := range longestPaths(len(g.Nodes), edges) {
		l.add(vertex{node: i, layer: layer})
	}
	for i, e := range edges {
		if e[0] >= 0 {
			l.connect(i, e, upwards[i])
		}
	}
	l.order()
	return l
}

func (l *layered) add(v vertex) int {
	for len(l.layers) <= v.layer {
		l.layers = append(l.layers, nil)
	}
	l.layers[v.layer] = append(l.layers[v.layer], len(l.vertices))
	l.vertices = append(l.vertices, v)
	return len(l.vertices) - 1
}

// connect leads an edge through the layers between its ends.
func (l *layered) connect(edge int, ends [2]int, upwards bool) {
	c := chain{edge: edge, vertices: []int{ends[0]}, upwards: upwards}
	for layer := l.vertices[ends[0]].layer + 1; layer < l.vertices[ends[1]].layer; layer++ {
		c.vertices = append(c.vertices, l.add(vertex{node: -1, layer: layer}))
	}
	c.vertices = append(c.vertices, ends[1])
	for i, above := range c.vertices[:len(c.vertices)-1] {
		below := c.vertices[i+1]
		l.vertices[above].below = append(l.vertices[above].below, below)
		l.vertices[below].above = append(l.vertices[below].above, above)
	}
	l.chains = append(l.chains, c)
}

// outgoing lists the edges that leave each of n nodes.
func outgoing(n int, edges [][2]int) [][]int {
	out := make([][]int, n)
	for i, e := range edges {
		if e[0] >= 0 {
			out[e[0]] = append(out[e[0]], i)
		}
	}
	return out
}

// turnLoops exchanges the ends of edges that close a loop, and says which.
func turnLoops(n int, edges [][2]int) []bool {
	out := outgoing(n, edges)
	turned := make([]bool, len(edges))
	entered, left := make([]bool, n), make([]bool, n)
	var visit func(int)
	visit = func(from int) {
		entered[from] = true
		for _, e := range out[from] {
			to := edges[e][1]
			turned[e] = entered[to] && !left[to]
			if !entered[to] {
				visit(to)
			}
		}
		left[from] = true
	}
	for i := range n {
		if !entered[i] {
			visit(i)
		}
	}
	for i, turn := range turned {
		if turn {
			edges[i][0], edges[i][1] = edges[i][1], edges[i][0]
		}
	}
	return turned
}

// longestPaths gives each node the number of edges on the longest path to it.
func longestPaths(n int, edges [][2]int) []int {
	out := outgoing(n, edges)
	waiting := make([]int, n)
	for _, e := range edges {
		if e[0] >= 0 {
			waiting[e[1]]++
		}
	}
	layer := make([]int, n)
	var ready []int
	for i, w := range waiting {
		if w == 0 {
			ready = append(ready, i)
		}
	}
	for ; len(ready) > 0; ready = ready[1:] {
		from := ready[0]
		for _, e := range out[from] {
			to := edges[e][1]
			layer[to] = max(layer[to], layer[from]+1)
			if waiting[to]--; waiting[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return layer
}

// order puts the vertices of each layer into an order in which few edges cross:
// time and again each moves to the mean of its neighbours in the layer before,
// then in the next (Sugiyama, Tagawa and Toda, 1981).
func (l *layered) order() {
	const sweeps = 24
	best, fewest := l.clone(), l.crossings()
	for sweep := 0; sweep < sweeps && fewest > 0; sweep++ {
		if sweep%2 == 0 {
			for i := 1; i < len(l.layers); i++ {
				l.sort(i, i-1, func(v vertex) []int { return v.above })
			}
		} else {
			for i := len(l.layers) - 2; i >= 0; i-- {
				l.sort(i, i+1, func(v vertex) []int { return v.below })
			}
		}
		if n := l.crossings(); n < fewest {
			best, fewest = l.clone(), n
		}
	}
	l.layers = best
}

func (l *layered) clone() [][]int {
	layers := make([][]int, len(l.layers))
	for i, layer := range l.layers {
		layers[i] = slices.Clone(layer)
	}
	return layers
}

// sort orders a layer by where its vertices' neighbours stand in another.
func (l *layered) sort(layer, other int, neighbours func(vertex) []int) {
	at := positions(l.layers[other])
	mean := map[int]float64{}
	for i, v := range l.layers[layer] {
		mean[v] = float64(i)
		if near := neighbours(l.vertices[v]); len(near) > 0 {
			sum := 0
			for _, n := range near {
				sum += at[n]
			}
			mean[v] = float64(sum) / float64(len(near))
		}
	}
	slices.SortStableFunc(l.layers[layer], func(a, b int) int { return cmp.Compare(mean[a], mean[b]) })
}

func positions(layer []int) map[int]int {
	at := make(map[int]int, len(layer))
	for i, v := range layer {
		at[v] = i
	}
	return at
}

// crossings is how many pairs of edges cross.
func (l *layered) crossings() int {
	count := 0
	for i := 1; i < len(l.layers); i++ {
		var ends []int // in the lower layer, in the order of the upper
		at := positions(l.layers[i])
		for _, v := range l.layers[i-1] {
			below := make([]int, len(l.vertices[v].below))
			for j, b := range l.vertices[v].below {
				below[j] = at[b]
			}
			slices.Sort(below)
			ends = append(ends, below...)
		}
		count += inversions(ends)
	}
	return count
}

// inversions is how many pairs stand the wrong way round. The list is sorted
// by it.
func inversions(list []int) int {
	if len(list) < 2 {
		return 0
	}
	a, b := slices.Clone(list[:len(list)/2]), slices.Clone(list[len(list)/2:])
	count := inversions(a) + inversions(b)
	for i := range list {
		if len(b) == 0 || len(a) > 0 && a[0] <= b[0] {
			list[i], a = a[0], a[1:]
			continue
		}
		count += len(a)
		list[i], b = b[0], b[1:]
	}
	return count
}
