package session_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/session"
)

// FuzzFinder: whatever is in a capture, no frame is two probes' or two replies',
// nothing is found that the frames don't have, and traces come in the order in
// which they began, if the clock goes ahead and nothing had to be forgotten.
func FuzzFinder(f *testing.F) {
	for _, file := range captureFiles(f) {
		if frames := framesOf(f, file); len(frames) > 0 {
			f.Add(packCapture(frames[:min(len(frames), 40)]))
		}
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		frames := unpackCapture(packed)
		var traces []*path.Path
		finder := session.NewFinder(func(p *path.Path) { traces = append(traces, p.Clone()) })
		stamps, steady := map[int64]int{}, true
		for i := range frames {
			stamps[frames[i].Time.UnixNano()]++
			steady = steady && (i == 0 || !frames[i].Time.Before(frames[i-1].Time))
			finder.Observe(&frames[i])
		}
		finder.Close()
		const few = 32 // of which no run has to be forgotten
		for i, p := range traces {
			if steady && len(frames) <= few && i > 0 && p.Started.Before(traces[i-1].Started) {
				t.Errorf("the trace of %v comes after that of %v", p.Started, traces[i-1].Started)
			}
			account(stamps, p)
		}
		for at, n := range stamps {
			if n < 0 {
				t.Errorf("a frame is two probes' or replies', or none: stamp %d, %d", at, n)
			}
		}
	})
}

// account takes the frames of a trace off their stamps.
func account(stamps map[int64]int, p *path.Path) {
	for i := range p.Probes {
		probe := &p.Probes[i]
		if probe.TTL != 0 {
			stamps[probe.Sent.UnixNano()]--
		}
		if probe.Reply != nil {
			stamps[probe.Reply.Received.UnixNano()]--
		}
		for _, r := range probe.Extra {
			stamps[r.Received.UnixNano()]--
		}
	}
}

// packCapture writes frames as unpackCapture reads them: of each the link type,
// the milliseconds since the one before it, and the length, two bytes each, then
// the data.
func packCapture(frames []frame.Frame) (packed []byte) {
	for i := range frames {
		f := &frames[i]
		var since time.Duration
		if i > 0 {
			since = f.Time.Sub(frames[i-1].Time)
		}
		packed = binary.BigEndian.AppendUint16(packed, uint16(f.Link))
		packed = binary.BigEndian.AppendUint16(packed, uint16(since.Milliseconds()))
		packed = binary.BigEndian.AppendUint16(packed, uint16(len(f.Data)))
		packed = append(packed, f.Data...)
	}
	return packed
}

// unpackCapture reads as many frames as there are. The times between them are
// signed, and a nanosecond more than they say.
func unpackCapture(packed []byte) (frames []frame.Frame) {
	const header = 6
	at := epoch
	for len(packed) >= header {
		link, since, n := binary.BigEndian.Uint16(packed), int16(binary.BigEndian.Uint16(packed[2:])), int(binary.BigEndian.Uint16(packed[4:]))
		packed = packed[header:]
		n = min(n, len(packed))
		at = at.Add(time.Duration(since)*time.Millisecond + 1)
		frames = append(frames, frame.Frame{Time: at, Data: packed[:n:n], Length: n, Link: frame.LinkType(link)})
		packed = packed[n:]
	}
	return frames
}
