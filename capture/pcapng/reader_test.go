package pcapng_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// lost is a gap in which frames came too fast.
func lost(frames int, from, to time.Time) *frame.Gap {
	return &frame.Gap{From: from, To: to, Frames: frames}
}

func stamp(sec, ns int64) time.Time { return time.Unix(sec, ns).UTC() }

func TestReaderReadsEveryKindOfBlock(t *testing.T) {
	want := []frame.Frame{
		{Time: stamp(1, 1), Data: []byte("frame one"), Length: 9, Link: frame.Ethernet, Direction: frame.Out,
			Comments: []string{"section", "interface", "one"}, Before: 2},
		{Time: stamp(1, 1), Data: []byte("two"), Length: 3, Link: frame.Ethernet, Comments: []string{"names"}, Before: 1},
		{Time: stamp(2, 0), Data: []byte("three"), Length: 60, Link: frame.Ethernet, Comments: []string{"three"},
			Gap: lost(3, stamp(1, 1), stamp(2, 0))},
		end("statistics"),
	}
	want[3].Gap = lost(4, stamp(1, 1), stamp(2, 0)) // of the 7 that the statistics count
	for name, b := range map[string]builder{"little-endian": little, "big-endian": big} {
		t.Run(name, func(t *testing.T) {
			got, err := read(b.good())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.frames); diff != "" {
				t.Error(diff)
			}
			for _, f := range got.frames {
				if f.Time.Location() != time.UTC {
					t.Errorf("a stamp in %v", f.Time.Location())
				}
			}
			router := map[netip.Addr]string{netip.MustParseAddr("10.0.0.1"): "router.example"}
			if diff := cmp.Diff(router, got.reader.Names(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			if s := got.reader.Statistics(0); s.Received != 100 || s.Dropped != 7 {
				t.Errorf("statistics %+v", s)
			}
		})
	}
}

func TestReaderReads(t *testing.T) {
	ethernet := func(sec, ns int64, data string) frame.Frame {
		return frame.Frame{Time: stamp(sec, ns), Data: []byte(data), Length: len(data), Link: frame.Ethernet}
	}
	with := func(f frame.Frame, change func(*frame.Frame)) frame.Frame {
		change(&f)
		return f
	}
	largest := strings.Repeat("x", 262144)
	for _, c := range []struct {
		name   string
		blocks [][]byte
		want   []frame.Frame
	}{
		{"a section header and nothing else", [][]byte{little.section()}, []frame.Frame{end()}},
		{"a section of version 1.2", [][]byte{
			little.block(sectionHeader, 0x1a2b3c4d, uint16(1), uint16(2), uint64(0))}, []frame.Frame{end()}},
		{"unknown blocks only", [][]byte{big.section(), big.block(0x80000001, "x"), big.block(0x40000bad)},
			[]frame.Frame{end()}},
		{"microseconds where nothing is said", [][]byte{little.section(), little.ethernet(), little.packet(0, 1_000_002, "a")},
			[]frame.Frame{ethernet(1, 2000, "a"), end()}},
		{"a frame cut to nothing", [][]byte{little.section(), little.ethernet(),
			little.block(enhancedPacket, 0, 0, 0, 0, 60)},
			[]frame.Frame{{Time: stamp(0, 0), Data: []byte{}, Length: 60, Link: frame.Ethernet}, end()}},
		{"a wire length below what was captured", [][]byte{little.section(), little.ethernet(),
			little.block(enhancedPacket, 0, 0, 0, 3, 2, "abc")}, []frame.Frame{ethernet(0, 0, "abc"), end()}},
		{"a wire length beyond reason", [][]byte{little.section(), little.ethernet(),
			little.block(enhancedPacket, 0, 0, 0, 3, math.MaxUint32, "abc")},
			[]frame.Frame{with(ethernet(0, 0, "abc"), func(f *frame.Frame) { f.Length = math.MaxInt32 }), end()}},
		{"stamps that go back", [][]byte{little.section(), little.ethernet(option{9, byte(0)}),
			little.packet(0, 9, "a"), little.packet(0, 8, "b")}, []frame.Frame{ethernet(9, 0, "a"), ethernet(8, 0, "b"), end()}},
		{"the largest frames", [][]byte{little.section(), little.ethernet(),
			little.packet(0, 0, largest), little.packet(0, 0, largest, comment("large"))},
			[]frame.Frame{ethernet(0, 0, largest),
				with(ethernet(0, 0, largest), func(f *frame.Frame) { f.Comments = []string{"large"} }), end()}},
		{"simple packets: of no stamp, cut, and not", [][]byte{little.section(),
			little.block(interfaceBlock, uint16(101), uint16(0), 4), little.block(simplePacket, 60, "abcd"),
			little.block(simplePacket, 2, "ab")},
			[]frame.Frame{{Time: stamp(0, 0), Data: []byte("abcd"), Length: 60, Link: frame.Raw},
				{Time: stamp(0, 0), Data: []byte("ab"), Length: 2, Link: frame.Raw}, end()}},
		{"directions, and options that are not known", [][]byte{little.section(), little.ethernet(),
			little.packet(0, 0, "a", option{2, uint32(0xfffffffd)}),
			little.packet(0, 0, "b", option{2988, "custom"}, option{2, uint32(2)}, option{9999, ""}, 0, option{2, uint32(1)}),
			little.packet(0, 0, "c", option{2, uint32(3)}), little.packet(0, 0, "d", option{2, "1"})},
			[]frame.Frame{
				with(ethernet(0, 0, "a"), func(f *frame.Frame) { f.Direction = frame.In }),
				with(ethernet(0, 0, "b"), func(f *frame.Frame) { f.Direction = frame.Out }),
				ethernet(0, 0, "c"), ethernet(0, 0, "d"), end()}},
		{"comments: several, of every block, not UTF-8, ended by a NUL", [][]byte{
			little.section(comment("s1"), comment("s2")), little.ethernet(comment("i")),
			little.block(statistics, 0, 0, 0, comment("t")), little.block(names, 0, comment("n")),
			little.block(secrets, 1, 3, "key", comment("k")), little.block(custom, 1, comment("not mine")),
			little.packet(0, 0, "a", comment("a1"), comment("a2")), little.packet(0, 0, "b"),
			little.packet(0, 0, "c", comment("\xff\xfeé"), comment("c\x00d"), comment("")),
			little.block(statistics, 7, 0, 0, comment("of no interface"))},
			[]frame.Frame{
				with(ethernet(0, 0, "a"), func(f *frame.Frame) {
					f.Comments, f.Before = []string{"s1", "s2", "i", "t", "n", "k", "a1", "a2"}, 6
				}),
				ethernet(0, 0, "b"),
				with(ethernet(0, 0, "c"), func(f *frame.Frame) { f.Comments = []string{"\ufffdé", "c", ""} }),
				end("of no interface")}},
		{"interfaces of several links and clocks, between frames, in sections of both byte orders", [][]byte{
			little.section(), little.ethernet(), little.packet(0, 1_000_000, "a"),
			little.block(interfaceBlock, uint16(276), uint16(0), 100, option{9, byte(3)}), little.packet(1, 2_000, "b"),
			big.section(), big.block(interfaceBlock, uint16(101), uint16(0), 0, option{9, byte(0x80)}, option{14, uint64(10)}),
			big.packet(0, 3, "c")},
			[]frame.Frame{ethernet(1, 0, "a"),
				{Time: stamp(2, 0), Data: []byte("b"), Length: 1, Link: frame.LinuxSLL2, Interface: 1},
				{Time: stamp(13, 0), Data: []byte("c"), Length: 1, Link: frame.Raw, Interface: 2}, end()}},
		{"a block of 16 MB that is skipped", [][]byte{little.section(), little.ethernet(),
			little.block(custom, strings.Repeat("x", 16<<20-12)), little.packet(0, 0, "a")},
			[]frame.Frame{ethernet(0, 0, "a"), end()}},
		{"a frame with more comments than are looked into", [][]byte{little.section(), little.ethernet(),
			little.packet(0, 0, "a", slices.Repeat([]any{comment(strings.Repeat("x", 60_000))}, 20)...), little.packet(0, 0, "b")},
			[]frame.Frame{
				with(ethernet(0, 0, "a"), func(f *frame.Frame) {
					f.Comments = slices.Repeat([]string{strings.Repeat("x", 60_000)}, 8)
				}),
				ethernet(0, 0, "b"), end()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := read(slices.Concat(c.blocks...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.frames, cmp.Comparer(bytes.Equal)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReaderKnowsInterfacesNamesAndStatistics(t *testing.T) {
	record := func(addr, names string) []byte { return append(netip.MustParseAddr(addr).AsSlice(), names...) }
	got, err := read(slices.Concat(
		little.section(option{2, "machine"}, option{3, "system"}, option{4, "program"}),
		little.block(interfaceBlock, uint16(1), uint16(0), 2048, option{2, "eth0"}, option{3, "uplink"},
			option{6, "\x02\x00\x00\x00\x00\x63"}, option{11, "\x00icmp or udp"}, option{12, "Linux"}, option{15, "virtio"}),
		little.block(interfaceBlock, uint16(101), uint16(0), 0, option{2, "tun0\x00rest"}, option{6, "short"}, option{11, "\x01code"}),
		little.ethernet(option{9, byte(9)}),
		little.block(names, option{1, string(record("10.0.0.1", "one\x00other\x00"))}, option{2, string(record("2001:db8::1", "six\x00"))},
			option{1, "\x0a"}, option{1, string(record("10.0.0.9", "\x00"))}, option{3, "\x00\x00\x00\x00\x00\x00EUI"},
			option{1, string(record("10.0.0.8", strings.Repeat("x", 256)))}),
		little.block(names, option{1, string(record("10.0.0.1", "two"))}),
		little.packet(0, 0, "a", option{4, uint64(5)}), little.packet(1, 0, "b", option{4, uint64(6)}),
		little.block(obsoletePacket, uint16(1), uint16(7), 0, 0, 1, 1, "c"),
		little.block(obsoletePacket, uint16(1), uint16(65535), 0, 0, 1, 1, "d"),
		little.block(statistics, 0, 0, 0, option{4, uint64(1)}),
		little.block(statistics, 0, 0, 0, option{4, uint64(20)}, option{5, uint64(2)}, option{7, uint64(3)}, option{4, "odd"}),
		little.block(statistics, 2, 0, 0, option{2, []any{0, 7}}, option{3, []any{1, 0}}, option{5, uint64(math.MaxUint64)}, option{7, uint64(1)}),
	))
	if err != nil {
		t.Fatal(err)
	}
	r := got.reader
	if diff := cmp.Diff(pcapng.Section{Hardware: "machine", OS: "system", Application: "program"}, r.Section()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]pcapng.Interface{
		{Name: "eth0", Description: "uplink", Filter: "icmp or udp", Hardware: "virtio", OS: "Linux",
			MAC: net.HardwareAddr{2, 0, 0, 0, 0, 99}, Link: frame.Ethernet, SnapLen: 2048},
		{Name: "tun0", Link: frame.Raw},
		{Link: frame.Ethernet},
	}, r.Interfaces()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("map[10.0.0.1:two 2001:db8::1:six]", fmt.Sprint(r.Names())); diff != "" {
		t.Error(diff)
	}
	for n, want := range []pcapng.Statistics{
		{Received: 20, Dropped: 5},
		{Dropped: 13},
		{Start: stamp(0, 7), End: stamp(4, 294967296), Dropped: math.MaxUint64},
	} {
		if diff := cmp.Diff(want, r.Statistics(n)); diff != "" {
			t.Errorf("interface %d: %s", n, diff)
		}
	}
}

// What a file says was lost is a gap before the next frame, once, however often and
// in whichever blocks the file says so.
func TestReaderTellsOfGaps(t *testing.T) {
	drops := func(n uint64) option { return option{4, n} }
	dropped := func(number uint32, n uint64) []byte {
		return little.block(statistics, number, 0, 0, option{5, n})
	}
	got, err := read(slices.Concat(
		little.section(), little.ethernet(option{9, byte(9)}), little.ethernet(option{9, byte(9)}),
		little.packet(0, 1_000_000_000, "a"), little.packet(1, 2_000_000_000, "b"),
		dropped(0, 5),
		little.packet(0, 3_000_000_000, "c"),
		dropped(0, 5),
		little.packet(0, 4_000_000_000, "d", drops(2)),
		dropped(0, 7),
		little.packet(0, 5_000_000_000, "e"),
		dropped(1, 1), dropped(0, 8),
	))
	if err != nil {
		t.Fatal(err)
	}
	want := []*frame.Gap{
		nil, nil, lost(5, stamp(1, 0), stamp(2, 0)), lost(2, stamp(3, 0), stamp(4, 0)), nil, lost(2, stamp(2, 0), stamp(5, 0)),
	}
	for i := range got.frames {
		if diff := cmp.Diff(want[i], got.frames[i].Gap); diff != "" {
			t.Errorf("frame %d: %s", i, diff)
		}
	}
	if len(got.frames) != len(want) {
		t.Errorf("%d frames, want %d", len(got.frames), len(want))
	}
}

func TestReaderSaysWhatIsWrong(t *testing.T) {
	begin := slices.Concat(little.section(), little.ethernet()) // 28 and 20 bytes
	atTheEnd := func(block []byte, last byte) []byte {
		block[len(block)-4] = last
		return block
	}
	length := func(block []byte, length uint32) []byte {
		binary.LittleEndian.PutUint32(block[4:], length)
		return block
	}
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"nothing", "empty file", nil},
		{"no section header", "not a pcapng file", little.ethernet()},
		{"no byte order", "section header at byte 0: 0x11111111 is not the byte-order magic",
			little.block(sectionHeader, 0x11111111, uint64(0), uint64(0))},
		{"version 2.0", "section header at byte 0: version 2.0 of pcapng is not read",
			big.block(sectionHeader, 0x1a2b3c4d, uint16(2), uint16(0), uint64(0))},
		{"a short section header", "section header at byte 0: block length 24 is too short for it",
			big.block(sectionHeader, 0x1a2b3c4d, uint16(1), uint16(0), 0)},
		{"a length of 0", "block of type 0xbad at byte 48: block length 0 is not a multiple of 4 from 12 to 16777216",
			slices.Concat(begin, length(little.block(custom), 0))},
		{"a length of 8", "frame 1 at byte 48: block length 8 is not a multiple of 4 from 12 to 16777216",
			slices.Concat(begin, length(little.packet(0, 0, "a"), 8))},
		{"an odd length", "interface block at byte 28: block length 21 is not a multiple of 4 from 12 to 16777216",
			slices.Concat(little.section(), length(little.ethernet(), 21))},
		{"a length of 4 GB", "names block at byte 48: block length 4294967292 is not a multiple of 4 from 12 to 16777216",
			slices.Concat(begin, length(little.block(names), math.MaxUint32-3))},
		{"two lengths", "statistics block at byte 48: block length 24 at its front, 23 at its end",
			slices.Concat(begin, atTheEnd(little.block(statistics, 0, 0, 0), 23))},
		{"two lengths of a block that is skipped", "block of type 0xbad at byte 48: block length 1048588 at its front, 1048577 at its end",
			slices.Concat(begin, atTheEnd(little.block(custom, strings.Repeat("x", 1<<20)), 1))},
		{"a short frame", "frame 1 at byte 48: block length 28 is too short for it",
			slices.Concat(begin, little.block(enhancedPacket, 0, 0, 0, 0))},
		{"a short obsolete frame", "frame 1 at byte 48: block length 28 is too short for it",
			slices.Concat(begin, little.block(obsoletePacket, 0, 0, 0, 0))},
		{"a short simple frame", "frame 1 at byte 48: block length 12 is too short for it",
			slices.Concat(begin, little.block(simplePacket))},
		{"a short interface", "interface block at byte 48: block length 16 is too short for it",
			slices.Concat(begin, little.block(interfaceBlock, 1))},
		{"short statistics", "statistics block at byte 48: block length 20 is too short for it",
			slices.Concat(begin, little.block(statistics, 0, 0))},
		{"short secrets", "block of type 0xa at byte 48: block length 16 is too short for it",
			slices.Concat(begin, little.block(secrets, 0))},
		{"secrets of 4 GB", "block of type 0xa at byte 48: secrets of 4294967295 bytes, and 4 are left",
			slices.Concat(begin, little.block(secrets, 0, math.MaxUint32, "key"))},
		{"a captured length of 4 GB", "frame 2 at byte 84: captured length 4294967295 is more than 262144",
			slices.Concat(begin, little.packet(0, 0, "a"), little.block(enhancedPacket, 0, 0, 0, math.MaxUint32, 1, "a"))},
		{"a captured length one too large", "frame 1 at byte 48: captured length 262145 is more than 262144",
			slices.Concat(begin, little.packet(0, 0, strings.Repeat("x", 262145)))},
		{"a captured length beyond the block", "frame 1 at byte 48: captured length 5 is more than the 4 bytes of its block",
			slices.Concat(begin, little.block(enhancedPacket, 0, 0, 0, 5, 5, "a"))},
		{"a simple frame beyond its block", "frame 1 at byte 48: captured length 5 is more than the 4 bytes of its block",
			slices.Concat(begin, little.block(simplePacket, 5, "a"))},
		{"no such interface", "frame 1 at byte 48: it names interface 1, and 1 are described before it",
			slices.Concat(begin, little.packet(1, 0, "a"))},
		{"an interface of the section before", "frame 1 at byte 76: it names interface 0, and 0 are described before it",
			slices.Concat(begin, big.section(), big.packet(0, 0, "a"))},
		{"a simple frame of no interface", "frame 1 at byte 28: it names interface 0, and 0 are described before it",
			slices.Concat(little.section(), little.block(simplePacket, 1, "a"))},
		{"an option beyond its block", "frame 1 at byte 48: an option of 65535 bytes, and 4 are left",
			slices.Concat(begin, little.packet(0, 0, "a", uint16(1), uint16(65535), 0))},
		{"an option of an interface beyond its block", "interface block at byte 28: an option of 5 bytes, and 4 are left",
			slices.Concat(little.section(), little.ethernet(uint16(2), uint16(5), 0))},
		{"a record beyond its block", "names block at byte 48: a record of 9 bytes, and 4 are left",
			slices.Concat(begin, little.block(names, uint16(1), uint16(9), 0))},
		{"too many interfaces", "interface block at byte 1310748: more than 65536 interfaces",
			slices.Concat(little.section(), bytes.Repeat(little.ethernet(), 65537))},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := read(c.file); err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

// TestReaderCutAtEveryByte also cuts a long file, so that what is skipped is.
func TestReaderCutAtEveryByte(t *testing.T) {
	for name, good := range map[string][]byte{
		"little-endian": little.good(), "big-endian": big.good(),
		"long": slices.Concat(little.section(), little.ethernet(), little.packet(0, 0, "a"), little.packet(0, 0, "b"),
			bytes.Repeat(little.packet(0, 0, "more"), 30)),
	} {
		whole, err := read(good)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n < min(len(good), 1024); n++ {
			between, frames := boundary(good, n)
			got, err := read(good[:n])
			if between {
				if err != nil || len(got.frames) != frames+1 || !got.frames[frames].IsWatermark() {
					t.Errorf("%s, cut at %d, between blocks: %d frames, %v", name, n, len(got.frames), err)
				}
				continue
			}
			if want := fmt.Sprintf("truncated at byte %d in ", n); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s, cut at %d: error %v, want %s", name, n, err, want)
			}
			if diff := cmp.Diff(slices.Concat(whole.frames[:frames]), got.frames); diff != "" {
				t.Errorf("%s, cut at %d: %s", name, n, diff)
			}
		}
	}
}

// boundary says whether a block ends at byte n of a file, and how many frames
// end before it.
func boundary(file []byte, n int) (between bool, frames int) {
	b := little
	if file[8] == 0x1a {
		b = big
	}
	order := b.AppendByteOrder.(interface{ Uint32([]byte) uint32 })
	at := 0
	for at < n {
		kind, length := order.Uint32(file[at:]), int(order.Uint32(file[at+4:]))
		if at += length; at > n {
			return false, frames
		}
		if kind == enhancedPacket || kind == simplePacket || kind == obsoletePacket {
			frames++
		}
	}
	return true, frames
}

func TestReaderCutInWhatIsSkipped(t *testing.T) {
	file := slices.Concat(little.section(), little.block(custom, strings.Repeat("x", 1<<20)))
	for _, n := range []int{600_000, len(file) - 4, len(file) - 1} {
		_, err := read(file[:n])
		want := fmt.Sprintf("truncated at byte %d in the block of type 0xbad: unexpected EOF", n)
		if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != want {
			t.Errorf("cut at %d: %v, want %s", n, err, want)
		}
	}
}

func TestReaderPassesOnErrorsOfReading(t *testing.T) {
	broken := errors.New("disk on fire")
	good := little.good()
	for n, want := range map[int]string{
		0:             "reading the block at byte 0: disk on fire",
		10:            "reading the section header at byte 10: disk on fire",
		len(good) - 4: fmt.Sprintf("reading the statistics block at byte %d: disk on fire", len(good)-4),
		len(good):     fmt.Sprintf("reading the block at byte %d: disk on fire", len(good)),
	} {
		r, err := pcapng.NewReader(io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(broken)))
		for f := (frame.Frame{}); err == nil; {
			err = r.Next(&f)
		}
		if !errors.Is(err, broken) || err.Error() != want {
			t.Errorf("after %d bytes: %v, want %s", n, err, want)
		}
	}
}

// A stamp that no int64 holds is read as the nearest that one does.
func TestReaderClampsStampsOutOfRange(t *testing.T) {
	for _, c := range []struct {
		name  string
		link  []byte
		ticks uint64
		want  int64
	}{
		{"after 2262", little.ethernet(), math.MaxUint64, math.MaxInt64},
		{"an offset beyond the last", little.ethernet(option{14, uint64(math.MaxInt64)}), 0, math.MaxInt64},
		{"before 1677", little.ethernet(option{14, uint64(1) << 63}), 0, math.MinInt64},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := slices.Concat(little.section(), c.link, little.packet(0, c.ticks, "a"), little.packet(0, c.ticks, "b"))
			r, err := pcapng.NewReader(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			var f frame.Frame
			for range 2 {
				if err := r.Next(&f); err != nil || f.Time.UnixNano() != c.want {
					t.Errorf("stamped %d, %v, want %d", f.Time.UnixNano(), err, c.want)
				}
			}
			want := []string{"2 frames, the first is frame 1: the stamp is more than 2^63 nanoseconds away from 1970; it is read as the nearest that is not"}
			if d := cmp.Diff(want, r.Oddities()); d != "" {
				t.Error(d)
			}
		})
	}
}
