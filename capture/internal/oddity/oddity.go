// Package oddity counts the frames of a file that break its format and are read
// all the same.
package oddity

import "fmt"

// Count is how often a file has one oddity. The zero Count is ready to use.
type Count struct {
	frames, first int
}

// Add counts the frame with a number, which rises from call to call.
func (c *Count) Add(frame int) {
	if c.frames++; c.frames == 1 {
		c.first = frame
	}
}

// Describe appends one line about the oddity to lines, if there were any frames.
func (c *Count) Describe(lines []string, what string) []string {
	switch c.frames {
	case 0:
		return lines
	case 1:
		return append(lines, fmt.Sprintf("frame %d: %s", c.first, what))
	}
	return append(lines, fmt.Sprintf("%d frames, the first is frame %d: %s", c.frames, c.first, what))
}
