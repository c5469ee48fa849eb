package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// The tests in this file run the program as an ordinary user runs what 'make
// install' has installed, on a host that others use too: what they say to each
// other is no concern of his.

// secret is what others say.
const secret = "AUTH hunter2 of root, which no other user is to read"

// shared is a host that several people use, its second link, and a server behind a
// router. The server has 10.99.0.0/24.
type shared struct {
	*testing.T
	*kernelnet.Network
	host, server *kernelnet.Node
	uplink, side *kernelnet.Link
	tracewire    string // the installed program
}

func newShared(t *testing.T) *shared {
	t.Helper()
	n := kernelnet.New(t)
	s := &shared{T: t, Network: n, host: n.UserHost("host"), server: n.Router("server")}
	s.uplink = n.Link(s.host, s.server, "10.77.1.0/24", "fd77:1::/64")
	s.side = n.Link(s.host, s.server, "10.77.2.0/24")
	s.server.Address("10.99.0.0/24", "10.99.0.1", "fd99::1")
	s.host.Route("default", "10.77.1.2")
	s.host.Route("fd99::/64", "fd77:1::2")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.tracewire = kernelnet.Install(t, self, "tracewire")
	return s
}

// run runs the installed program as a user.
func (s *shared) run(args ...string) (stdout, stderr string, code int) {
	s.Helper()
	return s.output(s.host.Command(append([]string{s.tracewire}, args...)...))
}

