package randomnet_test

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire/capture/capturetest/randomnet"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// seeds is how many networks the tests beside traceroute go through.
const seeds = 200

// What File writes is what Parse reads.
func TestFiles(t *testing.T) {
	all := map[string]*topology.Topology{}
	for seed := uint64(1); seed <= seeds; seed++ {
		all[fmt.Sprint("seed ", seed)] = randomnet.New(seed).Topology
		all[fmt.Sprint("lossy seed ", seed)] = randomnet.Lossy(seed).Topology
	}
	for _, name := range topologies.Names() {
		data, err := topologies.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if all[name], err = topology.Parse(name, data); err != nil {
			t.Fatal(err)
		}
	}
	same := []cmp.Option{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}
	for name, top := range all {
		file := randomnet.File(top)
		again, err := topology.Parse(name, file)
		if err != nil {
			t.Errorf("%v\n%s", err, file)
			continue
		}
		if d := cmp.Diff(top, again, same...); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Every key of a topology is set in some of the networks, and every word that a key
// may have; so a key that is new has to be drawn too. The least is one network in
// a hundred.
func TestEverySwitchOccurs(t *testing.T) {
	count := map[string]int{}
	keys(reflect.TypeFor[topology.Topology](), "", count)
	for _, words := range words {
		for _, w := range words.of {
			count[words.key+" = "+w] = 0
		}
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		set := map[string]bool{}
		switches(reflect.ValueOf(*randomnet.Lossy(seed).Topology), "", set)
		for key := range set {
			if _, known := count[key]; !known {
				t.Errorf("%s is set, and not known here", key)
			}
			count[key]++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%3d %s", count[key], key)
		if count[key] < seeds/100 {
			t.Errorf("%s is set in %d of %d networks", key, count[key], seeds)
		}
	}
}

// words are the keys that have words, and all the words.
var words = []struct {
	key string
	of  []string
}{
	{"router.balance", []string{"flow", "packet", "destination"}},
	{"router.reject.hook", []string{"prerouting", "forward"}},
	{"router.nat.ports", []string{"endpoint-independent", "address-and-port-dependent"}},
	{"router.nat.id", []string{"ordered", "random"}},
	{"router.nat.quoted_ttl", []string{"received", "value"}},
	{"router.answer.quote.ttl", []string{"received", "decremented", "sent", "value"}},
	{"router.answer.quote.id", []string{"swapped", "zero"}},
	{"router.answer.mpls.form", []string{"length-17-at-128", "length-0-at-128", "garbage"}},
	{"destination.udp", []string{"echo", "dns", "nothing"}},
}

// keys puts the keys of a type into count. The answers of all nodes are alike: they
// count as the routers'.
func keys(of reflect.Type, path string, count map[string]int) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of.PkgPath() == "net/netip" {
		count[path] = 0
		return
	}
	for f := range of.Fields() {
		if f.Anonymous {
			keys(f.Type, path, count)
			continue
		}
		keys(f.Type, join(path, f.Tag.Get("toml")), count)
	}
}

func join(path, key string) string {
	switch {
	case key == "answer":
		return "router.answer"
	case path == "prefix" && (key == "udp" || key == "tcp_open" || key == "tcp_filtered" || key == "no_echo"):
		return "destination." + key
	case path == "destination" && (key == "name" || key == "dns" || key == "asn" || key == "addresses"):
		return "router." + key
	case path == "":
		return key
	}
	return path + "." + key
}

// switches puts the keys that are set in a value into set.
func switches(v reflect.Value, path string, set map[string]bool) {
	switch {
	case v.Kind() == reflect.Pointer:
		switches(v.Elem(), path, set)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			switches(v.Index(i), path, set)
		}
	case v.Kind() == reflect.Struct && v.Type().PkgPath() != "net/netip":
		for f, field := range v.Fields() {
			switch {
			case f.Anonymous:
				switches(field, path, set)
			case !field.IsZero():
				switches(field, join(path, f.Tag.Get("toml")), set)
			}
		}
	default:
		set[path] = true
		if _, hasWords := wordsOf(path); hasWords && v.String() != "" {
			set[path+" = "+v.String()] = true
		}
	}
}

func wordsOf(path string) ([]string, bool) {
	for _, w := range words {
		if w.key == path {
			return w.of, true
		}
	}
	return nil, false
}

func TestSeedsAreFixed(t *testing.T) {
	a, b := randomnet.File(randomnet.New(7).Topology), randomnet.File(randomnet.New(7).Topology)
	if string(a) != string(b) {
		t.Error("two networks of one seed")
	}
	if string(a) == string(randomnet.File(randomnet.New(8).Topology)) {
		t.Error("one network of two seeds")
	}
}
