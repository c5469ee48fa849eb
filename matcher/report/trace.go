package report

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// Bounds of the schema that are not those of a type.
const (
	longest    = math.MaxUint16       // of an IP packet that a header states
	longestTCP = 40 + math.MaxUint16  // of a probe: the header of IPv6 does not count itself
	maxSeed    = 1<<53 - 1            // what JSON numbers hold exactly
	maxLabel   = 1<<20 - 1            // of MPLS, and the flow label of IPv6
	maxNumber  = math.MaxInt          // of what has no bound
	maxWait    = int64(math.MaxInt64) // in nanoseconds
	maxScale   = uint8(14)            // RFC 7323, section 2.3
	maxTC      = uint8(7)             // three bits
	maxFactor  = math.MaxFloat64
)

// Trace returns the trace that a document describes. The error is ErrMalformed for a
// value that Schema excludes or that contradicts another, and ErrUnknownValue for a
// name that this version does not know.
//
// These fields of a Path are not in documents, and zero: Flooded; of a probe Frame and
// the Checksum of its copy, and Called unless its clock is the kernel's; of a reply
// Frame, Translation, and what Quote does not have; the payload of an extension object
// that Labels, Interface or Node describes; and over IPv6, where packets have none, ID
// and DF. Outstanding probes are Abandoned. Times are in UTC. Which hop a probe belongs to, whether the target was reached, which
// clock stamped the probes, and which of them a gap obscures follow from the Path.
func (d *Document) Trace() (*Trace, error) {
	var r reading
	t := &Trace{Path: r.path(d)}
	t.Error = d.Error
	t.Names = d.names()
	t.MTUs = r.mtus(d.PathMTU)
	t.Findings = r.findings(d.Findings, len(t.Path.Probes))
	if r.err != nil {
		return nil, r.err
	}
	return t, nil
}

// names are those of the responders.
func (d *Document) names() map[netip.Addr]string {
	names := map[netip.Addr]string{}
	for i := range d.Hops {
		for j := range d.Hops[i].Probes {
			for r := range d.Hops[i].Probes[j].replies() {
				if r.Name != nil {
					names[r.From] = *r.Name
				}
			}
		}
	}
	return names
}

// replies are all replies to a probe.
func (p *Probe) replies() func(func(*Reply) bool) {
	return func(yield func(*Reply) bool) {
		if p.Reply != nil && !yield(p.Reply) {
			return
		}
		for i := range p.Extra {
			if !yield(&p.Extra[i]) {
				return
			}
		}
	}
}

func (r *reading) path(d *Document) *path.Path {
	p := &path.Path{
		Target:   path.Target{Host: d.Target.Host, Addr: r.optionalAddr("target.addr", d.Target.Addr)},
		Source:   r.source(d.Source),
		Protocol: r.protocol(d.Protocol),
		Clock:    path.Clock{Stepped: d.Clock.Stepped, Captured: r.captured(&d.Clock)},
		Tool:     r.text("tool", d.Tool),
		Started:  time.Time(r.known("started", d.Started)), Ended: time.Time(r.known("ended", d.Ended)),
		Interrupted: d.Interrupted,
		Counters:    path.Counters(d.Counters),
	}
	r.complete(d)
	if d.Options != nil {
		p.Parameters = r.parameters(d.Options)
		r.fit(p, d.Options)
	}
	r.require(d.Hops != nil, "hops is missing")
	for _, n := range []int{
		d.Counters.Sent, d.Counters.Received, d.Counters.Late, d.Counters.Duplicate,
		d.Counters.Foreign, d.Counters.Malformed, d.Counters.Evicted, d.Counters.Dropped,
	} {
		number(r, "counters", n, 0, maxNumber)
	}
	r.probes(p, d.Hops)
	r.gaps(p, d.Gaps)
	return p
}

// fit checks that a trace can have the options that are known.
func (r *reading) fit(p *path.Path, o *Options) {
	h := headersOf(p)
	r.require(h.have(o.SrcPort, o.DstPort, o.Identifier, o.ID, nil), noHeader)
	r.require(h.ipv4 && o.FlowLabel == nil || !h.ipv4 && o.DF == nil, noHeader)
	r.require(o.TCP == nil || p.Protocol == layers.IPProtocolTCP && !p.Clock.Captured, "tcp is known for another protocol, or in a capture")
}

// noHeader says that a document contradicts its protocol and target.
const noHeader = "a field is set that the probes of this protocol and IP version do not have"

// have reports whether probes have the fields that are not nil.
func (h *headers) have(srcPort, dstPort, identifier, id *uint16, sequence *uint32) bool {
	return (h.ports || srcPort == nil && dstPort == nil) && (h.identifier || identifier == nil) &&
		(h.ipv4 || id == nil) && (h.sequence || sequence == nil)
}

