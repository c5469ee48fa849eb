package kernelnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// loopback is lo, whose index is 1 in every namespace.
var loopback = &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}}

// sysctl is a kernel setting by its dotted name.
type sysctl struct{ name, value string }

// baseSysctls are set in every namespace, before it has interfaces: answers
// are never rate limited, any path back is accepted, and the wire is quiet
// (IPv6 is enabled only on links that carry it, without address detection).
var baseSysctls = []sysctl{
	{"net.ipv4.icmp_ratelimit", "0"},
	{"net.ipv4.icmp_msgs_per_sec", "1000000"},
	{"net.ipv4.icmp_msgs_burst", "1000000"},
	{"net.ipv4.conf.all.rp_filter", "0"},
	{"net.ipv4.conf.default.rp_filter", "0"},
	{"net.ipv6.icmp.ratelimit", "0"},
	{"net.ipv6.conf.default.disable_ipv6", "1"},
	{"net.ipv6.conf.all.accept_dad", "0"},
	{"net.ipv6.conf.default.accept_dad", "0"},
	{"net.ipv6.conf.default.dad_transmits", "0"},
	{"net.ipv6.conf.default.accept_ra", "0"},
	{"net.ipv6.conf.default.router_solicitations", "0"},
}

// multipathSysctls spread flows by their addresses, protocol and ports (0x37).
// Policy 1 hashes the same fields, but where a local socket sent the packet
// takes the socket's random number instead, which survives veth; so it only
// serves kernels before 5.14, which refuse policy 3.
var multipathSysctls = []sysctl{
	{"net.ipv4.fib_multipath_hash_fields", "55"},
	{"net.ipv6.fib_multipath_hash_fields", "55"},
	{"net.ipv4.fib_multipath_hash_policy", "1"},
	{"net.ipv6.fib_multipath_hash_policy", "1"},
	{"net.ipv4.fib_multipath_hash_policy", "3"},
	{"net.ipv6.fib_multipath_hash_policy", "3"},
}

// multipathSeed makes a node choose unlike the others, for both families.
// Kernels before 6.11 have one seed for all.
func multipathSeed(node int) []sysctl {
	return []sysctl{{"net.ipv4.fib_multipath_hash_seed", strconv.Itoa(node + 1)}}
}

var routerSysctls = []sysctl{
	{"net.ipv4.ip_forward", "1"},
	{"net.ipv6.conf.all.forwarding", "1"},
}

// writeSysctls sets, in the namespace of the calling thread (/proc/sys/net is
// that of whoever opens it), what this kernel has and takes.
func writeSysctls(settings ...sysctl) error {
	for _, s := range settings {
		err := writeSysctl(s.name, s.value)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return nil
}

func sysctlPath(name string) string {
	return "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
}

func writeSysctl(name, value string) error {
	f, err := os.OpenFile(sysctlPath(name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func readSysctl(name string) (string, error) {
	value, err := os.ReadFile(sysctlPath(name))
	return strings.TrimSpace(string(value)), err
}

// currentNamespace opens the namespace of the calling thread.
func currentNamespace() (netns.NsHandle, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return netns.Get()
}

// inNamespace calls f on the calling goroutine, locked to a thread in ns.
func inNamespace(ns netns.NsHandle, f func() error) error {
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer before.Close()
	if err := netns.Set(ns); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		// A thread that cannot go back stays locked and so ends with its goroutine.
		if netns.Set(before) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// newNamespace makes a network namespace; the calling thread stays where it is.
func newNamespace() (ns netns.NsHandle, err error) {
	here, err := currentNamespace()
	if err != nil {
		return netns.None(), err
	}
	defer here.Close()
	err = inNamespace(here, func() error {
		ns, err = netns.New()
		return err
	})
	return ns, err
}

func loopbackUp(ns netns.NsHandle) error {
	kernel, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer kernel.Close()
	if err := kernel.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
