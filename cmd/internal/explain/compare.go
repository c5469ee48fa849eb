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
	changesOnly  bool // the rows are those of fields that are not as they should be
}

// comparer compares many probes with their quotes in the same memory.
type comparer struct {
	sent, quoted dissect.Dissector
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
	return c, e.compareWith(&comparer{}, &c, p, r)
}

// changes are the fields that are not as they should be in a reply's quote of a
// probe. They are valid until the next call.
func (e *Evidence) changes(p *path.Probe, r *path.Reply) []row {
	c := comparison{rows: e.comparer.rows[:0], changesOnly: true}
	e.compareWith(&e.comparer, &c, p, r)
	e.comparer.rows = c.rows
	return c.rows
}

func (e *Evidence) compareWith(with *comparer, c *comparison, p *path.Probe, r *path.Reply) (ok bool) {
	reply, kept := e.received(r)
	if !kept || !r.IsQuoted() {
		return false
	}
	c.quote = quoteOf(&reply, r)
	if f, seen := e.sent(p); seen {
		c.packet = packetOf(&f)
		c.quote = c.quote[:visible(c.packet, c.quote, r)]
		c.sent = fromIP(with.sent.Frame(&f, e.ours()))
	}
	c.quoted = with.quoted.Quote(c.quote, e.ours() && (c.sent == nil || header(c.sent, dissect.Payload).Field("cookie") != nil))
	c.fill(p, r)
	return true
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

// fromIP leaves out link headers and padding, in place.
func fromIP(all []dissect.Header) []dissect.Header {
	kept := all[:0]
	for _, h := range all {
		if h.Name == "IPv4" || h.Name == "IPv6" || len(kept) > 0 && h.Name != dissect.Padding {
			kept = append(kept, h)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

func (c *comparison) fill(p *path.Probe, r *path.Reply) {
	if c.sent == nil {
		for i := range c.quoted {
			h := &c.quoted[i]
			for j := range h.Fields {
				quoted := &h.Fields[j]
				verdict, isChanged := unseen(quoted, p, r)
				c.add(row{header: h.Name, name: quoted.Name, verdict: verdict, changed: isChanged}, nil, quoted, p)
			}
		}
		return
	}
	for i := range c.sent {
		h := &c.sent[i]
		quotes := header(c.quoted, h.Name)
		for j := range h.Fields {
			sent := &h.Fields[j]
			quoted := quotes.Field(sent.Name)
			verdict, isChanged := verdict(sent, quoted, p, r)
			c.add(row{header: h.Name, name: sent.Name, verdict: verdict, changed: isChanged}, sent, quoted, p)
		}
	}
}

// add adds a row for a field, of which the sent or the quoted one may not be visible.
func (c *comparison) add(to row, sent, quoted *dissect.Field, p *path.Probe) {
	if c.changesOnly && !to.changed {
		return
	}
	to.setTexts(sent, quoted, p)
	c.rows = append(c.rows, to)
}

// setTexts sets what was sent, as far as it is known, and what is quoted.
func (to *row) setTexts(sent, quoted *dissect.Field, p *path.Probe) {
	if quoted != nil {
		to.quoted = quoted.Text()
	}
	if sent != nil {
		to.sent = sent.Text()
		return
	}
	switch value, known := sentValue(quoted.Name, p); {
	case known && value == quoted.Value:
		to.sent = to.quoted
	case known:
		to.sent = fmt.Sprint(value)
	}
}

// unseen is the verdict on a field of which no sent copy was captured: the program may
// know it all the same.
func unseen(quoted *dissect.Field, p *path.Probe, r *path.Reply) (verdict string, isChanged bool) {
	value, known := sentValue(quoted.Name, p)
	switch {
	case !known:
		return notSeen, false
	case quoted.Name == "TTL" || quoted.Name == "hop limit":
		return ttlVerdict(int(value), int(quoted.Value), r)
	case value == quoted.Value:
		return same, false
	}
	return changed, true
}

// sentValue is what the program knows that a field of a probe had.
func sentValue(field string, p *path.Probe) (value uint64, known bool) {
	switch field {
	case "TTL", "hop limit":
		value = uint64(p.TTL)
	case "ID":
		value = uint64(p.ID)
	case "source port", "identifier":
		value = uint64(p.SrcPort)
	case "dest. port":
		value = uint64(p.DstPort)
	default:
		return 0, false
	}
	return value, p.TTL != 0
}

func header(all []dissect.Header, name string) *dissect.Header {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return &dissect.Header{}
}

// verdict compares a field with the quoted one, which is nil where it is not visible.
func verdict(sent, quoted *dissect.Field, p *path.Probe, r *path.Reply) (verdict string, isChanged bool) {
	switch {
	case quoted == nil:
		return notVisible, false
	case sent.Name == "TTL" || sent.Name == "hop limit":
		return ttlVerdict(int(sent.Value), int(quoted.Value), r)
	case bytes.Equal(sent.Bytes, quoted.Bytes) || sent.Bits <= 64 && sent.Bits == quoted.Bits && sent.Value == quoted.Value:
		return same, false
	case sent.Name == "header checksum":
		return headerChecksumVerdict(quoted)
	case sent.Name == "checksum" && sent.Note == dissect.Unfinished && p.HasChecksum && quoted.Value == uint64(p.Checksum):
		return "as the adapter left it", false
	case sent.Bits == 16 && quoted.Value == uint64(bits.ReverseBytes16(uint16(sent.Value))):
		return "bytes swapped", true
	case sent.Bits > 64 && len(quoted.Bytes) < len(sent.Bytes) && bytes.HasPrefix(sent.Bytes, quoted.Bytes):
		return "same, as far as quoted", false
	}
	return changed, true
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
