package path

// initialTTLs are those that systems are known to send with. 30 is that of some
// older ones, and of a few home routers.
var initialTTLs = [...]int{255, 128, 64, 32, 30}

// LeastDetour is by how many routers the way back must be longer or shorter than
// the way there to be another way: by one they differ too where a router
// decrements its own replies, or doesn't decrement at all.
const LeastDetour = 2

// WayBack returns how many routers the reply passed, guessed from the TTL that is
// left: of the TTLs that systems send with, it takes the one that makes the way
// back as long as the way there, or as nearly so as any does.
func (r *Reply) WayBack() int {
	there := int(r.Hop) - 1
	best, off := 0, -1
	for _, initial := range initialTTLs {
		passed := initial - int(r.TTL)
		if d := max(passed-there, there-passed); passed >= 0 && (off < 0 || d < off) {
			best, off = passed, d
		}
	}
	return best
}

// Detour returns by how many routers the way back is longer than the way there, or,
// below 0, shorter; 0 if by less than LeastDetour, or if anybody can have sent it: with
// what TTL, nobody knows.
func (r *Reply) Detour() int {
	d := r.WayBack() - (int(r.Hop) - 1)
	if max(d, -d) < LeastDetour || r.IsUnverified() {
		return 0
	}
	return d
}
