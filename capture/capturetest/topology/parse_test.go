package topology_test

import (
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// sameValue compares topologies. The TOML writer makes an empty list of none.
var sameValue = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
}

func TestParse(t *testing.T) {
	const file = `
name = "lab"
description = "every kind of value"
seed = 7

[[router]]
name = "r"
addresses = ["192.0.2.1"]
set_dscp = 0
zero_ttl = true

[router.answer]
delay = "1.5ms"
ttl = 255
return_hops = -0
limit = { rate = 10, burst = 3 }
quote.length = -1
mpls = { form = "garbage", labels = [{ label = 16, tc = 5 }, { label = 17 }] }

[[destination]]
name = "d"
addresses = ["198.51.100.1"]
udp = "echo"
tcp_open = [80, 443]

[[link]]
path = ["host", "r", "d"]
delay = "1ms"
loss = 1
`
	want := &topology.Topology{
		Name: "lab", Description: "every kind of value", Seed: 7,
		Routers: []topology.Router{{
			Node: topology.Node{
				Name:      "r",
				Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
				Answer: topology.Answer{
					Delay: topology.Duration(1500 * time.Microsecond),
					TTL:   255,
					Limit: topology.Limit{Rate: 10, Burst: 3},
					Quote: topology.Quote{Length: -1},
					MPLS: &topology.MPLS{
						Form:   topology.LengthGarbageAt128,
						Labels: []topology.Label{{Label: 16, TC: 5}, {Label: 17}},
					},
				},
			},
			SetDSCP: new(uint8),
			ZeroTTL: true,
		}},
		Destinations: []topology.Destination{{
			Node:    topology.Node{Name: "d", Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.1")}},
			Service: topology.Service{UDP: topology.UDPEcho, Open: []uint16{80, 443}},
		}},
		Links: []topology.Link{{Path: []string{"host", "r", "d"}, Delay: topology.Duration(time.Millisecond), Loss: 1}},
	}
	got, err := topology.Parse("lab.toml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, sameValue); diff != "" {
		t.Error(diff)
	}
}

func TestParseShipped(t *testing.T) {
	for _, name := range topologies.Names() {
		t.Run(name, func(t *testing.T) {
			data, err := topologies.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			topo, err := topology.Parse(name+".toml", data)
			if err != nil {
				t.Fatal(err)
			}
			checkRoundTrip(t, topo)
		})
	}
}

// checkRoundTrip checks that a topology is valid, and equal to what is read
// when it has been written.
func checkRoundTrip(t *testing.T, topo *topology.Topology) {
	t.Helper()
	if err := topo.Validate(); err != nil {
		t.Errorf("parsed, but not valid: %v", err)
	}
	written, err := toml.Marshal(topo)
	if err != nil {
		t.Fatal(err)
	}
	again, err := topology.Parse("again.toml", written)
	if err != nil {
		t.Fatalf("%v\n%s", err, written)
	}
	if diff := cmp.Diff(topo, again, sameValue); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	names := topologies.Names()
	if len(names) == 0 {
		f.Fatal("no seeds")
	}
	for _, name := range names {
		data, err := topologies.Read(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(lab))
	f.Fuzz(func(t *testing.T, data []byte) {
		topo, err := topology.Parse("fuzz.toml", data)
		if err == nil {
			checkRoundTrip(t, topo)
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, "fuzz.toml:") {
				t.Errorf("fault without a place: %q", line)
			}
		}
	})
}

// The examples in the package's documentation are files that parse.
func TestDocumentedFiles(t *testing.T) {
	doc, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for line := range strings.Lines(doc.Doc.Text()) {
		switch code, isCode := strings.CutPrefix(line, "\t"); {
		case isCode && strings.HasPrefix(code, "name = ") && !strings.HasSuffix(last(examples), "]]\n"):
			examples = append(examples, code)
		case isCode || line == "\n" && len(examples) > 0:
			examples[len(examples)-1] += code
		}
	}
	if len(examples) != 2 {
		t.Fatalf("found %d examples, want 2", len(examples))
	}
	for _, example := range examples {
		if _, err := topology.Parse("doc.go", []byte(example)); err != nil {
			t.Errorf("%v\n%s", err, example)
		}
	}
}

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

func TestReadFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lab.toml")
	if err := os.WriteFile(name, []byte(lab), 0o600); err != nil {
		t.Fatal(err)
	}
	topo, err := topology.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if topo.Name != "lab" {
		t.Errorf("read the topology %q", topo.Name)
	}
}

func TestReadFileMissing(t *testing.T) {
	_, err := topology.ReadFile("atlantis.toml")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if want := "topology: open atlantis.toml: no such file or directory"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// Some editors begin files with a byte order mark.
func TestParseAfterByteOrderMark(t *testing.T) {
	if _, err := topology.Parse("lab.toml", []byte("\ufeff"+lab)); err != nil {
		t.Error(err)
	}
}
