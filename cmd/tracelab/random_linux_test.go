package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tracewire/tracewire/capture/capturetest/randomnet"
)

// Random networks, each in a lab of its own for each trace: what one has drawn from
// a limited router is not missing to the other.

// randomLetters are the arguments of traces. Traceroute gets the same, but for the
// one that it lacks: its ports count always. A network is traced with those whose
// turn it is by its seed: every so many seeds, from a first one on. Never is 0.
var randomLetters = []struct {
	args            string
	lossless, lossy turn
}{
	{"", turn{every: 1}, turn{every: 2}},
	{"-q 1", turn{every: 2, from: 1}, turn{every: 1}},
	{"--classic", turn{every: 6, from: 0}, turn{}},
	{"-I", turn{every: 6, from: 1}, turn{every: 6, from: 1}},
	{"-T", turn{every: 6, from: 2}, turn{every: 6, from: 3}},
	{"-6", turn{every: 6, from: 3}, turn{every: 6, from: 5}},
	{"-6 -q 1", turn{every: 6, from: 4}, turn{}},
	{"-6 -I", turn{every: 6, from: 5}, turn{}},
	{"-6 -T", turn{every: 6, from: 2}, turn{}},
}

type turn struct{ every, from uint64 }

func (t turn) isDue(seed uint64) bool { return t.every > 0 && seed%t.every == t.from }

// common are the arguments of all. No reply takes so long, and the targets that say
// nothing are asked only at one TTL more than is needed.
func (p *randomPair) common() string { return fmt.Sprintf("-n -w 1 -m %d", p.truth.Last()+1) }

// randomPair is what both programs saw with the same arguments.
type randomPair struct {
	seed   uint64
	args   string
	lossy  bool
	target netip.Addr
	truth  *randomnet.Truth
	file   string
	ours   []shownHop
	peer   map[int][]netip.Addr // by hop
}

func (p *randomPair) String() string {
	return fmt.Sprintf("seed %d (%s), %q", p.seed, filepath.Base(p.file), p.args)
}

// shownHop is a hop of tracewire's document.
type shownHop struct {
	TTL    int
	Probes []struct {
		TTL   int
		Reply *struct {
			From  netip.Addr
			Kind  string
			Basis string `json:"hop_basis"`
		}
	}
}

// seedsVariable says in how many random networks to trace. CI sets it to 200.
const seedsVariable = "TRACEWIRE_SEEDS"

// seedsToTrace is 40 by default, and 20 under -short.
func seedsToTrace(t *testing.T) uint64 {
	t.Helper()
	switch value := os.Getenv(seedsVariable); {
	case value != "":
		seeds, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			t.Fatalf("%s: %v", seedsVariable, err)
		}
		return seeds
	case testing.Short():
		return 20
	}
	return 40
}

// TestBesideTracerouteInRandomNetworks traces in random networks beside traceroute.
// Where nothing gets lost tracewire sees every hop that traceroute sees. Where packets
// get lost it doesn't miss more than traceroute does. It never shows a wrong hop.
func TestBesideTracerouteInRandomNetworks(t *testing.T) {
	requireLab(t, "traceroute")
	seeds := seedsToTrace(t)
	pairs := randomPairs(t, seeds)
	runAll(t, buildTracer(t), pairs)
	var alone [2]int // hops that only the one missed, in networks that lose packets: ours, traceroute
	seen, held := 0, 0
	for _, p := range pairs {
		if isHeldBack(p) {
			held++
			continue
		}
		for _, wrong := range p.wrong() {
			t.Errorf("%v: %s", p, wrong)
		}
		ours, peer, both := p.missed()
		seen += both + len(peer)
		switch {
		case p.lossy:
			alone[0] += len(ours)
			alone[1] += len(peer)
		case len(ours) > 0:
			t.Errorf("%v: only traceroute sees hops %d:\ntraceroute %v\ntracewire  %v", p, ours, p.peer, p.addresses())
		}
	}
	t.Logf("%d traces, %d of them held back; %d hops seen; with loss, tracewire alone misses %d, traceroute alone %d",
		len(pairs), held, seen, alone[0], alone[1])
	if least := 5 * int(seeds); seen < least {
		t.Errorf("only %d hops were seen", seen)
	}
	if !isChance(alone[0], alone[1]) {
		t.Errorf("with loss, tracewire alone misses %d hops, and traceroute alone %d", alone[0], alone[1])
	}
}

// isHeldBack names what tracewire does not see through: quotes in which a NAT left its
// own port. traceroute should see nothing there either.
func isHeldBack(p *randomPair) bool { return p.truth.Rewrites.Port }

// randomPairs are the traces to make, and the files of their networks.
func randomPairs(t *testing.T, seeds uint64) (pairs []*randomPair) {
	dir := t.TempDir()
	for seed := uint64(1); seed <= seeds; seed++ {
		for _, lossy := range []bool{false, true} {
			n, file := randomnet.New(seed), filepath.Join(dir, fmt.Sprintf("%d.toml", seed))
			if lossy {
				n, file = randomnet.Lossy(seed), filepath.Join(dir, fmt.Sprintf("%d-lossy.toml", seed))
			}
			if err := os.WriteFile(file, randomnet.File(n.Topology), 0o666); err != nil {
				t.Fatal(err)
			}
			for _, l := range randomLetters {
				if lossy && l.lossy.isDue(seed) || !lossy && l.lossless.isDue(seed) {
					pairs = append(pairs, newPair(seed, l.args, lossy, n, file))
				}
			}
		}
	}
	return pairs
}

func newPair(seed uint64, args string, lossy bool, n randomnet.Network, file string) *randomPair {
	target := n.Target4
	if strings.Contains(args, "-6") {
		target = n.Target6
	}
	return &randomPair{
		seed: seed, args: args, lossy: lossy, target: target, file: file,
		truth: randomnet.TruthOf(n.Topology, target),
	}
}

