package pcapng

import (
	"math"
	"math/bits"
)

const second = 1_000_000_000 // in nanoseconds

// clock is how the stamps of an interface count time: in ticks of a power of
// 10 or of 2 of a second, from so many seconds after 1970 (section 4.2,
// if_tsresol and if_tsoffset).
type clock struct {
	// scale is how many nanoseconds a tick has, and last the last tick up to
	// which nothing else is to be heeded. Where there is no such scale it is 0.
	scale, last uint64

	exponent uint8
	binary   bool
	offset   int64
}

// newClock reads if_tsresol: the exponent, and in the highest bit its base.
func newClock(resolution byte, offset int64) clock {
	c := clock{exponent: resolution & 0x7f, binary: resolution&0x80 != 0, offset: offset}
	if !c.binary && c.exponent <= 9 && offset == 0 {
		c.scale = pow10(9 - c.exponent)
		c.last = math.MaxInt64 / c.scale
	}
	return c
}

// nanoseconds since 1970, rounded down. False says that an int64 doesn't hold
// them: then they are the nearest that it holds.
func (c *clock) nanoseconds(ticks uint64) (int64, bool) {
	if c.scale != 0 && ticks <= c.last {
		return int64(ticks * c.scale), true
	}
	sec, ns := c.split(ticks)
	return since1970(sec, ns, c.offset)
}

// split makes seconds of ticks, and the nanoseconds that are left.
func (c *clock) split(ticks uint64) (sec, ns uint64) {
	e := c.exponent
	switch {
	case c.binary && e < 64:
		sec = ticks >> e
		high, low := bits.Mul64(ticks-sec<<e, second)
		return sec, high<<(64-e) | low>>e
	case c.binary:
		high, _ := bits.Mul64(ticks, second)
		return 0, high >> (e - 64)
	case e <= 19:
		high, low := bits.Mul64(ticks%pow10(e), second)
		ns, _ = bits.Div64(high, low, pow10(e))
		return ticks / pow10(e), ns
	case e <= 28: // a second has more ticks than 64 bits count
		return 0, ticks / pow10(e-9)
	}
	return 0, 0
}

// since1970 adds an offset in seconds. See nanoseconds for what it returns.
func since1970(sec, ns uint64, offset int64) (int64, bool) {
	if offset >= 0 {
		sec, carry := bits.Add64(sec, uint64(offset), 0)
		if carry != 0 || sec > math.MaxInt64/second {
			return math.MaxInt64, false
		}
		total := sec*second + ns
		return int64(min(total, math.MaxInt64)), total <= math.MaxInt64
	}
	before := -uint64(offset)
	if sec >= before {
		return since1970(sec-before, ns, 0)
	}
	before -= sec
	if before > math.MaxInt64/second+1 {
		return math.MinInt64, false
	}
	total := before*second - ns
	return -int64(min(total, 1<<63)), total <= 1<<63
}

// pow10 is 10 to the power of e, up to 19.
func pow10(e uint8) uint64 {
	p := uint64(1)
	for range e {
		p *= 10
	}
	return p
}
