package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

// flags are what the command line says.
type flags struct {
	options       tracewire.Options
	resolver      resolver // of the hosts' names
	ipv4, ipv6    bool
	family        familyFlags
	numeric       bool
	format        string
	write         string
	atOnce        int // hosts
	shown         shown
	failUnreached bool
	version       bool
}

// register defines the flags. Letters and long names are traceroute's where it
// has them; what it doesn't have gets a long name only.
func (f *flags) register(set *pflag.FlagSet) {
	o := &f.options
	set.SortFlags = false
	set.BoolVarP(&f.ipv4, "ipv4", "4", false, "use IPv4, as is the default where the host has it")
	set.BoolVarP(&f.ipv6, "ipv6", "6", false, "use IPv6")
	set.BoolVarP(&f.numeric, "numeric", "n", false, "don't look names up")
	set.VarP(between(&o.FirstTTL, 1, 255, "ttl"), "first", "f", "begin with this `ttl` (default 1)")
	set.VarP(between(&o.MaxTTL, 1, 255, "ttl"), "max-hops", "m", "end with this `ttl` (default 30)")
	set.VarP(between(&o.Queries, 1, tracewire.MaxQueries, "n"), "queries", "q", "send `n` probes for each hop (default 3)")
	set.VarP(between(&o.InFlight, 1, tracewire.MaxInFlight, "n"), "sim-queries", "N", "have `n` probes outstanding at most (default 16)")
	set.VarP((*waitValue)(&o.Wait), "wait", "w", "wait `max[,here,near]` seconds for a reply at most, and not longer\n"+
		"than here times the round trip of the same hop, or near times that\nof a next hop; these two give at least half a second (default 5,3,10)")
	set.VarP((*intervalValue)(&o.Interval), "sendwait", "z", "leave this `time` between two probes: seconds, or milliseconds\nif more than 10 (default 0)")
	f.family.register(set)
	set.VarP(between(&o.DstPort, 1, 65535, "port"), "port", "p", "probe this `port` (default 33434, for -U and -UL 53, for -T 80)")
	set.Var(between(&o.SrcPort, 1, 65535, "port"), "sport", "probe from this `port`, or with -I with this identifier (default one at\nrandom)")
	set.VarP((*addrValue)(&o.Source), "source", "s", "probe from this `address` of this host")
	set.VarP(&nameValue{&o.Interface, "interface"}, "interface", "i", "leave by this `interface`")
	set.Var((*markValue)(&o.Mark), "fwmark", "look the route up as for packets with this `mark`")
	set.Var((*macValue)(&o.NextHopMAC), "next-hop-mac", "send to this MAC `address` (default the next hop's)")
	set.Var((*vlanValue)(&o.VLAN), "vlan", "tag the frames for this `VLAN` (802.1Q)")
	set.Var(&nameValue{&o.Namespace, "namespace"}, "netns", "trace from this network `namespace`: a name, or a path")
	set.VarP(between(&o.FlowLabel, 0, 0xfffff, "label"), "flowlabel", "l", "set this flow `label` in IPv6 (default 0)")
	set.VarP((*tosValue)(&o.TOS), "tos", "t", "set the type of service: a `number`, or a DSCP by its name, as EF, AF41\nor CS1 (default 0)")
	set.Var((*ecnValue)(&o.TOS), "ecn", "set the ECN field: `ect0|ect1|ce` or 0 to 3 (default 0)")
	set.VarP((*gatewaysValue)(&o.Gateways), "gateway", "g", "take a loose source route through these `addresses` (IPv4)")
	set.BoolVarP(&o.DF, "dont-fragment", "F", false, "set the don't-fragment flag")
	set.BoolVar(&o.MTU, "mtu", false, "find the MTU along the path: where it gets smaller F=MTU stands behind\na time; implies -F, and packets as long as the link takes")
	set.Var(between(&o.ID, 1, 65535, "id"), "id", "give the first hop's first probe this IP `ID`, and the others those\nafter it (default one at random)")
	set.Var((*seedValue)(&o.Seed), "seed", "derive IDs, source port and cookies from this `number`: the probes of\nanother run are the same, byte for byte (default one at random)")
	set.StringVar(&f.format, "format", "text", "write `text|json|jsonl`: lines like traceroute's, one document a\ntrace, or one event a line")
	f.shown.register(set)
	f.shown.registerExplain(set)
	set.Var(&nameValue{&f.write, "file"}, "write", "also write all that is captured to this pcapng `file`, with comments:\nfor Wireshark, and for 'tracewire replay'")
	f.atOnce = 16
	set.Var(between(&f.atOnce, 1, 1000, "n"), "at-once", "trace to so many of several hosts at the same time (default 16); -N\nholds for each")
	set.BoolVar(&f.failUnreached, "fail-unreached", false, "exit with 3 if the target doesn't answer: so too if a router refuses,\nand if the target answers from another of its addresses (a finding,\nother-address, tells the two apart)")
	set.BoolVarP(&f.version, "version", "V", false, "print the version and exit")
	registerRefused(set)
}

// refused are the flags of Linux traceroute that don't work yet. They are
// known, so that a script which uses them is told, and none ever comes to mean
// something else. Those with an argument take it.
var refused = []struct {
	letter, name string
	argument     bool
}{
	{"d", "debug", false},
	{"D", "dccp", false},
	{"P", "protocol", true},
	{"M", "module", true},
	{"r", "bypass-routing", false},
	{"A", "as-path-lookups", false},
}

func registerRefused(set *pflag.FlagSet) {
	for _, r := range refused {
		if r.argument {
			set.StringP(r.name, r.letter, "", "")
		} else {
			set.BoolP(r.name, r.letter, false, "")
		}
		set.Lookup(r.name).Hidden = true
	}
}

