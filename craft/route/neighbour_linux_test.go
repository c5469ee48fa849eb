package route_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/craft/route"
)

// soon is what is at once, on a machine that is busy.
const soon = time.Second

// checkLeaks checks, when the test ends, that what follows leaves no goroutine
// and no file open.
func checkLeaks(t *testing.T) {
	t.Helper()
	goroutines, files := goleak.IgnoreCurrent(), openFiles(t)
	t.Cleanup(func() {
		goleak.VerifyNone(t, goroutines)
		if diff := cmp.Diff(files, openFiles(t)); diff != "" {
			t.Errorf("open files (-before +after):\n%s", diff)
		}
	})
}

// openFiles says by descriptor what this process has open.
func openFiles(t *testing.T) map[string]string {
	t.Helper()
	const dir = "/proc/self/fd/"
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, fd := range list {
		if name, err := os.Readlink(dir + fd.Name()); err == nil { // the one of dir is closed
			files[fd.Name()] = name
		}
	}
	return files
}

func lookup(t *testing.T, dst string) route.Route {
	t.Helper()
	r, err := route.Lookup(addr(dst), route.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// entry is what the kernel's table has about the next hop, or nil.
func entry(t *testing.T, r route.Route) *netlink.Neigh {
	t.Helper()
	family := netlink.FAMILY_V4
	if r.NextHop.Is6() {
		family = netlink.FAMILY_V6
	}
	list, err := netlink.NeighList(r.Index, family)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == r.NextHop {
			return &n
		}
	}
	return nil
}

// transmitted is how many packets the route's interface has sent.
func transmitted(t *testing.T, r route.Route) uint64 {
	t.Helper()
	link, err := netlink.LinkByIndex(r.Index)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Statistics.TxPackets
}

func TestNeighbourIsAskedFor(t *testing.T) {
	tests := []struct{ name, route, dst, nextHop string }{
		{"on the link", "", "10.77.1.2", "10.77.1.2"},
		{"a gateway", "10.99.0.0/16 via 10.77.1.2", "10.99.0.1", "10.77.1.2"},
		{"a gateway of another subnet", "10.99.0.0/16 via 192.0.2.1 dev eth0 onlink", "10.99.0.1", "192.0.2.1"},
		{"on the link in IPv6", "", "fd77:1::2", "fd77:1::2"},
		{"a gateway in IPv6", "fd99::/64 via fd77:1::2", "fd99::1", "fd77:1::2"},
		{"a gateway of another subnet in IPv6", "default via fd78::1 dev eth0 onlink", "fd99::1", "fd78::1"},
		{"a link-local gateway", "fd99::/64 via fe80::7 dev eth0", "fd99::1", "fe80::7"},
		{"link-local", "", "fe80::7%eth0", "fe80::7"},
		{"an IPv6 gateway", "10.99.0.0/16 via inet6 fd77:1::2 dev eth0", "10.99.0.1", "fd77:1::2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := kernelnet.New(t)
			r1 := n.Router("r1")
			link := n.Link(n.Host(), r1, "10.77.1.0/24", "fd77:1::/64")
			r1.Address("192.0.2.1")
			link.B.Number("fe80::7/64", "fd78::1/128")
			if tt.route != "" {
				ip(n, "route add "+tt.route)
			}
			checkLeaks(t)
			r := lookup(t, tt.dst)
			if r.NextHop != addr(tt.nextHop) {
				t.Fatalf("next hop %v", r.NextHop)
			}
			if e := entry(t, r); e != nil {
				t.Fatalf("the kernel knows it: %v", e)
			}
			mac, err := r.Neighbour(t.Context())
			if err != nil || !bytes.Equal(mac, link.B.MAC) {
				t.Errorf("%v, %v, want %v", mac, err, link.B.MAC)
			}
			if e := entry(t, r); e == nil || !bytes.Equal(e.HardwareAddr, link.B.MAC) {
				t.Errorf("the kernel does not know it: %v", e)
			}
		})
	}
}

func TestNeighbourKnownIsNotAskedFor(t *testing.T) {
	tests := map[string]int{
		"permanent": netlink.NUD_PERMANENT,
		"noarp":     netlink.NUD_NOARP,
		"reachable": netlink.NUD_REACHABLE,
		"stale":     netlink.NUD_STALE,
	}
	n := kernelnet.New(t)
	n.Link(n.Host(), n.Router("r1"), "10.77.1.0/24")
	n.Host().Route("default", "10.77.1.2")
	for name, state := range tests {
		t.Run(name, func(t *testing.T) {
			const mac = "02:00:00:00:00:07" // nobody's
			ip(n, "neigh replace 10.77.1.2 dev eth0 lladdr "+mac+" nud "+name)
			checkLeaks(t)
			r := lookup(t, "10.99.0.1")
			before := transmitted(t, r)
			got, err := r.Neighbour(t.Context())
			if err != nil || got.String() != mac {
				t.Errorf("%v, %v, want %s", got, err, mac)
			}
			if after := transmitted(t, r); after != before {
				t.Errorf("%d packets sent", after-before)
			}
			if e := entry(t, r); e == nil || e.State != state {
				t.Errorf("the kernel's entry is now %v", e)
			}
		})
	}
}

