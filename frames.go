package tracewire

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// Crafted is a probe of a trace, as it would be sent.
type Crafted struct {
	Probe path.Probe // all that is known before it leaves, but Number
	Key   craft.Key
	Frame []byte // valid until the next
}

// Frames builds the probes that a trace to dst sends, and sends none: byte for
// byte what Run injects with the same Options, seed included, if the path needs
// all of them. They come round by round and TTL by TTL; Run sends them in the
// order that the replies allow. Nil Options are the defaults.
//
// Of the Wire only Source, MTU and Port are looked at. A Port of 0 is the one
// that a trace tries first. The Parameters are those that the Path of the trace
// would have. The errors wrap ErrOptions, ErrTarget and those of package craft.
func Frames(dst netip.Addr, w *Wire, o *Options) (path.Parameters, iter.Seq2[Crafted, error], error) {
	if o == nil {
		o = &Options{}
	}
	p, err := o.validate()
	if err == nil {
		err = validateTarget(dst.Unmap())
	}
	if err != nil {
		return p, nil, err
	}
	if err := o.checkFamily(dst.Unmap()); err != nil {
		return p, nil, err
	}
	if p.MTU && w.MTU == 0 && p.Length == 0 {
		return p, nil, fmt.Errorf("%w: without a route the MTU of the link is not known: a packet length says it", ErrOptions)
	}
	if p.Seed == 0 {
		p.Seed = craft.RandomSeed()
	}
	on := *w
	if on.Port == 0 {
		on.Port = craft.FirstSourcePort(p.Seed, p.SrcPort)
	}
	c, err := newCrafter(&on, dst.Unmap(), o, p, 1)
	if err != nil {
		return p, nil, err
	}
	return c.parameters, c.all, nil
}

// crafter builds the probes of one trace.
type crafter struct {
	parameters path.Parameters
	series     craft.Series
	builder    *craft.Builder
}

// newCrafter makes the crafter of the trace with a number, from 1, of a run. The
// parameters are those of the run, with its seed.
func newCrafter(w *Wire, dst netip.Addr, o *Options, p path.Parameters, number int) (*crafter, error) {
	series, err := o.series(w, dst, &p)
	if err != nil {
		return nil, err
	}
	series.Number(number, roundsOf(&p))
	series.ID = series.FirstID()
	builder, err := series.Builder(w.link())
	if err != nil {
		return nil, err
	}
	p.Seed, p.SrcPort, p.ID, p.Length = series.Seed, series.Probe.SrcPort, series.ID, series.Probe.Length
	return &crafter{parameters: p, builder: builder, series: series}, nil
}

// build builds the probe with a TTL in a round: of a length, or 0 for that of the
// run.
func (c *crafter) build(ttl uint8, round, length int) (Crafted, error) {
	probe := c.series.At(0, ttl, round)
	probe.Length = cmp.Or(length, probe.Length)
	data, key, err := c.builder.Frame(&probe)
	if err != nil {
		return Crafted{}, err
	}
	sent := path.Probe{TTL: ttl, Round: round, SrcPort: key.SrcPort, DstPort: key.DstPort, Length: probe.Length}
	if probe.Dst.Is4() {
		sent.ID = probe.ID
	}
	if !craft.ProtocolOf(probe.Protocol).Carries(craft.Checksum) {
		sent.Sequence = key.Token
	}
	return Crafted{Frame: data, Key: key, Probe: sent}, nil
}

// all builds every probe that the trace can need.
func (c *crafter) all(yield func(Crafted, error) bool) {
	p := &c.parameters
	for round := 1; round <= p.Queries; round++ {
		for ttl := int(p.FirstTTL); ttl <= int(p.MaxTTL); ttl++ {
			if crafted, err := c.build(uint8(ttl), round, 0); !yield(crafted, err) || err != nil {
				return
			}
		}
	}
}
