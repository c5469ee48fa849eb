package main

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/tracewire/tracewire/capture"
)

const (
	// patience is how long reading takes before people are shown how far it is.
	patience = time.Second

	// redraw is how often they are.
	redraw = 200 * time.Millisecond
)

// progress shows on a terminal how far a capture was read. What is written while
// it does goes through beside, which takes the bar away for it. Stop it.
type progress struct {
	done chan struct{}
	over sync.WaitGroup

	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	drawn bool
}

// newProgress shows nothing unless stderr is a terminal.
func newProgress(stderr io.Writer, file *capture.File) *progress {
	p := &progress{done: make(chan struct{})}
	terminal, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return p
	}
	_, total := file.Progress()
	if total == 0 {
		total = -1 // not known
	}
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(terminal), progressbar.OptionSetDescription("reading"), progressbar.OptionShowBytes(true),
		progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	p.over.Go(func() { p.watch(file) })
	return p
}

// watch draws until the capture is read.
func (p *progress) watch(file *capture.File) {
	next := time.NewTimer(patience)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			next.Reset(redraw)
			read, _ := file.Progress()
			p.mu.Lock()
			p.drawn = true
			_ = p.bar.Set64(read) // it is only for show
			p.mu.Unlock()
		case <-p.done:
			return
		}
	}
}

// clear takes the bar away until it is drawn next.
func (p *progress) clear() {
	if p.drawn {
		_ = p.bar.Clear()
		p.drawn = false
	}
}

// stop removes the bar.
func (p *progress) stop() {
	close(p.done)
	p.over.Wait()
	p.clear()
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
