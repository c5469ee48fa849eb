package tracewire_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/craft/route"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// These tests run where Linux itself forwards and answers.

func TestMain(m *testing.M) { os.Exit(kernelnet.Wrap(m).Run()) }

var destination = kernelnet.IPv4.Destination

// chain returns a network of n routers, and checks when the test ends that
// no goroutine of ours is left.
func chain(t *testing.T, n int, delays map[int]kernelnet.Delay) *kernelnet.Chain {
	t.Helper()
	c := kernelnet.NewChain(t, n, &kernelnet.ChainOptions{Delays: delays})
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	return c
}

// mustTrace traces to the chain's destination.
func mustTrace(t *testing.T, o tracewire.Options) *path.Path {
	t.Helper()
	return mustTraceTo(t, destination, o)
}

// hops are the addresses of a chain as addrs has those of a path.
func hops(c *kernelnet.Chain) []string {
	var all []string
	for _, a := range c.Hops(kernelnet.IPv4) {
		all = append(all, a.String())
	}
	return all
}

func TestKernelChain(t *testing.T) {
	c := chain(t, 8, nil)
	p := mustTrace(t, tracewire.Options{})
	if d := cmp.Diff(hops(c), addrs(p)); d != "" {
		t.Error(d)
	}
	if !p.Reached() || p.Clock.Stepped || p.Counters.Foreign+p.Counters.Malformed+p.Counters.Late+p.Counters.Dropped > 0 {
		t.Errorf("reached %v, %+v, %+v", p.Reached(), p.Clock, p.Counters)
	}
	for _, probe := range p.Probes {
		if probe.SentClock != path.Kernel {
			t.Errorf("TTL %d was stamped by the %v", probe.TTL, probe.SentClock)
		}
		if r := probe.Reply; r != nil && (r.RTT <= 0 || r.RTT > 100*time.Millisecond || r.MatchedBy != matcher.ByCookie) {
			t.Errorf("TTL %d: round trip %v, matched by %v", probe.TTL, r.RTT, r.MatchedBy)
		}
	}
	if s := p.Source; s.Interface != c.Links[0].A.Interface || s.NextHop != c.Links[0].B.Addr() ||
		s.MAC.String() != c.Links[0].A.MAC.String() || s.NextHopMAC.String() != c.Links[0].B.MAC.String() {
		t.Errorf("%+v", s)
	}
}

// silence keeps a router from answering, not from forwarding.
func silence(r *kernelnet.Node) { r.Nft(rule("output", "icmp type time-exceeded drop")) }

// rule is an nftables script with one rule.
func rule(hook, rule string) string {
	return "table ip t {\nchain c {\ntype filter hook " + hook + " priority 0\n" + rule + "\n}\n}\n"
}

