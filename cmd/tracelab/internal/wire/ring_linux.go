package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ring is a packet socket that receives into memory it shares with the kernel
// (packet_mmap, TPACKET_V2), each frame with the time at which it came. It
// receives what arrives at the interface, not what leaves by it.
type ring struct {
	fd    int
	mem   []byte
	slot  int // the size of one, which holds a frame
	slots int
	next  int // the slot to be filled next
}

const (
	ringBytes = 8 << 20
	blockSize = 1 << 18 // a power of two, and a multiple of every slot size
)

func openRing(ns netns.NsHandle, index, mtu int) (r *ring, err error) {
	r = &ring{fd: -1}
	err = within(ns, func() (err error) {
		// Protocol 0 receives nothing until the socket is bound to its interface.
		r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	if err := r.set(index, mtu); err != nil {
		r.close()
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	return r, nil
}

func (r *ring) set(index, mtu int) (err error) {
	for _, option := range [][2]int{
		{unix.PACKET_IGNORE_OUTGOING, 1},
		{unix.PACKET_VERSION, unix.TPACKET_V2},
	} {
		if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, option[0], option[1]); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	// Only makes sending faster.
	_ = unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	const headers = 128 // the kernel's, the link's and what aligns them
	r.slot = max(2048, 1<<bits.Len(uint(mtu+headers-1)))
	r.slots = ringBytes / r.slot
	request := unix.TpacketReq{
		Block_size: blockSize, Block_nr: ringBytes / blockSize,
		Frame_size: uint32(r.slot), Frame_nr: uint32(r.slots),
	}
	if err := unix.SetsockoptTpacketReq(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &request); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if r.mem, err = unix.Mmap(r.fd, 0, ringBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	return os.NewSyscallError("bind", unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
}

// frame is the next frame, with the wall-clock time at which it came, or nil
// when none is there. A frame that did not fit is empty. It is valid until
// release.
func (r *ring) frame() ([]byte, time.Time) {
	slot := r.mem[r.next*r.slot:][:r.slot]
	header := (*unix.Tpacket2Hdr)(unsafe.Pointer(&slot[0]))
	if atomic.LoadUint32(&header.Status)&unix.TP_STATUS_USER == 0 {
		return nil, time.Time{}
	}
	at := time.Unix(int64(header.Sec), int64(header.Nsec))
	if header.Snaplen < header.Len {
		return slot[:0], at
	}
	return slot[header.Mac:][:header.Snaplen], at
}

// release gives the slot of the last frame back to the kernel.
func (r *ring) release() {
	header := (*unix.Tpacket2Hdr)(unsafe.Pointer(&r.mem[r.next*r.slot]))
	atomic.StoreUint32(&header.Status, unix.TP_STATUS_KERNEL)
	r.next = (r.next + 1) % r.slots
}

// send puts a frame, in two parts, on the wire.
func (r *ring) send(link, ip []byte) error {
	parts := [2]unix.Iovec{{Base: unsafe.SliceData(link)}, {Base: unsafe.SliceData(ip)}}
	parts[0].SetLen(len(link))
	parts[1].SetLen(len(ip))
	_, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(r.fd), uintptr(unsafe.Pointer(&parts)), uintptr(len(parts)))
	if errno != 0 {
		return errno
	}
	return nil
}

// dropped is how many frames found no free slot since it was last asked.
func (r *ring) dropped() uint64 {
	s, err := unix.GetsockoptTpacketStats(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(s.Drops)
}

func (r *ring) close() {
	if r.mem != nil {
		_ = unix.Munmap(r.mem)
	}
	unix.Close(r.fd)
}
