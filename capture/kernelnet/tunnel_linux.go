package kernelnet

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Tunnel is a kind of link that has no link-layer addresses.
type Tunnel uint16

// The tunnels whose packets a Network carries through user space, by the kind
// of link that their interfaces say they are (ARPHRD_ in linux/if_arp.h).
const (
	Tun Tunnel = unix.ARPHRD_NONE // a tun device as it is made
	PPP Tunnel = unix.ARPHRD_PPP  // one that programs take for PPP: no kernel's PPP
)

// Tunnel joins two nodes by tun devices, tun0 and so on, which carry IP packets
// without a link header. It skips the test where /dev/net/tun can't be opened,
// also where nothing may be skipped: many machines that run tests don't have it.
func (n *Network) Tunnel(kind Tunnel, a, b *Node, subnets ...string) *Link {
	n.t.Helper()
	endA, left := a.tun(kind)
	endB, right := b.tun(kind)
	n.carry(left, right, func([]byte) time.Duration { return 0 })
	l := &Link{A: endA, B: endB}
	l.number(subnets)
	return l
}

// tun makes a tun device, which is there until its file is closed.
func (n *Node) tun(kind Tunnel) (End, *os.File) {
	n.net.t.Helper()
	name := fmt.Sprintf("tun%d", n.interfaces)
	n.interfaces++
	var fd int
	err := n.Do(func() (err error) {
		fd, err = openTun(name, kind)
		return err
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
		n.net.t.Skipf("kernelnet: %v (as root: mkdir -p /dev/net; mknod -m 666 %[2]s c 10 200, or chmod 666 %[2]s)", err, netlink.TUN)
	}
	if err != nil {
		n.fatal(name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	end := n.end(name)
	if err := n.kernel.LinkSetUp(end.link()); err != nil {
		file.Close()
		end.fatal("set up", err)
	}
	return end, file
}

func openTun(name string, kind Tunnel) (int, error) {
	fd, err := unix.Open(netlink.TUN, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", netlink.TUN, err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.TUNSETLINK, int(kind))
	}
	if err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("%s: %s: %v", netlink.TUN, name, err)
	}
	return fd, nil
}

// WireGuard joins the nodes of a link by interfaces wg0 of WireGuard's, whose
// packets cross the link. It skips the test where the kernel has none, and
// skips or fails it as Require does without the program wg.
func (n *Network) WireGuard(link *Link, subnets ...string) *Link {
	n.t.Helper()
	upper := n.upon(link, nil, func(*End) netlink.Link {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "wg0"
		return &netlink.Wireguard{LinkAttrs: attrs}
	})
	keyA, keyB := wireGuardKey(1), wireGuardKey(2)
	upper.A.peer(keyA, keyB.PublicKey(), link.B.Addr())
	upper.B.peer(keyB, keyA.PublicKey(), link.A.Addr())
	upper.number(subnets)
	return upper
}

// wireGuardKey is a key for tests: as good as any where nobody listens.
func wireGuardKey(seed byte) *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(slices.Repeat([]byte{seed}, 32))
	if err != nil {
		panic(err) // for a length other than 32
	}
	return key
}

// peer tells the interface its key, and its peer's key and address.
func (e *End) peer(own *ecdh.PrivateKey, other *ecdh.PublicKey, at netip.Addr) {
	e.Node.net.t.Helper()
	const port = "51820"
	args := "wg set " + e.Interface + " private-key /dev/stdin listen-port " + port +
		" peer " + base64.StdEncoding.EncodeToString(other.Bytes()) +
		" allowed-ips 0.0.0.0/0,::/0 endpoint " + at.String() + ":" + port
	e.Node.run(base64.StdEncoding.EncodeToString(own.Bytes())+"\n", strings.Fields(args)...)
}
