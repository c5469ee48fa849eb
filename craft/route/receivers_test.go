package route

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// subnets are the prefixes of an interface.
func subnets(all ...string) (prefixes []netip.Prefix) {
	for _, p := range all {
		prefixes = append(prefixes, netip.MustParsePrefix(p))
	}
	return prefixes
}

func TestReceivers(t *testing.T) {
	// The outgoing interface has the index 2.
	out := device{index: 2, name: "eth0", usable: true, leadsOn: true, prefixes: subnets("10.77.1.1/24")}
	lo := device{index: 1, name: "lo", prefixes: subnets("127.0.0.1/8", "10.55.0.1/32")}
	uplink := device{index: 3, name: "eth1", usable: true, leadsOn: true, prefixes: subnets("10.77.2.1/24")}
	containers := device{index: 4, name: "docker0", usable: true, prefixes: subnets("172.17.0.1/16")}
	with := func(d device, change func(*device)) device {
		change(&d)
		return d
	}
	for _, tt := range []struct {
		name, source string
		all          []device
		want         []string
	}{
		{"one uplink", "10.77.1.1", []device{lo, out, containers}, nil},
		{"two uplinks", "10.77.1.1", []device{lo, out, uplink, containers}, []string{"eth1"}},
		{"the other is down", "10.77.1.1", []device{out, with(uplink, func(d *device) { d.usable = false })}, nil},
		{"an address of lo", "10.55.0.1", []device{lo, out, uplink, containers}, []string{"docker0", "eth1"}},
		{"an address of another", "172.17.0.1", []device{lo, out, containers}, []string{"docker0"}},
		{"a link without addresses that leads on", "10.55.0.1",
			[]device{out, {index: 5, name: "eth2", usable: true, leadsOn: true}, {index: 6, name: "eth3", usable: true}}, []string{"eth2"}},
		{"two interfaces in one subnet", "10.77.1.1",
			[]device{out, {index: 5, name: "eth2", usable: true, prefixes: subnets("10.77.1.9/24")}}, []string{"eth2"}},
		{"a port of the outgoing bridge", "10.55.0.1",
			[]device{out, {index: 5, name: "port", usable: true, master: 2, prefixes: subnets("10.1.0.1/24")}}, nil},
		{"the bridge of the outgoing port, and its other port", "10.77.9.1", []device{
			with(out, func(d *device) { d.master, d.prefixes = 5, nil }),
			{index: 5, name: "br0", usable: true, leadsOn: true, prefixes: subnets("10.77.9.1/24")},
			{index: 6, name: "port", usable: true, master: 5, leadsOn: true},
		}, nil},
		{"what the outgoing VLAN is upon", "10.77.1.1",
			[]device{with(out, func(d *device) { d.parent = 3 }), uplink}, nil},
		{"a VLAN upon the outgoing interface", "10.77.1.1",
			[]device{out, with(uplink, func(d *device) { d.parent = 2 })}, nil},
		{"two VLANs of one interface", "10.77.1.1",
			[]device{with(out, func(d *device) { d.parent = 9 }), with(uplink, func(d *device) { d.parent = 9 })}, []string{"eth1"}},
		{"a VLAN and what it is upon, which sees its frames", "10.77.1.1",
			[]device{out, uplink, {index: 5, name: "eth1.5", usable: true, leadsOn: true, parent: 3}}, []string{"eth1"}},
		{"two VLANs upon what sees both", "10.77.1.1",
			[]device{out, {index: 5, name: "v", usable: true, leadsOn: true, parent: 4}, containers,
				{index: 6, name: "w", usable: true, leadsOn: true, parent: 4}}, []string{"docker0"}},
		{"a VLAN upon what is down", "10.77.1.1",
			[]device{out, {index: 5, name: "v", usable: true, leadsOn: true, parent: 4}, {index: 4, name: "under"}}, []string{"v"}},
		{"the outgoing interface is gone", "10.77.1.1", []device{lo, uplink}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, receivers(tt.all, 2, netip.MustParseAddr(tt.source))); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// Of very many, those that replies likely come by are named.
func TestReceiversAreBounded(t *testing.T) {
	all := []device{{index: 2, name: "eth0", usable: true}}
	for i := range 100 {
		all = append(all, device{
			index: 10 + i, name: string(rune('A' + i)), usable: true, leadsOn: i == 98,
			prefixes: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), 24)},
		})
	}
	got := receivers(all, 2, netip.MustParseAddr("10.99.0.1"))
	if len(got) != maxReceivers {
		t.Fatalf("%d interfaces, want %d", len(got), maxReceivers)
	}
	if want := []string{string(rune('A' + 98)), string(rune('A' + 99))}; !cmp.Equal(want, got[maxReceivers-2:]) {
		t.Errorf("%q, want it to end with %q", got, want)
	}
}
