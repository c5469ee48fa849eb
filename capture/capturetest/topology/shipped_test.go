package topology_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/testdata/topologies"
)

func TestShippedTopologies(t *testing.T) {
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

func TestReadUnknownTopology(t *testing.T) {
	_, err := topologies.Read("atlantis")
	if err == nil || err.Error() != `topologies: none is called "atlantis"` {
		t.Errorf("got %v", err)
	}
}

// go test ./... skips folders called testdata, and so any test that is in one.
func TestNoTestIsInTestdata(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../../..", func(name string, _ fs.DirEntry, err error) error {
		if name = filepath.ToSlash(name); strings.Contains(name, "/testdata/") {
			files++
			if strings.HasSuffix(name, "_test.go") {
				t.Errorf("%s never runs", name)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files in testdata, %v", files, err)
	}
}