// complete checks that a document has what every trace has, or an error and nothing
// that only a trace has.
func (r *reading) complete(d *Document) {
	if d.Error == "" {
		r.require(d.Target.Addr != nil && d.Source != nil && d.Protocol != nil && d.Options != nil, "target.addr, source, protocol or options is missing")
		return
	}
	r.require(len(d.Hops)+len(d.Gaps)+len(d.PathMTU)+len(d.Findings) == 0, "a host that could not be traced has hops, gaps, path_mtu or findings")
}

func (r *reading) source(s *Source) path.Source {
	if s == nil {
		return path.Source{}
	}
	return path.Source{
		Addr: r.addr("source.addr", s.Addr), Interface: r.text("source.interface", s.Interface), MAC: r.mac("source.mac", s.MAC),
		NextHop: r.optionalAddr("source.next_hop", s.NextHop), NextHopMAC: r.mac("source.next_hop_mac", s.NextHopMAC),
		Also: r.unique("source.also", s.Also),
	}
}

func (r *reading) protocol(name *string) layers.IPProtocol {
	if name == nil {
		return 0
	}
	for _, p := range craft.Protocols() {
		if p.Name == *name {
			return p.Number
		}
	}
	r.fail(ErrUnknownValue, "protocol %.40q", *name)
	return 0
}

// captured reports whether the replies were stamped by a capture.
func (r *reading) captured(c *Clock) bool {
	rx := named(r, "clock.rx", c.RX, path.Kernel, path.Capture)
	r.require(rx != path.User, "clock.rx is user")
	return rx == path.Capture
}

func (r *reading) parameters(o *Options) path.Parameters {
	p := path.Parameters{
		FirstTTL: positive(r, "first_ttl", o.FirstTTL, 255), MaxTTL: positive(r, "max_ttl", o.MaxTTL, 255),
		Queries: positive(r, "queries", o.Queries, maxNumber), InFlight: positive(r, "in_flight", o.InFlight, maxNumber),
		Wait: path.Wait{
			Max:  time.Duration(positive(r, "wait_ns", (*int64)(o.Wait), maxWait)),
			Here: number(r, "wait_here", value(o.Here), 0, maxFactor), Near: number(r, "wait_near", value(o.Near), 0, maxFactor),
		},
		Interval: time.Duration(number(r, "interval_ns", int64(value(o.Interval)), 0, maxWait)),
		SrcPort:  value(o.SrcPort), DstPort: value(o.DstPort), ID: value(o.ID),
		Length: positive(r, "length", o.Length, longest), TOS: value(o.TOS), DF: value(o.DF),
		Seed: positive(r, "seed", o.Seed, maxSeed), FlowLabel: number(r, "flow_label", value(o.FlowLabel), 0, maxLabel),
		Classic: value(o.Classic), MTU: value(o.MTU), TCP: r.tcp(o.TCP), Gateways: o.Gateways,
	}
	if o.Identifier != nil {
		p.SrcPort = *o.Identifier
	}
	if o.Payload != nil {
		p.Payload = string(r.bytes("payload", o.Payload))
		r.require(len(p.Payload) >= 2, "payload is shorter than two bytes")
	}
	r.require(o.Gateways == nil || len(o.Gateways) > 0, "gateways is empty")
	for _, g := range o.Gateways {
		r.addr("gateways", g)
	}
	return p
}

func (r *reading) tcp(t *TCP) (o craft.TCP) {
	if t == nil {
		return o
	}
	o = craft.TCP{MSS: value(t.MSS), SACK: t.SACK, Timestamps: t.Timestamps, Scaling: t.Scale != nil}
	o.Scale = number(r, "window_scale", value(t.Scale), 0, maxScale)
	r.require(t.MSS == nil || *t.MSS != 0, "mss is 0")
	r.require(len(t.Flags) > 0, "flags is empty")
	for _, name := range t.Flags {
		o.Flags |= r.flag(name)
	}
	return o
}

func (r *reading) flag(name string) craft.TCPFlags {
	for f := craft.FlagFIN; f != 0; f <<= 1 {
		if f.Names()[0] == name {
			return f
		}
	}
	r.fail(ErrUnknownValue, "flag %.40q", name)
	return 0
}

// probes are in the order of sending, whatever hops they are in.
func (r *reading) probes(p *path.Path, hops []Hop) {
	n := 0
	for i := range hops {
		n += len(hops[i].Probes)
	}
	p.Probes = make([]path.Probe, 0, n)
	for i := range hops {
		for j := range hops[i].Probes {
			p.Probes = append(p.Probes, r.probe(p, &hops[i].Probes[j]))
		}
	}
	slices.SortFunc(p.Probes, func(a, b path.Probe) int { return cmp.Compare(a.Number, b.Number) })
	for i := range p.Probes {
		probe := &p.Probes[i]
		r.require(probe.Number == i, "the numbers of the probes are not 0, 1, 2 …")
		r.require(probe.TTL == 0 || p.Parameters.FirstTTL != 0 && p.Parameters.MaxTTL != 0, "probes are known, but first_ttl or max_ttl is null")
	}
}

