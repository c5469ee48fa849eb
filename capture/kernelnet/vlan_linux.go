package kernelnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// VLAN joins the nodes of a link by a further one, in a VLAN of it: at each end
// a sub-interface as End.VLAN makes it, with subnets as Link has them.
func (n *Network) VLAN(link *Link, id int, subnets ...string) *Link {
	n.t.Helper()
	vlan := &Link{A: link.A.VLAN(id), B: link.B.VLAN(id)}
	vlan.number(subnets)
	return vlan
}

// VLAN makes a sub-interface upon the end, such as eth0-vlan5, for frames that are
// tagged for the VLAN (802.1Q), and gives it the addresses, such as 10.77.1.1/24.
// Where the kernel has no VLANs, this process puts the tags on and takes them off,
// which needs what Tunnel needs.
func (e *End) VLAN(id int, addresses ...string) End {
	e.Node.net.t.Helper()
	sub := e.vlan(id)
	sub.Number(addresses...)
	return sub
}

func (e *End) vlan(id int) End {
	e.Node.net.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = fmt.Sprintf("%s-vlan%d", e.Interface, id), e.Index
	own := &netlink.Vlan{LinkAttrs: attrs, VlanId: id, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
	if err := e.Node.kernel.LinkAdd(own); errors.Is(err, unix.EOPNOTSUPP) {
		return e.vlanOfOurs(attrs.Name, id)
	} else if err != nil {
		e.fatal(attrs.Name, err)
	}
	if err := e.Node.kernel.LinkSetUp(own); err != nil {
		e.fatal(attrs.Name, err)
	}
	sub := e.Node.end(attrs.Name)
	e.Node.await(attrs.Name+" up", sub.up)
	return sub
}

// vlanOfOurs is a sub-interface whose frames this process carries to and from the
// end, until the test ends.
func (e *End) vlanOfOurs(name string, id int) End {
	e.Node.net.t.Helper()
	fd := e.Node.openTun(name, unix.IFF_TAP)
	if err := e.Node.kernel.LinkSetHardwareAddr(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: name}}, e.MAC); err != nil {
		unix.Close(fd)
		e.fatal(name, err)
	}
	sub := e.Node.started(name, fd)
	r := &tagRelay{id: uint16(id), inside: os.NewFile(uintptr(fd), name), trunk: e.tap()}
	e.Node.net.t.Cleanup(r.start(e.Node.net.t.Errorf))
	return sub
}

// tagRelay joins a VLAN's sub-interface, whose frames have no tags, to the trunk
// (IEEE 802.1Q, clause 9).
type tagRelay struct {
	id            uint16
	inside, trunk *os.File
}

// start carries frames both ways until the returned function is called.
func (r *tagRelay) start(fail func(format string, args ...any)) (stop func()) {
	var directions sync.WaitGroup
	for _, carry := range []func() error{r.outwards, r.inwards} {
		directions.Go(func() {
			if err := carry(); !errors.Is(err, os.ErrClosed) {
				fail("kernelnet: VLAN %d: %v", r.id, err)
			}
		})
	}
	return func() {
		r.inside.Close()
		r.trunk.Close()
		directions.Wait()
	}
}

const macs = 12 // bytes of a frame before its type, or its tag

// outwards tags what leaves.
func (r *tagRelay) outwards() error {
	tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_8021Q), r.id)
	buf := make([]byte, 1<<16)
	for {
		n, err := r.inside.Read(buf[len(tag):])
		if err != nil {
			return err
		}
		copy(buf, buf[len(tag):len(tag)+macs])
		copy(buf[macs:], tag)
		// What the trunk does not take is lost, as on any link.
		_, _ = r.trunk.Write(buf[:n+len(tag)])
	}
}

// inwards hands in what has the tag, which the kernel has taken off by then and
// tells beside the frame (packet(7), PACKET_AUXDATA).
func (r *tagRelay) inwards() error {
	conn, err := r.trunk.SyscallConn()
	if err != nil {
		return err
	}
	if err := setAuxdata(conn); err != nil {
		return err
	}
	frame, beside := make([]byte, 1<<16), make([]byte, 256)
	for {
		n, about, err := receive(conn, frame, beside)
		if err != nil {
			return err
		}
		if id, tagged := vlanOf(beside[:about]); tagged && id == r.id {
			_, _ = r.inside.Write(frame[:n])
		}
	}
}
