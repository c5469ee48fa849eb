//go:build linux && cgo

package capture_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/capture/netns"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/route"
)

// way is an open way to a target.
type way struct {
	route route.Route
	mac   net.HardwareAddr
	live  *capture.Live
}

const probePort = 33000 // that probes come from

// open finds the way to a target and opens it, as a trace does, in the network
// namespace of that name.
func open(t *testing.T, namespace, dst string, o route.Options) *way {
	t.Helper()
	w := &way{}
	err := netns.Do(namespace, func() (err error) {
		if w.route, err = route.Lookup(netip.MustParseAddr(dst), o); err != nil {
			return err
		}
		if w.mac, err = w.route.Neighbour(t.Context()); err != nil {
			return err
		}
		w.live, err = capture.OpenLive(capture.LiveOptions{
			Interface: w.route.Device(), MAC: w.route.MAC,
			Filter: "udp or " + capture.FilterICMP,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.live.Close() })
	return w
}

// probe is a probe's frame as the link wants it.
func (w *way) probe(t *testing.T, dst netip.Addr, ttl uint8) []byte {
	t.Helper()
	if dst.Is6() {
		return w.probe6(t, dst, ttl)
	}
	builder, err := craft.NewBuilder(craft.Link{Src: w.route.MAC, Dst: w.mac}, craft.Secret{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := builder.Frame(&craft.Probe{
		Src: w.route.Source, Dst: dst, TTL: ttl, ID: 4711, SrcPort: probePort, DstPort: 33434, Length: 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(data)
}

// probe6 builds one of IPv6, by hand.
func (w *way) probe6(t *testing.T, dst netip.Addr, ttl uint8) []byte {
	t.Helper()
	ip := &layers.IPv6{
		Version: 6, HopLimit: ttl, FlowLabel: 0x12345, NextHeader: layers.IPProtocolUDP,
		SrcIP: w.route.Source.AsSlice(), DstIP: dst.AsSlice(),
	}
	udp := &layers.UDP{SrcPort: probePort, DstPort: 33434}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	stack := []gopacket.SerializableLayer{ip, udp, gopacket.Payload("sixteen bytes so")}
	if w.route.Kind == route.Ethernet {
		link := &layers.Ethernet{SrcMAC: w.route.MAC, DstMAC: w.mac, EthernetType: layers.EthernetTypeIPv6}
		stack = append([]gopacket.SerializableLayer{link}, stack...)
	}
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, stack...); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// answer is what came back to a probe, and what was to be seen of both.
type answer struct {
	From      string
	Kind      string // of the ICMP message
	Sent, Got frame.Direction
}

// ask sends a probe, checks that its captured copy is the probe as it was
// built, and returns the answer.
func (w *way) ask(t *testing.T, dst string, ttl uint8) answer {
	t.Helper()
	to := netip.MustParseAddr(dst).WithZone("")
	probe := w.probe(t, to, ttl)
	before := time.Now()
	if err := w.live.Inject(probe); err != nil {
		t.Fatal(err)
	}
	var a answer
	var sent time.Time
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for f, err := range w.live.Frames(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		packet, err := frame.Decode(&f)
		if err != nil {
			continue
		}
		seen, err := craft.ParsePacket(packet.IP)
		switch {
		case err != nil:
			t.Fatal(err)
		case seen.Protocol == layers.IPProtocolUDP && seen.Dst == to:
			sent, a.Sent = f.Time, packet.Direction
			if sent.Before(before) || time.Since(sent) < 0 {
				t.Errorf("stamped %v, sent after %v", sent, before)
			}
			if diff := cmp.Diff(packetOf(w, probe), packet.IP); diff != "" {
				t.Errorf("the probe (-built +captured):\n%s", diff)
			}
		case isError(&seen):
			if sent.IsZero() || f.Time.Before(sent) {
				t.Errorf("answered at %v, sent at %v", f.Time, sent)
			}
			a.From, a.Kind, a.Got = seen.Src.String(), kindOf(&seen), packet.Direction
			return a
		}
	}
	t.Fatalf("no answer from %s; the probe was sent %v", dst, sent)
	return a
}

func packetOf(w *way, data []byte) []byte {
	if w.route.Kind == route.Ethernet {
		return data[14:]
	}
	return data
}

// isError leaves out neighbour discovery and the like (RFC 4443, section 2.1).
func isError(p *craft.Packet) bool {
	if p.Is6() {
		return p.Protocol == layers.IPProtocolICMPv6 && p.Payload[0] < 128
	}
	return p.Protocol == layers.IPProtocolICMPv4
}

func kindOf(p *craft.Packet) string {
	if p.Is6() {
		return layers.CreateICMPv6TypeCode(p.Payload[0], p.Payload[1]).String()
	}
	return layers.CreateICMPv4TypeCode(p.Payload[0], p.Payload[1]).String()
}

// The answers of the two families.
var (
	exceeded    = [2]string{"TimeExceeded(TTLExceeded)", "TimeExceeded(HopLimitExceeded)"}
	unreachable = [2]string{"DestinationUnreachable(Port)", "DestinationUnreachable(PortUnreachable)"}
)

// The host's link to r, and what is behind it.
const (
	subnet, subnet6 = "10.78.1.0/24", "fd78:1::/64"
	near, near6     = "10.78.1.2", "fd78:1::2"
	far, far6       = "10.99.0.1", "fd99::1"
)

// behind joins a destination to r, to which the host's other end of link leads.
func behind(n *kernelnet.Network, r *kernelnet.Node) {
	end := n.Router("far")
	n.Link(r, end, "10.79.1.0/24", "fd79:1::/64")
	end.Address(far, far6)
	end.Route("default", "10.79.1.1")
	end.Route("default", "fd79:1::1")
	r.Route(far, "10.79.1.2")
	r.Route(far6, "fd79:1::2")
}

// throughLink routes what is not on the host's links by way of r.
func throughLink(n *kernelnet.Network) {
	n.Host().Route("default", near)
	n.Host().Route("default", near6)
}

func TestProbesCrossEveryLink(t *testing.T) {
	tests := []struct {
		name  string
		kind  route.Kind
		build func(n *kernelnet.Network, r *kernelnet.Node)
		via   route.Options
	}{
		{"Ethernet", route.Ethernet, func(n *kernelnet.Network, r *kernelnet.Node) {
			n.Link(n.Host(), r, subnet, subnet6)
		}, route.Options{}},
		{"VLAN", route.Ethernet, func(n *kernelnet.Network, r *kernelnet.Node) {
			n.VLAN(n.Link(n.Host(), r), 5, subnet, subnet6)
		}, route.Options{}},
		{"MACVLAN", route.Ethernet, func(n *kernelnet.Network, r *kernelnet.Node) {
			n.MACVLAN(n.Link(n.Host(), r), subnet, subnet6)
		}, route.Options{}},
		{"tun", route.Raw, func(n *kernelnet.Network, r *kernelnet.Node) {
			n.Tunnel(kernelnet.Tun, n.Host(), r, subnet, subnet6)
		}, route.Options{}},
		{"PPP", route.Raw, func(n *kernelnet.Network, r *kernelnet.Node) {
			n.Tunnel(kernelnet.PPP, n.Host(), r, subnet, subnet6)
		}, route.Options{}},
		{"WireGuard", route.Raw, func(n *kernelnet.Network, r *kernelnet.Node) {
			n.WireGuard(n.Link(n.Host(), r, "10.77.1.0/24"), subnet, subnet6)
		}, route.Options{}},
		{"bridge", route.Ethernet, bridged, route.Options{}},
		{"port of a bridge", route.Ethernet, bridged, route.Options{Interface: "eth0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := kernelnet.New(t)
			r := n.Router("r")
			tt.build(n, r)
			behind(n, r)
			throughLink(n)
			for i, dst := range []string{far, far6} {
				crosses(t, open(t, "", dst, tt.via), dst, 1,
					answer{[]string{near, near6}[i], exceeded[i], frame.Out, frame.In})
				w := open(t, "", dst, tt.via)
				crosses(t, w, dst, 9, answer{dst, unreachable[i], frame.Out, frame.In})
				if w.route.Kind != tt.kind {
					t.Errorf("%+v", w.route)
				}
			}
		})
	}
}

// bridged makes the host's end of the link to r a port of a bridge that has
// another one.
func bridged(n *kernelnet.Network, r *kernelnet.Node) {
	link := n.Link(n.Host(), r)
	other := n.Link(n.Host(), n.Router("other"))
	n.Bridge("br0", []kernelnet.End{link.A, other.A}, "10.78.1.1/24", "fd78:1::1/64")
	link.B.Number("10.78.1.2/24", "fd78:1::2/64")
}

func crosses(t *testing.T, w *way, dst string, ttl uint8, want answer) {
	t.Helper()
	if diff := cmp.Diff(want, w.ask(t, dst, ttl)); diff != "" {
		t.Errorf("%s with TTL %d by %+v (-want +got):\n%s", dst, ttl, w.route, diff)
	}
}

func TestProbesReachThisHostItself(t *testing.T) {
	n := kernelnet.New(t)
	link := n.Link(n.Host(), n.Router("r"), subnet, subnet6)
	n.Host().Address("10.55.0.1", "fd55::1")
	tests := map[string]struct {
		dst     string
		options route.Options
	}{
		"loopback":                    {"127.0.0.1", route.Options{}},
		"another address of loopback": {"127.0.0.9", route.Options{}},
		"loopback of IPv6":            {"::1", route.Options{}},
		"an address of lo":            {"10.55.0.1", route.Options{}},
		"an address of lo in IPv6":    {"fd55::1", route.Options{}},
		"an interface's":              {"10.78.1.1", route.Options{}},
		"an interface's in IPv6":      {"fd78:1::1", route.Options{}},
		"an interface's, through it":  {"10.78.1.1", route.Options{Interface: "eth0"}},
		"from another one":            {"10.55.0.1", route.Options{Source: netip.MustParseAddr("10.78.1.1")}},
		"from another one in IPv6":    {"fd55::1", route.Options{Source: netip.MustParseAddr("fd78:1::1")}},
		"link-local":                  {linkLocal(t, "eth0").String() + "%" + link.A.Interface, route.Options{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dst := netip.MustParseAddr(tt.dst)
			kind := unreachable[0]
			if dst.Is6() {
				kind = unreachable[1]
			}
			want := answer{dst.WithZone("").String(), kind, frame.Unknown, frame.Unknown}
			for _, ttl := range []uint8{1, 30} {
				w := open(t, "", tt.dst, tt.options)
				crosses(t, w, tt.dst, ttl, want)
				if w.route.Kind != route.Local || w.route.Device() != "lo" || w.mac != nil {
					t.Errorf("%+v, %v", w.route, w.mac)
				}
			}
		})
	}
}

// linkLocal is the interface's address that is made of its MAC address.
func linkLocal(t *testing.T, name string) netip.Addr {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := i.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	t.Fatalf("%s has no link-local address: %v", name, addresses)
	return netip.Addr{}
}

// A router's link-local address is one hop away.
func TestProbesReachALinkLocalAddress(t *testing.T) {
	n := kernelnet.New(t)
	r := n.Router("r")
	n.Link(n.Host(), r, subnet6)
	var dst netip.Addr
	if err := r.Do(func() error { dst = linkLocal(t, "eth0"); return nil }); err != nil {
		t.Fatal(err)
	}
	want := answer{dst.String(), unreachable[1], frame.Out, frame.In}
	crosses(t, open(t, "", dst.String()+"%eth0", route.Options{}), dst.String(), 1, want)
	crosses(t, open(t, "", dst.String(), route.Options{Interface: "eth0"}), dst.String(), 1, want)
}

// What is opened in another namespace stays there, while this process goes on in
// its own.
func TestProbesFromAnotherNamespace(t *testing.T) {
	n := kernelnet.New(t)
	office, r := n.Router("office"), n.Router("r")
	n.Link(office, r, subnet, subnet6)
	behind(n, r)
	office.Route("default", near)
	office.Route("default", near6)
	office.Publish("office")
	for i, dst := range []string{far, far6, near, near6} {
		w := open(t, "office", dst, route.Options{})
		crosses(t, w, dst, 9, answer{dst, unreachable[i%2], frame.Out, frame.In})
	}
	crosses(t, open(t, "office", "127.0.0.1", route.Options{}), "127.0.0.1", 1,
		answer{"127.0.0.1", unreachable[0], frame.Unknown, frame.Unknown})
}
