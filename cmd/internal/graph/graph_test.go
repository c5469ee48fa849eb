package graph_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/cmd/internal/graph"
	"github.com/tracewire/tracewire/testdata/topologies"
)

var update = flag.Bool("update", false, "write the golden files")

// shipped is the graph of a topology that comes with tracelab.
func shipped(t *testing.T, name string) *graph.Graph {
	t.Helper()
	data, err := topologies.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	topo, err := topology.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return graph.FromTopology(topo)
}

func TestGolden(t *testing.T) {
	tests := []struct {
		name  string
		graph *graph.Graph
	}{
		{"demo", shipped(t, "demo")},
		{"diamond", shipped(t, "diamond")},
		{"empty", &graph.Graph{Title: "empty"}},
		{"hostile", hostile()},
		{"loop", loop()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, tt.name+".dot", tt.graph.DOT())
			golden(t, tt.name+".svg", tt.graph.SVG())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// hostile is a graph whose text tries to be more than text.
func hostile() *graph.Graph {
	evil := `"]; } <script>alert('x')</script> & &lt; \N \` + "\n\x1b[31m\xff"
	return &graph.Graph{
		Title:       evil,
		Description: evil,
		Nodes: []graph.Node{
			{ID: evil, Lines: []string{evil, strings.Repeat("long ", 30)}, Kind: graph.Kind(`"><b>`)},
			{ID: "b", Lines: []string{"b"}, Kind: graph.Router},
		},
		Edges: []graph.Edge{{From: evil, To: "b", Lines: []string{evil}}},
	}
}

// loop has all that a layered drawing has trouble with: a loop, an edge to its
// own node, one over several layers, one to nowhere, a node on its own.
func loop() *graph.Graph {
	return &graph.Graph{
		Title: "loop",
		Nodes: []graph.Node{
			{ID: "a", Lines: []string{"a"}, Kind: graph.Host},
			{ID: "b", Lines: []string{"b"}, Kind: graph.Router},
			{ID: "c", Lines: []string{"c"}, Kind: graph.Silent},
			{ID: "d", Lines: []string{"d"}, Kind: graph.Destination},
			{ID: "alone", Lines: []string{"alone"}, Kind: graph.Cloud},
		},
		Edges: []graph.Edge{
			{From: "a", To: "b"}, {From: "b", To: "c"}, {From: "c", To: "d"},
			{From: "c", To: "b", Lines: []string{"back"}},
			{From: "b", To: "b"},
			{From: "a", To: "d", Lines: []string{"past", "all"}},
			{From: "d", To: "nowhere"},
		},
	}
}

func TestSVGIsWellFormed(t *testing.T) {
	graphs := []*graph.Graph{hostile(), loop(), {}}
	for _, name := range topologies.Names() {
		graphs = append(graphs, shipped(t, name))
	}
	for _, g := range graphs {
		d := xml.NewDecoder(strings.NewReader(g.SVG()))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%q: %v", g.Title, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
				t.Errorf("%q: text has become a script", g.Title)
			}
		}
	}
}
