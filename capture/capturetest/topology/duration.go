package topology

import (
	"errors"
	"strings"
	"time"
)

// Duration is a time.Duration that is written as time.ParseDuration reads it.
type Duration time.Duration

// longest bounds delays, so that sums of them are in no danger of overflowing.
const longest = Duration(time.Hour)

// errOverflow is that a duration is well written, but beyond what one holds.
var errOverflow = errors.New("topology: duration out of range")

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil && zeroParses(string(text)) {
		err = errOverflow
	}
	*d = Duration(v)
	return err
}

// zeroParses tells whether a text would be a duration if all its digits were
// 0: if it is none, the digits alone are too many.
func zeroParses(text string) bool {
	_, err := time.ParseDuration(strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return '0'
		}
		return r
	}, text))
	return err == nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string { return time.Duration(d).String() }
