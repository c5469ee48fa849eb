package tracewire_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
)

// translator is what a device on the path does to probes, and leaves in the quotes
// that come back: the source and the ports are restored.
type translator struct {
	shift   uint32 // added to the transport checksum
	id      string // "": as sent; "swapped", "zero", "order", "constant" or "random"
	short   bool   // routers quote 28 bytes, of IPv6 48
	byFlow  bool   // each flow has a port of its own outside, so that shifts differ
	zero    bool   // the checksum is quoted as zero
	firstID uint16
}

// translated is a Conn behind a translator, which is at the first hop.
type translated struct {
	*capturetest.Conn
	translator

	mu     sync.Mutex // of the following: probes leave while replies come in
	random *rand.Rand
	count  uint16
	ids    map[string]uint16 // by the probe's transport header and ID: what it has outside
}

// Inject implements capture.Conn: the translator sees the probes in the order in
// which they leave.
func (c *translated) Inject(data []byte) error {
	c.mu.Lock()
	if ip := data[14:]; ip[0]>>4 == 4 {
		c.count += uint16(1 + c.random.IntN(3)) // others send, too
		c.ids[probeName(ip)] = c.firstID + c.count
	}
	c.mu.Unlock()
	return c.Conn.Inject(data)
}

func probeName(ip []byte) string { return string(ip[4:6]) + string(ip[20:28]) }

