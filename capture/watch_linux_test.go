//go:build linux && cgo

package capture

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// gaps ranges over a Live until it has told of so many gaps; before the first, and
// after each, it calls next with how many there were.
func gaps(t *testing.T, live *Live, n int, next func(int)) (all []frame.Gap) {
	t.Helper()
	begun := false
	until(t, live, func(f frame.Frame) bool {
		if f.Gap != nil {
			if !f.IsWatermark() || !f.Time.IsZero() {
				t.Errorf("a gap in %+v", f)
			}
			if all = append(all, *f.Gap); len(all) < n {
				next(len(all))
			}
		} else if !begun {
			begun = true
			next(0)
		}
		return len(all) == n
	})
	return all
}

// What the ring has no room for is a gap that ends before the next idle moment, with
// the number of frames.
func TestLiveTellsOfFramesItLost(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{Buffer: 1 << 16, Filter: "udp port 9"})
	wanted := udpFrame(&l.host, 9, "x")
	const sent = 500
	for range sent {
		inject(t, live, wanted)
	}
	read, lost := 0, 0
	until(t, live, func(f frame.Frame) bool {
		switch {
		case f.Gap != nil:
			lost += f.Gap.Frames
			if f.Gap.Cause != frame.Overrun || f.Gap.From.IsZero() || f.Gap.To.Before(f.Gap.From) {
				t.Errorf("%+v", f.Gap)
			}
		case !f.IsWatermark():
			read++
		}
		return f.IsWatermark() && f.Gap == nil
	})
	if read == sent || read+lost != sent {
		t.Errorf("%d frames were read, %d lost, of %d", read, lost, sent)
	}
}

func TestLiveTellsOfALostCarrier(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{})
	told := gaps(t, live, 2, func(n int) {
		l.peer.Node.Run("ip", "link", "set", "dev", l.peer.Interface, []string{"down", "up"}[n])
	})
	lost, back := told[0], told[1]
	if lost.Cause != frame.NoCarrier || lost.From.IsZero() || !lost.To.IsZero() {
		t.Errorf("%+v", lost)
	}
	if back.Cause != frame.NoCarrier || !back.From.Equal(lost.From) || !back.To.After(back.From) {
		t.Errorf("%+v, after %+v", back, lost)
	}
}

// A link that is lost before is told of at once.
func TestLiveWithoutACarrier(t *testing.T) {
	l := newLab(t)
	l.peer.Node.Run("ip", "link", "set", "dev", l.peer.Interface, "down")
	live := l.open(t, LiveOptions{})
	if told := gaps(t, live, 1, func(int) {}); told[0].Cause != frame.NoCarrier || !told[0].To.IsZero() {
		t.Errorf("%+v", told)
	}
}

func TestLiveTellsOfARemovedAddress(t *testing.T) {
	l := newLab(t)
	l.Host().Run("sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/"+l.host.Interface+"/disable_ipv6")
	for _, addr := range []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("2001:db8::7/64")} {
		l.Host().Run("ip", "address", "add", addr.String(), "dev", l.host.Interface, "nodad")
		live := l.open(t, LiveOptions{})
		told := gaps(t, live, 2, func(n int) {
			l.Host().Run("ip", "address", []string{"del", "add"}[n], addr.String(), "dev", l.host.Interface)
		})
		if told[0].Cause != frame.AddressRemoved || told[0].Addr != addr.Addr() || !told[0].To.IsZero() {
			t.Errorf("%+v", told[0])
		}
		if told[1].Addr != addr.Addr() || told[1].To.IsZero() {
			t.Errorf("%+v", told[1])
		}
	}
}

// What happens to other interfaces is nothing of this one's.
func TestLiveHeedsItsOwnInterface(t *testing.T) {
	l := newLab(t)
	l.Host().Run("ip", "link", "add", "other0", "type", "veth", "peer", "other1")
	l.Host().Run("ip", "address", "add", "192.0.2.7/24", "dev", "other0")
	l.Host().Run("ip", "link", "set", "other0", "up")
	live := l.open(t, LiveOptions{})
	l.Host().Run("ip", "address", "del", "192.0.2.7/24", "dev", "other0")
	l.Host().Run("ip", "link", "set", "other0", "down")
	l.peer.Node.Run("ip", "link", "set", "dev", l.peer.Interface, "down")
	if told := gaps(t, live, 1, func(int) {}); told[0].Cause != frame.NoCarrier {
		t.Errorf("%+v", told)
	}
}

// What ended before it could be told of is one gap, which is over: an address that
// is configured anew is not lost.
func TestNoticesOfOneLook(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.7")
	from, to := time.Unix(1, 0).UTC(), time.Unix(2, 0).UTC()
	w := newWatched(from)
	var found []frame.Gap
	for _, begins := range []bool{true, false} {
		found = w.heed(found, notice{frame.AddressRemoved, addr, begins}, from, to)
	}
	want := frame.Gap{From: from, To: to, Cause: frame.AddressRemoved, Addr: addr}
	if len(found) != 1 || !found[0].Equal(want) || len(w.gaps) > 0 {
		t.Errorf("%+v, want %+v; %+v", found, want, w.gaps)
	}
}
