package capturetest_test

import (
	"context"
	"encoding/binary"
	"iter"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"go.uber.org/goleak"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The interfaces of package capture, which imports libpcap.
var _ interface {
	Frames(context.Context) iter.Seq2[frame.Frame, error]
	Inject([]byte) error
} = (*capturetest.Conn)(nil)

const (
	hop1 = "10.0.1.1"
	hop2 = "10.0.2.1"
	hop3 = "10.0.3.1"
	dest = "198.51.100.7"
	host = "192.0.2.1"

	srcPort = 54321
	dstPort = 33434
	probeID = 0x1234
)

// chain is three routers and a destination, a millisecond apart.
func chain() capturetest.Chain {
	return capturetest.ChainOf(time.Millisecond, hop1, hop2, hop3, dest)
}

func connect(t *testing.T, c capturetest.Chain, h capturetest.Host) (*capturetest.Network, *capturetest.Conn) {
	t.Helper()
	n, err := capturetest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return n, n.Conn(h)
}

// probe is a UDP probe of 60 bytes to the destination.
func probe(ttl uint8) capturetest.UDP {
	return capturetest.UDP{
		From: netip.AddrPortFrom(netip.MustParseAddr(host), srcPort),
		To:   netip.AddrPortFrom(netip.MustParseAddr(dest), dstPort),
		TTL:  ttl, ID: probeID, Payload: []byte("thirty-two bytes to be carried.."),
	}
}

func packet(t *testing.T, p interface{ Packet() ([]byte, error) }) []byte {
	t.Helper()
	ip, err := p.Packet()
	if err != nil {
		t.Fatal(err)
	}
	return ip
}

func inject(t *testing.T, c *capturetest.Conn, p capturetest.UDP) []byte {
	t.Helper()
	ip := packet(t, p)
	if err := c.Inject(c.Outbound(ip)); err != nil {
		t.Fatal(err)
	}
	return ip
}

// capture returns what c captures until the given time has passed, its data
// copied, without idle watermarks, which come all the time.
func capture(t *testing.T, c *capturetest.Conn, d time.Duration) []frame.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var frames []frame.Frame
	for f, err := range c.Frames(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if f.IsWatermark() && f.Step == 0 {
			continue
		}
		f.Data = append([]byte(nil), f.Data...)
		frames = append(frames, f)
	}
	return frames
}

// reply is what a test wants to know of a captured reply, as gopacket decodes it.
type reply struct {
	From       string
	Type, Code uint8
	TTL        uint8 // outer
	QuotedTTL  uint8
}

// decode checks every length and checksum of a reply on the way.
func decode(t *testing.T, f frame.Frame) (reply, []byte) {
	t.Helper()
	p := gopacket.NewPacket(f.Data, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("%x: %v", f.Data, e.Error())
	}
	ip := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	if got := sum(ip.Contents); got != 0xffff {
		t.Errorf("outer header sums to %#x", got)
	}
	if int(ip.Length) != len(f.Data)-14 {
		t.Errorf("outer length %d of %d bytes", ip.Length, len(f.Data)-14)
	}
	r := reply{From: ip.SrcIP.String(), TTL: ip.TTL}
	icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	if !ok {
		return r, p.Layer(layers.LayerTypeUDP).LayerPayload()
	}
	if got := sum(ip.Payload); got != 0xffff {
		t.Errorf("ICMP message sums to %#x", got)
	}
	r.Type, r.Code = icmp.TypeCode.Type(), icmp.TypeCode.Code()
	quote := icmp.Payload
	if len(quote) >= 20 {
		r.QuotedTTL = quote[8]
		if got := sum(quote[:int(quote[0]&15)*4]); got != 0xffff {
			t.Errorf("quoted header sums to %#x", got)
		}
	}
	return r, quote
}

// sum is the ones' complement sum of data, 0xffff if its checksum is right.
func sum(data []byte) uint16 {
	var s uint64
	for i, b := range data {
		s += uint64(b) << (8 * (1 - i%2))
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func udpChecksum(ip []byte) uint16 { return binary.BigEndian.Uint16(ip[26:]) }
