package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/tracewire/tracewire/capture"
)

const (
	// patience is how long reading takes before people are shown how far it is.
	patience = time.Second

	// redraw is how often they are.
	redraw = 200 * time.Millisecond

	// erase goes to the beginning of a terminal's line and makes the line empty
	// (ECMA-48, sections 8.3.15 and 8.3.41).
	erase = "\r\x1b[K"
)

// progress shows on a terminal how far a capture was read. What is written while
// it does goes through beside, which takes the bar away for it. Stop it.
type progress struct {
	terminal *os.File
	file     *capture.File
	began    time.Time
	done     chan struct{}
	over     sync.WaitGroup

	mu    sync.Mutex
	drawn bool
}

// newProgress shows nothing unless stderr is a terminal.
func newProgress(stderr io.Writer, file *capture.File) *progress {
	p := &progress{file: file, began: time.Now(), done: make(chan struct{})}
	if isTerminal(stderr) {
		p.terminal = stderr.(*os.File)
		p.over.Go(p.watch)
	}
	return p
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// watch draws until the capture is read.
func (p *progress) watch() {
	next := time.NewTimer(patience)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			next.Reset(redraw)
			p.draw()
		case <-p.done:
			return
		}
	}
}

func (p *progress) draw() {
	width, _, err := term.GetSize(int(p.terminal.Fd()))
	if err != nil || width == 0 { // serial lines don't tell
		width = 80
	}
	read, total := p.file.Progress()
	line := progressLine(read, total, time.Since(p.began), width-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drawn = true
	fmt.Fprint(p.terminal, erase, line)
}

// clear takes the bar away until it is drawn next.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.terminal, erase)
		p.drawn = false
	}
}

// stop removes the bar.
func (p *progress) stop() {
	close(p.done)
	p.over.Wait()
	p.clear()
}

// progressLine is the bar, in so many columns: bytes read, of a total or of
// nobody knows how many (0), in a time.
func progressLine(read, total int64, in time.Duration, columns int) string {
	rate := float64(read) / max(in.Seconds(), 0.001)
	line := fmt.Sprintf("reading %s, %s/s", bytesOf(float64(read)), bytesOf(rate))
	if total > 0 {
		part := min(float64(read)/float64(total), 1)
		left := time.Duration(float64(total-min(read, total)) / max(rate, 1) * float64(time.Second)).Round(time.Second)
		line = fmt.Sprintf("reading %3.0f%%  %s/s, %v left", 100*part, bytesOf(rate), left)
		if room := columns - len(line) - 4; room >= 10 {
			line += "  " + bar(part, room)
		}
	}
	return line[:min(len(line), max(columns, 0))]
}

// bar is a part of a whole, drawn with room for so many characters.
func bar(part float64, room int) string {
	full := int(part * float64(room))
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", room-full) + "]"
}

// bytesOf is a number of bytes as people say it.
func bytesOf(n float64) string {
	unit := 0
	units := [...]string{"B", "kB", "MB", "GB", "TB"}
	for ; n >= 999.5 && unit < len(units)-1; unit++ {
		n /= 1000
	}
	return fmt.Sprintf("%.3g %s", n, units[unit])
}

// beside returns what writes to w while the bar may be there.
func (p *progress) beside(w io.Writer) io.Writer { return &besideBar{p, w} }

type besideBar struct {
	bar *progress
	w   io.Writer
}

// Write implements io.Writer.
func (b *besideBar) Write(line []byte) (int, error) {
	b.bar.mu.Lock()
	defer b.bar.mu.Unlock()
	b.bar.clear()
	return b.w.Write(line)
}
