package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/gopacket/layers"
	"github.com/spf13/pflag"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/craft"
)

// familyFlags say what kind of probe is sent. A further kind is a line in families,
// and a craft.Protocol.
type familyFlags struct {
	chosen [len(families)]bool
	lite   bool // the L of -UL
	tcp    tcpValue
}

// kind is a kind of probe.
type kind struct {
	name, letter, usage string
	set                 func(*tracewire.Options)
}

// families are the kinds of probes besides plain UDP, of which one flag chooses.
var families = [...]kind{
	{"icmp", "I", "probe with ICMP echo requests", func(o *tracewire.Options) { o.Protocol = layers.IPProtocolICMPv4 }},
	{"tcp", "T", "probe with TCP SYNs, to port 80 unless -p says another", func(o *tracewire.Options) { o.Protocol = layers.IPProtocolTCP }},
	{"udp", "U", "probe with UDP to port 53, a DNS query, or to that of -p", func(o *tracewire.Options) {
		if o.DstPort == 0 || o.DstPort == 53 {
			o.DstPort, o.Payload = 53, craft.DNSQuery
		}
	}},
	{"udplite", "", "-UL, as traceroute has it: probe with UDP-Lite, to port 53 unless -p\nsays another", func(o *tracewire.Options) { o.Protocol = layers.IPProtocolUDPLite }},
	{"classic", "", "probe with UDP to a port that rises from probe to probe, as\ntraceroute does; each probe is a flow of its own then", func(o *tracewire.Options) { o.Classic = true }},
}

func (f *familyFlags) register(set *pflag.FlagSet) {
	for i, family := range families {
		set.BoolVarP(&f.chosen[i], family.name, family.letter, false, family.usage)
	}
	set.BoolVarP(&f.lite, liteFlag, "L", false, "")
	set.Lookup(liteFlag).Hidden = true
	set.VarP(&f.tcp, "options", "O", "of -T: `syn,ack,fin,…` (the flags), ecn (SYN, ECE and CWR), mss=N,\nsack, wscale=N, timestamps (default syn); info shows the flags of answers")
}

// liteFlag is the name of the letter L, which means something behind -U only: -UL
// says the same as --udplite.
const liteFlag = "udplite-letter"

// chooses reports whether a kind of probe is asked for.
func (f *familyFlags) chooses(i int) bool {
	switch name := families[i].name; {
	case f.lite && name == "udp":
		return false
	case f.lite && name == "udplite":
		return true
	}
	return f.chosen[i]
}

// apply chooses the kind of probe.
func (f *familyFlags) apply(o *tracewire.Options) error {
	if udp := slices.IndexFunc(families[:], func(k kind) bool { return k.name == "udp" }); f.lite && !f.chosen[udp] {
		return usagef("-L alone means nothing: -UL is UDP-Lite")
	}
	chosen := ""
	for i, family := range families {
		switch {
		case !f.chooses(i):
			continue
		case chosen != "":
			return usagef("--%s and --%s exclude each other", chosen, family.name)
		}
		chosen = family.name
		family.set(o)
	}
	if f.tcp.given && chosen != "tcp" {
		return usagef("-O is about -T, which is not given")
	}
	if o.DstPort != 0 && chosen == "icmp" {
		return usagef("-p is no matter of -I: ICMP has no ports")
	}
	o.TCP = f.tcp.TCP
	return nil
}

// tcpValue is what -O says.
type tcpValue struct {
	craft.TCP
	info  bool // the flags of answers are to be shown
	given bool
	text  string
}

func (v *tcpValue) Type() string   { return "syn,ack,fin,…" }
func (v *tcpValue) String() string { return v.text }

var tcpFlags = map[string]craft.TCPFlags{
	"fin": craft.FlagFIN, "syn": craft.FlagSYN, "rst": craft.FlagRST, "psh": craft.FlagPSH,
	"ack": craft.FlagACK, "urg": craft.FlagURG, "ece": craft.FlagECE, "cwr": craft.FlagCWR,
	"ecn": craft.FlagSYN | craft.FlagECE | craft.FlagCWR,
}

