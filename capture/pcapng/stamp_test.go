package pcapng

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestClockTells(t *testing.T) {
	for _, c := range []struct {
		name       string
		resolution byte
		offset     int64
		ticks      uint64
		want       int64
		ok         bool
	}{
		{"microseconds", 6, 0, 1_700_000_000_123_456, 1_700_000_000_123_456_000, true},
		{"nanoseconds", 9, 0, math.MaxInt64, math.MaxInt64, true},
		{"nanoseconds, one more than there are", 9, 0, math.MaxInt64 + 1, math.MaxInt64, false},
		{"nanoseconds, back by an offset", 9, -9223372037, 9223372037000000001, 1, true},
		{"seconds", 0, 0, 9223372036, 9223372036e9, true},
		{"seconds, one too many", 0, 0, 9223372037, math.MaxInt64, false},
		{"seconds, most there are", 0, 0, math.MaxUint64, math.MaxInt64, false},
		{"seconds, all taken back", 0, math.MinInt64, 1 << 63, 0, true},
		{"seconds, with more than 64 bits", 0, 1, math.MaxUint64, math.MaxInt64, false},
		{"picoseconds, rounded down", 12, 0, 1_999, 1, true},
		{"10^-19", 19, 0, math.MaxUint64, 1_844_674_407, true},
		{"10^-20", 20, 0, math.MaxUint64, 184_467_440, true},
		{"10^-28", 28, 0, math.MaxUint64, 1, true},
		{"10^-29", 29, 5, math.MaxUint64, 5e9, true},
		{"10^-127", 0x7f, 0, math.MaxUint64, 0, true},
		{"2^0", 0x80, 0, 3, 3e9, true},
		{"2^-1", 0x81, 0, 3, 1_500_000_000, true},
		{"2^-32, as of NTP", 0xa0, 1, 1<<32 | 1<<31, 2_500_000_000, true},
		{"2^-63", 0x80 | 63, 0, math.MaxUint64, 1_999_999_999, true},
		{"2^-64", 0x80 | 64, 0, math.MaxUint64, 999_999_999, true},
		{"2^-65", 0x80 | 65, 0, math.MaxUint64, 499_999_999, true},
		{"2^-127", 0xff, -1, math.MaxUint64, -1e9, true},
		{"before 1970", 6, -1, 999_999, -1_000, true},
		{"the first there is", 9, -9223372037, 145_224_192, math.MinInt64, true},
		{"before the first", 9, -9223372037, 145_224_191, math.MinInt64, false},
		{"long before", 6, math.MinInt64, 0, math.MinInt64, false},
		{"an offset beyond the last", 6, 9223372037, 0, math.MaxInt64, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			of := newClock(c.resolution, c.offset)
			got, ok := of.nanoseconds(c.ticks)
			if ok != c.ok || got != c.want {
				t.Errorf("%d, %v, want %d, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

// slowly is what a clock tells, by numbers of any size.
func slowly(resolution byte, offset int64, ticks uint64) *big.Int {
	base := big.NewInt(10)
	if resolution&0x80 != 0 {
		base.SetInt64(2)
	}
	perSecond := new(big.Int).Exp(base, big.NewInt(int64(resolution&0x7f)), nil)
	ns := new(big.Int).SetUint64(ticks)
	ns.Mul(ns, big.NewInt(second)).Div(ns, perSecond)
	return ns.Add(ns, new(big.Int).Mul(big.NewInt(offset), big.NewInt(second)))
}

func TestClockAgreesWithNumbersOfAnySize(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	in := 0
	for resolution := range 256 {
		for range 2000 {
			ticks := random.Uint64() >> random.UintN(64)
			offset := int64(random.Uint64()) >> random.UintN(64)
			want := slowly(byte(resolution), offset, ticks)
			of := newClock(byte(resolution), offset)
			got, ok := of.nanoseconds(ticks)
			if ok != want.IsInt64() || ok && got != want.Int64() {
				t.Fatalf("resolution %#x, offset %d, %d ticks: %d, %v, want %v", resolution, offset, ticks, got, ok, want)
			}
			if ok {
				in++
			}
		}
	}
	if in < 100_000 {
		t.Errorf("only %d stamps in range", in)
	}
}