// Frames implements capture.Source.
func (c *translated) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		for f, err := range c.Conn.Frames(ctx) {
			if err == nil && !f.IsWatermark() && f.Direction == frame.In {
				f.Data = c.edit(append([]byte(nil), f.Data...))
				f.Length = len(f.Data)
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// edit makes the quote in a frame what the translator leaves, but in an error of
// the translator itself.
func (c *translated) edit(b []byte) []byte {
	ip := b[14:]
	header, quoted, is6 := 20, 20, ip[0]>>4 == 6
	if is6 {
		header, quoted = 40, 40
	}
	message := ip[header:]
	isError := !is6 && ip[9] == 1 && (message[0] == 3 || message[0] == 11) || is6 && ip[6] == 58 && message[0] < 128
	if !isError || first(ip) {
		return b
	}
	q := message[8:]
	c.mu.Lock()
	if !is6 {
		c.renumber(q)
	}
	c.checksum(q, quoted)
	c.mu.Unlock()
	if n := quoted + 8; c.short && len(q) > n {
		b = b[:len(b)-len(q)+n]
		if is6 {
			binary.BigEndian.PutUint16(b[14+4:], uint16(8+n))
		} else {
			binary.BigEndian.PutUint16(b[14+2:], uint16(len(b)-14))
		}
	}
	return b
}

// first reports whether a packet is from the first hop.
func first(ip []byte) bool {
	if ip[0]>>4 == 6 {
		return ip[23] == 1
	}
	return ip[14] == 1 // 10.0.1.1
}

func (c *translated) renumber(q []byte) {
	id := binary.BigEndian.Uint16(q[4:])
	switch c.id {
	case "swapped":
		id = id>>8 | id<<8
	case "zero":
		id = 0
	case "order":
		id = c.ids[probeName(q)]
	case "constant":
		id += 0x6a81
	case "random":
		id = uint16(c.random.Uint32())
	}
	binary.BigEndian.PutUint16(q[4:], id)
}

func (c *translated) checksum(q []byte, header int) {
	protocol, at := q[9], header+6
	if header == 40 {
		protocol = q[6]
	}
	shift := c.shift
	if c.byFlow {
		shift += uint32(binary.BigEndian.Uint16(q[header+2:])) * 7919 % 0xffff
	}
	if protocol != 17 || shift == 0 && !c.zero {
		return
	}
	sum := (uint32(binary.BigEndian.Uint16(q[at:])) + shift) % 0xffff
	if c.zero {
		sum = 0
	}
	binary.BigEndian.PutUint16(q[at:], uint16(sum))
}

const translatedRouters = 6

// translatedNetwork is a chain with both families.
func translatedNetwork(t *testing.T, routers int) *capturetest.Network {
	t.Helper()
	var b strings.Builder
	names := []string{"host"}
	b.WriteString("name = \"translated\"\n")
	for i := 1; i <= routers; i++ {
		fmt.Fprintf(&b, "[[router]]\nname = \"r%d\"\naddresses = [\"10.0.%d.1\", \"2001:db8:0:%d::%d\"]\n", i, i, i, i)
		fmt.Fprintf(&b, "answer = { quote = { length = -1 } }\n")
		names = append(names, fmt.Sprintf("r%d", i))
	}
	fmt.Fprintf(&b, "[[destination]]\nname = \"d\"\naddresses = [\"198.51.100.7\", \"2001:db8:1::7\"]\ntcp_open = [80]\nanswer = { quote = { length = -1 } }\n")
	fmt.Fprintf(&b, "[[link]]\npath = [\"%s\", \"d\"]\ndelay = \"2ms\"\n", strings.Join(names, "\", \""))
	top, err := topology.Parse("translated", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	network, err := capturetest.Simulate(top)
	if err != nil {
		t.Fatal(err)
	}
	return network
}

// traceTranslated traces through a translator.
func traceTranslated(t *testing.T, n translator, routers int, is6 bool, o tracewire.Options, check func(*path.Path)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := translatedNetwork(t, routers)
		dst, h := target, capturetest.Host{}
		if is6 {
			dst = netip.MustParseAddr("2001:db8:1::7")
		}
		conn := &translated{Conn: network.Conn(h), translator: n, random: rand.New(rand.NewPCG(1, 2)), ids: map[string]uint16{}}
		l := &lab{T: t, ctx: t.Context(), conn: conn.Conn}
		o.Seed = 5
		o.Dial = func(ctx context.Context, to netip.Addr, o *tracewire.Options) (*tracewire.Wire, error) {
			w, err := l.dial(ctx, to, o)
			if err == nil {
				w.Conn = conn
				if is6 {
					w.Source.Addr = conn.Conn.Host().Addr6
				}
			}
			return w, err
		}
		recorded := record(t, &o)
		tracer, err := tracewire.NewTracer(&o)
		if err != nil {
			t.Fatal(err)
		}
		if err := tracer.Trace(t.Context(), tracewire.Target{Addr: dst}, recorded.tell); err != nil {
			t.Fatal(err)
		}
		recorded.replays(t)
		check(recorded.events[len(recorded.events)-1].Path)
	})
}

// kindsOfTranslators are what is seen in the wild, and what may be.
var kindsOfTranslators = map[string]translator{
	"none":                        {},
	"short quotes":                {short: true},
	"swapped IDs":                 {short: true, id: "swapped"},
	"zero IDs":                    {short: true, id: "zero"},
	"renumbered in order":         {short: true, id: "order"},
	"renumbered by a constant":    {short: true, id: "constant"},
	"renumbered at random":        {short: true, id: "random"},
	"checksum, IDs kept":          {short: true, shift: 0xa4f6},
	"checksum and zero IDs":       {short: true, shift: 0xe8b1, id: "zero"},
	"checksum and swapped IDs":    {short: true, shift: 0x1234, id: "swapped"},
	"checksum and IDs in order":   {short: true, shift: 0xa4f6, id: "order"},
	"checksum and constant IDs":   {short: true, shift: 0xa4f6, id: "constant"},
	"checksum and random IDs":     {short: true, shift: 0xa4f6, id: "random"},
	"a zero checksum":             {short: true, zero: true},
	"checksum by flow, IDs kept":  {short: true, shift: 1, byFlow: true},
	"checksum by flow, zero IDs":  {short: true, shift: 1, byFlow: true, id: "zero"},
	"checksum by flow, in order":  {short: true, shift: 1, byFlow: true, id: "order"},
	"everything quoted, all else": {shift: 0xa4f6, id: "random"},
}

// Behind every kind of translator all hops are seen that answer, whatever the
// probes are.
func TestHopsBehindTranslators(t *testing.T) {
	probes := map[string]tracewire.Options{
		"UDP":     {},
		"classic": {Classic: true},
		"ICMP":    {Protocol: layers.IPProtocolICMPv4},
		"TCP":     {Protocol: layers.IPProtocolTCP, DstPort: 80},
	}
	for kind, n := range kindsOfTranslators {
		for name, o := range probes {
			for _, queries := range []int{1, 3} {
				for _, is6 := range []bool{false, true} {
					if is6 && (n.id != "" && n.shift == 0 || n.byFlow || n.zero) {
						continue // IPv6 has no IDs, and what is left of a short quote is the ports
					}
					o, n := o, n
					o.Queries, n.firstID = queries, 0xfff0
					if is6 && o.Protocol == layers.IPProtocolICMPv4 {
						o.Protocol = layers.IPProtocolICMPv6
					}
					t.Run(fmt.Sprintf("%s, %s, -q %d, IPv6 %v", kind, name, queries, is6), func(t *testing.T) {
						traceTranslated(t, n, translatedRouters, is6, o, func(p *path.Path) {
							want := hopsOf(translatedRouters, is6)
							got := addrs(p)
							got[len(got)-1] = strings.TrimSuffix(got[len(got)-1], " *") // what was sent beyond
							if d := cmp.Diff(want, got); d != "" {
								t.Errorf("-want +got\n%s", d)
							}
						})
					})
				}
			}
		}
	}
}

// With a router or two behind a translator, the replies of three rounds are enough
// to learn it. One reply to a probe is not: ports are no secret, and what is told
// is that something came.
func TestFewHopsBehindATranslator(t *testing.T) {
	n := translator{short: true, shift: 0xa4f6, id: "zero"}
	for queries, want := range map[int][]string{1: {"10.0.1.1"}, 3: hopsOf(1, false)} {
		traceTranslated(t, n, 1, false, tracewire.Options{Queries: queries, MaxTTL: 2}, func(p *path.Path) {
			got := addrs(p)
			if d := cmp.Diff(want, got[:len(want)]); d != "" {
				t.Errorf("-q %d: -want +got\n%s", queries, d)
			}
			if held := p.Counters.Foreign; queries == 1 && (held != 1 || got[1] != "*") {
				t.Errorf("%d replies failed the checks: %v", held, got)
			}
		})
	}
}

// hopsOf are the addresses of all hops.
func hopsOf(routers int, is6 bool) (all []string) {
	for i := 1; i <= routers; i++ {
		if is6 {
			all = append(all, fmt.Sprintf("2001:db8:0:%d::%d", i, i))
		} else {
			all = append(all, fmt.Sprintf("10.0.%d.1", i))
		}
	}
	if is6 {
		return append(all, "2001:db8:1::7")
	}
	return append(all, target.String())
}
