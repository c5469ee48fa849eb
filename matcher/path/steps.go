package path

import "time"

// steps are by how much the clock that stamps the frames was set, and what of it
// counts for each probe: the steps while it was outstanding, since it was last
// stamped. A nil *steps is a clock that was not set.
type steps struct {
	total   time.Duration
	since   map[int]time.Duration // by outstanding probe: total when it was stamped; 0 if it is not there
	settled map[int]time.Duration // by probe that no longer is: what counts for it; 0 if it is not there
}

// begin notes that a probe was stamped.
func (s *steps) begin(probe int) {
	if s == nil {
		return
	}
	if s.since == nil {
		s.since = map[int]time.Duration{}
	}
	s.since[probe] = s.total
	delete(s.settled, probe)
}

// settle notes that a probe is about to be outstanding no longer, if it is.
func (s *steps) settle(p *Probe) {
	if s == nil || p.Status != Outstanding {
		return
	}
	if s.settled == nil {
		s.settled = map[int]time.Duration{}
	}
	s.settled[p.Number] = s.of(p)
}

// of is by how much the clock was set while a probe was outstanding.
func (s *steps) of(p *Probe) time.Duration {
	switch {
	case s == nil:
		return 0
	case p.Status == Outstanding:
		return s.total - s.since[p.Number]
	}
	return s.settled[p.Number]
}

// before is by how much the clock had been set when a probe was stamped.
func (s *steps) before(probe int) time.Duration {
	if s == nil {
		return 0
	}
	return s.since[probe]
}

// sum is by how much the clock was set in all.
func (s *steps) sum() time.Duration {
	if s == nil {
		return 0
	}
	return s.total
}
