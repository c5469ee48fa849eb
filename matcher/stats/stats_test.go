package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tracewire/tracewire/matcher/stats"
)

// twoPass computes everything from all samples at once.
type twoPass struct {
	mean, stdDev, jitter, smoothed float64
}

func ofAll(samples []time.Duration) (t twoPass) {
	n := float64(len(samples))
	for _, s := range samples {
		t.mean += float64(s) / n
	}
	squares := 0.0
	for _, s := range samples {
		squares += (float64(s) - t.mean) * (float64(s) - t.mean)
	}
	t.stdDev = math.Sqrt(squares / (n - 1))
	for i := 1; i < len(samples); i++ {
		d := math.Abs(float64(samples[i]) - float64(samples[i-1]))
		t.jitter += d / (n - 1)
		t.smoothed += (d - t.smoothed) / 16
	}
	return t
}

// near reports whether a result is the exact one, except for rounding to a
// nanosecond and the precision of a float64.
func near(got time.Duration, want float64) bool {
	return math.Abs(float64(got)-want) <= 0.5+1e-9*math.Abs(want)
}

func TestStatisticsAreThoseOfAllSamples(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	kinds := map[string]func() time.Duration{
		"a LAN":                 func() time.Duration { return time.Duration(50_000 + random.IntN(5_000)) },
		"the internet":          func() time.Duration { return time.Duration(20e6 + 5e6*random.ExpFloat64()) },
		"hardly any difference": func() time.Duration { return 10*time.Second + time.Duration(random.IntN(3)) },
		"steps of the clock":    func() time.Duration { return time.Duration(random.Int64N(2e12) - 1e12) },
		"always the same":       func() time.Duration { return time.Millisecond },
	}
	for name, sample := range kinds {
		for _, n := range []int{2, 3, 10, 86_400} {
			var got stats.RTT
			samples := make([]time.Duration, n)
			least, most := time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
			for i := range samples {
				samples[i] = sample()
				got.Add(samples[i])
				least, most = min(least, samples[i]), max(most, samples[i])
			}
			want := ofAll(samples)
			if !near(got.Mean(), want.mean) || !near(got.StdDev(), want.stdDev) {
				t.Errorf("%s, %d: mean %d, deviation %d, want %+v", name, n, got.Mean(), got.StdDev(), want)
			}
			if !near(got.Jitter(), want.jitter) || !near(got.Smoothed(), want.smoothed) {
				t.Errorf("%s, %d: jitter %d, smoothed %d, want %+v", name, n, got.Jitter(), got.Smoothed(), want)
			}
			if got.N() != n || got.Min() != least || got.Max() != most || got.Last() != samples[n-1] {
				t.Errorf("%s, %d: %+v", name, n, got)
			}
		}
	}
}

// The numbers are worked out by hand.
func TestStatisticsOfAFew(t *testing.T) {
	var r stats.RTT
	if r.N() != 0 || r.Min() != 0 || r.Max() != 0 || r.Mean() != 0 || r.StdDev() != 0 || r.Jitter() != 0 || r.Smoothed() != 0 {
		t.Errorf("of none: %+v", r)
	}
	r.Add(4 * time.Millisecond)
	if r.Mean() != 4*time.Millisecond || r.StdDev() != 0 || r.Jitter() != 0 || r.Smoothed() != 0 {
		t.Errorf("of one: %+v", r)
	}
	r.Add(8 * time.Millisecond)
	r.Add(6 * time.Millisecond)
	// Differences 4 ms and 2 ms; J is 4/16 = 0.25 ms, then 0.25 + 1.75/16 ms.
	if r.Mean() != 6*time.Millisecond || r.StdDev() != 2*time.Millisecond || r.Jitter() != 3*time.Millisecond || r.Smoothed() != 359375 {
		t.Errorf("of three: mean %v, deviation %v, jitter %v, smoothed %v", r.Mean(), r.StdDev(), r.Jitter(), r.Smoothed())
	}
}

// The reference values are worked out from the formula of the paper,
// to six digits.
func TestLoss(t *testing.T) {
	tests := map[string]struct {
		loss             stats.Loss
		ratio, low, high float64
	}{
		"nothing is known":   {stats.Loss{}, 0, 0, 1},
		"none of ten":        {stats.Loss{Lost: 0, Of: 10}, 0, 0, 0.277533},
		"one of ten":         {stats.Loss{Lost: 1, Of: 10}, 0.1, 0.017876, 0.404150},
		"half of ten":        {stats.Loss{Lost: 5, Of: 10}, 0.5, 0.236593, 0.763407},
		"all of three":       {stats.Loss{Lost: 3, Of: 3}, 1, 0.438503, 1},
		"one in a thousand":  {stats.Loss{Lost: 1, Of: 1000}, 0.001, 0.000177, 0.005643},
		"none of a thousand": {stats.Loss{Lost: 0, Of: 1000}, 0, 0, 0.003827},
	}
	for name, test := range tests {
		low, high := test.loss.Interval(stats.Confidence95)
		if test.loss.Ratio() != test.ratio || math.Abs(low-test.low) > 1e-6 || math.Abs(high-test.high) > 1e-6 {
			t.Errorf("%s: %v, %.6f to %.6f", name, test.loss.Ratio(), low, high)
		}
	}
}

// The interval holds the ratio, lies within 0 and 1, and is the set of true losses that
// the normal approximation does not reject: at its ends the score is z.
func TestIntervalIsWhereTheScoreIsZ(t *testing.T) {
	for of := 1; of <= 200; of++ {
		for lost := 0; lost <= of; lost++ {
			l := stats.Loss{Lost: lost, Of: of}
			low, high := l.Interval(stats.Confidence95)
			if !(0 <= low && low <= l.Ratio() && l.Ratio() <= high && high <= 1) {
				t.Fatalf("%+v: %v to %v", l, low, high)
			}
			for _, end := range []float64{low, high} {
				if end == 0 || end == 1 {
					continue
				}
				score := math.Abs(l.Ratio()-end) / math.Sqrt(end*(1-end)/float64(of))
				if math.Abs(score-stats.Confidence95) > 1e-6 {
					t.Fatalf("%+v: the score at %v is %v", l, end, score)
				}
			}
		}
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	var r stats.RTT
	if n := testing.AllocsPerRun(100, func() { r.Add(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
