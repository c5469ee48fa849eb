//go:build linux && cgo

package capture

import (
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/frame"
)

// watched is what is known of what a capture missed.
type watched struct {
	at      time.Time // up to when
	dropped int
	gaps    []frame.Gap // that last
}

func newWatched(at time.Time) *watched { return &watched{at: at} }

// look returns what the capture has missed since the last look.
func (w *watched) look(l *Live, at time.Time) (found []frame.Gap) {
	from, to := w.at.UTC().Round(0), at.UTC().Round(0)
	w.at = at
	dropped := l.count().Dropped
	if n := dropped - w.dropped; n > 0 {
		found = append(found, frame.Gap{From: from, To: to, Frames: n})
	}
	w.dropped = max(w.dropped, dropped)
	for _, n := range l.notices.read() {
		found = w.heed(found, n, from, to)
	}
	return found
}

// heed adds the gap that a notice begins or ends.
func (w *watched) heed(found []frame.Gap, n notice, from, to time.Time) []frame.Gap {
	for i, lasts := range w.gaps {
		if lasts.Cause != n.cause || lasts.Addr != n.addr {
			continue
		}
		if n.begins {
			return found
		}
		w.gaps = append(w.gaps[:i], w.gaps[i+1:]...)
		ended := lasts
		ended.To = to
		if at := slices.IndexFunc(found, lasts.Equal); at >= 0 { // it did not last until this look
			found[at] = ended
			return found
		}
		return append(found, ended)
	}
	if !n.begins {
		return found
	}
	begun := frame.Gap{From: from, Cause: n.cause, Addr: n.addr}
	w.gaps = append(w.gaps, begun)
	return append(found, begun)
}

// notice is that something began or ended that makes a capture miss frames.
type notice struct {
	cause  frame.Cause
	addr   netip.Addr
	begins bool
}

// notices are what the kernel says about an interface (rtnetlink(7)). A nil
// *notices has none.
type notices struct {
	index  int
	socket *os.File
	fd     int      // of the socket
	first  []notice // of what was so before
	buffer []byte
}

// openNotices asks for notices about an interface in the namespace of the caller. It
// is nil where the system refuses them: then nobody knows.
func openNotices(index int) *notices {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil
	}
	n := &notices{index: index, fd: fd, socket: os.NewFile(uintptr(fd), "notices"), buffer: make([]byte, 1<<16)}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		n.close()
		return nil
	}
	if link, err := netlink.LinkByIndex(index); err == nil && !hasCarrier(link.Attrs().RawFlags) {
		n.first = []notice{{cause: frame.NoCarrier, begins: true}}
	}
	return n
}

func hasCarrier(flags uint32) bool { return flags&unix.IFF_UP == 0 || flags&unix.IFF_LOWER_UP != 0 }

// read returns the notices that have come. It doesn't wait.
func (n *notices) read() (all []notice) {
	if n == nil {
		return nil
	}
	all, n.first = n.first, nil
	raw, err := n.socket.SyscallConn()
	if err != nil {
		return all
	}
	_ = raw.Control(func(fd uintptr) {
		for {
			length, _, err := unix.Recvfrom(int(fd), n.buffer, unix.MSG_DONTWAIT)
			if err == unix.EINTR || err == unix.ENOBUFS { // some were lost
				continue
			}
			if err != nil {
				return
			}
			messages, err := syscall.ParseNetlinkMessage(n.buffer[:length])
			if err != nil {
				return
			}
			for i := range messages {
				all = n.add(all, &messages[i])
			}
		}
	})
	return all
}

// add adds what a message says about the interface.
func (n *notices) add(all []notice, m *syscall.NetlinkMessage) []notice {
	switch m.Header.Type {
	case unix.RTM_NEWLINK:
		link, err := netlink.LinkDeserialize(nil, m.Data)
		if err == nil && link.Attrs().Index == n.index {
			all = append(all, notice{cause: frame.NoCarrier, begins: !hasCarrier(link.Attrs().RawFlags)})
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if addr, ok := n.address(m); ok {
			all = append(all, notice{cause: frame.AddressRemoved, addr: addr, begins: m.Header.Type == unix.RTM_DELADDR})
		}
	}
	return all
}

// address is that of the interface which a message is about.
func (n *notices) address(m *syscall.NetlinkMessage) (found netip.Addr, ok bool) {
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil || len(m.Data) < unix.SizeofIfAddrmsg {
		return found, false
	}
	if index := binary.NativeEndian.Uint32(m.Data[4:]); int(index) != n.index { // ifa_index
		return found, false
	}
	for _, a := range attributes {
		// IFA_LOCAL is the address where the other end of the link has one too.
		if a.Attr.Type == unix.IFA_LOCAL || a.Attr.Type == unix.IFA_ADDRESS && !ok {
			found, ok = netip.AddrFromSlice(a.Value)
		}
	}
	return found.Unmap(), ok
}

func (n *notices) close() {
	if n != nil {
		n.socket.Close()
	}
}
