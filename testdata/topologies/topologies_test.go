package topologies_test

import (
	"strings"
	"testing"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/testdata/topologies"
)

func TestTopologies(t *testing.T) {
	names := topologies.Names()
	if len(names) == 0 {
		t.Fatal("no topologies")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			data, err := topologies.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			topo, err := topology.Parse(name+".toml", data)
			if err != nil {
				t.Fatal(err)
			}
			if topo.Name != name {
				t.Errorf("file %s.toml names its topology %q", name, topo.Name)
			}
			if topo.Description == "" || len(topo.Description) > 110 || strings.Contains(topo.Description, "\n") {
				t.Errorf("description %q is not a line", topo.Description)
			}
		})
	}
}

func TestReadUnknown(t *testing.T) {
	_, err := topologies.Read("atlantis")
	if err == nil || err.Error() != `topologies: none is called "atlantis"` {
		t.Errorf("got %v", err)
	}
}
