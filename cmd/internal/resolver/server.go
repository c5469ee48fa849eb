package resolver

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// Server is a name server for one topology, on a UDP and a TCP socket.
type Server struct {
	zone    *zone
	udp     net.PacketConn
	tcp     net.Listener
	serving sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

// Serve answers queries at an address such as 127.0.0.1:53 until Close.
func Serve(addr string, t *topology.Topology) (*Server, error) {
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		udp.Close()
		return nil, err
	}
	s := &Server{zone: newZone(t), udp: udp, tcp: tcp, open: map[net.Conn]bool{}}
	s.serving.Go(s.serveUDP)
	s.serving.Go(s.serveTCP)
	return s, nil
}

// Addr is where the server is.
func (s *Server) Addr() string { return s.udp.LocalAddr().String() }

// Close ends the service, connections included, and returns when it has ended.
func (s *Server) Close() error {
	err := errors.Join(s.udp.Close(), s.tcp.Close())
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}

func (s *Server) serveUDP() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// Other errors are about answers that found their client gone.
		if reply := s.zone.reply(buf[:n]); err == nil && reply != nil {
			_, _ = s.udp.WriteTo(reply, from)
		}
	}
}

func (s *Server) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		if s.keep(c) {
			s.serving.Go(func() { s.converse(c) })
		}
	}
}

// keep notes a connection for Close, unless that was before.
func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	s.open[c] = true
	return true
}

// converse answers what comes by a connection (RFC 1035, section 4.2.2).
func (s *Server) converse(c net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		c.Close()
	}()
	for {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		reply := s.zone.reply(query)
		if reply == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// ttl is how long answers may be kept, in seconds.
const ttl = 300

// reply answers a query, or returns nil for what is none.
func (z *zone) reply(query []byte) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil
	}
	h.Response, h.Authoritative, h.RecursionAvailable = true, true, true
	h.Truncated, h.AuthenticData = false, false
	q, err := p.Question()
	switch {
	case err != nil:
		h.RCode = dnsmessage.RCodeFormatError
		return message(h, nil, nil, false)
	case h.OpCode != 0:
		h.RCode = dnsmessage.RCodeNotImplemented
		return message(h, &q, nil, false)
	case q.Class != dnsmessage.ClassINET && q.Class != dnsmessage.ClassANY:
		h.RCode = dnsmessage.RCodeRefused
		return message(h, &q, nil, false)
	}
	answers, exists := z.lookup(q)
	if !exists {
		h.RCode = dnsmessage.RCodeNameError
	}
	return message(h, &q, answers, extended(&p))
}

// extended tells whether a query has an EDNS record (RFC 6891), of which its
// questions but the first have not been read.
func extended(p *dnsmessage.Parser) bool {
	if p.SkipAllQuestions() != nil || p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return false
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return false
		}
		if h.Type == dnsmessage.TypeOPT {
			return true
		}
		if p.SkipAdditional() != nil {
			return false
		}
	}
}

func message(h dnsmessage.Header, q *dnsmessage.Question, answers []dnsmessage.ResourceBody, edns bool) []byte {
	m := dnsmessage.Message{Header: h}
	if q != nil {
		m.Questions = []dnsmessage.Question{*q}
	}
	for _, body := range answers {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: ttl},
			Body:   body,
		})
	}
	if edns {
		var opt dnsmessage.ResourceHeader
		// The size that we take; it cannot fail for a plain code.
		_ = opt.SetEDNS0(1232, dnsmessage.RCodeSuccess, false)
		m.Additionals = []dnsmessage.Resource{{Header: opt, Body: &dnsmessage.OPTResource{}}}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}