func (v *tcpValue) Set(s string) error {
	v.given, v.text = true, s
	for _, word := range strings.Split(s, ",") {
		name, number, isNumber := strings.Cut(word, "=")
		flag, isFlag := tcpFlags[name]
		switch {
		case isFlag && !isNumber:
			v.Flags |= flag
		case name == "info" && !isNumber:
			v.info = true
		case name == "sack" && !isNumber:
			v.SACK = true
		case name == "timestamps" && !isNumber:
			v.Timestamps = true
		case name == "mss" && isNumber:
			n, err := strconv.ParseUint(number, 10, 16)
			if err != nil || n == 0 {
				return fmt.Errorf("mss %q is not a number from 1 to 65535", number)
			}
			v.MSS = uint16(n)
		case name == "wscale" && isNumber:
			n, err := strconv.ParseUint(number, 10, 8)
			if err != nil || n > 14 {
				return fmt.Errorf("wscale %q is not a number from 0 to 14", number)
			}
			v.Scaling, v.Scale = true, uint8(n)
		default:
			return fmt.Errorf("%q is none of syn, ack, fin, rst, psh, urg, ece, cwr, ecn, mss=N, sack, wscale=N, timestamps, info", word)
		}
	}
	return nil
}

// tosValue is a type of service as a person writes it.
type tosValue int

func (v *tosValue) Type() string   { return "number" }
func (v *tosValue) String() string { return "" }

func (v *tosValue) Set(s string) error {
	tos, err := parseTOS(s)
	if err != nil {
		return err
	}
	*v = tosValue(tos | int(*v)&3) // --ecn may have come before
	return nil
}

// parseTOS reads a number, or the name of a DSCP (RFC 2474, 2597, 3246, 5865,
// 8622).
func parseTOS(s string) (int, error) {
	if n, err := strconv.ParseInt(s, 0, 32); err == nil && n >= 0 && n <= 255 {
		return int(n), nil
	}
	name := strings.ToUpper(s)
	if dscp, ok := map[string]int{"EF": 46, "VA": 44, "LE": 1, "DF": 0, "BE": 0}[name]; ok {
		return dscp << 2, nil
	}
	if class, ok := strings.CutPrefix(name, "CS"); ok && len(class) == 1 && class[0] >= '0' && class[0] <= '7' {
		return int(class[0]-'0') << 5, nil
	}
	if class, ok := strings.CutPrefix(name, "AF"); ok && len(class) == 2 &&
		class[0] >= '1' && class[0] <= '4' && class[1] >= '1' && class[1] <= '3' {
		return int(class[0]-'0')<<5 | int(class[1]-'0')<<3, nil
	}
	return 0, errors.New("it is neither a number from 0 to 255 nor a DSCP: EF, VA, LE, CS0 to CS7, AF11 to AF43")
}

// ecnValue is the ECN field, in the lowest two bits of a type of service (RFC
// 3168, section 5).
type ecnValue int

func (v *ecnValue) Type() string   { return "ect0|ect1|ce" }
func (v *ecnValue) String() string { return "" }

func (v *ecnValue) Set(s string) error {
	n := slices.Index([]string{"not-ect", "ect1", "ect0", "ce"}, strings.ToLower(s))
	if n < 0 {
		n = slices.Index([]string{"0", "1", "2", "3"}, s)
	}
	if n < 0 {
		return errors.New("it is none of ect0, ect1, ce, 0, 1, 2, 3")
	}
	*v = ecnValue(int(*v)&^3 | n)
	return nil
}

// gatewaysValue is a source route.
type gatewaysValue []netip.Addr

func (v *gatewaysValue) Type() string   { return "addresses" }
func (v *gatewaysValue) String() string { return "" }

func (v *gatewaysValue) Set(s string) error {
	for _, word := range strings.Split(s, ",") {
		a, err := netip.ParseAddr(word)
		if err != nil || !a.Unmap().Is4() {
			return fmt.Errorf("%q is not an IPv4 address", word)
		}
		*v = append(*v, a.Unmap())
	}
	return nil
}