func TestNeighbourAskedForByManyAtOnce(t *testing.T) {
	n := kernelnet.New(t)
	link := n.Link(n.Host(), n.Router("r1"), "10.77.1.0/24")
	checkLeaks(t)
	r := lookup(t, "10.77.1.2")
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if mac, err := r.Neighbour(t.Context()); err != nil || !bytes.Equal(mac, link.B.MAC) {
				t.Errorf("%v, %v", mac, err)
			}
		})
	}
	wait.Wait()
}

func TestNeighbourDoesNotAnswer(t *testing.T) {
	tests := []struct {
		name, subnet, dst string
		settings          []string // of the kernel's, name and value
		within            time.Duration
	}{
		{"the kernel asks three times", "10.77.1.0/24", "10.77.1.9", nil, 4 * time.Second},
		{"the kernel gives up early", "10.77.2.0/24", "10.77.2.9",
			[]string{"ipv4.neigh.%s.mcast_solicit", "1", "ipv4.neigh.%s.retrans_time_ms", "50"}, soon},
		{"the kernel asks on", "10.77.3.0/24", "10.77.3.9", []string{"ipv4.neigh.%s.mcast_solicit", "100"}, 4 * time.Second},
		{"in IPv6 too", "fd77:4::/64", "fd77:4::9", nil, 4 * time.Second},
		{"in IPv6 early", "fd77:5::/64", "fd77:5::9",
			[]string{"ipv6.neigh.%s.mcast_solicit", "1", "ipv6.neigh.%s.retrans_time_ms", "50"}, soon},
		{"link-local", "fd77:6::/64", "fe80::9%eth5", nil, 4 * time.Second},
	}
	n := kernelnet.New(t)
	r1 := n.Router("r1")
	for _, tt := range tests {
		link := n.Link(n.Host(), r1, tt.subnet)
		for i := 0; i < len(tt.settings); i += 2 {
			n.Host().Sysctl("net."+fmt.Sprintf(tt.settings[i], link.A.Interface), tt.settings[i+1])
		}
	}
	checkLeaks(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := lookup(t, tt.dst)
			began := time.Now()
			mac, err := r.Neighbour(t.Context())
			if !errors.Is(err, route.ErrNeighbour) || mac != nil {
				t.Fatalf("%v, %v", mac, err)
			}
			if want := r.NextHop.String() + " on " + r.Interface + ":"; !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want it to say %s", err, want)
			}
			if took := time.Since(began); took > tt.within {
				t.Errorf("took %v, want %v", took, tt.within)
			}
		})
	}
}

// isARP tells requests for and replies with a hardware address (RFC 826).
func isARP(data []byte) bool { return data[12] == 0x08 && data[13] == 0x06 }

func TestNeighbourAnswersLate(t *testing.T) {
	requests := 0
	tests := map[string]kernelnet.Delay{
		"late": func(data []byte) time.Duration {
			if isARP(data) {
				return 100 * time.Millisecond
			}
			return 0
		},
		"to the third request": func(data []byte) time.Duration {
			if isARP(data) {
				if requests++; requests <= 2 {
					return -1
				}
			}
			return 0
		},
	}
	for name, delay := range tests {
		t.Run(name, func(t *testing.T) {
			n := kernelnet.New(t)
			wire := n.Wire(n.Host(), n.Router("r1"), delay, "10.77.1.0/24")
			n.Host().Sysctl("net.ipv4.neigh.eth0.retrans_time_ms", "200")
			checkLeaks(t)
			mac, err := lookup(t, "10.77.1.2").Neighbour(t.Context())
			if err != nil || !bytes.Equal(mac, wire.B.MAC) {
				t.Errorf("%v, %v", mac, err)
			}
		})
	}
}

// The kernel remembers for a while that nobody answered.
func TestNeighbourAnswersAfterItDidNot(t *testing.T) {
	n := kernelnet.New(t)
	r1 := n.Router("r1")
	link := n.Link(n.Host(), r1, "10.77.1.0/24")
	n.Host().Sysctl("net.ipv4.neigh.eth0.retrans_time_ms", "20")
	checkLeaks(t)
	r := lookup(t, "10.77.1.9")
	if _, err := r.Neighbour(t.Context()); !errors.Is(err, route.ErrNeighbour) {
		t.Fatal(err)
	}
	if e := entry(t, r); e == nil || e.State != netlink.NUD_FAILED {
		t.Fatalf("the kernel has forgotten: %v", e)
	}
	r1.Address("10.77.1.9")
	mac, err := r.Neighbour(t.Context())
	if err != nil || !bytes.Equal(mac, link.B.MAC) {
		t.Errorf("%v, %v", mac, err)
	}
}

func TestNeighbourEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := make(chan time.Time, 1)
	n := kernelnet.New(t)
	n.Wire(n.Host(), n.Router("r1"), func(data []byte) time.Duration {
		if isARP(data) && ctx.Err() == nil {
			asked <- time.Now()
			cancel()
		}
		return -1
	}, "10.77.1.0/24")
	checkLeaks(t)
	r := lookup(t, "10.77.1.2")
	for _, when := range []string{"while it is asked for", "before"} {
		began := time.Now()
		mac, err := r.Neighbour(ctx)
		if when != "before" {
			began = <-asked
		}
		if took := time.Since(began); !errors.Is(err, context.Canceled) || mac != nil || took > soon {
			t.Errorf("cancelled %s: %v, %v after %v", when, mac, err, took)
		}
	}
}

func TestNeighbourOfAnInterfaceLost(t *testing.T) {
	tests := []struct {
		name, words string
		want        error
	}{
		{"removed", "link del eth0", route.ErrInterface},
		{"set down", "link set eth0 down", route.ErrDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := kernelnet.New(t)
			n.Link(n.Host(), n.Router("r1"), "10.77.1.0/24")
			checkLeaks(t)
			r := lookup(t, "10.77.1.9")
			ip(n, tt.words)
			began := time.Now()
			mac, err := r.Neighbour(t.Context())
			if !errors.Is(err, tt.want) || mac != nil || !strings.Contains(err.Error(), "eth0") {
				t.Errorf("%v, %v", mac, err)
			}
			if took := time.Since(began); took > soon {
				t.Errorf("took %v", took)
			}
		})
	}
}

// The route to the gateway's address is not the way to the gateway.
func TestNeighbourIsAGatewayWithARouteOfItsOwn(t *testing.T) {
	n := kernelnet.New(t)
	r1, r2 := n.Router("r1"), n.Router("r2")
	link := n.Link(n.Host(), r1, "10.77.1.0/24")
	n.Link(n.Host(), r2, "10.77.2.0/24")
	r1.Address("192.0.2.1", "192.0.2.2")
	ip(n, "route add default via 10.77.1.2")
	ip(n, "route add 192.0.2.2 via 10.77.2.2")
	checkLeaks(t)
	for _, gateway := range []string{"192.0.2.1", "192.0.2.2"} {
		ip(n, "route replace 10.99.0.0/16 via "+gateway+" dev eth0 onlink")
		mac, err := lookup(t, "10.99.0.1").Neighbour(t.Context())
		if err != nil || !bytes.Equal(mac, link.B.MAC) {
			t.Errorf("%s: %v, %v", gateway, mac, err)
		}
	}
}

func TestNeighbourEndsWithItsDeadline(t *testing.T) {
	n := kernelnet.New(t)
	n.Link(n.Host(), n.Router("r1"), "10.77.1.0/24")
	checkLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	mac, err := lookup(t, "10.77.1.9").Neighbour(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, route.ErrNeighbour) || mac != nil {
		t.Errorf("%v, %v", mac, err)
	}
}

// The table of a busy host changes all the time.
func TestNeighbourAmongManyChanges(t *testing.T) {
	kernel, err := netlink.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	var index int
	change := func(times int) {
		for i := range times {
			err := kernel.NeighSet(&netlink.Neigh{
				LinkIndex: index, IP: net.IPv4(10, 77, 1, byte(100+i%100)),
				HardwareAddr: net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)}, State: netlink.NUD_PERMANENT,
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	// Changes wait for a reader that has what it wanted, or are more than the
	// kernel keeps for it.
	for _, times := range []int{200, 5000} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			n := kernelnet.New(t)
			wire := n.Wire(n.Host(), n.Router("r1"), func(data []byte) time.Duration {
				if isARP(data) {
					change(times)
				}
				return 0
			}, "10.77.1.0/24")
			index = wire.A.Index
			checkLeaks(t)
			mac, err := lookup(t, "10.77.1.2").Neighbour(t.Context())
			if err != nil || !bytes.Equal(mac, wire.B.MAC) {
				t.Errorf("%v, %v", mac, err)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	n := kernelnet.New(b)
	n.Link(n.Host(), n.Router("r1"), "10.77.1.0/24")
	n.Host().Route("default", "10.77.1.2")
	dst := addr("10.99.0.1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := route.Lookup(dst, route.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNeighbour is about a next hop that the kernel has yet to ask for.
func BenchmarkNeighbour(b *testing.B) {
	n := kernelnet.New(b)
	link := n.Link(n.Host(), n.Router("r1"), "10.77.1.0/24")
	r, err := route.Lookup(addr("10.77.1.2"), route.Options{})
	if err != nil {
		b.Fatal(err)
	}
	known := &netlink.Neigh{LinkIndex: link.A.Index, IP: net.IP(r.NextHop.AsSlice())}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Neighbour(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := netlink.NeighDel(known); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
