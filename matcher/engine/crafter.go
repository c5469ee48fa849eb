package engine

import (
	"cmp"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher/path"
)

// Crafter builds the probes of one trace. It belongs to one goroutine at a time.
type Crafter struct {
	Series  craft.Series
	Builder *craft.Builder
}

// Crafted is a probe of a trace, as it would be sent.
type Crafted struct {
	Probe path.Probe // all that is known before it leaves, except Number
	Key   craft.Key
	Frame []byte // valid until the next
}

// Build builds the probe that a step asks for.
func (c *Crafter) Build(s plan.Step) (Crafted, error) {
	probe := c.Series.At(s.Flow, s.TTL, s.Round)
	probe.Length = cmp.Or(s.Length, probe.Length)
	data, key, err := c.Builder.Frame(&probe)
	if err != nil {
		return Crafted{}, err
	}
	sent := path.Probe{TTL: s.TTL, Round: s.Round, SrcPort: key.SrcPort, DstPort: key.DstPort, Length: probe.Length}
	if probe.Dst.Is4() {
		sent.ID = probe.ID
	}
	if !craft.ProtocolOf(probe.Protocol).Carries(craft.Checksum) {
		sent.Sequence = key.Token
	}
	return Crafted{Frame: data, Key: key, Probe: sent}, nil
}

// All yields every probe that a trace of so many rounds can need, round by round and TTL
// by TTL. It ends with the first error.
func (c *Crafter) All(rounds int) func(func(Crafted, error) bool) {
	return func(yield func(Crafted, error) bool) {
		for round := 1; round <= rounds; round++ {
			for ttl := int(c.Series.FirstTTL); ttl <= int(c.Series.MaxTTL); ttl++ {
				if crafted, err := c.Build(plan.Step{TTL: uint8(ttl), Round: round}); !yield(crafted, err) || err != nil {
					return
				}
			}
		}
	}
}
