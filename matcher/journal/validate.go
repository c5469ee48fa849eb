package journal

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// The limits of what a trace can do. Those of package tracewire's Options are the
// same.
const (
	maxQueries   = 10
	maxInFlight  = 1000
	maxSeed      = 1<<53 - 1
	maxFlowLabel = 1<<20 - 1
	maxLength    = 65535
	maxScale     = 14 // RFC 7323, section 2.3
	macLength    = 6
	maxTrace     = 1<<31 - 1
)

// The rounds of a plan: see craft/plan.
const (
	repeats = 3   // a TTL gets so many times Queries, where its answers can't be told apart
	search  = 128 // and so many more where its MTU is sought
)

// check is a condition that a note meets unless it is broken.
type check struct {
	ok   bool
	what string // is wrong, as a format
	args []any
}

// first returns the error of the first check that fails, or nil.
func first(checks ...check) error {
	for _, c := range checks {
		if !c.ok {
			return fmt.Errorf(c.what, c.args...)
		}
	}
	return nil
}

func must(ok bool, what string, args ...any) check { return check{ok, what, args} }

// validate reports what no trace can have done. Checker reports what a trace can't
// have done after what it did before.
func (n *Note) validate() error {
	if n.Trace < 1 || n.Trace > maxTrace {
		return fmt.Errorf("there is no trace %d", n.Trace)
	}
	kinds := 0
	var err error
	for _, part := range []struct {
		is       bool
		validate func() error
	}{
		{n.Start != nil, func() error { return n.Start.validate() }},
		{n.Sent != nil, func() error { return n.Sent.validate() }},
		{n.Failed != nil, func() error {
			return first(must(n.Failed.Probe >= 0, "there is no probe %d", n.Failed.Probe))
		}},
		{n.Passed != nil, func() error {
			return first(must(n.Passed.Step != math.MinInt64, "the clock can't be set back by %d ns", n.Passed.Step), n.Passed.At.check())
		}},
		{n.Missed != nil, func() error { return n.Missed.validate() }},
		{n.Read != nil, func() error { return first(n.Read.At.check()) }},
		{n.Cut != nil, func() error { return nil }},
		{n.End != nil, func() error {
			return first(must(n.End.Dropped >= 0, "%d frames can't be lost", n.End.Dropped), n.End.At.check())
		}},
	} {
		if part.is {
			kinds++
			err = part.validate()
		}
	}
	if kinds > 1 {
		return errors.New("one note says several things")
	}
	return err
}

// check accepts the times that a clock can show: those since 1970.
func (n Nanos) check() check { return must(n >= 0, "no clock shows %d ns", int64(n)) }

func (s *Start) validate() error {
	return first(
		s.At.check(),
		must(isTarget(s.Target.Addr), "%q can't be traced to", s.Target.Addr),
		must(isPlain(s.Source.Addr) && s.Source.Addr.Is4() == s.Target.Addr.Is4(), "%q can't trace to %v", s.Source.Addr, s.Target.Addr),
		must(s.Source.NextHop == netip.Addr{} || isPlain(s.Source.NextHop), "%q is no next hop", s.Source.NextHop),
		must(s.Source.MAC.isOne(), "%x is not a MAC address", []byte(s.Source.MAC)),
		must(s.Source.NextHopMAC.isOne(), "%x is not a MAC address", []byte(s.Source.NextHopMAC)),
		must(s.Source.namesOthers(), "%q are no other interfaces than %q", s.Source.Also, s.Source.Interface),
		must(craft.ProtocolOf(s.Protocol).ReachesOver(s.Target.Addr), "there are no probes of protocol %d to %v", uint8(s.Protocol), s.Target.Addr),
		must(s.Tool != "", "no program traced"),
		s.Parameters.check(),
		s.checkOptions(),
	)
}

// namesOthers reports whether Also has other interfaces, each once, or is nil.
func (s *source) namesOthers() bool {
	seen := map[string]bool{"": true, s.Interface: true}
	for _, name := range s.Also {
		if seen[name] {
			return false
		}
		seen[name] = true
	}
	return s.Also == nil || len(s.Also) > 0
}

