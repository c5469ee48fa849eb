// Package pcapng reads and writes capture files in the pcapng format
// (draft-ietf-opsawg-pcapng; the sections named in this package are the
// draft's).
//
// The Reader takes files from anybody: it checks every length before it relies
// on it, and its memory is bounded whatever a file says. The Writer writes
// what other programs read without a complaint.
package pcapng

import (
	"net"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// Section is what a section header says of the program and the machine that
// wrote the section (section 4.1).
type Section struct {
	Hardware, OS, Application string
}

// Interface is what an interface description block says (section 4.2). What it
// does not say is zero.
type Interface struct {
	Name, Description string

	// Filter is the capture filter as it was typed (pcap-filter(7)).
	Filter string

	// Hardware is the model of the adapter, OS the system it was in.
	Hardware, OS string

	// MAC is the address of the interface, of 6 bytes.
	MAC net.HardwareAddr

	Link frame.LinkType

	// SnapLen is how many bytes of a frame the capture kept. 0 means all.
	SnapLen uint32
}

// Statistics are the counts of an interface since its capture began (section
// 4.6). What is not known is zero.
type Statistics struct {
	// Start and End are when the capture began and ended, in UTC.
	Start, End time.Time

	// Received are the frames that came to the interface.
	Received uint64

	// Dropped are the frames that the interface or the system lost.
	Dropped uint64
}

// The types of the blocks that are looked into (section 10.1).
const (
	sectionHeaderBlock  = 0x0a0d0d0a // the same in both byte orders
	interfaceBlock      = 1
	obsoletePacketBlock = 2
	simplePacketBlock   = 3
	namesBlock          = 4
	statisticsBlock     = 5
	enhancedPacketBlock = 6
	secretsBlock        = 10
)

// The byte-order magic of a section header, and what it is in the other byte
// order than the one it is read in.
const (
	byteOrderMagic        = 0x1a2b3c4d
	swappedByteOrderMagic = 0x4d3c2b1a
)

// The codes of the options that are looked into (sections 3.5 and 4).
const (
	optEnd     = 0
	optComment = 1

	sectionHardware    = 2
	sectionOS          = 3
	sectionApplication = 4

	interfaceName        = 2
	interfaceDescription = 3
	interfaceMAC         = 6
	interfaceResolution  = 9
	interfaceFilter      = 11
	interfaceOS          = 12
	interfaceOffset      = 14
	interfaceHardware    = 15

	packetFlags     = 2
	packetDropCount = 4 // of the enhanced packet block only

	statisticsStart     = 2
	statisticsEnd       = 3
	statisticsReceived  = 4
	statisticsDropped   = 5
	statisticsOSDropped = 7
)

// The types of the records of a names block (section 4.5).
const (
	nameEnd  = 0
	nameIPv4 = 1
	nameIPv6 = 2
)

// The sizes that are taken, in bytes.
const (
	// blockOverhead is what a block has around its body: type, length, and
	// the length again (section 3.1).
	blockOverhead = 12

	// maxBlock is what a block may have in all. Libpcap takes as much.
	maxBlock = 16 << 20

	// maxCaptured is the most bytes of a frame that a packet block may hold:
	// libpcap's MAXIMUM_SNAPLEN.
	maxCaptured = 262144

	// readAhead is what the Reader buffers, and so the part of a block that it
	// looks into: the largest frame, and about as much of options.
	readAhead = 2 * maxCaptured

	// maxInterfaces is how many interfaces a file may describe.
	maxInterfaces = 65536

	// maxText is what the names and the texts of interfaces may take, for as
	// long as the Reader is used; what is more is left out.
	maxText = 8 << 20

	// maxComments and maxCommentText bound what a frame carries; what is more
	// is left out.
	maxComments    = 16384
	maxCommentText = 1 << 20

	maxOption = 65535 // its length has 16 bits (section 3.5)
	maxName   = 255   // of the domain name system (RFC 1035 section 2.3.4)
)
