//go:build linux && cgo

package capture

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcap"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/netns"
)

// Live captures and injects frames on an interface: a Source and an Injector.
//
// It is two handles, because a handle never sees the frames that it injects
// itself: one captures, ours among everybody's, and one sends. All stamps are
// the kernel's, in nanoseconds.
//
// On an Ethernet, Inject takes complete frames. On lo and on links without
// link-layer addresses (tun, WireGuard, PPP, tunnels) it takes IP packets: on
// lo the kernel delivers those for this host and drops frames.
//
// What leaves or stays on this host may be captured before its transport
// checksum is complete (craft.Packet.WireChecksum), on lo and veth the answers
// too.
//
// A Live belongs to the network namespace that the caller of OpenLive is in, and
// may be used from any other. Read errors end the sequence of Frames with
// ErrDown, ErrGone or what libpcap says. Its methods may be called by any
// goroutine.
type Live struct {
	name    string
	index   int
	mac     net.HardwareAddr   // nil where frames have none, or nobody's, as on lo
	own     map[netip.Addr]int // of a link without link-layer addresses: this host's; see ownAddresses
	link    frame.LinkType
	ranged  atomic.Bool
	closing atomic.Bool

	receive handle
	waiter  *waiter // for what receive has to read; nil where it can't be waited for
	counts  counts  // of receive
	send    sender
	control *os.File // a socket, to look at the interface by
	notices *notices // of the kernel about the interface
	data    []byte   // of the frame that Frames has yielded last
}

// handle is a libpcap handle that may be closed at any time: a call on a
// closed one would crash the process.
type handle struct {
	mu     sync.Mutex
	pcap   *pcap.Handle
	closed bool
}

// do calls f with the handle, unless it is closed.
func (h *handle) do(f func(*pcap.Handle) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	return f(h.pcap)
}

func (h *handle) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed && h.pcap != nil {
		h.pcap.Close()
	}
	h.closed = true
}

// OpenLive opens an interface. Frames are captured from then on.
func OpenLive(o LiveOptions) (*Live, error) {
	device, err := net.InterfaceByName(o.Interface)
	if gone(err) {
		err = ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("capture: %s: %w", o.Interface, err)
	}
	if device.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("capture: %s: %w", o.Interface, ErrDown)
	}
	l := &Live{name: o.Interface, index: device.Index, data: []byte{}}
	if err := l.open(device, o); err != nil {
		l.Close()
		return nil, fmt.Errorf("capture: %s: %w", o.Interface, err)
	}
	return l, nil
}

// open opens both handles, if both are wanted, at the same time: each takes
// milliseconds.
func (l *Live) open(device *net.Interface, o LiveOptions) (err error) {
	if l.control, err = openControl(); err != nil {
		return err
	}
	if err := l.learn(device, o); err != nil {
		return err
	}
	l.notices = openNotices(device.Index)
	if o.ReceiveOnly {
		return l.openReceive(o)
	}
	openSender, err := netns.Inherit(func() (err error) {
		l.send, err = newSender(device, l.own)
		return err
	})
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	var sendErr error
	wait.Go(func() { sendErr = openSender() })
	err = l.openReceive(o)
	wait.Wait()
	return cmp.Or(err, sendErr)
}

// learn notes what the directions of frames are told by.
func (l *Live) learn(device *net.Interface, o LiveOptions) (err error) {
	switch kindOf(device) {
	case ethernetLink:
		l.mac = device.HardwareAddr
		if len(o.MAC) > 0 {
			l.mac = o.MAC
		}
	case rawLink, loopbackLink:
		l.own, err = ownAddresses()
	}
	return err
}

func (l *Live) openReceive(o LiveOptions) (err error) {
	if err := l.openRing(o); err != nil {
		return err
	}
	l.link = linkType(l.receive.pcap)
	if err := l.receive.pcap.SetBPFFilter(filterFor(l.link, o.Filter)); err != nil {
		return fmt.Errorf("filter %q: %w", o.Filter, err)
	}
	return nil
}

