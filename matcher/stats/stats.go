// Package stats computes what many probes show: round trips, their jitter, and loss.
//
// Each number is exact for all samples, to the precision of a float64, and takes a few
// words of memory, however many samples there are.
package stats

import (
	"math"
	"time"
)

// RTT are statistics of round trips in the order in which they are added. The zero RTT
// has none. It belongs to one goroutine at a time; a copy is independent.
//
// All results are rounded to the nanosecond, and 0 where too few round trips are known
// for them: none, or a single one for StdDev, Jitter and Smoothed.
type RTT struct {
	n              int
	min, max, last time.Duration
	mean, squares  float64 // of Welford: the sum of the squared differences from the mean
	differences    float64 // sum of the absolute differences of consecutive round trips
	smoothed       float64
}

// Add adds a round trip.
//
// Mean and variance are updated as in B. P. Welford, "Note on a Method for Calculating
// Corrected Sums of Squares and Products", Technometrics 4 (1962).
func (r *RTT) Add(rtt time.Duration) {
	if r.n == 0 {
		r.min, r.max = rtt, rtt
	} else {
		r.min, r.max = min(r.min, rtt), max(r.max, rtt)
		d := math.Abs(float64(rtt) - float64(r.last))
		r.differences += d
		r.smoothed += (d - r.smoothed) / 16
	}
	r.n, r.last = r.n+1, rtt
	before := float64(rtt) - r.mean
	r.mean += before / float64(r.n)
	r.squares += before * (float64(rtt) - r.mean)
}

// N returns how many round trips were added.
func (r *RTT) N() int { return r.n }

// Min returns the shortest.
func (r *RTT) Min() time.Duration { return r.min }

// Max returns the longest.
func (r *RTT) Max() time.Duration { return r.max }

// Last returns the one that was added last.
func (r *RTT) Last() time.Duration { return r.last }

// Mean returns the arithmetic mean.
func (r *RTT) Mean() time.Duration { return nanoseconds(r.mean) }

// StdDev returns the sample standard deviation: the square root of the sum of the
// squared differences from the mean, divided by N - 1.
func (r *RTT) StdDev() time.Duration {
	if r.n < 2 {
		return 0
	}
	return nanoseconds(math.Sqrt(r.squares / float64(r.n-1)))
}

// Jitter returns the mean absolute difference of consecutive round trips.
func (r *RTT) Jitter() time.Duration {
	if r.n < 2 {
		return 0
	}
	return nanoseconds(r.differences / float64(r.n-1))
}

// Smoothed returns the jitter of RFC 3550, section 6.4.1, in floating point: for each
// absolute difference D of consecutive round trips, J += (D - J)/16, from J = 0.
func (r *RTT) Smoothed() time.Duration { return nanoseconds(r.smoothed) }

// nanoseconds rounds; a Duration holds 292 years, no more.
func nanoseconds(f float64) time.Duration {
	f = math.Round(f)
	if f >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(f)
}

// Loss is how many probes of those whose deadline has passed were lost. A probe that
// may still be answered is in neither number; one answered late is not lost.
type Loss struct {
	Lost int
	Of   int // lost or answered
}

// Ratio returns the part that was lost, from 0 to 1; 0 of no probes.
func (l Loss) Ratio() float64 {
	if l.Of == 0 {
		return 0
	}
	return float64(l.Lost) / float64(l.Of)
}

// Confidence95 is the z of Loss.Interval for a confidence of 95 %.
const Confidence95 = 1.959963984540054

// Interval returns the Wilson score interval of the true loss: E. B. Wilson, "Probable
// Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927). z is
// the quantile of the standard normal distribution for the confidence wanted, such as
// Confidence95. Of no probes the interval is 0 to 1.
func (l Loss) Interval(z float64) (low, high float64) {
	if l.Of == 0 {
		return 0, 1
	}
	n, p := float64(l.Of), l.Ratio()
	scale := 1 + z*z/n
	middle := (p + z*z/(2*n)) / scale
	half := z / scale * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	low, high = max(0, middle-half), min(1, middle+half)
	if l.Lost == 0 {
		low = 0 // exactly: the difference above is rounded
	}
	if l.Lost == l.Of {
		high = 1
	}
	return low, high
}
