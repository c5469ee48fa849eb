package session

import "github.com/tracewire/tracewire/matcher/path"

// spare is what runs that are over leave for others: a capture has many, and to
// allocate and to collect them takes longer than all else that they need.
type spare struct {
	runs      []*run
	recorders []recorder
	room      int // of the Recorders that are here or were here and are a run's now
	inUse     int // packets in Recorders
	most      int // of them so far
}

// recorder is a Recorder and for how many packets it has room.
type recorder struct {
	*path.Recorder
	room int
}

// run returns a run that has not begun.
func (s *spare) run() (r *run) {
	if last := len(s.runs) - 1; last >= 0 {
		r, s.runs = s.runs[last], s.runs[:last]
	} else {
		r = new(run)
	}
	if last := len(s.recorders) - 1; last >= 0 {
		r.recorder, s.recorders = s.recorders[last], s.recorders[:last]
	}
	return r
}

// uses notes how many packets are in the Recorder of a run.
func (s *spare) uses(r *run, packets int) {
	s.inUse += packets - r.inUse
	s.most = max(s.most, s.inUse)
	r.inUse = packets
}

// release takes the Recorder of a run that is done with it, if it has one. One
// that had much more room than the run needed is not kept: it might go from one
// short run to the next, and nobody would have the use of its room.
func (s *spare) release(r *run) {
	done := r.recorder
	if done.Recorder == nil {
		return
	}
	needed := r.inUse
	s.uses(r, 0)
	s.room -= done.room
	done.room = done.Release()
	const few = 8
	if done.room <= min(max(few, 2*needed), maxSpared) && s.room+done.room <= s.most+maxSpare {
		s.room += done.room
		s.recorders = append(s.recorders, done)
	}
	r.recorder = recorder{}
	r.own.Probes = nil // they are in the Recorder's room
}

// retire takes a run that is over and was told, if it is a trace.
func (s *spare) retire(r *run) {
	s.release(r)
	if len(s.runs) < maxRetired {
		*r = run{climb: climb{sent: r.climb.sent[:0]}}
		s.runs = append(s.runs, r)
	}
}