func TestKernelSilentRouter(t *testing.T) {
	c := chain(t, 5, nil)
	silence(c.Routers[2])
	want := hops(c)
	want[2] = "*"
	p := mustTrace(t, tracewire.Options{})
	if d := cmp.Diff(want, addrs(p)); d != "" {
		t.Error(d)
	}
	if took := p.Ended.Sub(p.Started); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// A router that is slow to answer delays neither the others nor their times.
func TestKernelSlowRouter(t *testing.T) {
	const slow, delay = 3, 80 * time.Millisecond
	c := chain(t, 6, map[int]kernelnet.Delay{slow: kernelnet.ICMPFrom("10.77.3.2", delay)})
	p := mustTrace(t, tracewire.Options{})
	if d := cmp.Diff(hops(c), addrs(p)); d != "" {
		t.Error(d)
	}
	for _, probe := range p.Probes {
		r := probe.Reply
		if r == nil {
			continue
		}
		if isSlow := r.RTT >= delay; isSlow != (r.Hop == slow) {
			t.Errorf("hop %d: round trip %v", r.Hop, r.RTT)
		}
	}
}

func TestKernelLateReply(t *testing.T) {
	const slow = 2
	chain(t, 3, map[int]kernelnet.Delay{slow: kernelnet.ICMPFrom("10.77.2.2", 60*time.Millisecond)})
	p := mustTrace(t, tracewire.Options{Wait: path.Wait{Max: 30 * time.Millisecond}, InFlight: 1})
	late := 0
	for _, probe := range p.Hops()[slow-1].Probes {
		if probe.Status == path.Late && probe.Reply.RTT > 60*time.Millisecond {
			late++
		}
	}
	if late == 0 || p.Counters.Late != late {
		t.Errorf("%d late replies, %+v", late, p.Counters)
	}
}

// Whichever way a router chooses for a flow, all probes of a trace go that way;
// another flow may go another.
func TestKernelECMP(t *testing.T) {
	n := kernelnet.New(t)
	left, right, join := n.Router("left"), n.Router("right"), n.Router("join")
	fork := n.Router("fork")
	n.Link(n.Host(), fork, "10.77.1.0/24")
	n.Link(fork, left, "10.77.2.0/24")
	n.Link(fork, right, "10.77.3.0/24")
	n.Link(left, join, "10.77.4.0/24")
	n.Link(right, join, "10.77.5.0/24")
	join.Address(destination.String())
	n.Host().Route("default", "10.77.1.2")
	fork.Route("10.99.0.1", "10.77.2.2", "10.77.3.2")
	left.Route("10.99.0.1", "10.77.4.2")
	right.Route("10.99.0.1", "10.77.5.2")
	left.Route("default", "10.77.2.1")
	right.Route("default", "10.77.3.1")
	join.Route("default", "10.77.4.1")

	ways := map[string]int{}
	for seed := range uint64(12) {
		p := mustTrace(t, tracewire.Options{Seed: seed + 1})
		got := addrs(p)
		if len(got) != 3 || got[2] != destination.String() || strings.Contains(got[1], " ") {
			t.Fatalf("%v", got)
		}
		ways[got[1]]++
	}
	if len(ways) != 2 || ways["10.77.2.2"] == 0 || ways["10.77.3.2"] == 0 {
		t.Errorf("12 flows went %v", ways)
	}
}

func TestKernelRejects(t *testing.T) {
	const router = 3 // of 5
	const reject = "ip daddr 10.99.0.1 udp dport 33434 reject with icmp type admin-prohibited"
	tests := map[string]struct {
		change func(*kernelnet.Chain)
		code   uint8
		basis  path.Basis
	}{
		"in prerouting":          {func(c *kernelnet.Chain) { c.Routers[router-1].Nft(rule("prerouting", reject)) }, 13, path.ByArithmetic},
		"in forward":             {func(c *kernelnet.Chain) { c.Routers[router-1].Nft(rule("forward", reject)) }, 13, path.BySameAddress},
		"by a prohibit route":    {func(c *kernelnet.Chain) { c.Routers[router-1].Prohibit("10.99.0.1") }, 13, path.ByArithmetic},
		"by a failed neighbour":  {func(c *kernelnet.Chain) { c.Routers[router-1].Route("10.99.0.1", "10.77.4.77") }, 1, path.BySameAddress},
		"having no route at all": {func(c *kernelnet.Chain) { c.Routers[router-1].Run("ip", "route", "del", "default") }, 0, path.ByArithmetic},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := chain(t, 5, nil)
			test.change(c)
			p := mustTrace(t, tracewire.Options{})
			if p.Reached() || p.End() != router {
				t.Fatalf("reached %v, ends at %d: %v", p.Reached(), p.End(), addrs(p))
			}
			for i, got := range addrs(p) {
				// While a neighbour is being asked for, the kernel keeps a few
				// packets for it and forgets the others.
				if got = strings.Split(strings.TrimPrefix(got, "* "), " ")[0]; got != hops(c)[i] {
					t.Errorf("hop %d is %s", i+1, got)
				}
			}
			found := 0
			for _, probe := range p.Probes {
				if r := probe.Reply; r != nil && r.Kind == matcher.Unreachable {
					found++
					if r.ICMPCode != test.code || r.Basis != test.basis || r.Hop != router {
						t.Errorf("TTL %d: code %d, hop %d by %v", probe.TTL, r.ICMPCode, r.Hop, r.Basis)
					}
				}
			}
			if found == 0 {
				t.Error("nothing was rejected")
			}
		})
	}
}

// With the limits that Linux has by default, everything still answers.
func TestKernelDefaultRateLimits(t *testing.T) {
	c := chain(t, 6, nil)
	for _, r := range c.Routers {
		r.Sysctl("net.ipv4.icmp_ratelimit", "1000")
	}
	p := mustTrace(t, tracewire.Options{})
	for _, h := range p.Hops() {
		answered := 0
		for _, probe := range h.Probes {
			if probe.Status == path.Replied {
				answered++
			}
		}
		if answered < 3 {
			t.Errorf("hop %d answered %d times", h.TTL, answered)
		}
	}
	if took := p.Ended.Sub(p.Started); took > 300*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

// The stamps are those that tcpdump records beside us: our round trips are
// the differences of the times in its file.
func TestKernelStampsAreTcpdumps(t *testing.T) {
	t.Run("idle", stampsAreTcpdumps)
	t.Run("with every core busy", func(t *testing.T) {
		defer keepBusy()()
		stampsAreTcpdumps(t)
	})
}

// keepBusy keeps every core busy until stop is called.
func keepBusy() (stop func()) {
	var over atomic.Bool
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for !over.Load() {
			}
		})
	}
	return func() {
		over.Store(true)
		workers.Wait()
	}
}

