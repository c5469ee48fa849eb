package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// A costly is a file that is made to cost much memory or time.
type costly struct {
	*pcapng.Writer
	out      bytes.Buffer
	size     int // to come to
	at       time.Time
	comments []string // of the next frame
	room     int      // of them, in bytes
	err      error
}

// costlyFiles are files of about so many bytes that were made to cost much, by what
// they have much of.
func costlyFiles(size int) map[string]func(testing.TB) []byte {
	files := map[string]func(testing.TB) []byte{}
	for name, fill := range map[string]func(*costly){
		"probes":               fillProbes,
		"lost probes":          fillLost,
		"traces":               fillTraces,
		"traces at once":       fillAtOnce,
		"traces backwards":     fillBackwards,
		"clock steps":          fillSteps,
		"watermarks":           fillWatermarks,
		"replies to a probe":   fillReplies,
		"sizes":                fillSizes,
		"names":                fillNames,
		"interfaces":           fillInterfaces,
		"comments":             fillComments,
		"captured, lost":       fillCaptured(capturedLost),
		"captured, answered":   fillCaptured(capturedAnswered),
		"captured, refused":    fillCaptured(capturedRefused),
		"captured, pings":      fillCaptured(capturedPings),
		"captured, silence":    fillCaptured(capturedSilence),
		"captured, one probe":  fillCaptured(capturedRepeated),
		"captured, replies":    fillCaptured(capturedStrangers),
		"captured, traces":     fillCaptured(capturedTraces),
		"captured, suspects":   fillCaptured(capturedSuspects),
		"captured, broken":     fillCaptured(capturedBroken),
		"captured, extensions": fillCaptured(capturedExtensions),
	} {
		files[name] = func(t testing.TB) []byte {
			c := &costly{size: size, at: time.Unix(1_700_000_000, 0).UTC()}
			c.Writer, c.err = pcapng.NewWriter(&c.out, pcapng.Section{Application: "tracewire"})
			c.add(pcapng.Interface{Name: "eth0", Link: frame.Raw})
			fill(c)
			c.flush()
			if c.err != nil {
				t.Fatalf("%s: %v", name, c.err)
			}
			return c.out.Bytes()
		}
	}
	return files
}

// isFull reports whether the file has its size.
func (c *costly) isFull() bool { return c.err != nil || c.out.Len() >= c.size }

func (c *costly) try(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *costly) add(i pcapng.Interface) {
	_, err := c.AddInterface(i)
	c.try(err)
}

// note adds a note, which comes with the next frame or without one.
func (c *costly) note(format string, args ...any) {
	c.comments = append(c.comments, "tracewire/2 "+fmt.Sprintf(format, args...))
	if c.room += len(c.comments[len(c.comments)-1]); c.room > 100_000 || len(c.comments) >= 500 {
		c.flush()
	}
}

// flush writes the notes that no frame has followed, with one of others.
func (c *costly) flush() {
	if len(c.comments) > 0 {
		c.frame(udp(1, 64, 7, "192.0.2.7"))
	}
}

// frame writes an IP packet, a microsecond after the one before.
func (c *costly) frame(ip []byte) {
	c.at = c.at.Add(time.Microsecond)
	c.try(c.WriteFrame(&frame.Frame{Time: c.at, Link: frame.Raw, Length: len(ip), Data: ip, Comments: c.comments}))
	c.comments, c.room = nil, 0
}

// start notes that a trace begins, with some options.
func (c *costly) start(trace int, options string) { c.startTo("198.51.100.80", trace, options) }

func (c *costly) startTo(target string, trace int, options string) {
	c.note(`{"trace":%d,"start":{"at":%d,"run":1,"target":{"host":"h","addr":%q},"source":{"addr":"192.0.2.10","interface":"eth0"},`+
		`"protocol":17,"tool":"tracewire","parameters":{"first_ttl":1,"max_ttl":255,"queries":10,"in_flight":1000,"wait":{"max":5000000000},`+
		`"src_port":50000,"dst_port":33434,"length":60,"seed":1%s}}}`, trace, c.at.UnixNano(), target, options)
}

func (c *costly) sent(trace, n, ttl, round int) {
	c.note(`{"trace":%d,"sent":{"ttl":%d,"round":%d,"id":%d,"src_port":50000,"dst_port":33434,"called":%d,"key":{"id":%d,"token":%d}}}`,
		trace, ttl, round, n&0xffff, c.at.UnixNano(), n&0xffff, n&0xffff)
}

func (c *costly) end(trace int) {
	c.note(`{"trace":%d,"end":{"at":%d}}`, trace, c.at.UnixNano())
}

