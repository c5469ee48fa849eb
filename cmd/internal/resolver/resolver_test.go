package resolver

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

const lab = `
name = "lab"

[[router]]
name = "r1"
dns = "Gateway.Example"
addresses = ["192.0.2.1", "2001:db8::1"]
asn = 64500

[[router]]
name = "r2"
addresses = ["10.0.0.2"]
asn = 64501
answer = { as = "10.0.0.99" }

[[router]]
name = "r3"
dns = "r3.example"
addresses = ["10.0.0.3"]
answer = { as = "10.0.0.98" }

[[destination]]
name = "end"
dns = "end.example"
addresses = ["198.51.100.1"]

[[link]]
path = ["host", "r1", "r2", "r3", "end"]
`

func parse(t testing.TB) *topology.Topology {
	t.Helper()
	topo, err := topology.Parse("lab.toml", []byte(lab))
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// query is a question on the wire.
func query(t testing.TB, name string, of dnsmessage.Type, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: of, Class: dnsmessage.ClassINET}},
	}
	if change != nil {
		change(&m)
	}
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// read is a reply in short: its code, and what the answers say.
func read(t testing.TB, reply []byte) (code string, answers []string) {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		t.Fatal(err)
	}
	if m.ID != 4711 || !m.Response || !m.RecursionAvailable || m.Truncated {
		t.Errorf("header %+v", m.Header)
	}
	for _, a := range m.Answers {
		switch b := a.Body.(type) {
		case *dnsmessage.AResource:
			answers = append(answers, net.IP(b.A[:]).String())
		case *dnsmessage.AAAAResource:
			answers = append(answers, net.IP(b.AAAA[:]).String())
		case *dnsmessage.PTRResource:
			answers = append(answers, b.PTR.String())
		case *dnsmessage.TXTResource:
			answers = append(answers, b.TXT...)
		}
	}
	return m.RCode.String(), answers
}