// checkRefused says which of the refused flags was given, if one was.
func checkRefused(set *pflag.FlagSet) error {
	for _, r := range refused {
		if !set.Changed(r.name) {
			continue
		}
		if r.letter == "" {
			return usagef("--%s is not supported yet", r.name)
		}
		return usagef("-%s (--%s) is not supported yet", r.letter, r.name)
	}
	return nil
}

// check looks at what the flags say together, and at what pflag can't.
func (f *flags) check() error {
	o := &f.options
	if first, last := max(o.FirstTTL, 1), o.MaxTTL; last != 0 && first > last {
		return usagef("-m %d is less than -f %d: no hop is left to probe", last, first)
	}
	if o.MaxTTL == 0 && o.FirstTTL > 30 {
		return usagef("-f %d is more than the default of -m, 30: give -m too", o.FirstTTL)
	}
	if f.ipv4 && f.ipv6 {
		return usagef("-4 and -6 exclude each other")
	}
	if err := f.family.apply(o); err != nil {
		return err
	}
	f.shown.Info = f.family.tcp.info
	if f.write == "-" {
		return usagef("--write needs a file: standard output has the trace")
	}
	return cmp.Or(checkFormat(f.format), f.shown.check(f.format))
}

// checkFormat refuses a format that render.New doesn't know.
func checkFormat(format string) error {
	if slices.Contains(render.Formats(), format) {
		return nil
	}
	return usagef("--format %q is none of %s", format, strings.Join(render.Formats(), ", "))
}

// intValue is a number with bounds.
type intValue struct {
	to        *int
	low, high int
	kind      string
}

func between(to *int, low, high int, kind string) *intValue {
	return &intValue{to: to, low: low, high: high, kind: kind}
}

func (v *intValue) Type() string { return v.kind }

func (v *intValue) String() string { return "" }

func (v *intValue) Set(s string) error {
	n, err := strconv.ParseInt(s, 0, 32)
	if err != nil || int(n) < v.low || int(n) > v.high {
		return fmt.Errorf("it is not a number from %d to %d", v.low, v.high)
	}
	*v.to = int(n)
	return nil
}

// nameValue is a name of the kind. None is not the default: a script whose variable
// is empty means something else.
type nameValue struct {
	to   *string
	kind string
}

func (v *nameValue) Type() string { return v.kind }

func (v *nameValue) String() string { return "" }

func (v *nameValue) Set(s string) error {
	if s == "" {
		return fmt.Errorf("it names no %s", v.kind)
	}
	*v.to = s
	return nil
}

// seedValue is a seed.
type seedValue uint64

func (v *seedValue) Type() string { return "number" }

func (v *seedValue) String() string { return "" }

func (v *seedValue) Set(s string) error {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil || n < 1 || n > tracewire.MaxSeed {
		return fmt.Errorf("it is not a number from 1 to %d", uint64(tracewire.MaxSeed))
	}
	*v = seedValue(n)
	return nil
}

// addrValue is an address.
type addrValue netip.Addr

func (v *addrValue) Type() string { return "address" }

func (v *addrValue) String() string { return "" }

func (v *addrValue) Set(s string) error {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return fmt.Errorf("it is not an address")
	}
	*v = addrValue(a.Unmap())
	return nil
}

// markValue is a mark of the kernel's routing rules.
type markValue uint32

func (v *markValue) Type() string   { return "mark" }
func (v *markValue) String() string { return "" }

func (v *markValue) Set(s string) error {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return fmt.Errorf("it is not a number from 0 to %d", uint32(1<<32-1))
	}
	*v = markValue(n)
	return nil
}

// vlanValue is the number of a VLAN.
type vlanValue uint16

func (v *vlanValue) Type() string   { return "VLAN" }
func (v *vlanValue) String() string { return "" }

func (v *vlanValue) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n < 1 || n > 4094 {
		return fmt.Errorf("it is not a number from 1 to 4094")
	}
	*v = vlanValue(n)
	return nil
}

// maxSeconds is what -w and -z accept: a day.
const maxSeconds = 24 * 60 * 60

// waitValue is traceroute's MAX,HERE,NEAR.
type waitValue path.Wait

func (v *waitValue) Type() string { return "max[,here,near]" }

func (v *waitValue) String() string { return "" }

func (v *waitValue) Set(s string) error {
	parts := strings.Split(s, ",")
	if len(parts) > 3 {
		return fmt.Errorf("it is more than max,here,near")
	}
	n := [3]float64{0, 3, 10}
	if len(parts) == 1 {
		n = [3]float64{} // a wait without factors is meant as it stands
	}
	for i, part := range parts {
		var err error
		if n[i], err = strconv.ParseFloat(part, 64); err != nil || !(n[i] >= 0 && n[i] <= maxSeconds) {
			return fmt.Errorf("%q is not a number from 0 to %d", part, maxSeconds)
		}
	}
	w := path.Wait{Max: time.Duration(n[0] * float64(time.Second)), Here: n[1], Near: n[2]}
	if w.Max <= 0 {
		return fmt.Errorf("the longest wait must be more than 0")
	}
	*v = waitValue(w)
	return nil
}

// intervalValue is traceroute's sendwait.
type intervalValue time.Duration

func (v *intervalValue) Type() string { return "time" }

func (v *intervalValue) String() string { return "" }

func (v *intervalValue) Set(s string) error {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0 && n <= maxSeconds) {
		return fmt.Errorf("it is not a number from 0 to %d", maxSeconds)
	}
	unit := time.Second
	if n > 10 {
		unit = time.Millisecond
	}
	*v = intervalValue(n * float64(unit))
	return nil
}
