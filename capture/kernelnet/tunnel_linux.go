package kernelnet

import (
	"fmt"
	"os"
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
// without a link header. Where /dev/net/tun can't be opened it skips or fails the
// test as Require does.
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
	fd := n.openTun(name, unix.IFF_TUN)
	if err := unix.IoctlSetInt(fd, unix.TUNSETLINK, int(kind)); err != nil {
		unix.Close(fd)
		n.fatal(name+" of kind "+fmt.Sprint(kind), err)
	}
	return n.started(name, fd), os.NewFile(uintptr(fd), name)
}

// openTun makes a device whose packets (unix.IFF_TUN) or Ethernet frames
// (unix.IFF_TAP) are read from and written to the descriptor, without blocking;
// it is there until that is closed. Where the machine has no such devices it skips
// or fails the test as Require does.
func (n *Node) openTun(name string, kind uint16) (fd int) {
	n.net.t.Helper()
	// The device belongs to the namespace where its file is opened.
	err := n.Do(func() (err error) {
		fd, err = unix.Open(netlink.TUN, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		return err
	})
	if err != nil {
		Lacking(n.net.t, "%s: %v (as root: mkdir -p /dev/net; mknod -m 666 %[1]s c 10 200, or chmod 666 %[1]s)", netlink.TUN, err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(kind | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		n.fatal(netlink.TUN+": "+name, err)
	}
	return fd
}

// started sets the device of a descriptor up, and closes that if it can't.
func (n *Node) started(name string, fd int) End {
	n.net.t.Helper()
	end := n.end(name)
	if err := n.kernel.LinkSetUp(end.link()); err != nil {
		unix.Close(fd)
		end.fatal("set up", err)
	}
	return end
}