// probes sends the most probes that a trace can have.
func (c *costly) probes(trace int) (n int) {
	for round := 1; round <= 30; round++ {
		for ttl := 1; ttl <= 255 && !c.isFull(); ttl++ {
			c.sent(trace, n, ttl, round)
			n++
		}
	}
	return n
}

func fillProbes(c *costly) {
	c.start(1, "")
	for round := 1; !c.isFull(); round++ {
		for ttl := 1; ttl <= 255 && !c.isFull(); ttl++ {
			c.sent(1, round, ttl, round)
		}
	}
}

func fillLost(c *costly) {
	for trace := 1; !c.isFull(); trace++ {
		c.start(trace, "")
		c.probes(trace)
		c.at = c.at.Add(time.Minute)
		c.note(`{"trace":%d,"passed":{"at":%d}}`, trace, c.at.UnixNano())
		c.end(trace)
	}
}

func fillTraces(c *costly) {
	for trace := 1; !c.isFull(); trace++ {
		c.start(trace, "")
		c.end(trace)
	}
}

func fillAtOnce(c *costly) {
	target := func(trace int) string { return fmt.Sprintf("198.18.%d.%d", trace>>8, trace&0xff) }
	for trace := 1; trace <= 1000 && c.out.Len() < c.size/2; trace++ {
		c.startTo(target(trace), trace, "")
		c.sent(trace, trace, 1, 1)
	}
	for n := 0; !c.isFull(); n++ {
		c.frame(timeExceeded("203.0.113.1", udp(9, 1, 7, target(1+n%1000))))
	}
}

func fillBackwards(c *costly) {
	trace := c.size / 600
	for ; trace > 0; trace-- {
		c.start(trace, "")
		c.end(trace)
	}
}

func fillSteps(c *costly) {
	c.start(1, "")
	for ttl := 1; ttl <= 255; ttl++ {
		for round := 1; round <= 30 && c.out.Len() < c.size/2; round++ {
			c.sent(1, ttl*30+round, ttl, round)
		}
	}
	for !c.isFull() {
		c.note(`{"trace":1,"passed":{"at":%d,"step":1}}`, c.at.UnixNano())
	}
}

func fillWatermarks(c *costly) {
	c.start(1, "")
	for round := 1; round <= 30 && c.out.Len() < c.size/2; round++ {
		for ttl := 1; ttl <= 255; ttl++ {
			c.sent(1, ttl*30+round, ttl, round)
		}
	}
	for !c.isFull() {
		c.frame(udp(9, 64, 1, ""))
	}
}

func fillReplies(c *costly) {
	c.start(1, "")
	for n := 0; !c.isFull(); n++ {
		if n%40 == 0 && n/40 < 255*30 {
			c.sent(1, n/40, 1+n/40%255, 1+n/40/255)
		}
		c.frame(timeExceeded("203.0.113.1", udp(min(n/40, 255*30-1), 1, 33434, "")))
	}
}

func fillSizes(c *costly) {
	c.start(1, `,"mtu":true`)
	n := 0
	for round := 1; round <= 158; round++ {
		for ttl := 1; ttl <= 255 && !c.isFull(); ttl++ {
			c.note(`{"trace":1,"sent":{"ttl":%d,"round":%d,"id":%d,"src_port":50000,"dst_port":33434,"length":%d,"called":%d,"key":{"id":%d,"token":%d}}}`,
				ttl, round, n&0xffff, 60+n%1400, c.at.UnixNano(), n&0xffff, n&0xffff)
			n++
		}
	}
	c.at = c.at.Add(time.Minute)
	c.note(`{"trace":1,"passed":{"at":%d}}`, c.at.UnixNano())
	c.end(1)
}

func fillNames(c *costly) {
	for n := uint32(0); !c.isFull(); {
		names := map[netip.Addr]string{}
		for range 1000 {
			n++
			names[netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))] = strings.Repeat("n", 60)
		}
		c.try(c.WriteNames(names))
	}
}

func fillInterfaces(c *costly) {
	for n := 0; !c.isFull() && n < 65000; n++ {
		c.add(pcapng.Interface{Name: fmt.Sprintf("eth%d%s", n, strings.Repeat("x", 100)), Link: frame.Raw})
	}
}

func fillComments(c *costly) {
	c.start(1, "")
	for !c.isFull() {
		for range 500 {
			c.comments = append(c.comments, strings.Repeat("c", 100))
		}
		c.frame(udp(1, 1, 33434, ""))
	}
}

