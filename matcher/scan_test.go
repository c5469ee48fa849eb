package matcher_test

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// The table's indexes find what a slow and obvious scan of all probes finds.
func TestTableAgainstScan(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	found := 0
	for range 300 {
		r := newRun(t, 0)
		for range 1 + random.IntN(12) {
			p := craft.Probe{
				Src: host, Dst: target, TTL: uint8(1 + random.IntN(9)),
				// So few values that probes often share some of them.
				ID: uint16(1 + random.IntN(3)*0x0101), SrcPort: uint16(random.IntN(2)), DstPort: uint16(random.IntN(2)), Length: 60,
			}
			r.send(p)
		}
		for range 20 {
			q := append([]byte(nil), r.packets[random.IntN(len(r.packets))]...)
			length := 28
			if random.IntN(3) == 0 {
				length = 60
			}
			for _, at := range []int{atID, atSrcPort, atDstPort, atChecksum, atCookie, atDst} {
				if random.IntN(5) == 0 {
					copy(q[at:], r.packets[random.IntN(len(r.packets))][at:at+2])
				}
				if random.IntN(20) == 0 {
					q[at] ^= 0x80
				}
			}
			want := r.scan(q[:length])
			r.again()
			m, err := r.decide(icmpError(router, 11, 0, q, length))
			got := m.Probe
			if err != nil {
				got = -1
			} else {
				found++
			}
			// Of probes that are the same in all that identifies them the
			// scan doesn't choose.
			if got != want && !(got >= 0 && want >= 0 && r.keys[got] == r.keys[want]) {
				t.Fatalf("the table says %d (%v), the scan %d, of quote % x", got, err, want, q[:length])
			}
		}
	}
	if found < 1000 {
		t.Errorf("only %d of the quotes were anybody's", found)
	}
}

// again forgets all that was matched.
func (r *run) again() {
	r.table.Reset()
	for i := range r.keys {
		r.table.Sent(&r.keys[i], r.packets[i][atTTL], start)
	}
}

// scan finds the probe of a quote by comparing with the bytes of every probe.
func (r *run) scan(q []byte) int {
	u16 := func(b []byte, at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
	best, most, unsure := -1, 0, false
	for i, p := range r.packets {
		if len(q) >= atCookie+8 && string(q[atCookie:atCookie+8]) != string(p[atCookie:atCookie+8]) {
			continue
		}
		if string(q[atDst:atDst+4]) != string(p[atDst:atDst+4]) || u16(q, atDstPort) != u16(p, atDstPort) {
			continue
		}
		n := 0
		if id := u16(q, atID); id == u16(p, atID) || bits.ReverseBytes16(id) == u16(p, atID) {
			n++
		}
		if u16(q, atSrcPort) == u16(p, atSrcPort) {
			n++
		}
		if len(q) > atChecksum+1 && u16(q, atChecksum) == u16(p, atChecksum) {
			n++
		}
		switch {
		case n < 2 || n < most:
		case n > most:
			best, most, unsure = i, n, false
		case r.keys[i] != r.keys[best]:
			unsure = true
		}
	}
	switch {
	case unsure:
		return -1
	case best >= 0 || len(q) < atCookie+8:
		return best
	}
	for i, p := range r.packets {
		if string(q[atCookie:atCookie+8]) == string(p[atCookie:atCookie+8]) {
			if best >= 0 {
				return -1 // a cookie of two probes tells nothing
			}
			best = i
		}
	}
	return best
}

// Whatever comes in, it is matched only if it shows the cookie, or enough of
// the fields, of a probe.
func FuzzMatch(f *testing.F) {
	r := newRun(f, 5)
	for i, p := range r.packets {
		f.Add(icmpError(router, 11, 0, p, 28+i*8))
		f.Add(p)
	}
	f.Add(datagram(target, host, 33434, 40000, []byte("an answer")))
	f.Fuzz(func(t *testing.T, ip []byte) {
		r := newRun(t, 5)
		m, err := r.match(ip, frame.Unknown)
		if err != nil {
			if !reflect.DeepEqual(m, matcher.Match{}) {
				t.Fatalf("%+v with %v", m, err)
			}
			return
		}
		if m.Probe < 0 || m.Probe >= 5 {
			t.Fatalf("probe %d", m.Probe)
		}
		if m.Copy || !m.Reply.IsQuoted() {
			return
		}
		header := int(ip[0]&0xf) * 4
		if q := padded(ip[header+8:]); r.scan(q) != m.Probe || len(q) < atCookie+8 && !agrees(q, r.packets[m.Probe]) {
			t.Fatalf("%+v, the scan says %d", m, r.scan(q))
		}
	})
}

// agrees reports whether a short quote agrees with a probe in all that tells
// probes apart. The UDP length does not: it is the same for all of a trace.
func agrees(q, probe []byte) bool {
	for _, at := range []int{atID, atSrcPort, atDstPort, atChecksum} {
		if string(q[at:at+2]) != string(probe[at:at+2]) {
			return false
		}
	}
	return true
}

// padded removes the IP options of a quote, and cuts it so that the scan sees
// a cookie where the table does. On a source route the destination is the
// route's end.
func padded(q []byte) []byte {
	header := int(q[0]&0xf) * 4
	options := q[20:header]
	q = append(append([]byte(nil), q[:20]...), q[header:]...)
	if end := routeEnd(options); end != nil {
		copy(q[atDst:], end)
	}
	if len(q) < 28 {
		return q // it shows the ports
	}
	if n := int(binary.BigEndian.Uint16(q[24:])); n >= 8 && 20+n < len(q) {
		q = q[:20+n]
	}
	if len(q) < atCookie+8 || q[atCookie+7] == 0 {
		q = q[:28] // what ends in a zero byte is padding, not a cookie
	}
	return q
}

// routeEnd is the last address of a source route that is not at its end (RFC 791,
// section 3.1), or nil.
func routeEnd(options []byte) []byte {
	for len(options) > 0 && options[0] != 0 {
		if options[0] == 1 {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return nil
		}
		n := int(options[1])
		if kind := options[0]; (kind == 131 || kind == 137) && n >= 7 && int(options[2]) <= n {
			return options[n-4 : n]
		}
		options = options[n:]
	}
	return nil
}
