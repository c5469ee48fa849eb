package capture

import (
	"encoding/binary"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

func TestMain(m *testing.M) { os.Exit(kernelnet.Wrap(m).Run()) }

// lab is this host and a peer, on a link where nobody else speaks.
type lab struct {
	*kernelnet.Network
	host, peer kernelnet.End
}

// newLab also checks, when the test ends, that it leaves no goroutine and no
// file open.
func newLab(t testing.TB) *lab {
	t.Helper()
	n := kernelnet.New(t)
	link := n.Link(n.Host(), n.Router("peer"), "10.77.1.0/24")
	goroutines, files := goleak.IgnoreCurrent(), openFiles(t)
	t.Cleanup(func() {
		goleak.VerifyNone(t, goroutines)
		if diff := cmp.Diff(files, openFiles(t)); diff != "" {
			t.Errorf("open files (-before +after):\n%s", diff)
		}
	})
	return &lab{n, link.A, link.B}
}

// openFiles says by descriptor what this process has open.
func openFiles(t testing.TB) map[string]string {
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

// sender puts frames on the wire at the peer's end of the link.
func (l *lab) sender(t testing.TB) func(data []byte) {
	t.Helper()
	var fd int
	err := l.peer.Node.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	to := &unix.SockaddrLinklayer{Ifindex: l.peer.Index}
	return func(data []byte) {
		if err := unix.Sendto(fd, data, 0, to); err != nil {
			t.Error(err)
		}
	}
}

// nobody has no interface on the link: kernels drop what is for it.
var nobody = net.HardwareAddr{2, 0, 0, 0, 0, 99}

// ethernet is a frame with an ICMP message or a UDP datagram that carries text.
func ethernet(from *kernelnet.End, to net.HardwareAddr, dst string, transport gopacket.SerializableLayer, text string) []byte {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: from.Addr().AsSlice(), DstIP: net.ParseIP(dst)}
	if udp, ok := transport.(*layers.UDP); ok {
		ip.Protocol = layers.IPProtocolUDP
		_ = udp.SetNetworkLayerForChecksum(ip) // fails for what is not IP
	}
	buffer := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: from.MAC, DstMAC: to, EthernetType: layers.EthernetTypeIPv4}, ip, transport, gopacket.Payload(text))
	if err != nil {
		panic(err)
	}
	return buffer.Bytes()
}

// udpFrame is a frame for nobody.
func udpFrame(from *kernelnet.End, port layers.UDPPort, text string) []byte {
	return ethernet(from, nobody, "10.77.1.99", &layers.UDP{SrcPort: 1, DstPort: port}, text)
}

// icmpFrame is a frame for nobody.
func icmpFrame(from *kernelnet.End, text string) []byte {
	return ethernet(from, nobody, "10.77.1.99", &layers.ICMPv4{TypeCode: layers.ICMPv4TypeEchoReply << 8}, text)
}

// ping is an echo request to the peer, whose kernel answers with the same text.
func (l *lab) ping(text string) []byte {
	request := &layers.ICMPv4{TypeCode: layers.ICMPv4TypeEchoRequest << 8}
	return ethernet(&l.host, l.peer.MAC, l.peer.Addr().String(), request, text)
}

// tagged puts tags, each a TPID and a TCI, behind the addresses of a frame.
func tagged(data []byte, tags ...uint32) []byte {
	all := slices.Clone(data[:12])
	for _, tag := range tags {
		all = binary.BigEndian.AppendUint32(all, tag)
	}
	return append(all, data[12:]...)
}

// text is what a packet of ethernet's carries, without the frame's padding.
func text(t testing.TB, f frame.Frame) string {
	t.Helper()
	p, err := frame.Decode(&f)
	if err != nil {
		t.Fatalf("%x: %v", f.Data, err)
	}
	return string(p.IP[28:binary.BigEndian.Uint16(p.IP[2:])])
}
