package wire

import "time"

// schedule holds packets until they are due: the earliest first, and those of
// the same time in the order in which they came.
type schedule struct {
	heap []due
	seq  uint64
}

type due struct {
	at  time.Duration
	seq uint64
	ip  []byte
}

func (d due) before(e due) bool { return d.at < e.at || d.at == e.at && d.seq < e.seq }

func (s *schedule) push(at time.Duration, ip []byte) {
	d := due{at, s.seq, ip}
	s.seq++
	s.heap = append(s.heap, d)
	i := len(s.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !d.before(s.heap[parent]) {
			break
		}
		s.heap[i] = s.heap[parent]
		i = parent
	}
	s.heap[i] = d
}

// next is when the earliest packet is due, and whether there is one.
func (s *schedule) next() (time.Duration, bool) {
	if len(s.heap) == 0 {
		return 0, false
	}
	return s.heap[0].at, true
}

// pop removes the earliest packet, of a schedule that is not empty.
func (s *schedule) pop() []byte {
	ip := s.heap[0].ip
	n := len(s.heap) - 1
	last := s.heap[n]
	s.heap[n] = due{}
	s.heap = s.heap[:n]
	if n == 0 {
		return ip
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if right := child + 1; right < n && s.heap[right].before(s.heap[child]) {
			child = right
		}
		if !s.heap[child].before(last) {
			break
		}
		s.heap[i] = s.heap[child]
		i = child
	}
	s.heap[i] = last
	return ip
}
