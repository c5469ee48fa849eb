package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/tracewire/tracewire/matcher/path"
)

// enoughMemory is what reading a capture is to get along with, in bytes: what the files
// of others make the program hold is bounded, and garbage comes on top of it.
const enoughMemory = 66 << 20

// frugal collects garbage earlier than usual where there is much of it, unless
// GOMEMLIMIT says how much memory there is. The function it returns ends that.
func frugal() (restore func()) {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return func() {}
	}
	debug.SetMemoryLimit(enoughMemory)
	return func() { debug.SetMemoryLimit(math.MaxInt64) }
}

// lavish collects garbage later than usual, unless GOGC says when: what traces hold at
// the same time is little beside what they have made. The function it returns ends that.
func lavish() (restore func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	const percent = 400
	before := debug.SetGCPercent(percent)
	return func() { debug.SetGCPercent(before) }
}

// collectIfLarge collects garbage if a path that was found is large: what finding it
// took is about as much as the path, and what comes next would be beside both.
func collectIfLarge(p *path.Path) {
	const large = 50_000
	if len(p.Probes) > large {
		runtime.GC()
	}
}
