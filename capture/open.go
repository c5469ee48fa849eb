package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"

	"github.com/klauspost/compress/zstd"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// maxWindow is how far back in the file zstd data may refer, in bytes, which
// is what reading it takes: what every decoder should have room for (RFC 8878,
// section 3.1.1.1.2), and enough for all levels up to 19.
const maxWindow = 8 << 20

// How files begin that are not pcap (RFC 1952 section 2.3.1, RFC 8878 section
// 3.1.1, draft-ietf-opsawg-pcapng section 4.1).
const (
	gzipMagic   = "\x1f\x8b"
	zstdMagic   = "\x28\xb5\x2f\xfd"
	pcapngMagic = "\x0a\x0d\x0d\x0a"
)

// open finds out what kind of file src is, and reads its header.
func (f *File) open() error {
	in := bufio.NewReaderSize(counted{f}, readAhead)
	format, err := compression(in)
	if err != nil {
		return err
	}
	if format != "" {
		if in, err = f.decompress(in, format); err != nil {
			return err
		}
		within, err := compression(in)
		if err != nil {
			return err
		}
		if within != "" {
			return fmt.Errorf("%s within %s is not read", within, format)
		}
	}
	f.decoder, err = newDecoder(in)
	return err
}

// compression names what in is compressed with, if it is.
func compression(in *bufio.Reader) (string, error) {
	head, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return "", err
	}
	switch {
	case bytes.HasPrefix(head, []byte(gzipMagic)):
		return "gzip", nil
	case bytes.HasPrefix(head, []byte(zstdMagic)):
		return "zstd", nil
	}
	return "", nil
}

// decompress gives what in is compressed of.
func (f *File) decompress(in *bufio.Reader, format string) (*bufio.Reader, error) {
	unpacked := unpacker{format: format}
	var err error
	if format == "gzip" {
		unpacked.Reader, err = gzip.NewReader(in)
	} else {
		unpacked.Reader, err = f.zstd(in)
	}
	if err != nil {
		return nil, unpacked.explain(err)
	}
	return bufio.NewReaderSize(unpacked, readAhead), nil
}

// zstd decodes in the goroutine that reads, in as little memory as it can.
func (f *File) zstd(in io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, func() error { d.Close(); return nil })
	return d, nil
}

// unpacker reads decompressed data, and says in errors that it does.
type unpacker struct {
	io.Reader
	format string
}

func (u unpacker) Read(b []byte) (int, error) {
	n, err := u.Reader.Read(b)
	if err != nil && err != io.EOF {
		err = u.explain(err)
	}
	return n, err
}

func (u unpacker) explain(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("truncated %s data: %w", u.format, io.ErrUnexpectedEOF)
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("zstd data with a window of more than %d MB is not read; 'zstd -d --long=31' decompresses it", maxWindow>>20)
	}
	return fmt.Errorf("in %s data: %w", u.format, err)
}

// newDecoder reads the header of a file that is not compressed.
func newDecoder(in *bufio.Reader) (decoder, error) {
	head, err := in.Peek(len(pcapngMagic))
	if err == nil && string(head) == pcapngMagic {
		r, err := pcapng.NewReader(in)
		return pcapngFile{r}, err
	}
	return newPcapFile(in)
}

// pcapngFile decodes a pcapng file.
type pcapngFile struct{ *pcapng.Reader }

func (f pcapngFile) next(to *frame.Frame) error { return f.Next(to) }

func (f pcapngFile) interfaces() []pcapng.Interface { return f.Interfaces() }

func (f pcapngFile) names() map[netip.Addr]string { return f.Names() }

func (f pcapngFile) oddities() []string { return f.Oddities() }

func (f pcapngFile) stats() (all Stats) {
	for n := range f.Interfaces() {
		s := f.Statistics(n)
		all.Received = sum(all.Received, s.Received)
		all.Dropped = sum(all.Dropped, s.Dropped)
	}
	return all
}

// sum adds what an int can hold of it.
func sum(a int, b uint64) int {
	return a + int(min(b, uint64(math.MaxInt-a)))
}
