package explain

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/cmd/internal/dissect"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// comparison is a probe as it was sent beside what a reply quotes of it.
type comparison struct {
	sent, quoted []dissect.Header // from the IP header on
	packet       []byte           // the IP packet as sent; nil if it was not captured
	quote        []byte           // the quoted packet, as far as it is quoted
	rows         []row
}

// row is a field, sent and quoted.
type row struct {
	header, name string
	sent, quoted string // "" where it is not visible
	verdict      string
	changed      bool // not as it should be
}

// The verdicts on most fields.
const (
	same       = "same"
	changed    = "changed"
	notVisible = "not visible in quote"
	notSeen    = "sent frame not captured"
	asExpected = "decremented as expected"
)

// compare compares a probe with a reply's quote; ok is false of a reply that
// quotes nothing, or whose frame is not there.
func (e *Evidence) compare(p *path.Probe, r *path.Reply) (c comparison, ok bool) {
	reply, kept := e.received(r)
	if !kept || !r.IsQuoted() {
		return c, false
	}
	c.quote = quoteOf(&reply, r)
	if f, seen := e.sent(p); seen {
		c.packet = packetOf(&f)
		c.quote = c.quote[:visible(c.packet, c.quote, r)]
		c.sent = fromIP(dissect.Frame(&f, e.ours()))
	}
	c.quoted = dissect.Quote(c.quote, e.ours() && (c.sent == nil || header(c.sent, dissect.Payload).Field("cookie") != nil))
	c.fill(p, r)
	return c, true
}

// quoteOf is what the frame of an ICMP error quotes.
func quoteOf(f *frame.Frame, r *path.Reply) []byte {
	carried, err := frame.Decode(f)
	if err != nil {
		return nil
	}
	outer, err := craft.ParsePacket(carried.IP)
	if err != nil {
		return nil
	}
	offset := 0
	if r.Extensions != nil {
		offset = r.Extensions.Offset
	}
	return dissect.Quoted(&outer, offset)
}

// packetOf is the IP packet in a frame, without padding.
func packetOf(f *frame.Frame) []byte {
	carried, err := frame.Decode(f)
	if err != nil {
		return nil
	}
	p, err := craft.ParsePacket(carried.IP)
	if err != nil || p.Length < len(p.Header) || p.Length > len(carried.IP) {
		return carried.IP
	}
	return carried.IP[:p.Length]
}

// visible is how much of a quote is the packet's: one that ends in zeros where
// the packet has others, and has an extension behind it, is padded (RFC 4884, section
// 4.2).
func visible(packet, quote []byte, r *path.Reply) int {
	const least = 28 // an IPv4 header and 8 bytes are always quoted
	end := len(quote)
	if r.Extensions == nil {
		return end
	}
	for end > least && quote[end-1] == 0 {
		end--
	}
	if end < len(packet) && end < len(quote) && !bytes.Equal(packet[end:min(len(packet), len(quote))], quote[end:min(len(packet), len(quote))]) {
		return end
	}
	return len(quote)
}

// fromIP leaves out link headers and padding.
func fromIP(all []dissect.Header) (kept []dissect.Header) {
	for _, h := range all {
		if h.Name == "IPv4" || h.Name == "IPv6" || len(kept) > 0 && h.Name != dissect.Padding {
			kept = append(kept, h)
		}
	}
	return kept
}

func (c *comparison) fill(p *path.Probe, r *path.Reply) {
	layout := c.sent
	if layout == nil {
		layout = c.quoted
	}
	for i := range layout {
		h := &layout[i]
		quoted := header(c.quoted, h.Name)
		for j := range h.Fields {
			f := &h.Fields[j]
			if c.sent == nil {
				c.rows = append(c.rows, unseen(h.Name, f, p, r))
				continue
			}
			c.rows = append(c.rows, verdict(h, f, quoted, p, r))
		}
	}
}

// unseen is the row of a field of which no sent copy was captured: the program may
// know it all the same.
func unseen(header string, quoted *dissect.Field, p *path.Probe, r *path.Reply) row {
	to := row{header: header, name: quoted.Name, quoted: quoted.Text, verdict: notSeen}
	value, known := map[string]int{
		"TTL": int(p.TTL), "hop limit": int(p.TTL), "ID": int(p.ID), "source port": int(p.SrcPort), "identifier": int(p.SrcPort),
		"dest. port": int(p.DstPort),
	}[quoted.Name]
	if !known || p.TTL == 0 {
		return to
	}
	to.sent = fmt.Sprint(value)
	switch {
	case quoted.Name == "TTL" || quoted.Name == "hop limit":
		to.verdict, to.changed = ttlVerdict(value, int(quoted.Value), r)
	case uint64(value) == quoted.Value:
		to.sent, to.verdict = quoted.Text, same
	default:
		to.verdict, to.changed = changed, true
	}
	return to
}

func header(all []dissect.Header, name string) *dissect.Header {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return &dissect.Header{}
}

// verdict compares one field.
func verdict(h *dissect.Header, sent *dissect.Field, quotes *dissect.Header, p *path.Probe, r *path.Reply) row {
	to := row{header: h.Name, name: sent.Name, sent: sent.Text}
	quoted := quotes.Field(sent.Name)
	if quoted == nil {
		to.verdict = notVisible
		return to
	}
	to.quoted = quoted.Text
	to.verdict, to.changed = same, false
	switch {
	case sent.Name == "TTL" || sent.Name == "hop limit":
		to.verdict, to.changed = ttlVerdict(int(sent.Value), int(quoted.Value), r)
	case bytes.Equal(sent.Bytes, quoted.Bytes) || sent.Bits <= 64 && sent.Bits == quoted.Bits && sent.Value == quoted.Value:
	case sent.Name == "header checksum":
		to.verdict, to.changed = headerChecksumVerdict(quoted)
	case sent.Name == "checksum" && sent.Note == dissect.Unfinished && p.HasChecksum && quoted.Value == uint64(p.Checksum):
		to.verdict = "as the adapter left it"
	case sent.Bits == 16 && quoted.Value == uint64(bits.ReverseBytes16(uint16(sent.Value))):
		to.verdict, to.changed = "bytes swapped", true
	case sent.Bits > 64 && len(quoted.Bytes) < len(sent.Bytes) && bytes.HasPrefix(sent.Bytes, quoted.Bytes):
		to.verdict = "same, as far as quoted"
	default:
		to.verdict, to.changed = changed, true
	}
	return to
}

// headerChecksumVerdict is about one that is another than sent, as it has to be
// where the TTL is.
func headerChecksumVerdict(quoted *dissect.Field) (verdict string, changed bool) {
	switch {
	case quoted.Note == dissect.Right:
		return "recomputed, right", false
	case quoted.Value == 0:
		return "not filled in", false
	}
	return "wrong for this header", false
}

// ttlVerdict is about the TTL: what is left of it where a reply was made is known
// from the hop.
func ttlVerdict(sent, quoted int, r *path.Reply) (verdict string, changed bool) {
	expected := sent - int(r.Hop) + 1
	switch {
	case r.Hop == 0:
		return "hop not known", false
	case quoted == expected && quoted == sent:
		return "same, as expected", false
	case quoted == expected:
		return asExpected, false
	case quoted == expected-1:
		return "decremented once more", false
	case quoted == sent:
		return "not decremented", true
	case quoted > sent:
		return "higher than sent", true
	}
	return fmt.Sprintf("%d left, not %d", quoted, expected), true
}
