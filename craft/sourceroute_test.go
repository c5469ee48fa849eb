package craft_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/craft"
)

// On its way along a source route, a packet has one gateway after the other as
// its destination, and its identity all the time (RFC 791, section 3.1).
func TestKeyAlongASourceRoute(t *testing.T) {
	gateways := []string{"203.0.113.9", "203.0.113.17", "203.0.113.25"}
	p := with(probe(), routed(gateways...))
	data, key := frameOf(t, newBuilder(t, link), p)
	ip := data[14:]
	var passed []string
	for range len(gateways) + 1 {
		packet, err := craft.ParsePacket(ip)
		if err != nil {
			t.Fatal(err)
		}
		passed = append(passed, packet.Dst.String())
		if got, err := packet.Key(); err != nil || got != key {
			t.Errorf("on its way to %v: key %+v, error %v; sent as %+v", packet.Dst, got, err, key)
		}
		forward(ip)
	}
	if d := cmp.Diff(append(gateways, p.Dst.String()), passed); d != "" {
		t.Errorf("passes (-want +got):\n%s", d)
	}
}

// forward does to a packet what the gateway does that it is addressed to.
func forward(ip []byte) {
	option := ip[21:] // behind a no-operation
	at := option[2]
	if at > option[1] {
		return
	}
	copy(ip[16:20], option[at-1:])
	copy(option[at-1:], []byte{10, 0, 0, at}) // the gateway's own address
	option[2] += 4
}

func TestKeyWithOtherOptions(t *testing.T) {
	const src, dst = "\xc0\x00\x02\x01", "\xc6\x33\x64\x07"
	header := func(options string) []byte {
		b := []byte{0x40 | byte(5+len(options)/4), 0, 0, 60, 0, 7, 0, 0, 1, 17, 0, 0}
		return append(b, src+dst+options+"\x9c\x40\x82\x9a\x00\x14\x12\x34"...)
	}
	header4, onward := netip.AddrFrom4([4]byte([]byte(dst))), netip.MustParseAddr("9.9.9.9")
	tests := []struct {
		name, options string
		want          netip.Addr
	}{
		{"a strict route", "\x89\x07\x04\x09\x09\x09\x09\x00", onward},
		{"behind a router alert", "\x94\x04\x00\x00\x83\x07\x04\x09\x09\x09\x09\x00", onward},
		{"a route at its end", "\x83\x07\x08\x09\x09\x09\x09\x00", header4},
		{"a record of the route", "\x07\x07\x04\x09\x09\x09\x09\x00", header4},
		{"a route behind the end", "\x00\x83\x07\x04\x09\x09\x09\x09", header4},
		{"a route without addresses", "\x83\x03\x04\x00", header4},
		{"a route that is cut", "\x01\x83\x0b\x04\x09\x09\x09\x09", header4},
		{"an option of length 0", "\x07\x00\x83\x07\x04\x09\x09\x09", header4},
		{"an option of length 1", "\x07\x01\x83\x07\x04\x09\x09\x09", header4},
		{"an option without a length", "\x01\x01\x01\x83", header4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if k, err := craft.KeyOf(header(test.options)); err != nil || k.Dst != test.want {
				t.Errorf("destination %v, error %v, want %v", k.Dst, err, test.want)
			}
		})
	}
}

func TestNewRouteRefuses(t *testing.T) {
	four := netip.MustParseAddr("192.0.2.9")
	tests := map[string][]netip.Addr{
		"IPv6":              {four, netip.IPv6Loopback()},
		"no address":        {{}},
		"more than fits in": make([]netip.Addr, craft.MaxGateways+1),
	}
	for i := range tests["more than fits in"] {
		tests["more than fits in"][i] = four
	}
	for name, gateways := range tests {
		if _, err := craft.NewRoute(gateways...); !errors.Is(err, craft.ErrRoute) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRouteGoesFirstToItsFirstGateway(t *testing.T) {
	dst := probe().Dst
	through := with(probe(), routed("203.0.113.9", "203.0.113.17")).Route
	got := []string{craft.Route{}.First(dst).String(), through.First(dst).String()}
	if d := cmp.Diff([]string{dst.String(), "203.0.113.9"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