func stampsAreTcpdumps(t *testing.T) {
	c := chain(t, 8, nil)
	file := filepath.Join(t.TempDir(), "run.pcap")
	dump := c.Host().Start("tcpdump", "-Z", "root", "-i", c.Links[0].A.Interface, "-j", "host",
		"--time-stamp-precision=nano", "--immediate-mode", "-s", "256", "-B", "4096", "-U", "-w", file, "udp or icmp")
	dump.Await("listening on")
	p := mustTrace(t, tracewire.Options{})
	sent, received := tcpdumpTimes(t, file)
	for deadline := time.Now().Add(10 * time.Second); len(sent)+len(received) < p.Counters.Sent+p.Counters.Received && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // tcpdump writes when it has the time
		sent, received = tcpdumpTimes(t, file)
	}
	dump.Stop()
	if len(sent) != p.Counters.Sent {
		t.Errorf("tcpdump has %d probes, we sent %d", len(sent), p.Counters.Sent)
	}
	compared := 0
	for _, probe := range p.Probes {
		if !probe.Sent.Equal(sent[probe.ID]) {
			t.Errorf("probe %d was sent at %v, by tcpdump at %v", probe.Number, probe.Sent, sent[probe.ID])
		}
		if r := probe.Reply; r != nil {
			compared++
			if want := received[probe.ID].Sub(sent[probe.ID]); r.RTT != want {
				t.Errorf("probe %d: round trip %v, by tcpdump's file %v", probe.Number, r.RTT, want)
			}
		}
	}
	if compared < 24 {
		t.Errorf("only %d round trips to compare", compared)
	}
}

// tcpdumpTimes reads the plainest things from a capture: by the IP ID of a
// probe, when it went and when the ICMP error came that quotes it.
func tcpdumpTimes(t *testing.T, name string) (sent, received map[uint16]time.Time) {
	t.Helper()
	sent, received = map[uint16]time.Time{}, map[uint16]time.Time{}
	f, err := capture.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for fr, err := range f.Frames(t.Context()) {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break // it is being written
		}
		if err != nil {
			t.Fatal(err)
		}
		if fr.IsWatermark() {
			continue
		}
		ip := fr.Data[14:]
		switch ip[9] {
		case 17:
			if binary.BigEndian.Uint16(ip[22:]) == 33434 {
				sent[binary.BigEndian.Uint16(ip[4:])] = fr.Time
			}
		case 1:
			received[binary.BigEndian.Uint16(ip[28+4:])] = fr.Time
		}
	}
	return sent, received
}

// Several traces to one destination at the same time, ours and another
// program's, don't see each other's replies.
func TestKernelConcurrentTraces(t *testing.T) {
	kernelnet.Require(t, "traceroute")
	c := chain(t, 8, nil)
	want := hops(c)
	for range 5 {
		var (
			wait, capturing sync.WaitGroup
			paths           [2]*path.Path
			errs            [2]error
			other           string
		)
		wait.Go(func() { other = c.Host().Run("traceroute", "-n", "-q", "10", destination.String()) })
		capturing.Add(len(paths))
		for i := range paths {
			started := sync.OnceFunc(capturing.Done)
			wait.Go(func() {
				defer started() // also if there was no start
				errs[i] = tracewire.Run(t.Context(), slices.Values([]netip.Addr{destination}), &tracewire.Options{Queries: 10}, func(e tracewire.Event) {
					switch e.Kind {
					case path.Started: // neither sends before both capture
						started()
						capturing.Wait()
					case path.Ended:
						paths[i] = e.Path
					}
				})
			})
		}
		wait.Wait()
		for i, p := range paths {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			if d := cmp.Diff(want, addrs(p)); d != "" {
				t.Error(d)
			}
			if p.Counters.Duplicate+p.Counters.Malformed > 0 {
				t.Errorf("%+v", p.Counters)
			}
		}
		if paths[0].Counters.Foreign+paths[1].Counters.Foreign == 0 {
			t.Error("the traces did not meet")
		}
		if got := tracerouteHops(other); !cmp.Equal(got, want) {
			t.Errorf("traceroute shows %v", got)
		}
	}
}

// tracerouteHops reads who answered from lines like traceroute's.
func tracerouteHops(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		if m := regexp.MustCompile(`^ ?(\d+)  (\S+)`).FindStringSubmatch(line); m != nil {
			if n, _ := strconv.Atoi(m[1]); n == len(all)+1 {
				all = append(all, m[2])
			}
		}
	}
	return all
}

