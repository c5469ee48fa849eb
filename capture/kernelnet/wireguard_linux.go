package kernelnet

import (
	"crypto/ecdh"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// WireGuard's port, and the MTU that its interfaces have: that of Ethernet less
// what goes around a packet, over IPv6 (wg-quick(8)).
const (
	wireGuardPort = 51820
	wireGuardMTU  = 1420
)

// WireGuard joins the nodes of a link by interfaces wg0 of WireGuard's, whose
// packets cross the link, encrypted. The protocol runs in this process, so that it
// does on every kernel; the interfaces are of the kind that the kernel's own are. It
// needs what Tunnel needs.
func (n *Network) WireGuard(link *Link, subnets ...string) *Link {
	n.t.Helper()
	keyA, keyB := wireGuardKey(1), wireGuardKey(2)
	var upper Link
	// Only a knows where its peer is, and greets it at once, as one behind a NAT
	// does: greetings that cross would be repeated after five seconds.
	var a, b *device.Device
	upper.B, b = link.B.Node.wireGuard(keyB, peerIs(keyA))
	upper.A, a = link.A.Node.wireGuard(keyA, peerIs(keyB)+
		fmt.Sprintf("endpoint=%s\npersistent_keepalive_interval=25\n", netip.AddrPortFrom(link.B.Addr(), wireGuardPort)))
	link.A.Node.await("WireGuard's handshake", func() (bool, error) {
		return hasSession(a) && hasSession(b), nil
	})
	upper.number(subnets)
	return &upper
}

// peerIs are the settings of a peer with this key, which may send anything.
func peerIs(key *ecdh.PrivateKey) string {
	return fmt.Sprintf("public_key=%x\nallowed_ip=0.0.0.0/0\nallowed_ip=::/0\n", key.PublicKey().Bytes())
}

// hasSession tells whether the peer has proved its key.
func hasSession(wg *device.Device) bool {
	state, err := wg.IpcGet()
	return err == nil && !strings.Contains(state, "last_handshake_time_sec=0\n")
}

// wireGuardKey is a key for tests: as good as any where nobody listens.
func wireGuardKey(seed byte) *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(slices.Repeat([]byte{seed}, 32))
	if err != nil {
		panic(err) // for a length other than 32
	}
	return key
}

// wireGuard makes an interface wg0, until the test ends.
func (n *Node) wireGuard(own *ecdh.PrivateKey, peer string) (End, *device.Device) {
	n.net.t.Helper()
	const name = "wg0"
	fd := n.openTun(name, unix.IFF_TUN)
	end := n.started(name, fd)
	if err := n.kernel.LinkSetMTU(end.link(), wireGuardMTU); err != nil {
		unix.Close(fd)
		end.fatal("set the MTU", err)
	}
	var wg *device.Device
	// Its sockets belong to the namespace where it is set up.
	err := n.Do(func() (err error) {
		if wg, err = n.runWireGuard(fd); err != nil {
			return err
		}
		settings := fmt.Sprintf("private_key=%x\nlisten_port=%d\n%s", own.Bytes(), wireGuardPort, peer)
		if err := wg.IpcSet(settings); err != nil {
			return err
		}
		return wg.Up()
	})
	if err != nil {
		end.fatal("WireGuard", err)
	}
	return end, wg
}

// runWireGuard runs the protocol behind the descriptor of a tun device, which it
// owns, until the test ends.
func (n *Node) runWireGuard(fd int) (*device.Device, error) {
	packets, _, err := tun.CreateUnmonitoredTUNFromFD(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	silent := &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf}
	wg := device.NewDevice(packets, conn.NewDefaultBind(), silent)
	n.net.t.Cleanup(wg.Close)
	return wg, nil
}
