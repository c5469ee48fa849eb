package path

import "slices"

// room is the memory that the Paths of a Recorder grow in, one after the other.
type room struct {
	probes  []Probe
	replies replies
}

// replies are blocks of memory for Replies, which stay where they are.
type replies struct {
	blocks [][]Reply
	block  int // that the next is in
	used   int // of that block
}

// next is where the next Reply goes: a zero one.
func (s *replies) next() *Reply {
	const most = 5 // doublings
	if s.block == len(s.blocks) {
		s.blocks = append(s.blocks, make([]Reply, 1<<min(s.block, most)))
	}
	block := s.blocks[s.block]
	next := &block[s.used]
	if s.used++; s.used == len(block) {
		s.block, s.used = s.block+1, 0
	}
	return next
}

// clear makes all the room free again, and lets go of what it points to.
func (s *replies) clear() {
	for _, block := range s.blocks[:s.block] {
		clear(block)
	}
	if s.used > 0 {
		clear(s.blocks[s.block][:s.used])
	}
	s.block, s.used = 0, 0
}

// Clone returns a copy of a Path that nothing changes which is done with p, or
// with the Recorder that p is of.
func (p *Path) Clone() *Path {
	c := *p
	c.Source.MAC, c.Source.NextHopMAC = slices.Clone(p.Source.MAC), slices.Clone(p.Source.NextHopMAC)
	c.Source.Also = slices.Clone(p.Source.Also)
	c.Parameters.Gateways = slices.Clone(p.Parameters.Gateways)
	c.Probes, c.Gaps = slices.Clone(p.Probes), slices.Clone(p.Gaps)
	first := make([]Reply, 0, p.replied())
	for i := range c.Probes {
		probe := &c.Probes[i]
		if probe.Reply != nil {
			first = append(first, *probe.Reply)
			probe.Reply = &first[len(first)-1]
		}
		probe.Extra = slices.Clone(probe.Extra)
	}
	return &c
}

// Take returns what Clone does without a copy of the Probes: p has none any more, and
// the Recorder that p is of does without their memory. It is for a Path that is over.
func (p *Path) Take() *Path {
	all := p.Probes
	p.Probes = nil
	c := p.Clone()
	c.Probes = all
	return c
}

// replied is how many probes have a reply.
func (p *Path) replied() (n int) {
	for i := range p.Probes {
		if p.Probes[i].Reply != nil {
			n++
		}
	}
	return n
}
