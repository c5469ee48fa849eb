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

// patience is how long reading takes before people are shown how far it is.
const patience = time.Second

// progress shows on a terminal how far a capture was read, and writes what is
// written to it to standard output in between. Stop it.
type progress struct {
	out  io.Writer
	done chan struct{}
	over sync.WaitGroup

	mu  sync.Mutex
	bar *progressbar.ProgressBar // nil while there is nothing to see
}

func newProgress(s streams, file *capture.File) *progress {
	p := &progress{out: s.out, done: make(chan struct{})}
	if terminal, ok := s.err.(*os.File); ok && term.IsTerminal(int(terminal.Fd())) {
		p.over.Go(func() { p.watch(terminal, file) })
	}
	return p
}

// watch draws until the capture is read.
func (p *progress) watch(terminal io.Writer, file *capture.File) {
	begin, tick := time.NewTimer(patience), time.NewTicker(100*time.Millisecond)
	defer begin.Stop()
	defer tick.Stop()
	select {
	case <-begin.C:
	case <-p.done:
		return
	}
	_, total := file.Progress()
	if total == 0 {
		total = -1 // not known
	}
	p.mu.Lock()
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(terminal), progressbar.OptionSetDescription("reading"), progressbar.OptionShowBytes(true),
		progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	p.mu.Unlock()
	for {
		select {
		case <-tick.C:
			read, _ := file.Progress()
			p.mu.Lock()
			_ = p.bar.Set64(read) // it is only for show
			p.mu.Unlock()
		case <-p.done:
			_ = p.bar.Clear()
			return
		}
	}
}

// Write implements io.Writer.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	return p.out.Write(b)
}

// stop removes the bar. It may be called again.
func (p *progress) stop() {
	p.mu.Lock()
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	p.mu.Unlock()
	p.over.Wait()
}