func TestKernelRefusals(t *testing.T) {
	n := kernelnet.New(t)
	r1 := n.Router("r1")
	l := n.Link(n.Host(), r1, "10.77.1.0/24")
	bare := n.Link(n.Host(), n.Router("bare"))
	n.Host().Route("10.98.0.0/16", "10.77.1.2")
	n.Host().Route("10.97.0.0/16", "10.77.1.99")
	n.Host().Prohibit("10.96.0.0/16")
	tests := map[string]struct {
		dst  string
		o    tracewire.Options
		want error
	}{
		"no route":                    {"10.95.0.1", tracewire.Options{}, route.ErrNoRoute},
		"a prohibit route":            {"10.96.0.1", tracewire.Options{}, route.ErrNoRoute},
		"no such interface":           {"10.98.0.1", tracewire.Options{Interface: "nosuch0"}, route.ErrInterface},
		"an interface without one":    {"10.98.0.1", tracewire.Options{Interface: bare.A.Interface}, route.ErrNoAddress},
		"a source that is not ours":   {"10.98.0.1", tracewire.Options{Source: netip.MustParseAddr("10.77.1.50")}, route.ErrSource},
		"the link's broadcast":        {"10.77.1.255", tracewire.Options{}, route.ErrBroadcast},
		"a gateway that is not there": {"10.97.0.1", tracewire.Options{}, route.ErrNeighbour},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := tracewire.Trace(t.Context(), test.dst, &test.o)
			if !errors.Is(err, test.want) || p != nil {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
	t.Run("too long for the MTU", func(t *testing.T) {
		l.SetMTU(1000)
		_, err := tracewire.Trace(t.Context(), "10.98.0.1", &tracewire.Options{Length: 1001})
		if e, ok := errors.AsType[*tracewire.MTUError](err); !ok || e.MTU != 1000 {
			t.Error(err)
		}
	})
}

// What happens to the interface while a trace runs ends it with the reason,
// and with what was known.
func TestKernelInterfaceLost(t *testing.T) {
	tests := map[string]struct {
		command []string
		want    error
	}{
		"removed":  {[]string{"ip", "link", "del"}, capture.ErrGone},
		"set down": {[]string{"ip", "link", "set", "down", "dev"}, capture.ErrDown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := chain(t, 4, nil)
			silence(c.Routers[2])
			o := tracewire.Options{Wait: path.Wait{Max: 30 * time.Second}}
			var p *path.Path
			err := tracewire.Run(t.Context(), func(yield func(netip.Addr) bool) { yield(destination) }, &o, func(e path.Event) {
				if e.Kind == path.Decided && e.Hop.TTL == 2 {
					c.Host().Run(append(test.command, c.Links[0].A.Interface)...)
				}
				if e.Kind == path.Ended {
					p = e.Path
				}
			})
			if !errors.Is(err, test.want) || p == nil {
				t.Fatalf("%v, %v", p, err)
			}
			if got := addrs(p); len(got) < 2 || got[0] != "10.77.1.2" || got[1] != "10.77.2.2" || !p.Interrupted {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestKernelCancel(t *testing.T) {
	c := chain(t, 4, nil)
	silence(c.Routers[2])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := tracewire.Options{Wait: path.Wait{Max: 30 * time.Second}}
	var cancelled time.Time
	var p *path.Path
	err := tracewire.Run(ctx, func(yield func(netip.Addr) bool) { yield(destination) }, &o, func(e path.Event) {
		if e.Kind == path.Decided && e.Hop.TTL == 2 {
			cancelled = time.Now()
			cancel()
		}
		if e.Kind == path.Ended {
			p = e.Path
		}
	})
	if took := time.Since(cancelled); !errors.Is(err, context.Canceled) || took > 2*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	if p == nil || !p.Interrupted || len(p.Hops()) < 2 {
		t.Errorf("%+v", p)
	}
}

func TestKernelSourcePort(t *testing.T) {
	chain(t, 2, nil)
	if p := mustTrace(t, tracewire.Options{SrcPort: 4321}); p.Probes[0].SrcPort != 4321 || p.Parameters.SrcPort != 4321 {
		t.Errorf("%+v", p.Probes[0])
	}
	hold, err := net.ListenPacket("udp4", ":4321")
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	if _, err := tracewire.Trace(t.Context(), destination.String(), &tracewire.Options{SrcPort: 4321}); err == nil || !strings.Contains(err.Error(), "4321") {
		t.Errorf("a port that is taken: %v", err)
	}
}
