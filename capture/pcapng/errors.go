package pcapng

import (
	"fmt"
	"io"
)

// cut says why a block could not be read beyond its first n bytes.
func (r *Reader) cut(n int, err error) error {
	at := r.offset + int64(n)
	if err == io.EOF {
		return fmt.Errorf("truncated at byte %d in %s: %w", at, r.what("the "), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reading %s at byte %d: %w", r.what("the "), at, err)
}

// bad says what is wrong with the block that was begun.
func (r *Reader) bad(format string, args ...any) error {
	return fmt.Errorf("%s at byte %d: %s", r.what(""), r.offset, fmt.Sprintf(format, args...))
}

// what names the block that was begun.
func (r *Reader) what(article string) string {
	switch r.kind {
	case enhancedPacketBlock, simplePacketBlock, obsoletePacketBlock:
		return fmt.Sprintf("frame %d", r.frames)
	case 0: // not even the type could be read
		return article + "block"
	case sectionHeaderBlock:
		return article + "section header"
	case interfaceBlock:
		return article + "interface block"
	case namesBlock:
		return article + "names block"
	case statisticsBlock:
		return article + "statistics block"
	}
	return fmt.Sprintf("%sblock of type %#x", article, r.kind)
}
