package path

import (
	"slices"
	"time"
)

// open are the probes that are outstanding, by TTL, so that no frame costs a walk over
// all of them: each TTL knows until when none of its deadlines is over. The zero open
// is empty.
type open struct {
	ttls  []waiting // by TTL, as far as any was sent
	inUse int       // of these
	next  time.Time // no deadline is earlier; zero if that is not known
}

// waiting are the outstanding probes with one TTL.
type waiting struct {
	probes []int     // in the order of sending, and some that are no longer outstanding
	next   time.Time // no deadline is earlier; zero if that is not known
}

// add adds a probe with its deadline.
func (o *open) add(p *Probe, deadline time.Time) {
	for len(o.ttls) <= int(p.TTL) {
		o.ttls = append(o.ttls, waiting{})
	}
	w := &o.ttls[p.TTL]
	if len(w.probes) == 0 {
		if w.next = deadline; o.inUse == 0 {
			o.next = deadline
		}
		o.inUse++
	}
	w.probes = append(w.probes, p.Number)
	o.moved(p, deadline)
}

// moved notes that a probe has another deadline.
func (o *open) moved(p *Probe, deadline time.Time) {
	if int(p.TTL) >= len(o.ttls) {
		return
	}
	w := &o.ttls[p.TTL]
	w.next, o.next = sooner(w.next, deadline), sooner(o.next, deadline)
}

// sooner is the sooner of two times; one that is zero is not known, and stays so.
func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// heard notes that a TTL was answered: how long it is waited for, and those below it
// of which nothing is known, is another question now.
func (o *open) heard(ttl uint8, known *roundTrips) {
	o.next = time.Time{}
	for t := ttl; ; t-- {
		if int(t) < len(o.ttls) {
			o.ttls[t].next = time.Time{}
		}
		if t == 0 || t < ttl && known.known[t] {
			return
		}
	}
}

// at are the probes with a TTL that may be outstanding.
func (o *open) at(ttl uint8) []int {
	if int(ttl) < len(o.ttls) {
		return o.ttls[ttl].probes
	}
	return nil
}

// mayBeOver reports whether any deadline may be over.
func (o *open) mayBeOver(now time.Time) bool { return now.After(o.next) }

// soonest is the earliest deadline, as far as that can be known without giving a probe
// up: none is earlier.
func (o *open) soonest(probes []Probe, deadline func(*Probe) time.Time) time.Time {
	if !o.next.IsZero() {
		return o.next
	}
	o.next = never()
	for i := range o.ttls {
		w := &o.ttls[i]
		if len(w.probes) == 0 {
			continue
		}
		if w.next.IsZero() {
			w.next = never()
			for _, n := range w.probes {
				if p := &probes[n]; p.Status == Outstanding {
					w.next = sooner(w.next, deadline(p))
				}
			}
		}
		o.next = sooner(o.next, w.next)
	}
	return o.next
}

// over takes out the probes whose deadline is over, in the order of sending.
func (o *open) over(now time.Time, probes []Probe, deadline func(*Probe) time.Time) (over []int) {
	o.next = never()
	for i := range o.ttls {
		w := &o.ttls[i]
		if len(w.probes) == 0 {
			continue
		}
		if now.After(w.next) {
			over = w.over(over, now, probes, deadline)
		}
		if len(w.probes) == 0 {
			o.inUse--
			continue
		}
		o.next = sooner(o.next, w.next)
	}
	slices.Sort(over)
	return over
}

// over is open.over for one TTL. It adds to others.
func (w *waiting) over(others []int, now time.Time, probes []Probe, deadline func(*Probe) time.Time) []int {
	kept := w.probes[:0]
	w.next = never()
	for _, n := range w.probes {
		p := &probes[n]
		if p.Status != Outstanding {
			continue
		}
		if at := deadline(p); now.After(at) {
			others = append(others, n)
		} else {
			kept = append(kept, n)
			w.next = sooner(w.next, at)
		}
	}
	w.probes = kept
	return others
}

// never is later than any deadline.
func never() time.Time { return time.Unix(1<<62, 0) }
