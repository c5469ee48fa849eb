package craft_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/craft"
)

func TestMain(m *testing.M) { os.Exit(kernelnet.Wrap(m).Run()) }

const openPort, closedPort = 443, 444

// The kernel answers probes of every family, which it does only where all
// checksums are right, and each answer finds its probe: a router's
// time-exceeded by what it quotes, the destination's by what it repeats.
func TestKernelAnswersEveryFamily(t *testing.T) {
	c := kernelnet.NewChain(t, 3, &kernelnet.ChainOptions{Families: []kernelnet.Family{kernelnet.IPv4, kernelnet.IPv6}})
	acceptRoutes(c)
	for _, to := range []netip.Addr{kernelnet.IPv4.Destination, kernelnet.IPv6.Destination} {
		serve(t, c.Routers[2], to)
	}
	w := newTap(t, c.Links[0])
	to := func(port uint16) func(*craft.Probe) { return func(p *craft.Probe) { p.DstPort = port } }
	flags := func(f craft.TCPFlags) func(*craft.Probe) { return func(p *craft.Probe) { p.TCP.Flags = f } }
	tests := []struct {
		name     string
		protocol layers.IPProtocol
		change   func(*craft.Probe)
		want     craft.Answer // 0: an error that quotes
	}{
		{"UDP", layers.IPProtocolUDP, to(33434), 0},
		{"UDP to where somebody echoes", layers.IPProtocolUDP, to(7), craft.Datagram},
		{"DNS", layers.IPProtocolUDP, asDNS, craft.Datagram},
		{"echo", layers.IPProtocolICMPv4, to(0), craft.EchoReply},
		{"SYN to an open port", layers.IPProtocolTCP, to(openPort), craft.SYNACK},
		{"SYN with all options", layers.IPProtocolTCP, asConnect, craft.SYNACK},
		{"SYN to a closed port", layers.IPProtocolTCP, to(closedPort), craft.RST},
		{"FIN to a closed port", layers.IPProtocolTCP, both(to(closedPort), flags(craft.FlagFIN)), craft.RST},
		{"ACK to an open port", layers.IPProtocolTCP, both(to(openPort), flags(craft.FlagACK)), craft.RST},
	}
	port := uint16(40000)
	for _, test := range tests {
		for i, family := range []string{"IPv4", "IPv6"} {
			t.Run(test.name+" over "+family, func(t *testing.T) {
				port++ // a SYN on a half-open connection is answered otherwise
				p := probeOn(c, i, test.protocol, port)
				test.change(&p)
				w.answered(t, p, 1, 0)
				w.answered(t, p, 3, test.want)
			})
		}
	}
	for _, protocol := range []layers.IPProtocol{layers.IPProtocolUDP, layers.IPProtocolICMPv4, layers.IPProtocolTCP} {
		t.Run("through a gateway: "+protocol.String(), func(t *testing.T) {
			port++
			p := probeOn(c, 0, protocol, port)
			p.DstPort = closedPort
			p.Route, _ = craft.NewRoute(c.Links[1].B.Addr())
			want := map[layers.IPProtocol]craft.Answer{layers.IPProtocolICMPv4: craft.EchoReply, layers.IPProtocolTCP: craft.RST}
			w.answered(t, p, 1, 0)
			w.answered(t, p, 3, want[protocol])
		})
	}
}

// probeOn is a probe to the destination of a chain, in its i-th family.
func probeOn(c *kernelnet.Chain, i int, protocol layers.IPProtocol, port uint16) craft.Probe {
	p := craft.Probe{
		Src: c.Links[0].A.Addrs[i], Dst: []netip.Addr{kernelnet.IPv4.Destination, kernelnet.IPv6.Destination}[i],
		Protocol: protocol, ID: 7, SrcPort: port,
	}
	if protocol == layers.IPProtocolICMPv4 && p.Dst.Is6() {
		p.Protocol = layers.IPProtocolICMPv6
	}
	return p
}

func both(one, other func(*craft.Probe)) func(*craft.Probe) {
	return func(p *craft.Probe) { one(p); other(p) }
}

// acceptRoutes has the routers follow source routes, which many systems forbid.
func acceptRoutes(c *kernelnet.Chain) {
	for i, r := range c.Routers {
		r.Sysctl("net.ipv4.conf.all.accept_source_route", "1")
		r.Sysctl("net.ipv4.conf."+c.Links[i].B.Interface+".accept_source_route", "1")
	}
}

// serve accepts connections, echoes datagrams, and answers DNS queries with
// their question.
func serve(t *testing.T, on *kernelnet.Node, at netip.Addr) {
	t.Helper()
	err := on.Do(func() error {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(at, openPort)))
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		for _, port := range []uint16{7, 53} {
			c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, port)))
			if err != nil {
				return err
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				answerDatagrams(c, port == 53)
			}()
			t.Cleanup(func() { c.Close(); <-done })
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// answerDatagrams sends back what comes, as a DNS response if asked to, until c is
// closed.
func answerDatagrams(c *net.UDPConn, dns bool) {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if dns {
			b[2] |= 0x80
		}
		_, _ = c.WriteToUDPAddrPort(b[:n], from) // what is not answered fails the test
	}
}

// tap sends frames at the host's end of a link, and sees what comes in there.
type tap struct {
	fd      int
	at      *unix.SockaddrLinklayer
	builder *craft.Builder
}

func newTap(t *testing.T, l *kernelnet.Link) *tap {
	t.Helper()
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	at := &unix.SockaddrLinklayer{Ifindex: l.A.Index, Protocol: all}
	if err := unix.Bind(fd, at); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		t.Fatal(err)
	}
	return &tap{fd, at, newBuilder(t, craft.Link{Src: l.A.MAC, Dst: l.B.MAC})}
}

// answered sends a probe with a TTL, and waits for the answer that is wanted; 0
// is an ICMP error.
func (w *tap) answered(t *testing.T, p craft.Probe, ttl uint8, want craft.Answer) {
	t.Helper()
	p.TTL = ttl
	p.ID += uint16(ttl)
	data, key := frameOf(t, w.builder, p)
	if err := unix.Sendto(w.fd, data, 0, w.at); err != nil {
		t.Fatal(err)
	}
	var b [2048]byte
	for {
		n, from, err := unix.Recvfrom(w.fd, b[:], 0)
		if err != nil {
			t.Fatalf("TTL %d: no answer %v finds the probe %+v: %v", ttl, want, key, err)
		}
		if from.(*unix.SockaddrLinklayer).Pkttype != unix.PACKET_OUTGOING && finds(&key, b[14:n], want) {
			return
		}
	}
}

// finds reports whether a packet is the answer to a probe that is wanted, by all
// that it shows.
func finds(probe *craft.Key, ip []byte, want craft.Answer) bool {
	p, err := craft.ParsePacket(ip)
	if err != nil || len(p.Payload) < 8 {
		return false
	}
	if want == 0 {
		quote, err := craft.KeyOf(p.Payload[8:])
		return err == nil && quote == *probe
	}
	var of craft.Key
	a, has, err := p.Answer(&of)
	if err != nil || a != want || !probe.Same(has, &of) {
		return false
	}
	return has != craft.Flow || probe.Same(craft.Cookie, &of)
}