// output runs a program on the host.
func (s *shared) output(cmd *exec.Cmd) (stdout, stderr string, code int) {
	s.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := s.host.Do(cmd.Run)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// begin starts a trace that goes on until it is stopped, and waits until it
// captures. What it records is in the file.
func (s *shared) begin(args ...string) (p *kernelnet.Process, file string) {
	s.Helper()
	file = filepath.Join(s.TempDir(), "run.pcapng")
	p = s.host.Start(slices.Concat([]string{s.tracewire, "-n", "-q", "10", "-m", "1", "-z", "100", "--write", file}, args)...)
	p.Await("traceroute to")
	return p, file
}

// usualNotes are what a trace says that is stopped: that it was, and of a TCP port that
// it is closed.
var usualNotes = regexp.MustCompile(`^(tracewire: (interrupted.*|port \d+ is closed)\n)*$`)

// recorded is what a trace recorded while others did something.
func (s *shared) recorded(do func(), args ...string) []byte {
	s.Helper()
	p, file := s.begin(args...)
	do()
	p.Stop()
	data, err := os.ReadFile(file)
	if err != nil {
		s.Fatal(err)
	}
	if stderr := p.Stderr(); !usualNotes.MatchString(stderr) {
		s.Errorf("it said %s", stderr)
	}
	stdout, stderr, _ := s.run("replay", file)
	if stdout != p.Stdout() {
		s.Errorf("the replay shows\n%sand live it was\n%s%s", stdout, p.Stdout(), stderr)
	}
	return data
}

// listen answers everything on the server, or another node, with what it received.
func (s *shared) listen(on *kernelnet.Node, network, address string) {
	s.Helper()
	echo := func(c net.Conn) {
		defer c.Close()
		_, _ = io.Copy(c, c)
	}
	err := on.Do(func() error {
		if network == "udp" {
			c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
			if err != nil {
				return err
			}
			s.Cleanup(func() { c.Close() })
			go func() {
				b := make([]byte, 1500)
				for {
					n, from, err := c.ReadFrom(b)
					if err != nil {
						return
					}
					_, _ = c.WriteTo(b[:n], from)
				}
			}()
			return nil
		}
		l, err := net.Listen(network, address)
		if err != nil {
			return err
		}
		s.Cleanup(func() { l.Close() })
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				go echo(c)
			}
		}()
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
}

// say has root's program on the host say the secret to an address, and read the
// answer, if there is to be one.
func (s *shared) say(network, address string, answered bool) {
	s.Helper()
	err := s.host.Do(func() error {
		c, err := net.Dial(network, address)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write([]byte(secret)); err != nil {
			return err
		}
		_, err = io.ReadFull(c, make([]byte, len(secret)))
		if !answered && err != nil {
			return nil // refused: the error was captured before it came to the program
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}

// ping has root's program on the host send an echo request that carries the secret,
// and wait for the reply.
func (s *shared) ping(to string, identifier uint16) {
	s.Helper()
	err := s.host.Do(func() error {
		c, err := net.Dial("ip4:icmp", to)
		if err != nil {
			return err
		}
		defer c.Close()
		request := append([]byte{8, 0, 0, 0, byte(identifier >> 8), byte(identifier), 0, 1}, secret...)
		var sum uint32
		for i := 0; i < len(request); i += 2 {
			sum += uint32(request[i])<<8 | uint32(append(request, 0)[i+1])
		}
		for sum > 0xffff {
			sum = sum&0xffff + sum>>16
		}
		request[2], request[3] = byte(^sum>>8), byte(^sum)
		if _, err := c.Write(request); err != nil {
			return err
		}
		for b := make([]byte, 1500); ; {
			n, err := c.Read(b)
			if err != nil || bytes.Contains(b[:n], []byte(secret)) {
				return err
			}
		}
	})
	if err != nil {
		s.Fatal(err)
	}
}

// A user sees the replies to what he sent; of what others send and get, whatever he
// chooses to trace with, he sees nothing.
func TestInstalledShowsNobodyElsesTraffic(t *testing.T) {
	tests := map[string]struct {
		others func(*shared)
		args   []string
	}{
		"TCP to a remote port that is his own": {
			func(s *shared) { s.say("tcp", "10.99.0.1:6379", true) }, []string{"-T", "--sport", "6379", "10.99.0.1"}},
		"TCP over IPv6": {
			func(s *shared) { s.say("tcp", "[fd99::1]:6379", true) }, []string{"-T", "--sport", "6379", "fd99::1"}},
		"UDP to a remote port that is his own": {
			func(s *shared) { s.say("udp", "10.99.0.1:6379", true) }, []string{"--sport", "6379", "10.99.0.1"}},
		"UDP over IPv6": {
			func(s *shared) { s.say("udp", "[fd99::1]:6379", true) }, []string{"--sport", "6379", "fd99::1"}},
		"TCP on lo": {
			func(s *shared) { s.say("tcp", "127.0.0.1:7379", true) }, []string{"-T", "--sport", "7379", "10.77.1.1"}},
		"UDP on lo": {
			func(s *shared) { s.say("udp", "127.0.0.1:7379", true) }, []string{"--sport", "7379", "10.77.1.1"}},
		"a ping, and its reply": {
			func(s *shared) { s.ping("10.99.0.1", 77) }, []string{"10.99.0.1"}},
		"a ping with another identifier": {
			func(s *shared) { s.ping("10.99.0.1", 77) }, []string{"-I", "--sport", "78", "10.99.0.1"}},
		"a ping with his identifier": {
			func(s *shared) { s.ping("10.99.0.1", 77) }, []string{"-I", "--sport", "77", "10.99.0.1"}},
		"a ping with his identifier, elsewhere": {
			func(s *shared) { s.ping("10.99.0.2", 77) }, []string{"-I", "--sport", "77", "10.99.0.1"}},
		"a ping on lo": {
			func(s *shared) { s.ping("127.0.0.1", 77) }, []string{"-I", "--sport", "77", "10.77.1.1"}},
		"an ICMP error about UDP": {
			func(s *shared) { s.say("udp", "10.99.0.1:9", false) }, []string{"10.99.0.1"}},
		"an ICMP error about UDP on lo": {
			func(s *shared) { s.say("udp", "127.0.0.1:9", false) }, []string{"10.77.1.1"}},
		"an ICMPv6 error about UDP": {
			func(s *shared) { s.say("udp", "[fd99::1]:9", false) }, []string{"fd99::1"}},
	}
	s := newShared(t)
	for _, network := range []string{"tcp", "udp"} {
		s.listen(s.server, network, "10.99.0.1:6379")
		s.listen(s.server, network, "[fd99::1]:6379")
		s.listen(s.host, network, "127.0.0.1:7379")
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.T = t
			data := s.recorded(func() { tt.others(&s) }, tt.args...)
			for n := 8; n <= len(secret); n++ {
				if bytes.Contains(data, []byte(secret[:n])) {
					t.Fatalf("the recording has %q", secret[:n])
				}
			}
		})
	}
}

// What only root can send or enter is refused, with one line that says so, before
// anything is sent.
func TestInstalledRefusesWhatNeedsRoot(t *testing.T) {
	s := newShared(t)
	s.Bridge("br0", []kernelnet.End{s.side.A}, "10.77.3.1/24")
	s.listen(s.host, "udp", "0.0.0.0:7379")
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.WriteFile(closed, []byte("of somebody else"), 0); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(closed, link); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		says string
		code int
	}{
		"a VLAN":                         {[]string{"--vlan", "5", "10.99.0.1"}, "a VLAN needs root", 1},
		"another next hop":               {[]string{"--next-hop-mac", "02:00:00:00:00:09", "10.99.0.1"}, "MAC address needs root", 1},
		"a RST":                          {[]string{"-T", "-O", "rst", "10.99.0.1"}, "a TCP probe with RST, which is neither SYN alone nor SYN with both flags of ECN, needs root", 1},
		"a FIN":                          {[]string{"-T", "-O", "fin", "10.99.0.1"}, "a TCP probe with FIN, which is neither SYN alone nor SYN with both flags of ECN, needs root", 1},
		"an ACK":                         {[]string{"-T", "-O", "ack", "10.99.0.1"}, "a TCP probe with ACK, which is neither SYN alone nor SYN with both flags of ECN, needs root", 1},
		"a SYN with URG":                 {[]string{"-T", "-O", "syn,urg", "10.99.0.1"}, "a TCP probe with SYN,URG, which is neither SYN alone nor SYN with both flags of ECN, needs root", 1},
		"a SYN with ECE":                 {[]string{"-T", "-O", "syn,ece", "10.99.0.1"}, "a TCP probe with SYN,ECE, which is neither SYN alone nor SYN with both flags of ECN, needs root", 1},
		"a SYN-ACK":                      {[]string{"-T", "-O", "syn,ack", "10.99.0.1"}, "a TCP probe with SYN,ACK, which is neither SYN alone nor SYN with both flags of ECN, needs root", 1},
		"a mark":                         {[]string{"--fwmark", "7", "10.99.0.1"}, "a mark needs root", 1},
		"another namespace":              {[]string{"--netns", "/proc/1/ns/net", "10.99.0.1"}, "network namespace needs root", 1},
		"an address of nobody":           {[]string{"-s", "10.77.1.9", "10.99.0.1"}, "not an address of this host", 1},
		"an address of another host":     {[]string{"-s", "10.99.0.1", "10.99.0.2"}, "not an address of this host", 1},
		"an IPv6 address of another":     {[]string{"-s", "fd99::1", "fd77:1::2"}, "not an address of this host", 1},
		"a port of a bridge":             {[]string{"-i", s.side.A.Interface, "10.77.3.2"}, "needs root", 1},
		"a port of root":                 {[]string{"--sport", "53", "10.99.0.1"}, "source port 53 needs root", 1},
		"a port of another program":      {[]string{"--sport", "7379", "10.99.0.1"}, "in use by another program", 1},
		"a broadcast":                    {[]string{"10.77.1.255"}, "broadcast", 2},
		"a multicast":                    {[]string{"224.0.0.1"}, "multicast", 2},
		"a packet longer than the link":  {[]string{"10.99.0.1", "1501"}, "1501", 2},
		"writing another's file":         {[]string{"--write", closed, "10.99.0.1"}, "permission denied", 1},
		"writing through a link":         {[]string{"--write", link, "10.99.0.1"}, "permission denied", 1},
		"replaying another's recording":  {[]string{"replay", closed}, "permission denied", 1},
		"explaining another's recording": {[]string{"explain", closed}, "permission denied", 1},
		"comparing another's recording":  {[]string{"diff", closed, closed}, "permission denied", 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.T = t
			stdout, stderr, code := s.run(append([]string{}, tt.args...)...)
			if code != tt.code || !strings.Contains(stderr, tt.says) || strings.Count(stderr, "\n") != 1 || stdout != "" {
				t.Errorf("exit code %d, want %d and a line that says %q:\n%s%s", code, tt.code, tt.says, stderr, stdout)
			}
		})
	}
}

