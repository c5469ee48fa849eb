package frame_test

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

// captured are the frames of every file in testdata/captures that can be read,
// of which there must be some.
func captured(t testing.TB) (frames []frame.Frame) {
	names, err := filepath.Glob("../../testdata/captures/*.pcap")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := capture.OpenFile(name)
		if err != nil {
			t.Logf("left out: %v", err)
			continue
		}
		for next, err := range f.Frames(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if !next.IsWatermark() {
				next.Data = bytes.Clone(next.Data)
				frames = append(frames, next)
			}
		}
		f.Close()
	}
	if len(frames) == 0 {
		t.Fatal("no frames in testdata/captures")
	}
	return frames
}

// layer is one that tshark found: its name, and where in the frame it begins.
type layer struct {
	Name string `xml:"name,attr"`
	At   int    `xml:"pos,attr"`
}

// layersByTshark are the layers of every frame in a file.
func layersByTshark(t *testing.T, name string) (frames [][]layer) {
	out, err := exec.CommandContext(t.Context(), "tshark", "-n", "-r", name, "-T", "pdml").Output()
	if err != nil {
		t.Fatal(err)
	}
	var pdml struct {
		Packets []struct {
			Layers []layer `xml:"proto"`
		} `xml:"packet"`
	}
	if err := xml.Unmarshal(out, &pdml); err != nil {
		t.Fatal(err)
	}
	for _, p := range pdml.Packets {
		frames = append(frames, p.Layers)
	}
	return frames
}

// agree compares what Decode and tshark find in frame i.
func agree(t *testing.T, i int, f *frame.Frame, layers []layer) {
	got, err := frame.Decode(f)
	for _, l := range layers {
		version := map[string]uint8{"ip": 4, "ipv6": 6}[l.Name]
		if version == 0 {
			continue
		}
		if err != nil || got.Version != version || !bytes.Equal(got.IP, f.Data[l.At:]) {
			t.Errorf("frame %d: IPv%d, %d of %d bytes, error %v; tshark finds IPv%d at byte %d",
				i+1, got.Version, len(got.IP), len(f.Data), err, version, l.At)
		}
		return
	}
	if !errors.Is(err, frame.ErrNotIP) {
		t.Errorf("frame %d: IPv%d, %d of %d bytes, error %v; tshark finds only %v",
			i+1, got.Version, len(got.IP), len(f.Data), err, layers)
	}
}

func TestDecodeAgreesWithTshark(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark")
	frames := captured(t)
	for _, c := range carriers {
		if c.name == "NULL Linux" {
			continue // tshark knows only the AF_INET6 of the BSDs
		}
		frames = append(frames, frame.Frame{Link: c.t, Data: unhex(c.link + c.ip)})
	}

	name := filepath.Join(t.TempDir(), "all.pcapng")
	if err := os.WriteFile(name, pcapngOf(frames), 0o600); err != nil {
		t.Fatal(err)
	}
	layers := layersByTshark(t, name)
	if len(layers) != len(frames) {
		t.Fatalf("tshark finds %d frames of %d", len(layers), len(frames))
	}
	for i := range frames {
		agree(t, i, &frames[i], layers[i])
	}
}

// pcapngOf is a file of frames, each captured on an interface of its own: the
// section header, and for every frame an interface description and an enhanced
// packet block (draft-ietf-opsawg-pcapng sections 4.1 to 4.3).
func pcapngOf(frames []frame.Frame) []byte {
	file := pcapngBlock(nil, 0x0a0d0d0a, nil, 0x1a2b3c4d, 1, math.MaxUint32, math.MaxUint32)
	for i, f := range frames {
		n := uint32(len(f.Data))
		file = pcapngBlock(file, 1, nil, uint32(f.Link), 0)
		file = pcapngBlock(file, 6, f.Data, uint32(i), 0, uint32(i), n, n)
	}
	return file
}

