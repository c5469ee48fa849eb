package graph

import (
	"math"
	"slices"
)

// Sizes in pixels; text is monospaced.
const (
	fontSize   = 12.0
	charWidth  = 7.3
	lineHeight = 15.0
	padding    = 8.0  // between a node's border and its text
	between    = 24.0 // nodes of a layer
	passing    = 6.0  // how wide an edge is where it passes a layer
	leastDrop  = 44.0 // between layers
	steepness  = 0.15 // how much more per pixel that an edge leads aside,
	mostSlope  = 90.0 // and in all
	margin     = 20.0
)

// place gives the vertices their sizes and positions, below the top.
func (l *layered) place(g *Graph, top float64) {
	for i := range l.vertices {
		v := &l.vertices[i]
		v.w = passing
		if v.node >= 0 {
			v.w, v.h = textSize(g.Nodes[v.node].Lines)
			v.w, v.h = v.w+2*padding, v.h+2*padding
		}
	}
	l.placeColumns()
	l.placeRows(g, top)
}

func textSize(lines []string) (width, height float64) {
	longest := 0
	for _, line := range lines {
		longest = max(longest, len([]rune(shown(line))))
	}
	return charWidth * float64(longest), lineHeight * float64(len(lines))
}

// placeRows stacks the layers.
func (l *layered) placeRows(g *Graph, top float64) {
	drop := l.drops(g)
	y := top
	for i, layer := range l.layers {
		height := 0.0
		for _, v := range layer {
			height = max(height, l.vertices[v].h)
		}
		if i > 0 {
			y += drop[i]
		}
		for _, v := range layer {
			if l.vertices[v].node < 0 {
				l.vertices[v].h = height
			}
			l.vertices[v].y = y + l.vertices[v].h/2
		}
		y += height
	}
}

// drops are how far each layer is below the one before: far enough for the
// edges' texts, and for edges that lead far to the side not to be flat.
func (l *layered) drops(g *Graph) []float64 {
	drops := make([]float64, len(l.layers))
	for i := range drops {
		drops[i] = leastDrop
	}
	for _, c := range l.chains {
		_, height := textSize(g.Edges[c.edge].Lines)
		for i, id := range c.vertices[1:] {
			above, below := l.vertices[c.vertices[i]], l.vertices[id]
			aside := math.Abs(above.x-below.x) * steepness
			need := leastDrop + min(aside, mostSlope) + max(0, height-lineHeight)
			drops[below.layer] = max(drops[below.layer], need)
			height = 0 // it is beside the first part
		}
	}
	return drops
}

// placeColumns moves each vertex as close to the mean of its neighbours as the
// others in its layer let it, layer by layer, down and up.
func (l *layered) placeColumns() {
	const rounds = 16
	above := func(v vertex) []int { return v.above }
	below := func(v vertex) []int { return v.below }
	both := func(v vertex) []int { return slices.Concat(v.above, v.below) }
	for i := range l.layers {
		l.settle(i, both)
	}
	for range rounds {
		for i := range l.layers {
			l.settle(i, above)
		}
		for i := len(l.layers) - 1; i >= 0; i-- {
			l.settle(i, below)
		}
	}
	for i := range l.layers {
		l.settle(i, both)
	}
}

func (l *layered) settle(layer int, neighbours func(vertex) []int) {
	ids := l.layers[layer]
	wanted, gaps := make([]float64, len(ids)), make([]float64, len(ids))
	for i, id := range ids {
		v := l.vertices[id]
		wanted[i] = v.x
		if near := neighbours(v); len(near) > 0 {
			wanted[i] = 0
			for _, n := range near {
				wanted[i] += l.vertices[n].x / float64(len(near))
			}
		}
		if i > 0 {
			gaps[i] = l.vertices[ids[i-1]].w/2 + between + v.w/2
		}
	}
	for i, x := range apart(wanted, gaps) {
		l.vertices[ids[i]].x = x
	}
}

// apart returns the positions closest to those wanted, by the sum of squares,
// that keep gaps[i] between i-1 and i: the pool-adjacent-violators algorithm.
func apart(wanted, gaps []float64) []float64 {
	type block struct {
		sum   float64
		count int
	}
	mean := func(b block) float64 { return b.sum / float64(b.count) }
	offset := make([]float64, len(wanted))
	var blocks []block
	for i, w := range wanted {
		if i > 0 {
			offset[i] = offset[i-1] + gaps[i]
		}
		b := block{w - offset[i], 1}
		for len(blocks) > 0 && mean(blocks[len(blocks)-1]) > mean(b) {
			before := blocks[len(blocks)-1]
			b = block{before.sum + b.sum, before.count + b.count}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	placed := make([]float64, 0, len(wanted))
	for _, b := range blocks {
		for range b.count {
			placed = append(placed, mean(b)+offset[len(placed)])
		}
	}
	return placed
}

// bounds are the extremes of what is drawn.
func (l *layered) bounds() (left, right, bottom float64) {
	for i, v := range l.vertices {
		if i == 0 {
			left, right = v.x, v.x
		}
		left, right = min(left, v.x-v.w/2), max(right, v.x+v.w/2)
		bottom = max(bottom, v.y+v.h/2)
	}
	return left, right, bottom
}
