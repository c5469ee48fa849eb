package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// Columns is how wide the lines are that people read.
const Columns = 80

// Findings is a block of text with what a path shows, and the numbers of the probes
// that show it.
func Findings(p *path.Path) string {
	found := findings.Of(p)
	if len(found) == 0 {
		return "findings: none\n"
	}
	var b strings.Builder
	b.WriteString("findings:\n")
	for i := range found {
		b.WriteString(Wrap("  ", "    ", Printable(found[i].String())))
		if n := len(found[i].Evidence); n > 0 {
			b.WriteString(Wrap("    ", "    ", Plural("probe", n)+" "+Numbers(found[i].Evidence)))
		}
	}
	return b.String()
}

// Wrap breaks text into lines of at most Columns, the first of which begins with
// first and the others with more. A word that is longer than a line stays whole,
// and so does what a no-break space holds together.
func Wrap(first, more, text string) string {
	var b strings.Builder
	line := first
	empty := true
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\n' }) {
		if !empty && len([]rune(line))+1+len([]rune(word)) > Columns {
			b.WriteString(line + "\n")
			line, empty = more, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	return strings.ReplaceAll(b.String(), noBreak, " ")
}

const noBreak = "\u00a0"

// Plural is a word, with an s if there are several.
func Plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// Numbers lists numbers in order, those that follow each other as a range.
func Numbers(all []int) string {
	all = slices.Clone(all)
	slices.Sort(all)
	all = slices.Compact(all)
	var parts []string
	for i := 0; i < len(all); {
		last := i
		for last+1 < len(all) && all[last+1] == all[last]+1 {
			last++
		}
		switch {
		case last == i:
			parts = append(parts, fmt.Sprint(all[i]))
		case last == i+1:
			parts = append(parts, fmt.Sprint(all[i]), fmt.Sprint(all[last]))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", all[i], all[last]))
		}
		i = last + 1
	}
	return strings.Join(parts, ", ")
}