// isPlain reports whether an address can stand in a packet: it has no zone there, and
// none of IPv4 is written as one of IPv6.
func isPlain(a netip.Addr) bool { return a.IsValid() && a.Zone() == "" && !a.Is4In6() }

// isTarget reports whether a trace can go to an address.
func isTarget(a netip.Addr) bool {
	return isPlain(a) && path.CheckTarget(a) == nil
}

// isOne reports whether m is an Ethernet address, or empty.
func (m mac) isOne() bool { return len(m) == 0 || len(m) == macLength }

// check checks the parameters that every trace has.
func (p *parameters) check() check {
	for _, c := range []check{
		must(p.FirstTTL > 0 && p.MaxTTL >= p.FirstTTL, "there are no TTLs from %d to %d", p.FirstTTL, p.MaxTTL),
		must(p.Queries >= 1 && p.Queries <= maxQueries, "a TTL can't have %d probes", p.Queries),
		must(p.InFlight >= 1 && p.InFlight <= maxInFlight, "%d probes can't be in flight", p.InFlight),
		must(p.Wait.Max > 0 && p.Wait.Here >= 0 && p.Wait.Near >= 0, "a wait of %d ns (%v, %v) is none", p.Wait.Max, p.Wait.Here, p.Wait.Near),
		must(p.Interval >= 0, "probes can't be %d ns apart", p.Interval),
		must(isLength(p.Length), "a packet can't have %d bytes", p.Length),
		must(p.Seed <= maxSeed, "seed %d is more than %d", p.Seed, uint64(maxSeed)),
	} {
		if !c.ok {
			return c
		}
	}
	return check{ok: true}
}

// isLength reports whether a packet can be so long; 0 is not known.
func isLength(n int) bool { return n == 0 || n >= craft.MinLength && n <= maxLength }

// checkOptions checks the parameters that only some families and protocols have.
func (s *Start) checkOptions() check {
	p, is4, isUDP := &s.Parameters, s.Target.Addr.Is4(), s.Protocol == layers.IPProtocolUDP
	protocol := craft.ProtocolOf(s.Protocol)
	isTCP := s.Protocol == layers.IPProtocolTCP
	for _, c := range []check{
		must(protocol.HasPorts() || p.DstPort == 0, "ICMP has no port %d", p.DstPort),
		must(p.FlowLabel == 0 || !is4 && p.FlowLabel <= maxFlowLabel, "%v can't have the flow label %d", s.Target.Addr, p.FlowLabel),
		must(!p.Classic || isUDP && len(p.Payload) == 0, "such probes have one port"),
		must(!p.MTU || len(p.Payload) == 0, "an MTU can't be sought with a given payload"),
		must(len(p.Payload) == 0 || protocol.Carries(craft.Checksum) && len(p.Payload) >= 2 && len(p.Payload) <= maxLength, "a payload of %d bytes is none", len(p.Payload)),
		must(p.TCP == nil || isTCP, "such probes have no TCP header"),
		must(p.TCP == nil || p.TCP.Scale <= maxScale && (p.TCP.Scaling || p.TCP.Scale == 0), "the TCP options can't be"),
		must(p.Gateways == nil || is4 && len(p.Gateways) > 0 && len(p.Gateways) <= craft.MaxGateways, "%d gateways are no source route", len(p.Gateways)),
	} {
		if !c.ok {
			return c
		}
	}
	for _, g := range p.Gateways {
		if !g.Is4() {
			return must(false, "%q is no gateway", g)
		}
	}
	return check{ok: true}
}

func (s *Sent) validate() error {
	return first(
		must(s.TTL > 0, "no probe has TTL 0"),
		must(s.Round >= 1, "there is no round %d", s.Round),
		must(isLength(s.Length), "a probe can't have %d bytes", s.Length),
		s.Called.check(),
	)
}

func (m *Missed) validate() error {
	return first(
		m.From.check(),
		must(m.To == 0 || m.To >= m.From, "a gap from %d to %d ends before it begins", int64(m.From), int64(m.To)),
		must(m.Cause.IsKnown(), "a gap has no cause %d", uint8(m.Cause)),
		must(m.Frames >= 0 && m.Frames <= math.MaxInt32, "%d frames can't be lost", m.Frames),
		must(m.Addr == nil || isPlain(*m.Addr), "an interface can't lose such an address"),
	)
}
