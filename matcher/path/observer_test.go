package path_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
)

// A reply is one probe's. A file that says that many traces sent the same probe does not
// make as many replies of it.
func TestAReplyIsOfOneTrace(t *testing.T) {
	one, other := newLab(t, path.Parameters{}), newLab(t, path.Parameters{})
	n := one.probe(1)
	if other.probe(1); !bytes.Equal(one.sent[n], other.sent[n]) {
		t.Fatal("the probes differ")
	}
	ip, err := capturetest.ICMPError{
		From: netip.MustParseAddr(r1), To: netip.MustParseAddr(host), Type: layers.ICMPv4TypeTimeExceeded,
		Datagram: capturetest.WithTTL(one.sent[n], 1),
	}.Packet()
	if err != nil {
		t.Fatal(err)
	}
	f := frame.Frame{Time: start.Add(ms), Link: frame.Raw, Direction: frame.In, Data: ip, Length: len(ip)}
	if !one.capture.Observe(&f, one.rec, other.rec) {
		t.Error("the reply is of neither")
	}
	want := [2]path.Counters{{Sent: 1, Received: 1}, {Sent: 1}}
	if d := cmp.Diff(want, [2]path.Counters{one.finish().Counters, other.finish().Counters}); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
