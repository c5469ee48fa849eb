package kernelnet

import (
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// setAuxdata has a packet socket tell of each frame what the kernel took off it.
func setAuxdata(conn syscall.RawConn) (err error) {
	failed := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_AUXDATA, 1)
	})
	if failed != nil {
		return failed
	}
	return err
}

// receive waits for a frame, and returns the lengths of it and of what is told
// beside it; or os.ErrClosed, once the socket is closed.
func receive(conn syscall.RawConn, frame, beside []byte) (n, about int, err error) {
	failed := conn.Read(func(fd uintptr) bool {
		n, about, _, _, err = unix.Recvmsg(int(fd), frame, beside, 0)
		return err != unix.EAGAIN
	})
	if failed != nil {
		return 0, 0, os.ErrClosed
	}
	return n, about, err
}

// vlanOf is the VLAN that a frame was tagged for: of struct tpacket_auxdata
// (linux/if_packet.h) the status, in its first four bytes, says whether it was, and
// the tag is at 16, with the priority in its upper bits.
func vlanOf(beside []byte) (id uint16, tagged bool) {
	const (
		tagAt    = 16
		priority = 0xf000
	)
	messages, err := unix.ParseSocketControlMessage(beside)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < tagAt+2 {
			continue
		}
		status := binary.NativeEndian.Uint32(m.Data)
		return binary.NativeEndian.Uint16(m.Data[tagAt:]) &^ priority, status&unix.TP_STATUS_VLAN_VALID != 0
	}
	return 0, false
}
