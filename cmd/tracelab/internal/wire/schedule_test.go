package wire

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// What is due comes in the order of a stable sort by time.
func TestScheduleOrders(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var s schedule
		var all []due
		for i := range 1 + random.IntN(200) {
			at := time.Duration(random.IntN(20))
			ip := []byte{byte(i)}
			s.push(at, ip)
			all = append(all, due{at: at, ip: ip})
			if random.IntN(4) > 0 {
				continue
			}
			pop(t, &s, &all)
		}
		for len(all) > 0 {
			pop(t, &s, &all)
		}
		if _, some := s.next(); some {
			t.Fatal("more came out than went in")
		}
	}
}

func pop(t *testing.T, s *schedule, all *[]due) {
	t.Helper()
	slices.SortStableFunc(*all, func(a, b due) int { return int(a.at - b.at) })
	want := (*all)[0]
	*all = (*all)[1:]
	at, _ := s.next()
	if ip := s.pop(); at != want.at || ip[0] != want.ip[0] {
		t.Fatalf("packet %d at %d, want %d at %d", ip[0], at, want.ip[0], want.at)
	}
}

func BenchmarkSchedule(b *testing.B) {
	var s schedule
	ip := make([]byte, 56)
	for i := range 10_000 {
		s.push(time.Duration(i), ip)
	}
	b.ReportAllocs()
	for b.Loop() {
		at, _ := s.next()
		s.push(at+10_000, s.pop())
	}
}