func (r *reading) probe(p *path.Path, j *Probe) path.Probe {
	probe := path.Probe{
		Number: j.Number, TTL: positive(r, "ttl", j.TTL, 255), Round: positive(r, "round", j.Round, maxNumber), ID: value(j.ID),
		SrcPort: value(j.SrcPort), DstPort: value(j.DstPort), Sequence: value(j.Sequence),
		Length: positive(r, "length", j.Length, longestTCP), Sent: time.Time(j.Sent),
		Status: named(r, "status", j.Status, path.Replied, path.Abandoned),
	}
	if j.Identifier != nil {
		probe.SrcPort = *j.Identifier
	}
	r.departed(p, &probe, j)
	h := headersOf(p)
	r.require(h.have(j.SrcPort, j.DstPort, j.Identifier, j.ID, j.Sequence), noHeader)
	answered := probe.Status == path.Replied || probe.Status == path.Late
	r.require(answered == (j.Reply != nil) && (answered || len(j.Extra) == 0), "the status of a probe contradicts its replies")
	r.require(probe.TTL != 0 || answered, "a probe without ttl has no reply")
	r.require((probe.TTL == 0) == (probe.Round == 0), "one of ttl and round is null")
	if j.Reply != nil {
		first := r.reply(p, &probe, j.Reply)
		probe.Reply = &first
	}
	for i := range j.Extra {
		probe.Extra = append(probe.Extra, r.reply(p, &probe, &j.Extra[i]))
	}
	return probe
}

// departed sets what is known of when a probe left.
func (r *reading) departed(p *path.Path, probe *path.Probe, j *Probe) {
	switch {
	case j.SentClock != nil:
		probe.SentClock = named(r, "sent_clock", *j.SentClock, path.Kernel, path.Capture)
	case p.Clock.Captured:
		probe.SentClock = path.Capture
	default:
		probe.SentClock = path.User
	}
	r.require((j.SentClock == nil) == probe.Sent.IsZero(), "one of sent and sent_clock is null")
	if j.CallToWire != nil {
		r.require(j.SentClock != nil && probe.SentClock == path.Kernel, "call_to_wire_ns is known, but not by the kernel's clock")
		probe.Called = probe.Sent.Add(-*j.CallToWire)
	}
}

func (r *reading) reply(p *path.Path, probe *path.Probe, j *Reply) path.Reply {
	reply := path.Reply{
		Reply: matcher.Reply{
			From: r.addr("from", j.From), Received: time.Time(r.known("received", j.Received)),
			Kind: named(r, "kind", j.Kind, matcher.TimeExceeded, matcher.RST), TTL: j.TTL,
		},
		RTT: value(j.RTT), HasRTT: j.RTT != nil, Hop: positive(r, "hop", j.Hop, 255), Late: j.Late,
	}
	if j.Basis != nil {
		reply.Basis = named(r, "hop_basis", *j.Basis, path.BySentTTL, path.ByLowestTTL)
	}
	if j.MatchedBy != nil {
		reply.MatchedBy = named(r, "matched_by", *j.MatchedBy, matcher.ByCookie, matcher.Ambiguous)
	}
	if j.WireToProgram != nil {
		reply.Read = reply.Received.Add(*j.WireToProgram)
	}
	r.require((reply.Hop == 0) == (probe.TTL == 0), "one of the ttl of a probe and the hop of its reply is null")
	r.require(reply.IsQuoted() == (j.Quoted != nil && j.ICMPType != nil && j.ICMPCode != nil), "quoted, icmp_type or icmp_code contradict kind")
	if j.Quoted != nil && reply.IsQuoted() {
		reply.ICMPType, reply.ICMPCode, reply.MTU = value(j.ICMPType), value(j.ICMPCode), positive(r, "mtu", j.MTU, math.MaxUint32)
		reply.Quoted = r.quote(j.Quoted)
		r.require(p.Target.Addr.Is4() || j.Quoted.ID == nil, noHeader)
		reply.Extensions = r.extensions(j.Extensions)
	}
	return reply
}

func (r *reading) quote(j *Quote) matcher.Quote {
	return matcher.Quote{
		TTL: j.TTL, TOS: j.TOS, ID: value(j.ID), Length: number(r, "quoted.length", j.Length, 0, longest),
		Checksum: value(j.Checksum), HasChecksum: j.Checksum != nil,
	}
}

