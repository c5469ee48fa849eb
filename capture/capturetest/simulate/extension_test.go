package simulate_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// TestExtension lets the second router answer with an extension.
func TestExtension(t *testing.T) {
	labels := []topology.Label{{Label: 24001, TC: 5, TTL: 253}, {Label: 16}}
	const (
		header    = "2000"
		labelsHex = "000c0101" + "05dc1afd" + "00010101"
	)
	mpls := func(f topology.ExtensionForm) topology.Answer {
		return topology.Answer{MPLS: &topology.MPLS{Labels: labels, Form: f}}
	}
	information := topology.Answer{Interface: &topology.Interface{
		Index: 515, Name: "et-0/0/3.0", Address: netip.MustParseAddr("10.3.0.6"), MTU: 9000,
	}}
	both := mpls("")
	both.Interface = &topology.Interface{Address: netip.MustParseAddr("2001:db8::6")}
	longer, everything := mpls(""), mpls("")
	longer.Quote.Length, everything.Quote.Length = 203, -1
	short := mpls("")
	short.Quote.Length = 28
	tests := []struct {
		name   string
		answer topology.Answer
		size   int      // of the probe's data
		field  [2]uint8 // Length, by family
		quote  [2]int   // how long it is, with padding
		object string
	}{
		{"compliant", mpls(""), 32, [2]uint8{32, 16}, [2]int{128, 128}, labelsHex},
		{"compliant, a long probe", mpls(""), 1000, [2]uint8{32, 16}, [2]int{128, 128}, labelsHex},
		{"compliant, a short quote", short, 1000, [2]uint8{32, 16}, [2]int{128, 128}, labelsHex},
		{"compliant, a longer quote", longer, 1000, [2]uint8{50, 25}, [2]int{200, 200}, labelsHex},
		{"compliant, everything", everything, 1000, [2]uint8{255, 131}, [2]int{1020, 1048}, labelsHex},
		{"length 17", mpls(topology.Length17At128), 32, [2]uint8{17, 17}, [2]int{128, 128}, labelsHex},
		{"length 0", mpls(topology.Length0At128), 1000, [2]uint8{0, 0}, [2]int{128, 128}, labelsHex},
		{"garbage", mpls(topology.LengthGarbageAt128), 1000, [2]uint8{93, 93}, [2]int{128, 128}, labelsHex},
		{
			"interface", information, 32, [2]uint8{32, 16}, [2]int{128, 128},
			"0020020f" + "00000203" + "000100000a030006" + "0c" + hex.EncodeToString([]byte("et-0/0/3.0")) + "00" + "00002328",
		},
		{
			"both", both, 32, [2]uint8{32, 16}, [2]int{128, 128},
			labelsHex + "00180204" + "00020000" + "20010db8000000000000000000000006",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				n := network(t, chain(func(c *topology.Topology) { c.Routers[1].Answer = test.answer }))
				p := probe{v6: v6, ttl: 2, size: test.size, id: 7}
				sent := p.bytes(t)
				d := one(t, n, p)
				family, at := pick(v6, 0, 1), pick(v6, 5, 4)
				if got := d.icmp[at]; got != test.field[family] {
					t.Errorf("Length %d, want %d", got, test.field[family])
				}
				quote, extension := d.quote(t)[:test.quote[family]], d.quote(t)[test.quote[family]:]
				want := append(bytes.Clone(sent), make([]byte, 1500)...)[:len(quote)]
				quoted := quote
				if test.answer.Quote.Length == 28 {
					quoted = quote[:pick(v6, 28, 48)]
					if pad := quote[len(quoted):]; !bytes.Equal(pad, make([]byte, len(pad))) {
						t.Errorf("padded with %x", pad)
					}
				}
				ignore := pick(v6, [2]int{8, 12}, [2]int{7, 8}) // the TTL, and what it changes
				copy(want[ignore[0]:ignore[1]], quote[ignore[0]:ignore[1]])
				if !bytes.Equal(quoted, want[:len(quoted)]) {
					t.Errorf("quote\n%x, want\n%x", quoted, want[:len(quoted)])
				}
				if ones(extension) != 0xffff {
					t.Errorf("the extension sums to %#x", ones(extension))
				}
				got := hex.EncodeToString(extension)
				if !strings.HasPrefix(got, header) || got[8:] != test.object {
					t.Errorf("extension (-want +got):\n%s", cmp.Diff(test.object, got[8:]))
				}
			})
		})
	}
}
