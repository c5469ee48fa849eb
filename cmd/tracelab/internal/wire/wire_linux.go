package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// Carrier is the simulated network. Carry is told of a packet that leaves the
// host at a time, and appends what comes back to the host. Times count from any
// start, and never go back from call to call. Packets that are appended are
// not touched again; the one that left is valid during the call only.
type Carrier interface {
	Carry(at time.Duration, ip []byte, back []simulate.Arrival) []simulate.Arrival
}

// Wire is the host's cable. Serve answers what the host sends.
type Wire struct {
	ring    *ring
	carrier Carrier
	resolve map[netip.Addr]bool
	wake    int // an eventfd that ends Serve
	closing sync.Once
	served  chan struct{}

	start   time.Time
	last    time.Duration // when the last packet left the host
	waiting schedule
	back    []simulate.Arrival
	header4 []byte
	header6 []byte
	counts  Counts
}

// Counts are what a wire has seen.
type Counts struct {
	Packets   uint64 // IP packets from the host
	Replies   uint64 // packets sent to the host
	Malformed uint64 // frames from the host that are not whole
	Ignored   uint64 // frames from the host that no gateway takes: multicast, other protocols
	Lost      uint64 // frames that came too fast, or were too long for the host's MTU
	Overrun   uint64 // of these, how many of the host's came too fast
}

// Open makes the host's interface in the network namespace of this process,
// with addresses and routes, and serves it by the carrier until Close. The
// topology has its defaults filled in. Frames carry complete checksums.
func Open(t *topology.Topology, carrier Carrier) (*Wire, error) {
	far, index, err := pair(&t.Host)
	if err != nil {
		return nil, err
	}
	defer far.Close()
	r, err := openRing(far, index, t.Host.MTU)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		r.close()
		return nil, err
	}
	w := &Wire{
		ring: r, carrier: carrier, resolve: onLink(t), wake: wake, served: make(chan struct{}),
		start:   time.Now(),
		header4: appendEthernet(nil, hostMAC, gatewayMAC, typeIPv4),
		header6: appendEthernet(nil, hostMAC, gatewayMAC, typeIPv6),
	}
	go w.serve()
	return w, nil
}

// Close ends the service and returns what was counted. Packets that are on
// their way are lost.
func (w *Wire) Close() Counts {
	w.closing.Do(func() {
		one := binary.NativeEndian.AppendUint64(nil, 1)
		_, _ = unix.Write(w.wake, one) // cannot fail but on overflow
		<-w.served
		w.counts.Overrun = w.ring.dropped()
		w.counts.Lost += w.counts.Overrun
		w.ring.close()
		unix.Close(w.wake)
	})
	return w.counts
}

// serve owns its thread, whose sleeps are exact.
func (w *Wire) serve() {
	defer close(w.served)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := takeThread()
	defer thread.release()
	watch := newWatch(runtime.NumCPU())
	for {
		busy := w.receive()
		now := time.Since(w.start)
		w.deliver(now)
		next, some := w.waiting.next()
		awake := busy || some && next-now < watch.window
		if !awake || watch.stale(now) {
			watch.adapt(now, thread.waited())
		}
		if awake {
			continue
		}
		if w.sleep(next-now-watch.window, some) {
			return
		}
		watch.woke(time.Since(w.start), thread.waited())
	}
}

// sleep waits for frames, for so long if limited, and tells whether the wire
// is to be closed.
func (w *Wire) sleep(d time.Duration, limited bool) (closing bool) {
	fds := [2]unix.PollFd{{Fd: int32(w.ring.fd), Events: unix.POLLIN}, {Fd: int32(w.wake), Events: unix.POLLIN}}
	var timeout *unix.Timespec
	if limited {
		t := unix.NsecToTimespec(int64(d))
		timeout = &t
	}
	_, _ = unix.Ppoll(fds[:], timeout, nil) // EINTR is as good as a timeout
	return fds[1].Revents != 0
}

// batch bounds how many frames are received before those due are sent.
const batch = 64

// receive takes in the frames that are there, and tells whether there were
// any.
func (w *Wire) receive() bool {
	frame, stamp := w.ring.frame()
	if frame == nil {
		return false
	}
	clock := time.Now() // relates the wall clock, of the stamps, to the monotonic one
	now := clock.Sub(w.start)
	for range batch {
		age := time.Duration(clock.UnixNano() - stamp.UnixNano())
		w.last = max(w.last, now-min(max(age, 0), time.Second))
		w.accept(frame)
		w.ring.release()
		if frame, stamp = w.ring.frame(); frame == nil {
			break
		}
	}
	return true
}

// accept takes in one frame, which left the host at w.last.
func (w *Wire) accept(frame []byte) {
	if len(frame) < ethernetLen {
		w.counts.Malformed++
		return
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeARP:
		w.answer(arpReply(frame, w.resolve))
		return
	case typeIPv6:
		if isNeighborSolicit(frame[ethernetLen:]) {
			w.answer(advert(frame, w.resolve))
			return
		}
	case typeIPv4:
	default:
		w.counts.Ignored++
		return
	}
	if !bytes.Equal(frame[:6], gatewayMAC) {
		w.counts.Ignored++
		return
	}
	w.carry(frame[ethernetLen:])
}

func (w *Wire) carry(ip []byte) {
	w.counts.Packets++
	w.back = w.carrier.Carry(w.last, ip, w.back[:0])
	for _, a := range w.back {
		w.waiting.push(a.At, a.IP)
	}
	clear(w.back)
}

// answer sends a frame at once, or counts that there is none to send.
func (w *Wire) answer(frame []byte) {
	if frame == nil {
		w.counts.Ignored++
		return
	}
	w.send(frame[:ethernetLen], frame[ethernetLen:])
}

// deliver sends what is due.
func (w *Wire) deliver(now time.Duration) {
	for range batch {
		next, some := w.waiting.next()
		if !some || next > now {
			return
		}
		ip := w.waiting.pop()
		header := w.header4
		if len(ip) > 0 && ip[0]>>4 == 6 {
			header = w.header6
		}
		w.counts.Replies++
		w.send(header, ip)
	}
}

// send loses a frame where the host is not up or its queue is full, as a cable
// does.
func (w *Wire) send(link, ip []byte) {
	for {
		err := w.ring.send(link, ip)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			w.counts.Lost++
			return
		}
	}
}