func (r *reading) extensions(j *Extensions) *matcher.Extensions {
	if j == nil {
		return nil
	}
	e := &matcher.Extensions{
		Offset: number(r, "extensions.offset", j.Offset, 1, longest), Stated: positive(r, "extensions.stated", j.Stated, longest), Verified: j.Verified,
	}
	names := quotedNames{rest: j.Text}
	for i := range j.Objects {
		e.Objects = append(e.Objects, r.object(&j.Objects[i], &names))
	}
	return e
}

func (r *reading) object(j *Object, names *quotedNames) matcher.ExtensionObject {
	o := matcher.ExtensionObject{
		Class: j.Class, Type: j.Type, Length: number(r, "object.length", j.Length, 0, longest), Malformed: j.Malformed,
		Payload: r.bytes("object.payload", j.Payload),
	}
	r.require(j.Labels == nil || len(j.Labels) > 0, "labels is empty")
	for _, l := range j.Labels {
		number(r, "label", l.Label, 0, maxLabel)
		number(r, "tc", l.TC, 0, maxTC)
		o.Labels = append(o.Labels, matcher.Label(l))
	}
	if i := j.Interface; i != nil {
		o.Interface = &matcher.InterfaceInfo{
			Role: named(r, "role", i.Role, matcher.Incoming, matcher.NextHop), Index: positive(r, "index", i.Index, math.MaxUint32),
			Address: r.optionalAddr("interface.address", i.Address), MTU: positive(r, "mtu", i.MTU, math.MaxUint32),
			Name: names.next(r.text("interface.name", i.Name), j),
		}
	}
	if n := j.Node; n != nil {
		o.Node = &matcher.NodeInfo{Address: r.optionalAddr("node.address", n.Address), Name: names.next(r.text("node.name", n.Name), j)}
	}
	decoded := o.Labels != nil || o.Interface != nil || o.Node != nil
	r.require((j.Payload != nil) == (j.Malformed || !decoded), "the payload of an object contradicts what it says")
	return o
}

// quotedNames are the names in the text of extensions, where they are quoted as in Go:
// JSON cannot hold names that are not UTF-8.
type quotedNames struct{ rest string }

// next is the name of the next object. The text has those that are not malformed.
func (q *quotedNames) next(name string, of *Object) string {
	const statesName = 1 << 1 // RFC 5837, section 4.1
	if of.Malformed || of.Type&statesName == 0 {
		return name
	}
	_, rest, _ := strings.Cut(q.rest, `"`)
	quoted, err := strconv.QuotedPrefix(`"` + rest)
	if err != nil {
		return name
	}
	q.rest = rest[len(quoted)-1:]
	exact, err := strconv.Unquote(quoted)
	if err != nil || strings.ToValidUTF8(exact, "") == exact || !sameInJSON(exact, name) {
		return name
	}
	return exact
}

// sameInJSON reports whether encoding/json writes two names alike: each byte that is
// not UTF-8 as a replacement character.
func sameInJSON(a, b string) bool {
	return string([]rune(a)) == string([]rune(b)) && utf8.ValidString(b)
}

func (r *reading) gaps(p *path.Path, gaps []Gap) {
	for i := range gaps {
		g := frame.Gap{
			From: time.Time(r.known("gap.from", gaps[i].From)), To: time.Time(r.known("gap.to", gaps[i].To)),
			Cause: named(r, "cause", gaps[i].Cause, frame.Overrun, frame.AddressRemoved), Frames: positive(r, "frames", gaps[i].Frames, maxNumber),
		}
		if g.Cause == frame.AddressRemoved {
			g.Addr = p.Source.Addr // no other address matters to a trace
		}
		p.Gaps = append(p.Gaps, g)
	}
}

func (r *reading) mtus(all []MTU) []MTU {
	r.require(all == nil || len(all) > 0, "path_mtu is empty")
	for i := range all {
		number(r, "path_mtu.hop", all[i].Hop, 1, 255)
		number(r, "path_mtu.mtu", all[i].MTU, 1, maxNumber)
		r.require(slices.Contains([]string{"link", "stated", "searched", "at-least"}, all[i].Known), "path_mtu.known is not known")
	}
	return all
}

// findings are about a number of probes.
func (r *reading) findings(all []Finding, probes int) []findings.Finding {
	found := make([]findings.Finding, len(all))
	for i, f := range all {
		found[i] = findings.Finding{
			Kind:    named(r, "finding", f.Kind, findings.DSCPRewrite, findings.Unverified),
			HopFrom: positive(r, "hop_from", f.HopFrom, 255), HopTo: positive(r, "hop_to", f.HopTo, 255),
			Evidence: f.Evidence, Detail: f.Detail, Confidence: named(r, "confidence", f.Confidence, findings.Possible, findings.Certain),
		}
		r.require(f.Detail != "", "detail is empty")
		for _, n := range f.Evidence {
			number(r, "evidence", n, 0, probes-1)
		}
	}
	return found
}
