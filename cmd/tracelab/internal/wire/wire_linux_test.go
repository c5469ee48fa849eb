package wire

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

func TestMain(m *testing.M) { os.Exit(kernelnet.Wrap(m).Run()) }

const chain = `
name = "chain"

[[router]]
name = "near"
addresses = ["192.0.2.1", "2001:db8::1"]

[[router]]
name = "far"
addresses = ["10.0.0.1", "2001:db8:1::1"]

[[destination]]
name = "end"
addresses = ["198.51.100.1", "2001:db8:2::1"]
udp = "echo"

[[link]]
path = ["host", "near", "far", "end"]
delay = "1ms"
`

func parse(t testing.TB, text string) *topology.Topology {
	t.Helper()
	topo, err := topology.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// open opens a wire for a topology, with a carrier between, which may be nil,
// and closes it when the test ends.
func open(t testing.TB, text string, between func(Carrier) Carrier) *Wire {
	t.Helper()
	kernelnet.Require(t)
	topo := parse(t, text)
	network, err := simulate.New(topo)
	if err != nil {
		t.Fatal(err)
	}
	var carrier Carrier = network
	if between != nil {
		carrier = between(network)
	}
	full := topo.WithDefaults()
	w, err := Open(&full, carrier)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		// It also goes by itself, but not before Close returns.
		if link, err := netlink.LinkByName(Interface); err == nil {
			_ = netlink.LinkDel(link)
		}
	})
	return w
}

// echo sends a datagram to an address and returns the answer, or an error.
func echo(t *testing.T, to, text string) (string, error) {
	t.Helper()
	c, err := net.Dial("udp", net.JoinHostPort(to, "7"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 9000)
	n, err := c.Read(answer)
	return string(answer[:n]), err
}

func TestPacketsComeBack(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := open(t, chain, nil)
	for _, to := range []string{"198.51.100.1", "2001:db8:2::1"} {
		began := time.Now()
		answer, err := echo(t, to, "hello")
		if err != nil || answer != "hello" {
			t.Errorf("%s: %q, %v", to, answer, err)
		}
		if took := time.Since(began); took < 6*time.Millisecond {
			t.Errorf("%s: back after %v, but the way there and back takes 6 ms", to, took)
		}
	}
	counts := w.Close()
	if counts.Replies != 2 || counts.Packets < 2 || counts.Malformed != 0 || counts.Lost != 0 {
		t.Errorf("%+v", counts)
	}
}

// Neighbours that are not known beforehand are resolved.
func TestGatewaysAreResolved(t *testing.T) {
	open(t, chain, nil)
	link, err := netlink.LinkByName(Interface)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []string{"192.0.2.1", "2001:db8::1"} {
		neighbour := &netlink.Neigh{LinkIndex: link.Attrs().Index, IP: netip.MustParseAddr(g).AsSlice()}
		if err := netlink.NeighDel(neighbour); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []string{"198.51.100.1", "2001:db8:2::1"} {
		if answer, err := echo(t, to, "hello"); err != nil || answer != "hello" {
			t.Errorf("%s: %q, %v", to, answer, err)
		}
	}
}

// Frames that are none are counted, and do no harm.
func TestRubbish(t *testing.T) {
	w := open(t, chain, nil)
	gateway := string(gatewayMAC)
	for _, frame := range []string{
		gateway + string(hostMAC) + "\x08\x00",                              // an IP packet of no bytes
		gateway + string(hostMAC) + "\x86\xdd" + strings.Repeat("\xff", 30), // of too few
		gateway + string(hostMAC) + "\x08\x06",                              // ARP that asks nothing
		gateway + string(hostMAC) + "\x88\xcc" + "LLDP",
		strings.Repeat("\xff", 12) + "\x08\x00broadcast",
	} {
		inject(t, []byte(frame))
	}
	if answer, err := echo(t, "198.51.100.1", "hello"); err != nil || answer != "hello" {
		t.Errorf("%q, %v", answer, err)
	}
	if counts := w.Close(); counts.Ignored < 3 || counts.Packets < 3 || counts.Replies != 1 {
		t.Errorf("%+v", counts)
	}
}

// inject sends a frame by the host's interface.
func inject(t testing.TB, frame []byte) {
	t.Helper()
	fd, to := packetSocket(t)
	if err := unix.Sendto(fd, frame, 0, to); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

// packetSocket opens a socket that sends frames by the host's interface.
func packetSocket(t testing.TB) (fd int, to unix.Sockaddr) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	link, err := net.InterfaceByName(Interface)
	if err != nil {
		t.Fatal(err)
	}
	return fd, &unix.SockaddrLinklayer{Ifindex: link.Index}
}

// A large MTU goes both ways, and no further.
func TestMTU(t *testing.T) {
	text := strings.ReplaceAll(chain, "[[link]]\n", "[[link]]\nmtu = 9000\n") + "\n[host]\nmtu = 9000\n"
	open(t, text, nil)
	long := strings.Repeat("x", 8000)
	if answer, err := echo(t, "198.51.100.1", long); err != nil || answer != long {
		t.Errorf("%d bytes, %v", len(answer), err)
	}
}
