package main

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// listenUDPLite returns a socket of UDP-Lite, of the network namespace that the thread
// is in. Not every kernel has it.
func listenUDPLite(at netip.AddrPort) (net.PacketConn, error) {
	family, addr := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, addr = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDPLITE)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "udplite")
	defer file.Close()
	if err := unix.Bind(fd, addr); err != nil {
		return nil, err
	}
	return net.FilePacketConn(file)
}

// requireUDPLite skips the test where the kernel has no UDP-Lite.
func requireUDPLite(t *testing.T) {
	t.Helper()
	conn, err := listenUDPLite(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		kernelnet.Lacking(t, "the kernel has no UDP-Lite: %v", err)
	}
	conn.Close()
}

// chainWithUDPLite is a chain of four routers, the last of which returns what it is
// sent to port 7 of UDP-Lite.
func chainWithUDPLite(t *testing.T) *kernelnet.Chain {
	t.Helper()
	c := kernelnet.NewChain(t, 4, &kernelnet.ChainOptions{Families: bothFamilies})
	requireUDPLite(t)
	err := c.Routers[3].Do(func() error {
		for _, f := range bothFamilies {
			conn, err := listenUDPLite(netip.AddrPortFrom(f.Destination, 7))
			if err != nil {
				return err
			}
			var echo sync.WaitGroup
			echo.Go(func() { returnAll(conn) })
			t.Cleanup(func() {
				conn.Close()
				echo.Wait()
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// UDP-Lite finds what traceroute finds with it: routers, a port that is closed, and a
// target that answers itself. The recording is what was printed.
func TestUDPLiteBesideTraceroute(t *testing.T) {
	kernelnet.Require(t, "traceroute", "nft")
	const lines = " 1  @1  T  T  T\n 2  @2  T  T  T\n 3  @3  T  T  T\n 4  @4  T  T  T"
	for name, rules := range map[string]string{
		"nothing": "", "a NAT": nftChain("nat hook postrouting", "oifname eth1 masquerade"),
	} {
		t.Run(name, func(t *testing.T) {
			c := chainWithUDPLite(t)
			if rules != "" {
				c.Routers[1].Nft(rules)
			}
			var wait sync.WaitGroup
			for _, args := range []string{"-UL", "-UL -p 7", "-UL -p 8 -q 3"} {
				for _, f := range bothFamilies {
					args := append(strings.Fields(args), "-n", "-w", "2", "-m", "5", f.Destination.String())
					wait.Go(func() { besideTraceroute(t, withHops(lines, c.Hops(f)), args) })
				}
			}
			wait.Wait()
		})
	}
}

// The target's own datagrams pass the filter of the capture, and the cookie that they
// return tells whose they are.
func TestAnswersOverUDPLite(t *testing.T) {
	kernelnet.Require(t)
	chainWithUDPLite(t)
	for _, f := range bothFamilies {
		out := traced(t, "-UL", "-p", "7", "-n", "-q", "2", f.Destination.String())
		if !strings.Contains(out, " 4  "+f.Destination.String()+"  ") {
			t.Errorf("%s", out)
		}
		live := output(t, "-UL", "-p", "7", "-n", "-q", "1", "-f", "4", "--format", "json", f.Destination.String())
		for _, want := range []string{`"protocol":"udplite"`, `"kind":"udp"`, `"matched_by":"cookie"`} {
			if !strings.Contains(live, want) {
				t.Errorf("%v: there is no %s in %s", f.Destination, want, live)
			}
		}
	}
}

// The source port is held over UDP-Lite: what another program does with the same
// number over UDP is no matter.
func TestPortOfUDPLite(t *testing.T) {
	kernelnet.Require(t)
	chainWithUDPLite(t)
	overUDP, err := net.ListenPacket("udp4", "0.0.0.0:40000")
	if err != nil {
		t.Fatal(err)
	}
	defer overUDP.Close()
	target := kernelnet.IPv4.Destination.String()
	if out := output(t, "-UL", "--sport", "40000", "-n", "-q", "1", "-f", "4", target); !strings.Contains(out, " 4  "+target+"  ") {
		t.Errorf("%s", out)
	}
	overLite, err := listenUDPLite(netip.MustParseAddrPort("0.0.0.0:40000"))
	if err != nil {
		t.Fatal(err)
	}
	defer overLite.Close()
	cmd, out := start(t, "-UL", "--sport", "40000", "-n", "-q", "1", "-f", "4", target)
	if err := cmd.Run(); err == nil {
		t.Errorf("it runs though another program has the port: %s", out)
	}
}
