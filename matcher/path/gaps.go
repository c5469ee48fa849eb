package path

import (
	"math"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// maxGaps is how many gaps of a capture are told apart. Later ones are one.
const maxGaps = 1000

// nearGap is how much time can be between two gaps of one cause that are told as
// one: frames that come too fast are lost again and again.
const nearGap = 100 * time.Millisecond

// missed says that the capture missed frames, or still does.
func (r *Recorder) missed(g frame.Gap) {
	if g.Addr.IsValid() && g.Addr != r.path.Source.Addr.WithZone("") {
		return
	}
	r.path.Gaps = AddGap(r.path.Gaps, g)
}

// AddGap adds a gap to those before it in a capture: to the one of the same cause
// that lasts or has just been, if there is one. It returns all, whose number is
// bounded.
func AddGap(all []frame.Gap, g frame.Gap) []frame.Gap {
	for i := len(all) - 1; i >= 0; i-- {
		before := &all[i]
		if before.Cause != g.Cause {
			continue
		}
		if !before.To.IsZero() && g.From.Sub(before.To) > nearGap && len(all) < maxGaps {
			break
		}
		if g.From.Before(before.From) {
			before.From = g.From
		}
		if g.To.IsZero() || g.To.After(before.To) {
			before.To = g.To
		}
		before.Frames = int(min(int64(before.Frames)+int64(g.Frames), math.MaxInt32))
		return all
	}
	if len(all) < maxGaps {
		all = append(all, g)
	}
	return all
}

// closeGaps ends the gaps that last with the trace. Frames that the capture lost
// besides those in gaps were lost at any time.
func (p *Path) closeGaps() {
	rest := p.Counters.Dropped
	for i := range p.Gaps {
		if p.Gaps[i].To.IsZero() {
			p.Gaps[i].To = p.Ended
		}
		if p.Gaps[i].Cause == frame.Overrun {
			rest -= p.Gaps[i].Frames
		}
	}
	if rest > 0 {
		p.Gaps = append(p.Gaps, frame.Gap{From: p.Started, To: p.Ended, Frames: rest})
	}
}

// Obscured reports whether a probe has no reply though one may have come: there is
// a gap in the capture while the probe left, or a reply to it was waited for. What
// is missing then is no sign of the network's.
func (p *Path) Obscured(probe *Probe) bool {
	for i := range p.Gaps {
		if p.isIn(probe, &p.Gaps[i]) {
			return true
		}
	}
	return false
}

// ObscuredBy returns the numbers of the probes that a gap obscures, in order.
func (p *Path) ObscuredBy(g *frame.Gap) (numbers []int) {
	for i := range p.Probes {
		if p.isIn(&p.Probes[i], g) {
			numbers = append(numbers, p.Probes[i].Number)
		}
	}
	return numbers
}

func (p *Path) isIn(probe *Probe, g *frame.Gap) bool {
	if probe.Reply != nil || probe.Status == Unsent || probe.Sent.IsZero() {
		return false
	}
	from := probe.Sent
	if called := probe.Called; !called.IsZero() && called.Before(from) {
		from = called
	}
	to := probe.Sent.Add(p.Parameters.Wait.Max)
	if !p.Ended.IsZero() && p.Ended.Before(to) && !p.Ended.Before(from) {
		to = p.Ended
	}
	return g.Overlaps(from, to)
}
