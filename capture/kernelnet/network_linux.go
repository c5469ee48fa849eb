package kernelnet

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Network is a set of nodes for one test. Its methods, and those of its nodes,
// belong on the goroutine of the test it was made for.
type Network struct {
	t      testing.TB
	host   *Node
	nodes  []*Node // all of them, the host first
	before hostState
}

// New returns a network that has only its host. It skips or fails the test as
// Require does.
//
// When the test ends, all processes are stopped, the goroutines of wires
// joined, namespaces given up, and the host is as it was: its interfaces,
// addresses, routes, sysctls set through Node.Sysctl and rules set through
// Node.Nft. The kernel takes the other namespaces down by itself a little
// later, or when the last socket that the test left open in one is closed.
//
// The host is one for the whole process: a test has one Network, and New
// panics in a parallel test. Parallel subtests may share their parent's.
func New(t testing.TB) *Network {
	t.Helper()
	Require(t)
	t.Setenv(stateVariable, stateInside) // panics in a parallel test
	n := &Network{t: t}
	t.Cleanup(n.close)
	ns, err := currentNamespace()
	if err != nil {
		t.Fatalf("kernelnet: %v", err)
	}
	n.host = n.adopt("host", ns)
	if n.before, err = readHostState(n.host.kernel); err != nil {
		t.Fatalf("kernelnet: %v", err)
	}
	return n
}

// Host is the namespace of the test process itself. It does not forward.
func (n *Network) Host() *Node { return n.host }

// Router adds a namespace that forwards IPv4 and IPv6 and limits no ICMP
// errors. Names serve messages only.
func (n *Network) Router(name string) *Node {
	n.t.Helper()
	return n.namespace(name, routerSysctls)
}

func (n *Network) namespace(name string, sysctls []sysctl) *Node {
	n.t.Helper()
	ns, err := newNamespace()
	if err != nil {
		n.t.Fatalf("kernelnet: %s: new namespace: %v", name, err)
	}
	node := n.adopt(name, ns)
	settings := slices.Concat(baseSysctls, multipathSysctls, multipathSeed(len(n.nodes)), sysctls)
	err = node.Do(func() error { return writeSysctls(settings...) })
	if err != nil {
		node.fatal("settings", err)
	}
	if err := node.kernel.LinkSetUp(loopback); err != nil {
		node.fatal("set lo up", err)
	}
	return node
}

// adopt makes ns a node, which closes it with the network.
func (n *Network) adopt(name string, ns netns.NsHandle) *Node {
	n.t.Helper()
	kernel, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		ns.Close()
		n.t.Fatalf("kernelnet: %s: netlink: %v", name, err)
	}
	node := &Node{Name: name, net: n, ns: ns, kernel: kernel}
	n.nodes = append(n.nodes, node)
	return node
}

func (n *Network) close() {
	if n.before.links != nil {
		if err := n.before.restore(n.host.kernel); err != nil {
			n.t.Errorf("kernelnet: cleaning up the host: %v", err)
		}
	}
	for _, node := range n.nodes {
		node.kernel.Close()
		node.ns.Close()
	}
}

// hostState is what a network leaves of the host's namespace when it goes.
type hostState struct {
	links     map[int]bool
	addresses map[string]bool // of lo
}

func readHostState(kernel *netlink.Handle) (hostState, error) {
	s := hostState{links: map[int]bool{}, addresses: map[string]bool{}}
	links, err := kernel.LinkList()
	if err != nil {
		return hostState{}, fmt.Errorf("list links: %w", err)
	}
	for _, link := range links {
		s.links[link.Attrs().Index] = true
	}
	addresses, err := kernel.AddrList(loopback, netlink.FAMILY_ALL)
	if err != nil {
		return hostState{}, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addresses {
		s.addresses[a.IPNet.String()] = true
	}
	return s, nil
}

// restore removes what was added since s was read. Routes go all: there are
// none but the kernel's own where no network is.
func (s hostState) restore(kernel *netlink.Handle) error {
	var errs []error
	links, err := kernel.LinkList()
	errs = append(errs, err)
	for _, link := range links {
		if !s.links[link.Attrs().Index] {
			errs = append(errs, unlessGone(kernel.LinkDel(link)))
		}
	}
	addresses, err := kernel.AddrList(loopback, netlink.FAMILY_ALL)
	errs = append(errs, err)
	for _, a := range addresses {
		if !s.addresses[a.IPNet.String()] {
			errs = append(errs, unlessGone(kernel.AddrDel(loopback, &a)))
		}
	}
	everyTable := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := kernel.RouteListFiltered(netlink.FAMILY_ALL, everyTable, netlink.RT_FILTER_TABLE)
	errs = append(errs, err)
	for _, r := range routes {
		if r.Protocol != unix.RTPROT_KERNEL {
			errs = append(errs, unlessGone(kernel.RouteDel(&r)))
		}
	}
	return errors.Join(errs...)
}

// unlessGone drops the error of deleting what went with something else.
func unlessGone(err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}