// openRing opens the handle that receives, and finds out how to wait for it.
func (l *Live) openRing(o LiveOptions) (err error) {
	idle := cmp.Or(o.Idle, defaultIdle)
	open := func(wait time.Duration) (err error) {
		l.receive.pcap, err = activate(o.Interface, cmp.Or(o.SnapLen, defaultSnapLen), cmp.Or(o.Buffer, defaultBuffer), wait)
		return err
	}
	if o.poll {
		return open(min(idle, pollInterval))
	}
	// A read waits no longer than this for the frame that there seemed to be.
	if err := open(time.Millisecond); err != nil {
		return err
	}
	if socket, ok := descriptor(l.receive.pcap); ok {
		l.waiter = newWaiter(socket, l.notices, idle)
	}
	if l.waiter != nil {
		return nil
	}
	l.receive.pcap.Close()
	return open(min(idle, pollInterval))
}

// activate opens one handle.
func activate(name string, snapLen, buffer int, idle time.Duration) (*pcap.Handle, error) {
	inactive, err := pcap.NewInactiveHandle(name)
	if err != nil {
		return nil, activateError(err)
	}
	defer inactive.CleanUp()
	for _, err := range []error{
		inactive.SetSnapLen(snapLen),
		inactive.SetBufferSize(buffer),
		inactive.SetTimeout(idle),
		inactive.SetImmediateMode(true),
	} {
		if err != nil {
			return nil, err
		}
	}
	h, err := inactive.Activate()
	if err != nil {
		return nil, activateError(err)
	}
	return h, nil
}

// activateError translates gopacket's error, whose type it keeps to itself.
func activateError(err error) error {
	switch err.Error() {
	case "Permission Denied":
		return ErrPermission
	case "No Such Device":
		return ErrGone
	case "Interface Not Up":
		return ErrDown
	}
	if tooMany := syscall.EMFILE; strings.HasSuffix(strings.ToLower(err.Error()), tooMany.Error()) {
		return tooMany // what was to be opened says nothing to a user
	}
	return err
}

// linkType is the handle's link type as capture files number it.
func linkType(h *pcap.Handle) frame.LinkType {
	switch t := h.LinkType(); t {
	case 12, 14: // DLT_RAW
		return frame.Raw
	default:
		return frame.LinkType(t)
	}
}

// filterFor makes a filter see behind VLAN tags, on links that have them:
// libpcap reads a primitive such as icmp as one about an untagged frame, and
// refuses the word vlan on other links.
func filterFor(link frame.LinkType, filter string) string {
	if filter == "" || link != frame.Ethernet {
		return filter
	}
	return fmt.Sprintf("(%[1]s) or (vlan and ((%[1]s) or (vlan and (%[1]s))))", filter)
}

// Frames implements Source. A handle that is idle yields a watermark about every
// LiveOptions.Idle, and when one is requested. What the capture misses, since its ring
// is full, the link is lost or an address was removed, is the Gap of a watermark
// without a Time.
func (l *Live) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		if l.ranged.Swap(true) {
			yield(frame.Frame{}, errors.New("capture: ranged over twice"))
			return
		}
		defer context.AfterFunc(ctx, l.wake)()
		defer l.count()
		r := newReader(l)
		for ctx.Err() == nil && r.next(ctx, yield) {
		}
	}
}

// RequestWatermark implements OnDemand. The watermark comes 2 ms after the time
// requested, or after now if that is later, and the milliseconds that a busy machine
// takes. Where the socket of libpcap isn't found, requests are without effect, and a
// watermark comes every 20 ms.
func (l *Live) RequestWatermark(after time.Time) {
	if l.waiter != nil {
		l.waiter.request(after)
	}
}

// wake makes the reader see that it is to end.
func (l *Live) wake() {
	if l.waiter != nil {
		l.waiter.wake()
	}
}

