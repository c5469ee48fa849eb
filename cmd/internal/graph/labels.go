package graph

// box is where the text of an edge is, before the picture is shifted.
type box struct{ left, right, top, bottom float64 }

func (b box) overlaps(o box) bool {
	return b.left < o.right && o.left < b.right && b.top < o.bottom && o.top < b.bottom
}

// labels places the edges' texts on the first part of their way, at its middle
// or as near to it as there is room.
func (p *picture) labels() []box {
	placed := make([]box, len(p.l.chains))
	for i, c := range p.l.chains {
		lines := p.g.Edges[c.edge].Lines
		placed[i] = p.along(c, lines, 0.5)
		if len(lines) == 0 {
			continue
		}
		for _, part := range []float64{0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8} {
			if b := p.along(c, lines, part); !overlapsAny(b, placed[:i]) {
				placed[i] = b
				break
			}
		}
	}
	return placed
}

func overlapsAny(b box, others []box) bool {
	for _, o := range others {
		if b.overlaps(o) {
			return true
		}
	}
	return false
}

// along is the box of a text whose middle is a part of the way down to an edge's
// second vertex.
func (p *picture) along(c chain, lines []string, part float64) box {
	a, b := p.l.vertices[c.vertices[0]], p.l.vertices[c.vertices[1]]
	top, bottom := a.y+a.h/2, b.y-b.h/2
	// The curve's control points are level with the middle.
	rest := 1 - part
	x := a.x*(rest*rest*rest+3*rest*rest*part) + b.x*(part*part*part+3*part*part*rest)
	middle := (top + bottom) / 2
	y := top*rest*rest*rest + middle*3*part*rest + bottom*part*part*part
	w, h := textSize(lines)
	return box{x - w/2, x + w/2, y - h/2, y + h/2}
}