func TestReplies(t *testing.T) {
	const (
		ok, unknown = "RCodeSuccess", "RCodeNameError"

		a, aaaa, ptr, txt, all = dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypePTR, dnsmessage.TypeTXT, dnsmessage.TypeALL

		zeros = "0.0.0.0.0.0.0.0.0.0.0.0."
	)
	z := newZone(parse(t))
	for name, c := range map[string]struct {
		name string
		of   dnsmessage.Type
		code string
		want []string
	}{
		"A":                     {"gateway.example.", a, ok, []string{"192.0.2.1"}},
		"AAAA":                  {"gateway.example.", aaaa, ok, []string{"2001:db8::1"}},
		"both":                  {"gateway.example.", all, ok, []string{"192.0.2.1", "2001:db8::1"}},
		"any case":              {"GATEWAY.eXample.", a, ok, []string{"192.0.2.1"}},
		"the topology's name":   {"end.", a, ok, []string{"198.51.100.1"}},
		"none of that family":   {"end.example.", aaaa, ok, nil},
		"another type":          {"end.example.", dnsmessage.TypeMX, ok, nil},
		"unknown name":          {"example.org.", a, unknown, nil},
		"PTR":                   {"1.2.0.192.in-addr.arpa.", ptr, ok, []string{"gateway.example."}},
		"PTR, IPv6":             {"1.0.0.0.0.0.0.0.0.0.0.0." + zeros + "8.b.d.0.1.0.0.2.ip6.arpa.", ptr, ok, []string{"gateway.example."}},
		"PTR of localhost":      {"1.0.0.127.in-addr.arpa.", ptr, ok, []string{"localhost."}},
		"PTR, A asked":          {"1.2.0.192.in-addr.arpa.", a, ok, nil},
		"PTR of a nameless one": {"2.0.0.10.in-addr.arpa.", ptr, unknown, nil},
		"PTR where one answers": {"98.0.0.10.in-addr.arpa.", ptr, ok, []string{"r3.example."}},
		"PTR of a prefix":       {"2.0.192.in-addr.arpa.", ptr, unknown, nil},
		"PTR of no address":     {"1.2.0.400.in-addr.arpa.", ptr, unknown, nil},
		"PTR of no nibbles":     {"12.x.ip6.arpa.", ptr, unknown, nil},
		"origin":                {"1.2.0.192.origin.asn.cymru.com.", txt, ok, []string{"64500 | 192.0.2.0/24 | ZZ | other | 2026-01-01"}},
		"origin, any case":      {"1.2.0.192.ORIGIN.asn.Cymru.com.", txt, ok, []string{"64500 | 192.0.2.0/24 | ZZ | other | 2026-01-01"}},
		"origin, A asked":       {"1.2.0.192.origin.asn.cymru.com.", a, ok, nil},
		"origin of a sham":      {"99.0.0.10.origin.asn.cymru.com.", txt, ok, []string{"64501 | 10.0.0.0/24 | ZZ | other | 2026-01-01"}},
		"origin unknown":        {"1.100.51.198.origin.asn.cymru.com.", txt, unknown, nil},
		"origin6":               {"1.0.0.0.0.0.0.0.0.0.0.0." + zeros + "8.b.d.0.1.0.0.2.origin6.asn.cymru.com.", txt, ok, []string{"64500 | 2001:db8::/48 | ZZ | other | 2026-01-01"}},
		"origin6 of a half":     {"0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.origin6.asn.cymru.com.", txt, ok, []string{"64500 | 2001:db8::/48 | ZZ | other | 2026-01-01"}},
		"origin6 of others":     {"f.f.f.f.0.0.0.0.8.b.d.0.1.0.0.2.origin6.asn.cymru.com.", txt, unknown, nil},
		"system":                {"AS64501.asn.cymru.com.", txt, ok, []string{"64501 | ZZ | other | 2026-01-01 | TRACELAB-64501, ZZ"}},
		"system unknown":        {"AS1.asn.cymru.com.", txt, unknown, nil},
		"system with a tail":    {"AS64501x.asn.cymru.com.", txt, unknown, nil},
		"the root":              {".", a, unknown, nil},
	} {
		t.Run(name, func(t *testing.T) {
			code, answers := read(t, z.reply(query(t, c.name, c.of, nil)))
			if code != c.code {
				t.Errorf("%s, want %s", code, c.code)
			}
			if d := cmp.Diff(c.want, answers); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOddQueries(t *testing.T) {
	z := newZone(parse(t))
	for name, c := range map[string]struct {
		change func(*dnsmessage.Message)
		want   string
	}{
		"another class": {func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }, "RCodeRefused"},
		"an update":     {func(m *dnsmessage.Message) { m.OpCode = 5 }, "RCodeNotImplemented"},
		"no question":   {func(m *dnsmessage.Message) { m.Questions = nil }, "RCodeFormatError"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _ := read(t, z.reply(query(t, "end.example.", dnsmessage.TypeA, c.change))); code != c.want {
				t.Errorf("%s, want %s", code, c.want)
			}
		})
	}
	for name, b := range map[string][]byte{
		"nothing": {}, "half a header": make([]byte, 6),
		"a reply": query(t, "end.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true }),
	} {
		if reply := z.reply(b); reply != nil {
			t.Errorf("%s is answered with %x", name, reply)
		}
	}
}

// Who says to know EDNS is answered so (RFC 6891, section 6.1.1).
func TestEDNS(t *testing.T) {
	z := newZone(parse(t))
	for _, asks := range []bool{false, true} {
		reply := z.reply(query(t, "end.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) {
			if !asks {
				return
			}
			var h dnsmessage.ResourceHeader
			if err := h.SetEDNS0(4096, dnsmessage.RCodeSuccess, true); err != nil {
				t.Fatal(err)
			}
			m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
		}))
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil {
			t.Fatal(err)
		}
		if got := len(m.Additionals) == 1 && m.Additionals[0].Header.Type == dnsmessage.TypeOPT; got != asks {
			t.Errorf("EDNS %v, asked for %v", got, asks)
		}
	}
}

func TestServer(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, err := Serve("127.0.0.1:0", parse(t))
	if err != nil {
		t.Fatal(err)
	}
	question := query(t, "end.example.", dnsmessage.TypeA, nil)
	for _, network := range []string{"udp", "tcp"} {
		c, err := net.Dial(network, s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		for range 2 { // of one connection
			code, answers := read(t, exchange(t, c, question))
			if code != "RCodeSuccess" || cmp.Diff([]string{"198.51.100.1"}, answers) != "" {
				t.Errorf("%s: %s %s", network, code, answers)
			}
		}
		defer c.Close() // after the server, which ends open connections
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func exchange(t *testing.T, c net.Conn, question []byte) []byte {
	t.Helper()
	stream := c.LocalAddr().Network() == "tcp"
	if stream {
		question = append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...)
	}
	if _, err := c.Write(question); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 512)
	if !stream {
		n, err := c.Read(reply)
		if err != nil {
			t.Fatal(err)
		}
		return reply[:n]
	}
	if _, err := io.ReadFull(c, reply[:2]); err != nil {
		t.Fatal(err)
	}
	reply = reply[:binary.BigEndian.Uint16(reply)]
	if _, err := io.ReadFull(c, reply); err != nil {
		t.Fatal(err)
	}
	return reply
}

// Whatever comes is answered with a message or not at all.
func FuzzReply(f *testing.F) {
	z := newZone(parse(f))
	f.Add(query(f, "end.example.", dnsmessage.TypeA, nil))
	f.Add(query(f, "1.2.0.192.in-addr.arpa.", dnsmessage.TypePTR, nil))
	f.Add(query(f, "8.b.d.0.1.0.0.2.origin6.asn.cymru.com.", dnsmessage.TypeTXT, nil))
	f.Add(query(f, "AS64500.asn.cymru.com.", dnsmessage.TypeALL, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		reply := z.reply(b)
		if reply == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil {
			t.Error(err)
		}
	})
}