// besideEachOther bounds how many labs there are at a time: they mostly wait.
const besideEachOther = 32

// runAll runs both programs for all pairs.
func runAll(t *testing.T, tracer string, pairs []*randomPair) {
	lab := program(t)
	run := func(p *randomPair, command string) []byte {
		args := append([]string{"run", p.file, "--"}, strings.Fields(command)...)
		cmd := exec.Command(lab, append(args, p.target.String())...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%v: %s: %v: %s%s", p, command, err, out, &stderr)
		}
		return out
	}
	work := make(chan func())
	var workers sync.WaitGroup
	for range besideEachOther {
		workers.Go(func() {
			for f := range work {
				f()
			}
		})
	}
	for _, p := range pairs {
		work <- func() {
			out := run(p, fmt.Sprintf("%s %s %s --seed %d --format json", tracer, p.common(), p.args, p.seed))
			var doc struct{ Hops []shownHop }
			if err := json.Unmarshal(out, &doc); err != nil {
				t.Errorf("%v: %v: %s", p, err, out)
			}
			p.ours = doc.Hops
		}
		work <- func() {
			out := run(p, "traceroute "+p.common()+" "+strings.ReplaceAll(p.args, "--classic", ""))
			p.peer = addressesOf(string(out))
		}
	}
	close(work)
	workers.Wait()
}

// addresses are the addresses that tracewire shows, by hop.
func (p *randomPair) addresses() map[int][]netip.Addr {
	hops := map[int][]netip.Addr{}
	for _, h := range p.ours {
		for _, probe := range h.Probes {
			if probe.Reply != nil {
				hops[h.TTL] = append(hops[h.TTL], probe.Reply.From)
			}
		}
	}
	return hops
}

var hopLine = regexp.MustCompile(`(?m)^ *(\d+)  (.*)$`)

// addressesOf are the addresses in traceroute's lines, by hop.
func addressesOf(out string) map[int][]netip.Addr {
	hops := map[int][]netip.Addr{}
	for _, m := range hopLine.FindAllStringSubmatch(out, -1) {
		hop, err := strconv.Atoi(m[1])
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(m[2]) {
			if a, err := netip.ParseAddr(word); err == nil {
				hops[hop] = append(hops[hop], a)
			}
		}
	}
	return hops
}

// wrong are the replies that are shown at a hop from which they cannot be. Two of the
// rules promise less: arithmetic is one off where a router quotes the TTL decremented,
// and nothing is farther away than the lowest TTL that drew a reply from there. Where
// a target misquotes the TTL, and most of its answers are lost, nothing shows that.
func (p *randomPair) wrong() (all []string) {
	for _, h := range p.ours {
		for _, probe := range h.Probes {
			r := probe.Reply
			switch {
			case r == nil || p.truth.Right(h.TTL, r.From):
			case r.Kind != "time-exceeded" && p.truth.Hides:
			case r.Basis == "quoted-ttl" && p.truth.Misquotes && p.lossy:
			case r.Basis == "arithmetic" && p.truth.Right(h.TTL-1, r.From):
			case r.Basis == "lowest-ttl" && p.isNearer(h.TTL, r.From):
			default:
				all = append(all, fmt.Sprintf("%v %s at hop %d, by %s", r.From, r.Kind, h.TTL, r.Basis))
			}
		}
	}
	return all
}

// isNearer reports whether an address can be nearer than a hop.
func (p *randomPair) isNearer(hop int, from netip.Addr) bool {
	for h := range hop {
		if p.truth.Right(h, from) {
			return true
		}
	}
	return false
}

// missed are the hops that only the other saw, and how many both saw.
func (p *randomPair) missed() (ours, peer []int, both int) {
	for hop := 1; hop <= p.truth.Last(); hop++ {
		if !p.truth.Comparable(hop) {
			continue
		}
		switch we, they := p.isSeen(hop), p.peerSees(hop); {
		case they && !we:
			ours = append(ours, hop)
		case we && !they:
			peer = append(peer, hop)
		case we:
			both++
		}
	}
	return ours, peer, both
}

// isSeen reports whether tracewire shows who is at a hop. The target counts wherever
// it is shown if the network hides where it is.
func (p *randomPair) isSeen(hop int) bool {
	for _, h := range p.ours {
		for _, probe := range h.Probes {
			if r := probe.Reply; r != nil && p.truth.Right(hop, r.From) && (h.TTL == hop || p.truth.Hides && r.Kind != "time-exceeded") {
				return true
			}
		}
	}
	return false
}

func (p *randomPair) peerSees(hop int) bool {
	for _, a := range p.peer[hop] {
		if p.truth.Right(hop, a) {
			return true
		}
	}
	return false
}

// isChance reports whether the first of two counts of what is equally likely is not so
// much larger that this happens less than once in a hundred times.
func isChance(a, b int) bool {
	n := int64(a + b)
	sum := new(big.Int)
	for k := int64(a); k <= n; k++ {
		sum.Add(sum, new(big.Int).Binomial(n, k))
	}
	sum.Mul(sum, big.NewInt(100))
	return sum.Cmp(new(big.Int).Lsh(big.NewInt(1), uint(n))) >= 0
}

func TestIsChance(t *testing.T) {
	for _, test := range []struct {
		a, b int
		want bool
	}{{0, 0, true}, {6, 0, true}, {7, 0, false}, {0, 50, true}, {60, 40, true}, {62, 38, true}, {63, 37, false}} {
		if got := isChance(test.a, test.b); got != test.want {
			t.Errorf("%d against %d: %v", test.a, test.b, got)
		}
	}
}
