package journal

import (
	"fmt"

	"github.com/tracewire/tracewire/craft"
)

// Checker checks that each note of a trace can follow those before it, so that a
// recording has no more probes than the parameters of its trace allow. It checks
// the probes; that a trace starts before all else, and once, is for the caller.
type Checker struct {
	start  *Start
	rounds [256]int // by TTL: the latest
	failed []bool   // by probe
}

// NewChecker returns the Checker of a trace that has started.
func NewChecker(start *Start) *Checker { return &Checker{start: start} }

// MaxRounds is how often a trace with so many queries can probe a TTL.
func MaxRounds(queries int, mtu bool) int {
	if mtu {
		return search + repeats*queries
	}
	return repeats * queries
}

// Check takes the next note of the trace. The errors wrap ErrNote.
func (c *Checker) Check(n *Note) error {
	var err error
	switch {
	case n.Sent != nil:
		err = c.sent(n.Sent)
	case n.Failed != nil:
		err = c.refused(n.Failed.Probe)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNote, err)
	}
	return nil
}

func (c *Checker) sent(s *Sent) error {
	p, protocol := &c.start.Parameters, craft.ProtocolOf(c.start.Protocol)
	most, is4 := MaxRounds(p.Queries, p.MTU), c.start.Target.Addr.Is4()
	echo := protocol.Carries(craft.EchoSequence)
	if err := first(
		must(s.TTL >= p.FirstTTL && s.TTL <= p.MaxTTL, "TTL %d is not between %d and %d", s.TTL, p.FirstTTL, p.MaxTTL),
		must(s.Round > c.rounds[s.TTL] && s.Round <= most, "round %d of TTL %d can't follow round %d", s.Round, s.TTL, c.rounds[s.TTL]),
		must(is4 || s.ID == 0, "IPv6 has no ID %d", s.ID),
		must(!protocol.Carries(craft.Checksum) || s.Sequence == 0, "such a probe has no sequence number %d", s.Sequence),
		must(!echo || s.DstPort == 0 && s.Sequence <= 0xffff, "an ICMP echo has no port %d, and no sequence number %d", s.DstPort, s.Sequence),
	); err != nil {
		return err
	}
	c.rounds[s.TTL] = s.Round
	c.failed = append(c.failed, false)
	return nil
}

// refused notes that the system refused to send a probe.
func (c *Checker) refused(probe int) error {
	if probe >= len(c.failed) || c.failed[probe] {
		return fmt.Errorf("probe %d was not sent", probe)
	}
	c.failed[probe] = true
	return nil
}
