package device

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
)

// Conn captures and injects frames: a live handle, or a simulated network.
type Conn interface {
	capture.Source
	capture.Injector
}

// Link is what a Device captures on.
type Link struct {
	Interface string           // that probes leave by
	MAC       net.HardwareAddr // its address; nil on a link without such addresses
	Also      []string         // the interfaces besides that replies can arrive by
}

// Subscriber is whom the frames of a Device go to. The Device's reader goroutine calls
// its methods.
type Subscriber interface {
	// Take takes the next frame, watermark or gap, which is valid until it returns.
	Take(f *frame.Frame)

	// Ended says that nothing more will be captured, and why, if that is known.
	Ended(err error)
}

// Device is an open interface that is shared by all who trace by it. Its methods may be
// called by any goroutine.
type Device struct {
	wanted
	ends []capture.End // that it captures

	users int  // under the Set's lock, as is the following
	asked bool // somebody waits for it to be closed: no further one is to use it

	opened, closed chan struct{} // closed when it is

	// Set when it is opened; without a conn it could not be, and err says why.
	conn Conn
	err  error
	stop context.CancelFunc
	to   Subscriber

	mu       sync.Mutex
	changed  *sync.Cond // expected or closing is
	expected int        // how many expect something of the capture
	closing  bool
}

func newDevice(want wanted, ends []capture.End) *Device {
	d := &Device{wanted: want, ends: ends, users: 1, opened: make(chan struct{}), closed: make(chan struct{})}
	d.changed = sync.NewCond(&d.mu)
	return d
}

// Link returns what the Device captures on.
func (d *Device) Link() Link { return d.link }

// Subscriber returns whom its frames go to.
func (d *Device) Subscriber() Subscriber { return d.to }

// Expect says that something is expected of the capture; the caller is to call the
// function that it returns, once, when that is over. While nothing is expected, nothing
// is read.
func (d *Device) Expect() (over func()) {
	d.add(1)
	return func() { d.add(-1) }
}

func (d *Device) add(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expected += n
	d.changed.Broadcast()
}

// Inject sends a frame (see capture.Injector).
func (d *Device) Inject(frame []byte) error { return d.conn.Inject(frame) }

// Request asks for a watermark after a time, or for a frame that is stamped later: the
// Subscriber gets one within milliseconds of when it can be promised. A request takes the
// place of the one before; the zero Time asks for none. A Conn that can't be asked has
// watermarks as often as it likes.
func (d *Device) Request(after time.Time) {
	if c, ok := d.conn.(capture.OnDemand); ok {
		c.RequestWatermark(after)
	}
}

// Dropped returns how many frames the capture has lost, as far as it says so.
func (d *Device) Dropped() int {
	c, ok := d.conn.(interface {
		Stats() (capture.Stats, error)
	})
	if !ok {
		return 0
	}
	now, _ := c.Stats() // zero if it fails
	return now.Dropped
}

// begin opens the Conn, and begins to capture.
func (d *Device) begin(open func() (Conn, error)) {
	defer close(d.opened)
	conn, err := open()
	if err != nil {
		d.err = err
		return
	}
	d.conn = conn
	ctx, stop := context.WithCancel(context.Background())
	captured := make(chan struct{})
	d.stop = func() {
		stop()
		<-captured
	}
	go func() {
		defer close(captured)
		d.to.Ended(d.capture(ctx))
	}()
}

// close ends the capture and closes the Conn. The caller is the last user of the Device.
func (d *Device) close() (err error) {
	defer close(d.closed)
	if d.conn == nil {
		return nil
	}
	d.mu.Lock()
	d.closing = true
	d.changed.Broadcast()
	d.mu.Unlock()
	d.stop()
	if c, ok := d.conn.(io.Closer); ok {
		err = c.Close()
	}
	return err
}

// capture takes frames while any are expected, and until the Device is closed.
func (d *Device) capture(ctx context.Context) error {
	if !d.isExpected() {
		return nil
	}
	var taken frame.Frame // one for all: they go to an interface, so each is on the heap
	for f, err := range d.conn.Frames(ctx) {
		if taken = f; err == nil {
			d.to.Take(&taken)
		}
		if err != nil || !d.isExpected() {
			return err
		}
	}
	return nil
}

// isExpected waits until something is expected. It is false when the Device is closed.
func (d *Device) isExpected() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.closing && d.expected == 0 {
		d.changed.Wait()
	}
	return !d.closing
}
