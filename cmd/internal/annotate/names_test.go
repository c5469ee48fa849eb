package annotate_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/tracewire/tracewire/cmd/internal/annotate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
	addrC = netip.MustParseAddr("192.0.2.3")
)

var equal = cmpopts.EquateComparable(netip.Addr{})

// resolver is a Resolver in virtual time: each look-up takes as long as the
// address is slow, or until its context ends.
type resolver struct {
	slow  map[netip.Addr]time.Duration
	names map[netip.Addr][]string // "name-of-ADDR." if nil
	err   error
	tidy  time.Duration // what a look-up takes to return when its context has ended

	mu      sync.Mutex
	asked   map[string]int
	running int
	most    int // look-ups running at the same time
}

func (r *resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	r.enter(addr)
	defer r.leave()
	a := netip.MustParseAddr(addr)
	select {
	case <-time.After(r.slow[a]):
	case <-ctx.Done():
		time.Sleep(r.tidy)
		return nil, ctx.Err()
	}
	if r.names != nil {
		return r.names[a], r.err
	}
	return []string{"name-of-" + addr + "."}, r.err
}

func (r *resolver) enter(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == nil {
		r.asked = map[string]int{}
	}
	r.asked[addr]++
	r.running++
	r.most = max(r.most, r.running)
}

func (r *resolver) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
}

// took is how long f takes, in virtual time.
func took(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func TestWhichNameIsShown(t *testing.T) {
	tests := map[string]struct {
		names []string
		err   error
		want  map[netip.Addr]string
	}{
		"a name":                        {names: []string{"router.example"}, want: map[netip.Addr]string{addrA: "router.example"}},
		"a name with a trailing dot":    {names: []string{"router.example."}, want: map[netip.Addr]string{addrA: "router.example"}},
		"only one dot is the root's":    {names: []string{"router.example.."}, want: map[netip.Addr]string{addrA: "router.example."}},
		"the first of several":          {names: []string{"b.example.", "a.example."}, want: map[netip.Addr]string{addrA: "b.example"}},
		"none":                          {names: []string{}, want: map[netip.Addr]string{}},
		"the root alone is no name":     {names: []string{"."}, want: map[netip.Addr]string{}},
		"an empty name is none":         {names: []string{""}, want: map[netip.Addr]string{}},
		"no such address":               {names: []string{}, err: &net.DNSError{IsNotFound: true}, want: map[netip.Addr]string{}},
		"the name servers don't answer": {names: []string{}, err: errors.New("no answer"), want: map[netip.Addr]string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := annotate.NewNames(&resolver{names: map[netip.Addr][]string{addrA: test.names}, err: test.err})
				defer n.Close()
				if d := cmp.Diff(test.want, n.Wait([]netip.Addr{addrA}), equal); d != "" {
					t.Errorf("-want +got\n%s", d)
				}
			})
		})
	}
}

func TestHowLongALineWaits(t *testing.T) {
	tests := map[string]struct {
		slow map[netip.Addr]time.Duration
		line []netip.Addr
		took time.Duration
		want map[netip.Addr]string
	}{
		"no address": {},
		"as long as the slowest": {
			slow: map[netip.Addr]time.Duration{addrA: 10 * ms, addrB: 499 * ms, addrC: 200 * ms},
			line: []netip.Addr{addrA, addrB, addrC}, took: 499 * ms,
			want: map[netip.Addr]string{addrA: "name-of-192.0.2.1", addrB: "name-of-192.0.2.2", addrC: "name-of-192.0.2.3"},
		},
		"half a second for all together": {
			slow: map[netip.Addr]time.Duration{addrA: time.Hour, addrB: time.Hour, addrC: time.Hour},
			line: []netip.Addr{addrA, addrB, addrC}, took: 500 * ms,
			want: map[netip.Addr]string{},
		},
		"those found by then, behind a slow one": {
			slow: map[netip.Addr]time.Duration{addrA: 501 * ms, addrB: 10 * ms, addrC: 499 * ms},
			line: []netip.Addr{addrA, addrB, addrC}, took: 500 * ms,
			want: map[netip.Addr]string{addrB: "name-of-192.0.2.2", addrC: "name-of-192.0.2.3"},
		},
		"those found by then, before a slow one": {
			slow: map[netip.Addr]time.Duration{addrA: 400 * ms, addrB: time.Hour, addrC: time.Hour},
			line: []netip.Addr{addrA, addrB, addrC}, took: 500 * ms,
			want: map[netip.Addr]string{addrA: "name-of-192.0.2.1"},
		},
		"an address twice": {
			slow: map[netip.Addr]time.Duration{addrA: 30 * ms},
			line: []netip.Addr{addrA, addrA}, took: 30 * ms,
			want: map[netip.Addr]string{addrA: "name-of-192.0.2.1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := annotate.NewNames(&resolver{slow: test.slow})
				defer n.Close()
				var got map[netip.Addr]string
				if d := took(func() { got = n.Wait(test.line) }); d != test.took {
					t.Errorf("took %v, want %v", d, test.took)
				}
				if d := cmp.Diff(test.want, got, equal); d != "" {
					t.Errorf("-want +got\n%s", d)
				}
			})
		})
	}
}