// pcapngBlock appends a block: type, length, fields, data padded to 4 bytes, length.
func pcapngBlock(file []byte, kind uint32, data []byte, fields ...uint32) []byte {
	padding := -len(data) & 3
	length := uint32(12 + 4*len(fields) + len(data) + padding)
	for _, v := range slices.Concat([]uint32{kind, length}, fields) {
		file = binary.LittleEndian.AppendUint32(file, v)
	}
	file = append(append(file, data...), make([]byte, padding)...)
	return binary.LittleEndian.AppendUint32(file, length)
}

// FuzzDecode: whatever is in a frame, of whatever link type, Decode finds an
// IP packet of the version it says at the end of the frame, or an error that
// callers know; what lies behind the frame in memory changes nothing; and a
// VLAN tag in an Ethernet frame changes nothing but the tags found.
func FuzzDecode(f *testing.F) {
	for _, next := range captured(f) {
		f.Add(uint16(next.Link), next.Data)
	}
	for _, c := range carriers {
		f.Add(uint16(c.t), unhex(c.link+c.ip))
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		whole := frame.Frame{Link: frame.LinkType(link), Data: bytes.Clone(data)}
		got, err := frame.Decode(&whole)
		if err != nil {
			checkError(t, got, err)
		} else {
			checkPacket(t, got, data)
		}
		if !bytes.Equal(whole.Data, data) {
			t.Fatal("the frame was changed")
		}

		roomy := append(bytes.Clone(data), ip4...)
		again, againErr := frame.Decode(&frame.Frame{Link: whole.Link, Data: roomy[:len(data)]})
		if !same(got, again) || fmt.Sprint(againErr) != fmt.Sprint(err) {
			t.Fatalf("with room behind: %v, not %v", againErr, err)
		}

		if whole.Link == frame.Ethernet && len(data) >= 12 {
			checkTagged(t, data, got, err)
		}
	})
}

// checkError checks what comes with an error.
func checkError(t *testing.T, p frame.Packet, err error) {
	if !same(p, frame.Packet{}) {
		t.Fatalf("a packet beside error %v", err)
	}
	for _, known := range []error{frame.ErrNotIP, frame.ErrTruncated, frame.ErrMalformed, frame.ErrLinkType} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Fatalf("an error that callers don't know: %v", err)
}

// checkPacket checks a packet found in data.
func checkPacket(t *testing.T, p frame.Packet, data []byte) {
	header := map[uint8]int{4: 20, 6: 40}[p.Version]
	if header == 0 || len(p.IP) < header || p.IP[0]>>4 != p.Version {
		t.Fatalf("IPv%d in %d bytes", p.Version, len(p.IP))
	}
	if !bytes.HasSuffix(data, p.IP) {
		t.Fatal("the packet is not the end of the frame")
	}
	if p.NumVLANs < 0 || p.NumVLANs > frame.MaxVLANs {
		t.Fatalf("%d VLAN tags", p.NumVLANs)
	}
}

// checkTagged checks what Decode finds in an Ethernet frame after it got a tag.
func checkTagged(t *testing.T, data []byte, untagged frame.Packet, err error) {
	tag := frame.VLAN{TPID: 0x88a8, TCI: 0x2003}
	tagged := append(bytes.Clone(data[:12]), 0x88, 0xa8, 0x20, 0x03)
	got, gotErr := frame.Decode(&frame.Frame{Link: frame.Ethernet, Data: append(tagged, data[12:]...)})
	if gotErr != err {
		t.Fatalf("tagged: %v, not %v", gotErr, err)
	}
	if err != nil {
		return
	}
	want := untagged
	want.VLANs[0] = tag
	copy(want.VLANs[1:], untagged.VLANs[:])
	want.NumVLANs = min(untagged.NumVLANs+1, frame.MaxVLANs)
	if !same(want, got) {
		t.Fatalf("tagged: %+v, not %+v", got, want)
	}
}

// same compares packets.
func same(a, b frame.Packet) bool {
	ips := bytes.Equal(a.IP, b.IP)
	a.IP, b.IP = nil, nil
	return ips && a.Version == b.Version && a.Direction == b.Direction &&
		a.Src == b.Src && a.Dst == b.Dst && a.VLANs == b.VLANs && a.NumVLANs == b.NumVLANs
}
