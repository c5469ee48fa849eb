package craft_test

import (
	"testing"

	"github.com/tracewire/tracewire/craft"
)

// A quote of a probe of any family shows nothing that is not the probe's,
// wherever it ends, and from 8 bytes behind the IP header on (RFC 792) enough to
// find the probe.
func TestQuotesThatEndAnywhere(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			data, key := frameOf(t, newBuilder(t, craft.Link{}), f.probe)
			packet, err := craft.ParsePacket(data)
			if err != nil {
				t.Fatal(err)
			}
			promised := len(packet.Header) + 8
			for n := range data {
				got, err := craft.KeyOf(data[:n])
				switch {
				case err == nil:
					agrees(t, &key, &got)
				case n >= promised:
					t.Errorf("cut to %d bytes: error %v", n, err)
				}
				if n >= promised && key.Agreement(&got) != 3 {
					t.Errorf("cut to %d bytes: %+v agrees with %+v in %d", n, got, key, key.Agreement(&got))
				}
			}
		})
	}
}

// agrees checks that all that a quote shows is the probe's.
func agrees(t *testing.T, probe, quote *craft.Key) {
	t.Helper()
	want := *probe
	want.Short = quote.Short
	if quote.Short {
		want.Token = 0
	}
	if !quote.HasCookie {
		want.Cookie, want.HasCookie = 0, false
	}
	if quote.Query == 0 {
		want.Query = 0
	}
	if quote.Data == 0 {
		want.Data = 0
	}
	if want != *quote {
		t.Errorf("a quote shows %+v of %+v", *quote, want)
	}
}

// No bytes make KeyOf read what isn't there, and of a packet that ends early it
// reads nothing but what it reads of all of it.
func FuzzKeyOf(f *testing.F) {
	for _, family := range families {
		data, _ := frameOf(f, newBuilder(f, craft.Link{}), family.probe)
		f.Add(data, uint16(len(data)-1))
		f.Add(data, uint16(48))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		whole, err := craft.KeyOf(data)
		if err != nil {
			return
		}
		part, err := craft.KeyOf(data[:min(len(data), int(cut))])
		if err != nil {
			return
		}
		if p, _ := craft.ParsePacket(data); offloaded(&p) {
			part.Token = whole.Token // which takes all of the packet
			if part.Short {
				part.Token = 0
			}
		}
		agrees(t, &whole, &part)
	})
}

// offloaded reports whether the checksum was left to the adapter.
func offloaded(p *craft.Packet) bool {
	stated, _ := p.Checksum()
	sum, _ := p.WireChecksum()
	return stated != sum
}
