package report

import (
	"encoding/hex"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// New returns the document of a trace that is over. It shares memory with the trace:
// what changes the one may change the other.
func New(t *Trace) *Document {
	p := t.Path
	h := headersOf(p)
	h.names = t.Names
	hops := p.Hops()
	d := &Document{
		Schema: Version, Target: newTarget(p), Error: t.Error, Source: newSource(p), Protocol: pointer(h.protocol), Tool: pointer(p.Tool),
		Options: newOptions(p), Clock: newClock(p), Started: Stamp(p.Started), Ended: Stamp(p.Ended),
		Reached: p.Reached(), Interrupted: p.Interrupted, Hops: make([]Hop, len(hops)), Counters: Counters(p.Counters),
		Gaps: newGaps(p), PathMTU: t.MTUs, Findings: newFindings(t.Findings),
	}
	for i := range hops {
		d.Hops[i] = h.hop(&hops[i])
	}
	return d
}

func newTarget(p *path.Path) Target { return Target{p.Target.Host, pointer(p.Target.Addr)} }

// newSource is nil if no source is known, as for a host without a route.
func newSource(p *path.Path) *Source {
	s := &p.Source
	if !s.Addr.IsValid() {
		return nil
	}
	return &Source{
		Addr: s.Addr, Interface: pointer(s.Interface), MAC: pointer(s.MAC.String()),
		NextHop: pointer(s.NextHop), NextHopMAC: pointer(s.NextHopMAC.String()), Also: s.Also,
	}
}

// newOptions leaves out what a capture does not show of the trace of another program:
// nearly everything if it has replies only. It is nil if not even the protocol is known,
// as for a host without an address.
func newOptions(p *path.Path) *Options {
	if p.Protocol == 0 {
		return nil
	}
	o, h := &p.Parameters, headersOf(p)
	chosen, shown := !p.Clock.Captured, o.MaxTTL != 0
	j := &Options{
		FirstTTL: pointer(o.FirstTTL), MaxTTL: pointer(o.MaxTTL), Queries: pointer(o.Queries), InFlight: pointer(o.InFlight),
		Wait: pointer(o.Wait.Max), Here: known(chosen, o.Wait.Here), Near: known(chosen, o.Wait.Near),
		Interval: known(chosen, o.Interval),
		SrcPort:  field(h.ports, shown, o.SrcPort), DstPort: field(h.ports, shown, o.DstPort),
		Identifier: field(h.identifier, shown, o.SrcPort), ID: field(h.ipv4, shown, o.ID),
		Length: pointer(o.Length), TOS: known(shown, o.TOS), DF: field(h.ipv4, shown, o.DF), Seed: pointer(o.Seed),
		FlowLabel: field(!h.ipv4, chosen, o.FlowLabel), Classic: known(chosen, o.Classic), MTU: known(chosen, o.MTU),
		Payload: pointer(hex.EncodeToString([]byte(o.Payload))), Gateways: o.Gateways,
	}
	if chosen && p.Protocol == layers.IPProtocolTCP {
		j.TCP = newTCP(o.TCP)
	}
	return j
}

func newTCP(t craft.TCP) *TCP {
	j := &TCP{Flags: t.Flags.Names(), MSS: pointer(t.MSS), SACK: t.SACK, Timestamps: t.Timestamps}
	if t.Scaling {
		j.Scale = &t.Scale
	}
	return j
}

// newClock says which clocks stamped the probes: one, or mixed.
func newClock(p *path.Path) Clock {
	used := map[path.SentClock]bool{}
	for i := range p.Probes {
		if !p.Probes[i].Sent.IsZero() {
			used[p.Probes[i].SentClock] = true
		}
	}
	replies := path.Kernel
	if p.Clock.Captured {
		replies = path.Capture
	}
	c := Clock{TX: replies.String(), RX: replies.String(), Stepped: p.Clock.Stepped}
	if len(used) > 1 {
		c.TX = "mixed"
		return c
	}
	for one := range used {
		c.TX = one.String()
	}
	return c
}

func (h *headers) hop(at *path.Hop) Hop {
	j := Hop{TTL: pointer(at.TTL), Probes: make([]Probe, len(at.Probes))}
	for i := range at.Probes {
		j.Probes[i] = h.probe(&at.Probes[i])
	}
	return j
}

func (h *headers) departure(p *path.Probe) Departure {
	shown := p.TTL != 0
	j := Departure{
		Number: p.Number, TTL: pointer(p.TTL), ID: field(h.ipv4, shown, p.ID),
		SrcPort: field(h.ports, shown, p.SrcPort), DstPort: field(h.ports, shown, p.DstPort),
		Identifier: field(h.identifier, shown, p.SrcPort), Sequence: field(h.sequence, shown, p.Sequence),
		Length: pointer(p.Length), Sent: Stamp(p.Sent),
	}
	if shown {
		j.Round = &p.Round
	}
	if !p.Sent.IsZero() {
		clock := p.SentClock.String()
		j.SentClock = &clock
	}
	if p.SentClock == path.Kernel && !p.Called.IsZero() {
		d := p.Sent.Sub(p.Called)
		j.CallToWire = &d
	}
	return j
}

func (h *headers) probe(p *path.Probe) Probe {
	j := Probe{Departure: h.departure(p), Status: p.Status.String(), Extra: []Reply{}}
	if p.Reply != nil {
		r := h.reply(p.Reply)
		j.Reply = &r
	}
	for i := range p.Extra {
		j.Extra = append(j.Extra, h.reply(&p.Extra[i]))
	}
	return j
}

func (h *headers) reply(r *path.Reply) Reply {
	j := Reply{
		From: r.From, Name: pointer(h.names[r.From]), Received: Stamp(r.Received), Kind: r.Kind.String(),
		Hop: pointer(r.Hop), Basis: pointer(r.Basis.String()), TTL: r.TTL, Late: r.Late, MatchedBy: pointer(r.MatchedBy.String()),
	}
	if r.HasRTT {
		j.RTT = &r.RTT
	}
	if !r.Read.IsZero() {
		d := r.Read.Sub(r.Received)
		j.WireToProgram = &d
	}
	if r.IsQuoted() {
		j.ICMPType, j.ICMPCode, j.MTU = &r.ICMPType, &r.ICMPCode, pointer(r.MTU)
		j.Quoted = h.quote(&r.Quoted)
		j.Extensions = newExtensions(r.Extensions)
	}
	return j
}

func (h *headers) quote(q *matcher.Quote) *Quote {
	j := &Quote{TTL: q.TTL, TOS: q.TOS, ID: field(h.ipv4, true, q.ID), Length: q.Length}
	if q.HasChecksum {
		j.Checksum = &q.Checksum
	}
	return j
}

// newExtensions is nil for a reply without any.
func newExtensions(e *matcher.Extensions) *Extensions {
	if e == nil {
		return nil
	}
	j := &Extensions{
		Text: e.String(), Offset: e.Offset, Stated: pointer(e.Stated), Verified: e.Verified, Objects: make([]Object, len(e.Objects)),
	}
	for i := range e.Objects {
		j.Objects[i] = newObject(&e.Objects[i])
	}
	return j
}

func newObject(o *matcher.ExtensionObject) Object {
	j := Object{Class: o.Class, Type: o.Type, Length: o.Length, Malformed: o.Malformed}
	for _, l := range o.Labels {
		j.Labels = append(j.Labels, Label(l))
	}
	if i := o.Interface; i != nil {
		j.Interface = &Interface{
			Role: i.Role.String(), Index: pointer(i.Index), Name: pointer(i.Name), Address: pointer(i.Address), MTU: pointer(i.MTU),
		}
	}
	if n := o.Node; n != nil {
		j.Node = &Node{Address: pointer(n.Address), Name: pointer(n.Name)}
	}
	if o.Malformed || o.Labels == nil && o.Interface == nil && o.Node == nil {
		payload := hex.EncodeToString(o.Payload)
		j.Payload = &payload
	}
	return j
}

func newGaps(p *path.Path) []Gap {
	all := make([]Gap, len(p.Gaps))
	for i := range p.Gaps {
		g := &p.Gaps[i]
		all[i] = Gap{Stamp(g.From), Stamp(g.To), g.Cause.String(), pointer(g.Frames), append([]int{}, p.ObscuredBy(g)...)}
	}
	return all
}

func newFindings(found []findings.Finding) []Finding {
	all := make([]Finding, len(found))
	for i, f := range found {
		all[i] = Finding{
			f.Kind.String(), pointer(f.HopFrom), pointer(f.HopTo), append([]int{}, f.Evidence...), f.Detail, f.Confidence.String(),
		}
	}
	return all
}
