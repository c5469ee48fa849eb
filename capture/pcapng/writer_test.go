package pcapng_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// writer has written a section header and an Ethernet interface.
func writer(t testing.TB, out io.Writer) *pcapng.Writer {
	t.Helper()
	w, err := pcapng.NewWriter(out, pcapng.Section{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddInterface(pcapng.Interface{Name: "eth0", Link: frame.Ethernet, SnapLen: 2048}); err != nil {
		t.Fatal(err)
	}
	return w
}

// written is a frame that can be written.
func written(comments ...string) frame.Frame {
	return frame.Frame{
		Time: time.Unix(1_700_000_000, 123_456_789).UTC(), Data: bytes.Repeat([]byte("x"), 61), Length: 1500,
		Link: frame.Ethernet, Direction: frame.Out, Comments: comments,
	}
}

// blocks takes every Write, and checks that it is of one block.
type blocks struct {
	t testing.TB
	bytes.Buffer
	writes int
}

func (b *blocks) Write(block []byte) (int, error) {
	b.writes++
	if n := int(little.AppendByteOrder.(interface{ Uint32([]byte) uint32 }).Uint32(block[4:])); n != len(block) {
		b.t.Errorf("a Write of %d bytes, of a block of %d", len(block), n)
	}
	return b.Buffer.Write(block)
}

func TestWriterWritesWhatIsReadBack(t *testing.T) {
	out := &blocks{t: t}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	section := pcapng.Section{Hardware: "machine", OS: "system", Application: "program"}
	eth0 := pcapng.Interface{Name: "eth0", Description: "uplink", Filter: "icmp or udp", Hardware: "virtio", OS: "Linux 6",
		MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Link: frame.Ethernet, SnapLen: 2048}
	tun0 := pcapng.Interface{Name: "tun0", Link: frame.Raw, SnapLen: 2048}
	w, err := pcapng.NewWriter(out, section, "of the section", "")
	must(err)
	for number, i := range []pcapng.Interface{eth0, tun0} {
		got, err := w.AddInterface(i, "of "+i.Name)
		if err != nil || got != number {
			t.Fatalf("interface %d, error %v, want %d", got, err, number)
		}
	}
	first, second := written("µs", strings.Repeat("x", 65535)), written()
	second.Interface, second.Link, second.Direction, second.Data = 1, frame.Raw, frame.In, []byte{}
	third := written()
	third.Time, third.Length, third.Direction = frame.End().Time, 1, frame.Unknown
	names := map[netip.Addr]string{
		netip.MustParseAddr("10.0.0.6"): "router.example", netip.MustParseAddr("2001:db8::6"): "six.example",
		netip.MustParseAddr("::ffff:10.0.0.7"): "mapped",
	}
	counts := pcapng.Statistics{Start: stamp(1, 1), End: stamp(2, 2), Received: math.MaxUint64, Dropped: 3}
	must(w.WriteFrame(&first))
	must(w.WriteNames(names, "of the names"))
	must(w.WriteFrame(&second))
	must(w.WriteStatistics(1, counts, "of the statistics"))
	must(w.WriteFrame(&third))
	must(w.WriteNames(nil))
	must(w.WriteNames(nil, "of no names"))
	must(w.WriteStatistics(0, pcapng.Statistics{}))

	got, err := read(out.Bytes())
	must(err)
	first.Comments = append([]string{"of the section", "", "of eth0", "of tun0"}, first.Comments...)
	second.Comments, third.Comments = []string{"of the names"}, []string{"of the statistics"}
	first.Before, second.Before, third.Before = 4, 1, 1
	third.Gap = lost(3, second.Time, second.Time)
	third.Length = len(third.Data)
	if diff := cmp.Diff([]frame.Frame{first, second, third, end("of no names")}, got.frames); diff != "" {
		t.Error(diff)
	}
	r := got.reader
	if diff := cmp.Diff([]any{section, []pcapng.Interface{eth0, tun0}, pcapng.Statistics{}, counts},
		[]any{r.Section(), r.Interfaces(), r.Statistics(0), r.Statistics(1)}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(names, r.Names(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if out.writes != 10 {
		t.Errorf("%d blocks, want 10", out.writes)
	}
}

func TestWriterWritesManyNames(t *testing.T) {
	out := &blocks{t: t}
	w := writer(t, out)
	names := map[netip.Addr]string{}
	for addr := netip.MustParseAddr("2001:db8::"); len(names) < 10_000; addr = addr.Next() {
		names[addr] = strings.Repeat("n", 255)
	}
	if err := w.WriteNames(names, "many"); err != nil {
		t.Fatal(err)
	}
	got, err := read(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.reader.Names()) != len(names) || len(got.frames[0].Comments) != 1 {
		t.Errorf("%d names of %d, comments %q", len(got.reader.Names()), len(names), got.frames[0].Comments)
	}
}

func TestWriterRefusesAndGoesOn(t *testing.T) {
	long := strings.Repeat("x", 65536)
	one := netip.MustParseAddr("10.0.0.1")
	change := func(change func(*frame.Frame)) func(*pcapng.Writer) error {
		f := written()
		change(&f)
		return func(w *pcapng.Writer) error { return w.WriteFrame(&f) }
	}
	add := func(i pcapng.Interface, comments ...string) func(*pcapng.Writer) error {
		i.SnapLen = 2048
		return func(w *pcapng.Writer) error { _, err := w.AddInterface(i, comments...); return err }
	}
	name := func(addr netip.Addr, name string) func(*pcapng.Writer) error {
		return func(w *pcapng.Writer) error { return w.WriteNames(map[netip.Addr]string{addr: name}) }
	}
	for _, c := range []struct {
		name, want string
		write      func(*pcapng.Writer) error
	}{
		{"a watermark", "pcapng: a watermark is no frame to write", change(func(f *frame.Frame) { *f = frame.End() })},
		{"no such interface", "pcapng: a frame of interface 1 of 1", change(func(f *frame.Frame) { f.Interface = 1 })},
		{"a negative interface", "pcapng: a frame of interface -1 of 1", change(func(f *frame.Frame) { f.Interface = -1 })},
		{"another link", `pcapng: a frame of link type 101 on interface "eth0" of link type 1`,
			change(func(f *frame.Frame) { f.Link = frame.Raw })},
		{"a long frame", "pcapng: a frame of 2049 bytes, above the snapshot length of 2048",
			change(func(f *frame.Frame) { f.Data = make([]byte, 2049) })},
		{"a frame of before 1970", "pcapng: a frame stamped 1969-12-31 23:59:59.999999999 +0000 UTC",
			change(func(f *frame.Frame) { f.Time = stamp(0, -1) })},
		{"a frame of no time", "pcapng: a frame stamped 0001-01-01 00:00:00 +0000 UTC",
			change(func(f *frame.Frame) { f.Time = time.Time{} })},
		{"a frame of after 2262", "pcapng: a frame stamped 2262-04-11 23:47:16.854775808 +0000 UTC",
			change(func(f *frame.Frame) { f.Time = frame.End().Time.Add(1) })},
		{"a long comment", "pcapng: 65536 bytes of text, above 65535", change(func(f *frame.Frame) { f.Comments = []string{"", long} })},
		{"a comment with a NUL", "pcapng: a NUL byte in a text", change(func(f *frame.Frame) { f.Comments = []string{"a\x00"} })},
		{"a comment that is not UTF-8", "pcapng: a text that is not UTF-8", change(func(f *frame.Frame) { f.Comments = []string{"\xff"} })},
		{"many comments", "pcapng: a block of 589968 bytes, above 524288", change(func(f *frame.Frame) {
			f.Comments = slices.Repeat([]string{long[:65535]}, 9)
		})},
		{"another snapshot length", `pcapng: interface "eth1" has snapshot length 262144, and the first one has 2048`,
			func(w *pcapng.Writer) error { _, err := w.AddInterface(pcapng.Interface{Name: "eth1"}); return err }},
		{"an odd MAC address", `pcapng: interface "eth1" has a MAC address of 5 bytes`,
			add(pcapng.Interface{Name: "eth1", MAC: make(net.HardwareAddr, 5)})},
		{"a name that is not UTF-8", "pcapng: a text that is not UTF-8", add(pcapng.Interface{Name: "\xff"})},
		{"a filter with a NUL", "pcapng: a NUL byte in a text", add(pcapng.Interface{Filter: "\x00"})},
		{"a long filter", "pcapng: a filter of 65535 bytes", add(pcapng.Interface{Filter: long[:65535]})},
		{"an interface with a long comment", "pcapng: 65536 bytes of text, above 65535", add(pcapng.Interface{}, long)},
		{"an empty name", `pcapng: "" can't be written as the name of 10.0.0.1`, name(one, "")},
		{"a name with a NUL", `pcapng: "a\x00" can't be written as the name of 10.0.0.1`, name(one, "a\x00")},
		{"a name of no address", `pcapng: "a" can't be written as the name of invalid IP`, name(netip.Addr{}, "a")},
		{"a long name", `pcapng: "` + long[:255] + `" can't be written as the name of 10.0.0.1`, name(one, long[:256])},
		{"statistics of no interface", "pcapng: statistics of interface 1 of 1",
			func(w *pcapng.Writer) error { return w.WriteStatistics(1, pcapng.Statistics{}) }},
		{"statistics of before 1970", "pcapng: statistics stamped 1969-12-31 23:59:59 +0000 UTC",
			func(w *pcapng.Writer) error { return w.WriteStatistics(0, pcapng.Statistics{Start: stamp(-1, 0)}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := &blocks{t: t}
			w := writer(t, out)
			if err := c.write(w); err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
			f := written("after it")
			if err := w.WriteFrame(&f); err != nil || out.writes != 3 {
				t.Errorf("%d blocks were written, and then: %v", out.writes, err)
			}
			if got, err := read(out.Bytes()); err != nil || len(got.frames) != 2 {
				t.Errorf("%d frames read, %v", len(got.frames), err)
			}
		})
	}
	if _, err := pcapng.NewWriter(io.Discard, pcapng.Section{OS: long}); err == nil {
		t.Error("a section header with a long text was written")
	}
}

// full is a disk with room for so many blocks.
type full struct{ room int }

var errFull = errors.New("disk full")

func (f *full) Write(b []byte) (int, error) {
	if f.room == 0 {
		return 1, errFull
	}
	f.room--
	return len(b), nil
}

func TestWriterWritesNothingAfterACutBlock(t *testing.T) {
	disk := &full{room: 3}
	w, f := writer(t, disk), written()
	if err := w.WriteFrame(&f); err != nil {
		t.Fatal(err)
	}
	first := w.WriteFrame(&f)
	disk.room = 1
	again := w.WriteFrame(&f)
	if !errors.Is(first, errFull) || first.Error() != "pcapng: disk full" || again != first || disk.room != 1 {
		t.Errorf("errors %v and %v, room for %d", first, again, disk.room)
	}
	if _, err := pcapng.NewWriter(&full{}, pcapng.Section{}); !errors.Is(err, errFull) {
		t.Errorf("no room for a section header: %v", err)
	}
}