// From before the first probe to the end, no thread of a trace has a capability, or
// can get one.
func TestInstalledHasNoCapabilityWhileItTraces(t *testing.T) {
	s := newShared(t)
	for _, args := range [][]string{{"10.99.0.1"}, {"-I", "10.99.0.1"}, {"-T", "127.0.0.1", "10.99.0.1", "fd99::1"}} {
		p, _ := s.begin(args...)
		threads := p.Threads("tracewire")
		p.Stop()
		if len(threads) < 3 {
			t.Fatalf("%v: it has %d threads", args, len(threads))
		}
		for _, status := range threads {
			for _, want := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"} {
				if !strings.Contains(status, want) {
					t.Errorf("%v: want %q of every thread:\n%s", args, want, status)
				}
			}
		}
	}
}

// Its user can't reach into the program, where frames are whole.
func TestInstalledIsClosedToItsUser(t *testing.T) {
	s := newShared(t)
	p, _ := s.begin("10.99.0.1")
	defer p.Stop()
	for _, file := range []string{"mem", "maps", "environ", "auxv", "fd/0", "fdinfo/0", "syscall", "stack"} {
		_, stderr, code := s.output(s.host.Command("cat", fmt.Sprintf("/proc/%d/%s", p.Pid(), file)))
		if code == 0 || !strings.Contains(stderr, "ermission denied") && !strings.Contains(stderr, "not permitted") {
			t.Errorf("%s: exit code %d: %s", file, code, stderr)
		}
	}
}

