package main

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"testing"
)

// What a file costs grows as the file does: of one four times as large there are
// about four times as many allocations, whatever it has much of.
func TestCostGrowsAsTheFileDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing runs beside it: not with -short")
	}
	const small, factor = 150_000, 4
	cost := func(name string, size int, args []string) float64 {
		data := costlyFiles(size)[name](t)
		return testing.AllocsPerRun(1, func() { run(append(args, "-"), bytes.NewReader(data), io.Discard, io.Discard) })
	}
	for _, name := range slices.Sorted(maps.Keys(costlyFiles(0))) {
		for _, args := range [][]string{{"replay", "--list"}, {"replay", "--format", "json"}, {"replay", "--format", "jsonl"}, {"explain", "--trace", "1"}} {
			one, four := cost(name, small, args), cost(name, factor*small, args)
			if four > 2*factor*one+1000 {
				t.Errorf("%v of many %s: %.0f allocations, and %.0f of one four times as large", args, name, one, four)
			}
		}
	}
}
