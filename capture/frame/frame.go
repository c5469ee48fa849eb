// Package frame says what a captured frame is: when the kernel stamped it,
// which way it went, on what kind of link, and which IP packet it carries.
//
// It does no I/O. Everything that reads frames (a live handle, a file, a
// simulated network) yields values of type Frame; everything that looks into
// one starts with Decode.
package frame

import (
	"math"
	"time"
)

// Direction is which way a frame crossed the interface it was captured on.
type Direction uint8

// The directions a capture can tell. Many captures can't: Unknown is common.
const (
	Unknown Direction = iota
	In
	Out
)

// Frame is one frame of a capture, or a watermark.
//
// A Source hands out Frames whose Data is only valid until the next one is
// asked for; who keeps it must copy it.
type Frame struct {
	// Time is the stamp of the capture, in UTC: for a live handle and its
	// recordings the kernel's, in nanoseconds.
	Time time.Time

	// Read is when the program received the frame, by its own clock. It is
	// zero for frames from a file that does not tell.
	Read time.Time

	// Data is the frame as captured, from its link header on. A Frame without
	// Data is a watermark: nothing stamped before Time will follow.
	Data []byte

	// Length is the length of the frame on the wire, in bytes. It is larger
	// than len(Data) when the capture cut the frame.
	Length int

	// Link is the kind of link header that Data begins with.
	Link LinkType

	// Direction is which way the frame went, where the capture says so.
	Direction Direction

	// Number is the number of the frame in its capture, counted from 1 as other
	// programs count them. It is 0 in a watermark.
	Number int

	// Interface is the number of the interface that the frame was captured on,
	// in a file that describes several: they are numbered from 0 over all of
	// the file. Else it is 0.
	Interface int

	// Comments are what the capture's author said of this frame, and before
	// that of what came before it in the file that is not a frame: sections,
	// interfaces, statistics, names; in the order of the file. In a watermark
	// they are what no frame followed. Like Data, they are valid until the next
	// frame is asked for. Nil when there are none.
	Comments []string

	// Before is how many of the Comments, the first ones, were said before this
	// frame in the file: the others are the frame's own.
	Before int

	// Step is, in a watermark, by how much the wall clock that stamps the
	// frames was set forward (or, negative, back) since the frame before it.
	Step time.Duration

	// Gap is what the capture missed before this frame or watermark, if it says so:
	// in a live capture always in a watermark, which may have no Time. Like Data, it
	// is valid until the next frame is asked for.
	Gap *Gap
}

// IsWatermark reports whether f carries no frame, only the promise that
// nothing stamped before f.Time will follow.
func (f *Frame) IsWatermark() bool { return f.Data == nil }

// End is the watermark of a capture that is over: nothing at all will follow.
//
// Its time is no moment of the capture, and not to be shown. It is the last
// that UnixNano can tell, in the year 2262: after every stamp that a capture
// can hold and every deadline reckoned from one.
func End() Frame { return Frame{Time: time.Unix(0, math.MaxInt64).UTC()} }

// LinkType is a link-layer header type as capture files number them
// (the LINKTYPE_ values of the tcpdump group's registry, which differ from a
// platform's DLT_ values for raw IP and OpenBSD's loopback).
type LinkType uint16

// The link types that Decode understands.
const (
	Null      LinkType = 0   // BSD loopback: address family in host byte order
	Ethernet  LinkType = 1   // IEEE 802.3, with any number of VLAN tags
	PPP       LinkType = 9   // PPP, with or without the HDLC address and control bytes
	Raw       LinkType = 101 // an IPv4 or IPv6 packet, no link header
	Loop      LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinuxSLL  LinkType = 113 // Linux cooked capture, version 1
	IPv4      LinkType = 228 // an IPv4 packet, no link header
	IPv6      LinkType = 229 // an IPv6 packet, no link header
	LinuxSLL2 LinkType = 276 // Linux cooked capture, version 2
)
