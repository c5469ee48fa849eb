package matcher_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// endless is a run whose probes are forgotten, and the packets of those it knows.
type endless struct {
	t       testing.TB
	run     matcher.Run
	table   matcher.Table
	message matcher.Message
	builder *craft.Builder
	frame   frame.Frame
	sent    int
	packets [64][]byte // of the latest probes, by their number
	replies [64][]byte // time-exceededs about them
}

func newEndless(t testing.TB) *endless {
	t.Helper()
	b, err := craft.NewBuilder(craft.Link{}, craft.Secret{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	e := &endless{t: t, builder: b, frame: frame.Frame{Link: frame.Raw, Time: start}}
	e.table.Add(&e.run, target)
	return e
}

// send sends the next probe: each ID returns in another epoch.
func (e *endless) send() int {
	e.frame.Time = e.frame.Time.Add(time.Millisecond)
	ip, key, err := e.builder.Frame(&craft.Probe{
		Src: host, Dst: target, TTL: uint8(e.sent%30 + 1), ID: uint16(e.sent), Epoch: uint32(e.sent >> 16),
		SrcPort: 40000, DstPort: 33434, Length: 60,
	})
	if err != nil {
		e.t.Fatal(err)
	}
	n := e.run.Sent(&key, uint8(e.sent%30+1), e.frame.Time)
	if n != e.sent {
		e.t.Fatalf("probe %d has number %d", e.sent, n)
	}
	e.packets[n%64] = append(e.packets[n%64][:0], ip...)
	e.sent++
	return n
}

// show matches a packet, which comes now.
func (e *endless) show(ip []byte) (matcher.Match, error) {
	e.frame.Data, e.frame.Length = ip, len(ip)
	if err := e.message.ReadOwn(&e.frame); err != nil {
		return matcher.Match{}, err
	}
	return e.run.Match(&e.message)
}

// What a quote is of is what a scan of the probes that are not forgotten says.
func TestForgetAgainstScan(t *testing.T) {
	e, random := newEndless(t), rand.New(rand.NewPCG(3, 5))
	kept := 0 // the first that is not forgotten
	matched := 0
	for range 5000 {
		e.send()
		kept = max(kept, e.sent-60)
		if random.IntN(8) == 0 {
			kept = max(kept, e.sent-1-random.IntN(50))
		}
		e.run.Forget(kept)
		n := max(0, e.sent-1-random.IntN(64))
		length := 60
		if random.IntN(2) == 0 {
			length = 28
		}
		m, err := e.show(icmpError(router, 11, 0, e.packets[n%64], length))
		concerned := len(e.table.Concerned(&e.message))
		if want := n >= kept; want != (err == nil) || want && m.Probe != n || concerned != 1 {
			t.Fatalf("after %d probes, of which the first %d are forgotten, a quote of %d is %+v, %v", e.sent, kept, n, m, err)
		}
		if err == nil {
			matched++
		}
		e.run.Expire(n)
		e.run.Withdraw(kept - 1)
	}
	if matched < 1000 {
		t.Errorf("only %d were anybody's", matched)
	}
}

// A quote that is held is rejected once what it may be of is forgotten, and what is held
// of others is still decided.
func TestForgetDecidesWhatIsHeld(t *testing.T) {
	e := newEndless(t)
	var quotes [4][]byte
	for n := range 4 {
		e.send()
		quotes[n] = append([]byte(nil), e.packets[n]...)
		quotes[n][atChecksum] ^= 0x40 + byte(n) // port and ID agree
		if _, err := e.show(icmpError(router, 11, 0, quotes[n], 28)); err == nil || !e.run.Hold(&e.message, true) {
			t.Fatalf("%d is not held: %v", n, err)
		}
		if n == 1 {
			e.run.Forget(2)
		}
	}
	for range 2 {
		if _, _, ok := e.run.Rejected(); !ok {
			t.Error("too few are rejected")
		}
	}
	if _, _, ok := e.run.Rejected(); ok {
		t.Error("too many are rejected")
	}
	e.run.Expire(3)
	if m, ok := e.run.Released(); !ok || m.Probe != 3 {
		t.Errorf("%+v, %v", m, ok)
	}
}

// Sending, matching and forgetting a probe takes no memory, however many there were.
func TestForgottenProbesTakeNoMemory(t *testing.T) {
	e := newEndless(t)
	e.prepare()
	for range 2000 {
		e.cycle()
	}
	if n := testing.AllocsPerRun(3000, e.cycle); n != 0 {
		t.Errorf("%v allocations a probe", n)
	}
}

// prepare makes an error that each cycle can use.
func (e *endless) prepare() {
	n := e.send()
	e.replies[0] = icmpError(router, 11, 0, e.packets[n%64], 60)
}

// cycle sends a probe, sees it leave and be answered, and forgets the one of 60 probes
// before.
func (e *endless) cycle() {
	n := e.send()
	if m, err := e.show(e.packets[n%64]); err != nil || m.Probe != n || !m.Copy {
		e.t.Fatalf("%+v, %v", m, err)
	}
	reply := e.replies[0]
	copy(reply[len(reply)-60:], e.packets[n%64])
	if m, err := e.show(reply); err != nil || m.Probe != n || m.Copy {
		e.t.Fatalf("%+v, %v", m, err)
	}
	e.run.Expire(n)
	e.run.Forget(n - 60)
}

// BenchmarkForget measures a probe of a run without end, from its being sent to its
// being forgotten, after few and after many others.
func BenchmarkForget(b *testing.B) {
	for _, before := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("after=%d", before), func(b *testing.B) {
			e := newEndless(b)
			e.prepare()
			for range before {
				e.cycle()
			}
			b.ReportAllocs()
			for b.Loop() {
				e.cycle()
			}
		})
	}
}
