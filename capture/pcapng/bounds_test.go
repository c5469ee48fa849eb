package pcapng_test

import (
	"bytes"
	"math"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// allocated is how many bytes reading a file allocates in all, and how many of
// them the Reader keeps.
func allocated(file []byte) (total, kept int64, err error) {
	var before, after, collected runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r, err := pcapng.NewReader(bytes.NewReader(file))
	var f frame.Frame
	for err == nil {
		err = r.Next(&f)
	}
	runtime.ReadMemStats(&after)
	runtime.GC()
	runtime.ReadMemStats(&collected)
	runtime.KeepAlive(r)
	runtime.KeepAlive(file)
	return int64(after.TotalAlloc - before.TotalAlloc), int64(collected.HeapAlloc) - int64(before.HeapAlloc), err
}

// TestReaderTakesNoMemoryOnTheWordOfAFile reads files that name absurd sizes.
func TestReaderTakesNoMemoryOnTheWordOfAFile(t *testing.T) {
	begin := slices.Concat(little.section(), little.ethernet())
	lying := func(block []byte, length uint32) []byte { return little.AppendUint32(block[:4:4], length) }
	for name, file := range map[string][]byte{
		"block length of 4 GB":         slices.Concat(begin, lying(little.block(custom), math.MaxUint32-3), make([]byte, 24)),
		"block length of 16 MB":        slices.Concat(begin, lying(little.block(enhancedPacket), 16<<20), make([]byte, 24)),
		"section header of 4 GB":       slices.Concat(lying(little.section(), math.MaxUint32-3), little.parts(0x1a2b3c4d)),
		"captured length of 4 GB":      slices.Concat(begin, little.block(enhancedPacket, 0, 0, 0, math.MaxUint32, 1, "data")),
		"wire length of 4 GB":          slices.Concat(begin, little.block(enhancedPacket, 0, 0, 0, 4, math.MaxUint32, "data")),
		"simple packet of 4 GB":        slices.Concat(begin, little.block(simplePacket, math.MaxUint32, "data")),
		"snapshot length of 4 GB":      slices.Concat(little.section(), little.block(interfaceBlock, uint16(1), uint16(0), math.MaxUint32), little.packet(0, 0, "a")),
		"option of 64 KB":              slices.Concat(begin, little.packet(0, 0, "a", uint16(1), uint16(65535), 0)),
		"interface 4294967295":         slices.Concat(begin, little.packet(math.MaxUint32, 0, "a")),
		"statistics of one that isn't": slices.Concat(begin, little.block(statistics, math.MaxUint32, 0, 0)),
		"secrets of 4 GB":              slices.Concat(begin, little.block(secrets, 0, math.MaxUint32)),
		"many frames":                  slices.Concat(begin, bytes.Repeat(little.packet(0, 0, "data"), 50_000)),
		"many sections":                bytes.Repeat(little.section(), 50_000),
		"a long block":                 slices.Concat(begin, little.block(custom, strings.Repeat("x", 10<<20))),
	} {
		if total, _, err := allocated(file); total > 600<<10 {
			t.Errorf("%s: %d bytes allocated, error %v", name, total, err)
		}
	}
}

// TestReaderKeepsABoundedAmount reads files that say as much as they can of
// what is kept, and nothing else.
func TestReaderKeepsABoundedAmount(t *testing.T) {
	begin := slices.Concat(little.section(), little.ethernet())
	long := strings.Repeat("x", 60_000)
	var manyNames []byte
	for addr := netip.MustParseAddr("2001:db8::"); len(manyNames) < 30<<20; addr = addr.Next() {
		record := option{2, string(addr.AsSlice()) + "host-" + strings.ReplaceAll(addr.String(), ":", "-") + "\x00"}
		manyNames = append(manyNames, little.block(4, record)...)
	}
	described := little.ethernet(option{2, long}, option{3, long}, option{11, "\x00" + long}, option{12, long}, option{15, long})
	for name, file := range map[string][]byte{
		"names":                      slices.Concat(begin, manyNames),
		"interfaces":                 slices.Concat(little.section(), bytes.Repeat(little.ethernet(), 65536)),
		"a million interfaces":       slices.Concat(little.section(), bytes.Repeat(little.ethernet(), 1_000_000)),
		"interfaces, much described": slices.Concat(little.section(), bytes.Repeat(described, 100)),
		"comments of no frame":       slices.Concat(begin, bytes.Repeat(little.block(statistics, 0, 0, 0, comment(long)), 500)),
		"empty comments":             slices.Concat(begin, bytes.Repeat(little.block(statistics, 0, 0, 0, comment("")), 1_000_000)),
		"comments of frames":         slices.Concat(begin, bytes.Repeat(little.packet(0, 0, "a", slices.Repeat([]any{comment("x")}, 40_000)...), 50)),
	} {
		if _, kept, err := allocated(file); kept > 40<<20 {
			t.Errorf("%s: %d bytes are kept, error %v", name, kept, err)
		}
	}
}

func TestReaderLeavesOutWhatIsTooMuch(t *testing.T) {
	got, err := read(slices.Concat(little.section(), little.ethernet(),
		bytes.Repeat(little.block(statistics, 0, 0, 0, comment("x")), 16385), little.packet(0, 0, "a", comment("beyond")),
		bytes.Repeat(little.block(statistics, 0, 0, 0, comment(strings.Repeat("x", 1<<15))), 40), little.packet(0, 0, "b"),
		little.packet(0, 0, "c", comment("again"))))
	if err != nil {
		t.Fatal(err)
	}
	var counts []int
	for _, f := range got.frames {
		counts = append(counts, len(f.Comments))
	}
	if want := []int{16384, 32, 1, 0}; !slices.Equal(counts, want) {
		t.Errorf("comments %v, want %v", counts, want)
	}
	long := strings.Repeat("x", 60_000)
	got, err = read(slices.Concat(little.section(), bytes.Repeat(little.ethernet(option{2, long}), 200)))
	if err != nil {
		t.Fatal(err)
	}
	nameless := func(i pcapng.Interface) bool { return i.Name == "" }
	if n := slices.IndexFunc(got.reader.Interfaces(), nameless); n != 8<<20/60_064 {
		t.Errorf("the first interface without its name is number %d", n)
	}
}