// fillCaptured fills a file with packets, of which each call of more is to write some.
func fillCaptured(more func(c *costly, n int)) func(*costly) {
	return func(c *costly) {
		for n := 0; !c.isFull(); n++ {
			more(c, n)
		}
	}
}

// router is the address of router n.
func router(n int) string {
	return netip.AddrFrom4([4]byte{203, byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

func capturedLost(c *costly, n int) { c.frame(udp(n, 1+n%30, 33434+n%30, "")) }

func capturedAnswered(c *costly, n int) {
	probe := udp(n, 1+n%30, 33434+n%30, "")
	c.frame(probe)
	c.frame(timeExceeded(router(n%30), probe))
}

func capturedRefused(c *costly, n int) {
	probe := udp(n, 1+n%30, 33434+n%30, "")
	c.frame(probe)
	refused := timeExceeded(router(n), probe)
	refused[20] = 3
	c.frame(sealed(refused))
}

// echo is an ICMP echo to 198.51.100.80, as mtr sends them.
func echo(n, ttl int) []byte {
	b := udp(n, ttl, 0, "")
	b[9] = 1
	return sealed(append(b[:20], 8, 0, 0, 0, 1, 1, byte(n>>8), byte(n)))
}

func capturedPings(c *costly, n int) {
	probe := echo(n, 1+n%30)
	c.frame(probe)
	c.frame(timeExceeded(router(n%30), probe))
}

func capturedSilence(c *costly, n int) {
	probe := echo(n, 1+n%30)
	c.frame(probe)
	if n%30 == 0 {
		c.frame(timeExceeded(router(n%30), probe))
	}
}

func capturedRepeated(c *costly, n int) {
	probe := udp(1, 1, 33434, "")
	if n == 0 {
		c.frame(probe)
	}
	c.frame(timeExceeded(router(1), probe))
}

func capturedStrangers(c *costly, n int) {
	c.frame(timeExceeded(router(n), udp(n, 1, 33434+n%100, "")))
}

func capturedTraces(c *costly, n int) {
	for ttl := 1; ttl <= 3; ttl++ {
		probe := udp(n*3+ttl, ttl, 33434+ttl, router(n))
		c.frame(probe)
		c.frame(timeExceeded(router(ttl), probe))
	}
}

func capturedSuspects(c *costly, n int) {
	probe := udp(n, 1+n%30, 33434+n%30, "")
	c.frame(probe)
	probe[4], probe[20], probe[26] = probe[4]+1, probe[20]+1, probe[26]+1
	c.frame(timeExceeded(router(n%30), probe))
}

func capturedBroken(c *costly, n int) {
	probe := udp(n, 1+n%30, 33434+n%30, "")
	c.frame(probe)
	c.frame(timeExceeded(router(n%30), probe[:9]))
}

func capturedExtensions(c *costly, n int) {
	probe := udp(n, 1+n%30, 33434+n%30, "")
	c.frame(probe)
	quote := append(bytes.Clone(probe), make([]byte, 128-len(probe))...)
	objects := []byte{0x20, 0, 0, 0}
	for l := range 20 {
		objects = append(objects, 0, 8, 1, 1, byte(n>>8), byte(n), byte(l), 1)
	}
	reply := timeExceeded(router(n%30), append(quote, objects...))
	reply[25] = 32
	c.frame(sealed(reply))
}

// udp is a UDP probe of 28 bytes over IPv4 from 192.0.2.10: to port 33434 upwards of a
// target, or of 198.51.100.80.
func udp(id, ttl, port int, to string) []byte {
	if to == "" {
		to = "198.51.100.80"
	}
	dst := netip.MustParseAddr(to).As4()
	b := []byte{0x45, 0, 0, 28, byte(id >> 8), byte(id), 0, 0, byte(ttl), 17, 0, 0, 192, 0, 2, 10}
	b = append(b, dst[:]...)
	b = append(b, 0xc3, 0x50, byte(port>>8), byte(port), 0, 8, byte(id>>8), byte(id))
	return b
}

// timeExceeded is a router's answer to a packet, all of which it quotes.
func timeExceeded(from string, packet []byte) []byte {
	src := netip.MustParseAddr(from).As4()
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0}
	b = append(append(b, src[:]...), 192, 0, 2, 10, 11, 0, 0, 0, 0, 0, 0, 0)
	return sealed(append(b, packet...))
}

// sealed is an ICMP message over IPv4 with its length and checksum.
func sealed(b []byte) []byte {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[22], b[23] = 0, 0
	sum := uint32(0)
	for i := 20; i < len(b); i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < len(b) {
			sum += uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[22:], ^uint16(sum))
	return b
}