// The dynamic linker looks for no libraries where the user says.
func TestInstalledLoadsNoLibraryOfItsUser(t *testing.T) {
	s := newShared(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "libpcap.so.0.8"), []byte("not a library"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(program string) int {
		_, _, code := s.output(s.host.Command("env", "LD_LIBRARY_PATH="+dir, program, "--version"))
		return code
	}
	copied := filepath.Join(t.TempDir(), "tracewire")
	data, err := os.ReadFile(s.tracewire)
	if err = cmp.Or(err, os.WriteFile(copied, data, 0o755)); err != nil {
		t.Fatal(err)
	}
	if run(copied) == 0 {
		t.Skip("libpcap is linked in, or has another name")
	}
	if code := run(s.tracewire); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Who has not installed it, or copies it, gets the permission of nobody.
func TestCopyOfInstalledHasNoCapability(t *testing.T) {
	s := newShared(t)
	copied := filepath.Join(t.TempDir(), "tracewire")
	_, _, code := s.output(s.host.Command("cp", s.tracewire, copied))
	if code != 0 {
		t.Fatal("cp failed")
	}
	_, stderr, code := s.output(s.host.Command(copied, "-n", "10.99.0.1"))
	if code != exitSystem || !strings.Contains(stderr, "no permission to capture and send frames") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// Over all hosts it sends 256 probes at once, and then a thousand a second: so many
// take so long, whatever the machine.
func TestInstalledSendsNoFloods(t *testing.T) {
	s := newShared(t)
	args := []string{"-n", "--format", "jsonl", "-q", "10", "-m", "1", "-w", "5", "--at-once", "100"}
	for i := 1; i <= 120; i++ {
		args = append(args, fmt.Sprintf("10.99.0.%d", i))
	}
	stdout, stderr, code := s.run(args...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	sent := sentTimes(t, stdout)
	if len(sent) < 1200 {
		t.Fatalf("%d probes", len(sent))
	}
	least := float64(len(sent)-256) / 1000
	if took := slices.Max(sent) - slices.Min(sent); took < least*0.99 {
		t.Errorf("%d probes in %.3f s, want at least %.3f s", len(sent), took, least)
	}
}

// sentTimes are when probes were sent, in seconds, by lines of JSON.
func sentTimes(t *testing.T, lines string) (sent []float64) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var e struct {
			Event string
			Sent  time.Time
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == "probe" {
			sent = append(sent, float64(e.Sent.UnixNano())/1e9)
		}
	}
	return sent
}

// A host whose route moves to an interface that no other host uses can't be traced to
// any more. The others are; and root traces it.
func TestInstalledOpensNothingLater(t *testing.T) {
	s := newShared(t)
	moved := func(cmd *exec.Cmd) (string, int) {
		s.host.Route("10.99.0.2", "10.77.1.2")
		var stderr strings.Builder
		out, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = in, &stderr
		ended := make(chan error, 1)
		go func() { ended <- s.host.Do(cmd.Run) }()
		b := make([]byte, 4096)
		if n, err := out.Read(b); err != nil || !strings.Contains(string(b[:n]), "traceroute to 10.99.0.1") {
			t.Fatalf("%s, %v", b[:n], err)
		}
		s.host.Route("10.99.0.2", "10.77.2.2") // the first trace has begun, the second has not
		go io.Copy(io.Discard, out)
		<-ended
		in.Close()
		return stderr.String(), cmd.ProcessState.ExitCode()
	}
	args := []string{s.tracewire, "-n", "-q", "5", "-z", "100", "-m", "1", "--at-once", "1", "10.99.0.1", "10.99.0.2", "10.99.0.3"}
	stderr, code := moved(s.host.Command(args...))
	want := fmt.Sprintf("tracewire: 10.99.0.2: interface %s, for probes from 10.77.2.1, was not open yet when the right to open it was given up\n", s.side.A.Interface)
	if code != exitSystem || stderr != want {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if stderr, code := moved(exec.Command(args[0], args[1:]...)); code != exitOK || stderr != "" {
		t.Errorf("root: exit code %d: %s", code, stderr)
	}
}

// The user gets what he came for: every kind of path, on every interface.
func TestInstalledTraces(t *testing.T) {
	s := newShared(t)
	stdout, stderr, code := s.run("-n", "-q", "1", "10.99.0.1", "fd99::1", "127.0.0.1", "::1", "10.77.2.2", "10.77.1.1")
	if hops := hopsOf(stdout); code != 0 || stderr != "" || !slices.Equal(hops, []string{"10.99.0.1", "fd99::1", "127.0.0.1", "::1", "10.77.2.2", "10.77.1.1"}) {
		t.Errorf("exit code %d: %v %s", code, hops, stderr)
	}
	for _, args := range [][]string{
		{"-I"}, {"-T"}, {"-U"}, {"-T", "-O", "ecn"}, {"-T", "-O", "syn,mss=1400,sack"}, {"--classic"}, {"--mtu"}, {"-F"}, {"-t", "EF"}, {"--sport", "40000"},
		{"-I", "--sport", "1"}, {"-i", s.uplink.A.Interface}, {"-z", "1"},
	} {
		stdout, stderr, code := s.run(append(append([]string{"-n", "-q", "1"}, args...), "10.99.0.1")...)
		want := ""
		if args[0] == "-T" {
			want = "tracewire: port 80 is closed\n"
		}
		if hops := hopsOf(stdout); code != 0 || stderr != want || !slices.Equal(hops, []string{"10.99.0.1"}) {
			t.Errorf("%v: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
}
