package session

import "testing"

// A run that has given its Recorder away sees nothing of whoever has it next.
func TestReleasedRunHasNoProbes(t *testing.T) {
	var s spare
	r := s.run()
	seen := sighting{at: 1, ttl: 5, sport: 50000, dport: 80}
	r.begin(&group{}, &seen)
	r.add(&seen)
	if len(r.path.Probes) != 1 {
		t.Fatalf("%d probes", len(r.path.Probes))
	}
	if s.release(r); len(r.path.Probes) != 0 {
		t.Errorf("it still has %v", r.path.Probes)
	}
}
