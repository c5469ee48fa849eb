package graph

import (
	"fmt"
	"strings"
	"unicode"
)

// DOT returns the graph in Graphviz's language.
func (g *Graph) DOT() string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n", quoted(g.Title))
	if g.Description != "" {
		fmt.Fprintf(&b, "  label=%s\n  labelloc=t\n", label([]string{g.Title, g.Description}))
	}
	b.WriteString("  node [shape=box fontname=monospace fontsize=10]\n")
	b.WriteString("  edge [fontname=monospace fontsize=9]\n\n")
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "  %s [label=%s%s]\n", quoted(n.ID), label(n.Lines), look(n.Kind))
	}
	b.WriteByte('\n')
	index := g.index()
	for _, e := range g.Edges {
		if !has(index, e) {
			continue
		}
		fmt.Fprintf(&b, "  %s -> %s", quoted(e.From), quoted(e.To))
		if len(e.Lines) > 0 {
			fmt.Fprintf(&b, " [label=%s]", label(e.Lines))
		}
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	return b.String()
}

func has(index map[string]int, e Edge) bool {
	_, from := index[e.From]
	_, to := index[e.To]
	return from && to
}

// look is what a kind of node has besides its label.
func look(k Kind) string {
	switch k {
	case Host:
		return " style=bold"
	case Router:
		return " style=rounded"
	case Silent:
		return ` style="rounded,dashed"`
	case Destination:
		return " peripheries=2"
	case Cloud:
		return " shape=ellipse"
	default:
		return ""
	}
}

// quoted is text as an ID.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(text)) + `"`
}

// label is lines as the text of a label, in which Graphviz reads HTML's
// character references, too.
func label(lines []string) string {
	escaped := make([]string, len(lines))
	for i, line := range lines {
		escaped[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;").Replace(printable(line))
	}
	return `"` + strings.Join(escaped, `\n`) + `"`
}

// printable replaces what is not to be printed, and so could change how the
// rest reads.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
