package graph

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// rows are the IDs in each layer of a graph from left to right; "|" is where an
// edge passes.
func rows(g *Graph) [][]string {
	l := newLayered(g)
	rows := make([][]string, len(l.layers))
	for i, layer := range l.layers {
		for _, v := range layer {
			id := "|"
			if n := l.vertices[v].node; n >= 0 {
				id = g.Nodes[n].ID
			}
			rows[i] = append(rows[i], id)
		}
	}
	return rows
}

// graphOf has a node for each letter, and edges from each first letter to the
// second.
func graphOf(nodes string, edges ...string) *Graph {
	g := &Graph{}
	for _, id := range nodes {
		g.Nodes = append(g.Nodes, Node{ID: string(id), Lines: []string{string(id)}})
	}
	for _, e := range edges {
		g.Edges = append(g.Edges, Edge{From: e[:1], To: e[1:]})
	}
	return g
}

func TestLayers(t *testing.T) {
	tests := []struct {
		name  string
		graph *Graph
		want  [][]string
	}{
		{"nothing", graphOf(""), [][]string{}},
		{"chain, against the order of its nodes", graphOf("cba", "ab", "bc"), [][]string{{"a"}, {"b"}, {"c"}}},
		{"diamond", graphOf("abcd", "ab", "ac", "bd", "cd"), [][]string{{"a"}, {"b", "c"}, {"d"}}},
		{"unequal length: the longest path counts", graphOf("abcd", "ab", "bc", "cd", "ad"),
			[][]string{{"a"}, {"b", "|"}, {"c", "|"}, {"d"}}},
		{"a crossing that can be undone", graphOf("abcd", "ad", "bc"), [][]string{{"a", "b"}, {"d", "c"}}},
		{"a loop", graphOf("abc", "ab", "bc", "cb"), [][]string{{"a"}, {"b"}, {"c"}}},
		{"all in a loop", graphOf("abc", "ab", "bc", "ca"), [][]string{{"a"}, {"b", "|"}, {"c"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, rows(tt.graph)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInversions(t *testing.T) {
	tests := []struct {
		list []int
		want int
	}{
		{nil, 0}, {[]int{1, 2, 3}, 0}, {[]int{3, 2, 1}, 3}, {[]int{2, 2, 1}, 2}, {[]int{1, 3, 2, 4, 0}, 5},
	}
	for _, tt := range tests {
		if got := inversions(slices.Clone(tt.list)); got != tt.want {
			t.Errorf("%v has %d inversions, want %d", tt.list, got, tt.want)
		}
	}
}

func TestApart(t *testing.T) {
	tests := []struct {
		name         string
		wanted, gaps []float64
		want         []float64
	}{
		{"room enough", []float64{0, 10, 30}, []float64{0, 5, 5}, []float64{0, 10, 30}},
		{"all want one place", []float64{0, 0, 0}, []float64{0, 10, 10}, []float64{-10, 0, 10}},
		{"the wrong way round", []float64{10, 0}, []float64{0, 4}, []float64{3, 7}},
		{"pushed into another", []float64{0, 9, 9}, []float64{0, 6, 6}, []float64{0, 6, 12}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := apart(tt.wanted, tt.gaps)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNodesDoNotOverlap(t *testing.T) {
	g := graphOf("abcdefgh", "ab", "ac", "ad", "ae", "bf", "cf", "df", "eg", "ah", "fh", "gh")
	l := newLayered(g)
	l.place(g, 0)
	for i, a := range l.vertices {
		for _, b := range l.vertices[i+1:] {
			if math.Abs(a.x-b.x) < (a.w+b.w)/2 && math.Abs(a.y-b.y) < (a.h+b.h)/2 {
				t.Errorf("%+v overlaps %+v", a, b)
			}
		}
	}
}
