package explain_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
)

// plain is a recording as tcpdump would have made it: a pcap of the same frames, and
// nothing of what tracewire noted.
func plain(t *testing.T, recording []byte) []byte {
	t.Helper()
	const nanoseconds, ethernet = 0xa1b23c4d, 1
	b := binary.LittleEndian.AppendUint32(nil, nanoseconds)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, ethernet, 0, 0, 0)
	for f, err := range opened(t, recording).Frames(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if f.IsWatermark() {
			continue
		}
		for _, v := range []int{int(f.Time.Unix()), f.Time.Nanosecond(), len(f.Data), f.Length} {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		b = append(b, f.Data...)
	}
	return b
}

// A reply with a wrong cookie is refused, and called so, in our recording and in
// anybody's capture of the same packets.
func TestAWrongCookieInACaptureOfOurs(t *testing.T) {
	recording := scenario{o: tracewire.Options{Queries: 2}, change: quoting(1, func(m []byte) { m[quotedCookie] ^= 0xff })}.recorded(t)
	var all [2][]string
	for i, file := range [][]byte{recording, plain(t, recording)} {
		x := explained(t, file, nil)
		for _, line := range strings.Split(said(t, x), ". ") {
			for _, part := range strings.SplitAfter(line, ")") {
				if strings.Contains(part, "another cookie") {
					all[i] = append(all[i], part)
				}
			}
		}
		if got := said(t, x); !strings.Contains(got, " 2 no reply: 0 of 2 answered in time") {
			t.Errorf("file %d: %s", i, got)
		}
	}
	if len(all[0]) != 2 {
		t.Errorf("%q", all[0])
	}
	if d := cmp.Diff(all[0], all[1]); d != "" {
		t.Errorf("-recording +capture\n%s", d)
	}
}
