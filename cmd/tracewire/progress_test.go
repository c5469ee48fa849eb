package main

import (
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	tests := map[string]struct {
		read, total int64
		in          time.Duration
		columns     int
		want        string
	}{
		"a quarter":             {250e6, 1000e6, 5 * time.Second, 60, "reading  25%  50 MB/s, 15s left  [######-------------------]"},
		"no room for a bar":     {250e6, 1000e6, 5 * time.Second, 40, "reading  25%  50 MB/s, 15s left"},
		"a narrow terminal":     {250e6, 1000e6, 5 * time.Second, 12, "reading  25%"},
		"no terminal to speak":  {250e6, 1000e6, 5 * time.Second, -1, ""},
		"a pipe":                {1234567, 0, time.Second, 80, "reading 1.23 MB, 1.23 MB/s"},
		"a file that has grown": {2000, 1000, time.Second, 30, "reading 100%  2 kB/s, 0s left"},
		"nothing yet":           {0, 1000, 0, 33, "reading   0%  0 B/s, 16m40s left"},
		"nearly the next unit":  {999999, 0, time.Second, 80, "reading 1 MB, 1 MB/s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := progressLine(test.read, test.total, test.in, test.columns); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