// frame copies data, which Close frees while the frame may still be in use.
func (l *Live) frame(data []byte, info gopacket.CaptureInfo, now time.Time) frame.Frame {
	l.data = append(l.data[:0], data...)
	f := frame.Frame{
		Time: info.Timestamp.UTC(), Read: now.UTC().Round(0),
		Data: slices.Clip(l.data), Length: info.Length, Link: l.link,
	}
	f.Direction = l.direction(&f)
	return f
}

// direction tells by the source address of an Ethernet frame or, on a link
// without such, by which end of the packet is this host. On lo every frame goes
// both ways.
func (l *Live) direction(f *frame.Frame) frame.Direction {
	switch {
	case l.index == loopbackIndex:
		return frame.Unknown
	case l.own != nil:
		return l.packetDirection(f)
	case l.link != frame.Ethernet || len(l.mac) != 6 || len(f.Data) < 12:
		return frame.Unknown
	case bytes.Equal(f.Data[6:12], l.mac):
		return frame.Out
	}
	return frame.In
}

func (l *Live) packetDirection(f *frame.Frame) frame.Direction {
	packet, err := frame.Decode(f)
	if err != nil || packet.Direction != frame.Unknown {
		return packet.Direction
	}
	src, dst := endsOf(packet.IP)
	if _, sent := l.own[src]; sent {
		return frame.Out
	}
	if _, received := l.own[dst]; received {
		return frame.In
	}
	return frame.Unknown // forwarded
}

// readError says why a read failed: gopacket only says that it did.
func (l *Live) readError(h *pcap.Handle) error {
	if err := l.check(); err != nil {
		return err
	}
	return h.Error()
}

// check looks whether the interface is there and up, whatever it is called by
// now. No news is good news.
func (l *Live) check() error {
	raw, err := l.control.SyscallConn()
	if err != nil {
		return nil
	}
	var found error
	if err := raw.Control(func(fd uintptr) { found = look(int(fd), l.index) }); err != nil {
		return nil // closed
	}
	return found
}

// gone tells whether there is no interface where none was found. An error of
// the system's says that it could not be looked for.
func gone(err error) bool {
	_, failed := errors.AsType[syscall.Errno](err)
	return err != nil && !failed
}

// Inject implements Injector.
func (l *Live) Inject(data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("capture: %s: an empty frame can't be sent", l.name)
	}
	if l.send == nil {
		return fmt.Errorf("capture: %s: it was opened to receive only", l.name)
	}
	err := l.send.send(data)
	if err == nil {
		return nil
	}
	text := strings.ToLower(err.Error())
	if strings.Contains(text, syscall.ENOBUFS.Error()) {
		err = ErrBusy
	} else if down := l.check(); down != nil {
		err = down
	} else if strings.Contains(text, syscall.ENETDOWN.Error()) {
		err = ErrDown // it was, and is up again
	}
	return fmt.Errorf("capture: %s: %w", l.name, err)
}

// Stats returns the counts as of when the reader last found the ring empty, or about
// 5 ms ago while it has much to read; and all of them when Frames has ended. It
// waits for nothing.
func (l *Live) Stats() (Stats, error) {
	if l.closing.Load() {
		return Stats{}, fmt.Errorf("capture: %s: %w", l.name, ErrClosed)
	}
	return l.counts.load(), nil
}

// Close ends Frames, waits for a read that is under way, which it interrupts, and
// releases both handles. It may be called more than once.
func (l *Live) Close() error {
	l.closing.Store(true)
	l.wake()
	var wait sync.WaitGroup
	if l.send != nil {
		wait.Go(l.send.close)
	}
	wait.Go(l.receive.close)
	wait.Wait()
	if l.control != nil {
		l.control.Close()
	}
	if l.waiter != nil {
		l.waiter.close()
	}
	l.notices.close()
	return nil
}