// What one line didn't wait for is there for the next.
func TestALaterLineHasNamesThatCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := annotate.NewNames(&resolver{slow: map[netip.Addr]time.Duration{addrA: 700 * ms}})
		defer n.Close()
		if got := n.Wait([]netip.Addr{addrA}); len(got) != 0 {
			t.Fatalf("after 500 ms: %v", got)
		}
		var got map[netip.Addr]string
		if d := took(func() { got = n.Wait([]netip.Addr{addrA}) }); d != 200*ms || len(got) != 1 {
			t.Errorf("%v after another %v", got, d)
		}
		if d := took(func() { got = n.Wait([]netip.Addr{addrA}) }); d != 0 || len(got) != 1 {
			t.Errorf("%v, known already, after another %v", got, d)
		}
	})
}

// The look-up begins when the reply comes, not when its line is written.
func TestWantBeginsTheLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := annotate.NewNames(&resolver{slow: map[netip.Addr]time.Duration{addrA: 800 * ms}})
		defer n.Close()
		if d := took(func() { n.Want(addrA) }); d != 0 {
			t.Errorf("Want took %v", d)
		}
		time.Sleep(600 * ms)
		var got map[netip.Addr]string
		if d := took(func() { got = n.Wait([]netip.Addr{addrA}) }); d != 200*ms || len(got) != 1 {
			t.Errorf("%v after %v", got, d)
		}
	})
}

func TestAnAddressIsLookedUpOnce(t *testing.T) {
	tests := map[string]error{"found": nil, "not found": errors.New("not found")}
	for name, err := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &resolver{err: err, slow: map[netip.Addr]time.Duration{addrA: 700 * ms}}
				n := annotate.NewNames(r)
				defer n.Close()
				var users sync.WaitGroup
				for range 10 {
					users.Go(func() {
						for range 3 {
							n.Want(addrA)
							n.Wait([]netip.Addr{addrA, addrB})
						}
					})
				}
				users.Wait()
				if d := cmp.Diff(map[string]int{addrA.String(): 1, addrB.String(): 1}, r.asked); d != "" {
					t.Errorf("-want +got\n%s", d)
				}
			})
		})
	}
}

func TestLookUpsAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &resolver{slow: map[netip.Addr]time.Duration{}}
		var all []netip.Addr
		for i := range 100 {
			a := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			r.slow[a] = 10 * ms
			all = append(all, a)
		}
		n := annotate.NewNames(r)
		defer n.Close()
		var got map[netip.Addr]string
		// 16 at a time are 7 turns.
		if d := took(func() { got = n.Wait(all) }); d != 70*ms || len(got) != 100 || r.most != 16 {
			t.Errorf("%d names after %v, at most %d at a time", len(got), d, r.most)
		}
	})
}

// Close ends the look-ups that run and those that wait for their turn, and
// returns when the last of them has.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &resolver{slow: map[netip.Addr]time.Duration{}, tidy: 30 * ms}
		var all []netip.Addr
		for i := range 40 {
			a := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			r.slow[a] = time.Hour
			all = append(all, a)
		}
		n := annotate.NewNames(r)
		for _, a := range all {
			n.Want(a)
		}
		synctest.Wait()
		if r.running != 16 {
			t.Fatalf("%d look-ups are running", r.running)
		}
		// Whoever waits for a name is let go at once.
		var waited time.Duration
		var line sync.WaitGroup
		line.Go(func() { waited = took(func() { n.Wait([]netip.Addr{addrA}) }) })
		synctest.Wait()
		if d := took(n.Close); d != r.tidy || r.running != 0 {
			t.Errorf("Close took %v, %d look-ups are still running", d, r.running)
		}
		line.Wait()
		if waited != 0 {
			t.Errorf("the line waited %v", waited)
		}
		if len(r.asked) != 16 {
			t.Errorf("%d look-ups were begun", len(r.asked))
		}
	})
}

func TestNilNamesKnowNothing(t *testing.T) {
	var n *annotate.Names
	n.Want(addrA)
	if got := n.Wait([]netip.Addr{addrA}); got != nil {
		t.Errorf("%v: nil says that names are not looked up", got)
	}
	n.Close()
}
