package path

import "testing"

// However many replies there are, each has a place of its own, which serves again
// when all are cleared.
func TestRepliesHaveRoom(t *testing.T) {
	const many = 10_000
	var s replies
	for round := range 2 {
		at := map[*Reply]bool{}
		for range many {
			r := s.next()
			if at[r] || r.HasRTT {
				t.Fatalf("round %d: a place is taken", round)
			}
			at[r], r.HasRTT = true, true
		}
		s.clear()
	}
	room := 0
	for _, block := range s.blocks {
		room += len(block)
	}
	if room > many+32 {
		t.Errorf("room for %d replies", room)
	}
}
