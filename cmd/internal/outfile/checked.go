package outfile

import (
	"cmp"
	"io"
)

// Checked is a writer that keeps its first error, for who looks at none.
type Checked struct {
	io.Writer
	Err error
}

// Write implements io.Writer.
func (c *Checked) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.Err = cmp.Or(c.Err, err)
	return n, err
}
