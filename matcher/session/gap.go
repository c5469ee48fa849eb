package session

import (
	"time"

	"github.com/tracewire/tracewire/matcher/path"
)

// Probes may swap places on the wire, between the queues of a network card or of a
// router. Of a program that counts its ports the one that was overtaken comes with a
// port that is less than the last: it fills a gap.

const (
	// maxOvertaking is by how many probes one may be overtaken.
	maxOvertaking = 16
	// overtaken is for how long it may be.
	overtaken = 100 * time.Millisecond
)

// gaps are the ports of a probe that fill a gap in those of a run.
type gaps struct{ sport, dport bool }

// gaps returns which ports of a probe fill a gap.
func (r *run) gaps(s *sighting) (g gaps) {
	y := &r.style
	if s.isEcho() || r.dull || s.ttl == 0 || r.climb.n == 0 || s.at-r.latest.at > int64(overtaken) {
		return g
	}
	g.sport = y.sport.isPassed(s.sport) && r.fills(s, s.sport, func(p *path.Probe) uint16 { return p.SrcPort })
	g.dport = y.dport.isPassed(s.dport) && r.fills(s, s.dport, func(p *path.Probe) uint16 { return p.DstPort })
	return g
}

// isPassed reports whether the field counts, as far as that can be known, and a value is
// a bit less than the last.
func (r *series) isPassed(port uint16) bool {
	v := uint64(port)
	return v < r.last && r.last-v <= maxOvertaking && (r.n == 1 || r.counts())
}

// fills reports whether none of the latest probes has a port, and a probe with it fits
// between those with the next lower and the next higher one by its TTL. Before the
// first probe there is none lower: then the port must be the one before, and all else as
// in the first. nmap begins far away, and goes down with source ports that may look so.
func (r *run) fills(s *sighting, v uint16, port func(*path.Probe) uint16) bool {
	probes := r.path.Probes
	var lower, higher *path.Probe
	for i := len(probes) - 1; i >= max(0, len(probes)-2*maxOvertaking); i-- {
		p := &probes[i]
		switch at := port(p); {
		case p.TTL == 0:
		case at == v:
			return false
		case at < v && (lower == nil || at > port(lower)):
			lower = p
		case at > v && (higher == nil || at < port(higher)):
			higher = p
		}
	}
	switch {
	case higher == nil || s.ttl > higher.TTL:
		return false
	case lower == nil:
		return r.climb.n == 1 && port(higher) == v+1 && (s.ttl == higher.TTL || s.ttl == 1 || s.dport != higher.DstPort) && r.alike(s) && s.payload == r.first.payload && s.tos == r.first.tos
	}
	return s.ttl >= lower.TTL
}
