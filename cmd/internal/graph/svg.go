package graph

import (
	"encoding/xml"
	"fmt"
	"strings"
)

const style = `
  text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1f2328; }
  .title { font-weight: bold; font-size: 15px; }
  .node text { text-anchor: middle; }
  .node .name { font-weight: bold; }
  .node rect { fill: #f6f8fa; stroke: #57606a; }
  .host rect { fill: #ddf4ff; stroke: #0969da; stroke-width: 2; }
  .silent rect { fill: #ffffff; stroke-dasharray: 5 4; }
  .destination rect { fill: #dafbe1; stroke: #1a7f37; stroke-width: 2; }
  .cloud rect { fill: #fff8c5; stroke: #9a6700; }
  .edge { fill: none; stroke: #57606a; }
  .label { font-size: 11px; text-anchor: middle; stroke: #ffffff; stroke-width: 4px; paint-order: stroke; }
`

// SVG returns the graph as a picture, from top to bottom.
func (g *Graph) SVG() string {
	l := newLayered(g)
	top := margin
	for _, line := range []string{g.Title, g.Description} {
		if line != "" {
			top += 1.5 * lineHeight
		}
	}
	l.place(g, top)
	left, right, bottom := l.bounds()
	p := picture{g: g, l: l}
	labels := p.labels()
	for _, box := range labels {
		left, right = min(left, box.left), max(right, box.right)
	}
	width := max(right-left, textWidth(g.Description), textWidth(g.Title)*15/12) + 2*margin
	p.shift = (width-(right-left))/2 - left

	p.head(width, bottom+margin)
	for _, c := range l.chains {
		p.edge(c)
	}
	for i, c := range l.chains {
		p.label(g.Edges[c.edge], labels[i])
	}
	for _, v := range l.vertices {
		if v.node >= 0 {
			p.node(v)
		}
	}
	p.WriteString("</svg>\n")
	return p.String()
}

// picture is an SVG file that is being written.
type picture struct {
	strings.Builder
	g     *Graph
	l     *layered
	shift float64 // to the right
}

func (p *picture) head(width, height float64) {
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc"`+
		` width="%.0f" height="%.0f" viewBox="0 0 %.0[1]f %.0[2]f">`+"\n", width, height)
	fmt.Fprintf(p, "<title id=\"title\">%s</title>\n", escape(p.g.Title))
	fmt.Fprintf(p, "<desc id=\"desc\">%s</desc>\n", escape(p.g.Description))
	fmt.Fprintf(p, "<style>%s</style>\n", style)
	p.WriteString(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"` +
		` orient="auto-start-reverse"><path d="M0 0.5 L8 4 L0 7.5 z" fill="#57606a"/></marker></defs>` + "\n")
	p.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	y := margin + fontSize
	for i, line := range []string{p.g.Title, p.g.Description} {
		if line == "" {
			continue
		}
		fmt.Fprintf(p, "<text class=\"%s\" x=\"%.0f\" y=\"%.1f\">%s</text>\n",
			[]string{"title", "description"}[i], margin, y, escape(line))
		y += 1.5 * lineHeight
	}
}

func (p *picture) node(v vertex) {
	n := p.g.Nodes[v.node]
	corner := 5
	switch n.Kind {
	case Host, Destination:
		corner = 0
	case Cloud:
		corner = 16
	}
	fmt.Fprintf(p, "<g class=\"node %s\">\n", escape(string(n.Kind)))
	fmt.Fprintf(p, "  <title>%s</title>\n", escape(strings.Join(n.Lines, ", ")))
	fmt.Fprintf(p, "  <rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%d\"/>\n",
		v.x+p.shift-v.w/2, v.y-v.h/2, v.w, v.h, corner)
	for i, line := range n.Lines {
		class := ""
		if i == 0 {
			class = ` class="name"`
		}
		y := v.y - v.h/2 + padding + lineHeight*(float64(i)+0.75)
		fmt.Fprintf(p, "  <text%s x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, v.x+p.shift, y, escape(shown(line)))
	}
	p.WriteString("</g>\n")
}

func (p *picture) edge(c chain) {
	end := "end"
	if c.upwards {
		end = "start"
	}
	fmt.Fprintf(p, "<path class=\"edge\" d=\"%s\" marker-%s=\"url(#arrow)\"/>\n", p.path(c), end)
}

// label is an edge's text. It comes after all edges, so as to be on top of them.
func (p *picture) label(e Edge, at box) {
	for i, line := range e.Lines {
		y := at.top + lineHeight*(float64(i)+0.75)
		fmt.Fprintf(p, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", (at.left+at.right)/2+p.shift, y, escape(shown(line)))
	}
}

// path leads an edge from the bottom of its upper end to the top of its lower
// one, upright where it passes a layer.
func (p *picture) path(c chain) string {
	var d strings.Builder
	for i, id := range c.vertices {
		v := p.l.vertices[id]
		x, top, bottom := v.x+p.shift, v.y-v.h/2, v.y+v.h/2
		if i == 0 {
			fmt.Fprintf(&d, "M%.1f %.1f", x, bottom)
			continue
		}
		above := p.l.vertices[c.vertices[i-1]]
		fromX, fromY := above.x+p.shift, above.y+above.h/2
		middle := (fromY + top) / 2
		fmt.Fprintf(&d, " C%.1f %.1f %.1f %.1f %.1f %.1f", fromX, middle, x, middle, x, top)
		if v.node < 0 {
			fmt.Fprintf(&d, " V%.1f", bottom)
		}
	}
	return d.String()
}

// longestShown is how much of a line is drawn: the picture's width must not be
// anybody's choice.
const longestShown = 40

func shown(line string) string {
	if r := []rune(line); len(r) > longestShown {
		return string(r[:longestShown-1]) + "…"
	}
	return line
}

func textWidth(line string) float64 { return charWidth * float64(len([]rune(line))) }

func escape(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(printable(text))) // a Builder takes everything
	return b.String()
}
