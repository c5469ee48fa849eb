//go:build !linux || !cgo

package capture

import (
	"context"
	"iter"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// Live is a live handle. This build has none.
type Live struct{}

// OpenLive returns ErrUnsupported.
func OpenLive(LiveOptions) (*Live, error) { return nil, ErrUnsupported }

// Frames yields ErrUnsupported.
func (l *Live) Frames(context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) { yield(frame.Frame{}, ErrUnsupported) }
}

// RequestWatermark does nothing.
func (l *Live) RequestWatermark(time.Time) {}

// Inject returns ErrUnsupported.
func (l *Live) Inject([]byte) error { return ErrUnsupported }

// Stats returns ErrUnsupported.
func (l *Live) Stats() (Stats, error) { return Stats{}, ErrUnsupported }

// Close does nothing.
func (l *Live) Close() error { return nil }
