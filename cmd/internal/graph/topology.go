package graph

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// FromTopology is the graph of a network: its host, routers and destinations,
// and what is unusual about each.
func FromTopology(t *topology.Topology) *Graph {
	g := &Graph{Title: t.Name, Description: t.Description}
	g.Nodes = append(g.Nodes, hostNode(t.WithDefaults().Host))
	for _, r := range t.Routers {
		g.Nodes = append(g.Nodes, routerNode(r))
	}
	for _, d := range t.Destinations {
		lines := append(nodeLines(d.Node), serviceLines(d.Service)...)
		g.Nodes = append(g.Nodes, Node{d.Name, append(lines, answerLines(d.Answer)...), Destination})
	}
	for _, l := range t.Links {
		g.Edges = append(g.Edges, linkEdges(l)...)
	}
	for _, p := range t.Prefixes {
		n := prefixNode(p)
		g.Nodes = append(g.Nodes, n)
		g.Edges = append(g.Edges, Edge{From: p.Behind, To: n.ID, Lines: delayLines(p.Delay, 0)})
	}
	return g
}

func hostNode(h topology.Host) Node {
	n := Node{ID: topology.HostName, Lines: []string{topology.HostName}, Kind: Host}
	for _, a := range h.Addresses {
		n.Lines = append(n.Lines, a.String())
	}
	return n
}

func nodeLines(n topology.Node) []string {
	lines := []string{n.Name}
	if n.DNS != "" {
		lines = append(lines, n.DNS)
	}
	for _, a := range n.Addresses {
		lines = append(lines, a.String())
	}
	if n.ASN != 0 {
		lines = append(lines, fmt.Sprintf("AS%d", n.ASN))
	}
	return lines
}

func routerNode(r topology.Router) Node {
	n := Node{ID: r.Name, Lines: nodeLines(r.Node), Kind: Router}
	if r.Answer.Silent {
		n.Kind = Silent
	}
	if r.Balance != "" {
		n.Lines = append(n.Lines, "balances by "+string(r.Balance))
	}
	if r.NAT != nil {
		for _, a := range []netip.Addr{r.NAT.Address, r.NAT.Address6} {
			if a.IsValid() {
				n.Lines = append(n.Lines, "NAT to "+a.String())
			}
		}
	}
	if r.Reject != nil {
		n.Lines = append(n.Lines, rejectLines(r.Reject)...)
	}
	if r.SetDSCP != nil {
		n.Lines = append(n.Lines, fmt.Sprintf("sets DSCP %d", *r.SetDSCP))
	}
	if r.SetECN != nil {
		n.Lines = append(n.Lines, fmt.Sprintf("sets ECN %d", *r.SetECN))
	}
	if r.KeepTTL {
		n.Lines = append(n.Lines, "keeps the TTL")
	}
	if r.ZeroTTL {
		n.Lines = append(n.Lines, "forwards TTL 0")
	}
	n.Lines = append(n.Lines, answerLines(r.Answer)...)
	return n
}

func rejectLines(r *topology.Reject) []string {
	lines := []string{fmt.Sprintf("rejects: code %d", r.Code)}
	if r.Hook != "" {
		lines = append(lines, "in "+string(r.Hook))
	}
	if len(r.AllowTCP) > 0 {
		lines = append(lines, "but not TCP "+ports(r.AllowTCP))
	}
	return lines
}

func ports(list []uint16) string { return strings.Trim(fmt.Sprint(list), "[]") }

func answerLines(a topology.Answer) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if a.Silent {
		add("silent")
	}
	if a.Delay > 0 {
		add("answers after %v", a.Delay)
	}
	if a.Limit != (topology.Limit{}) {
		add("%d answers, then %v/s", max(1, a.Limit.Burst), a.Limit.Rate)
	}
	if a.TTL != 0 {
		add("answers with TTL %d", a.TTL)
	}
	if a.ReturnHops != 0 {
		add("%+d hops back", a.ReturnHops)
	}
	if a.As.IsValid() {
		add("answers as %v", a.As)
	}
	if a.AsDestination {
		add("answers as the destination")
	}
	if a.WrongLength {
		add("wrong length")
	}
	lines = append(lines, quoteLines(a.Quote)...)
	if a.MPLS != nil {
		add("%s", mplsLine(a.MPLS))
	}
	if a.Interface != nil {
		add("tells its interface %s", a.Interface.Name)
	}
	return lines
}

func quoteLines(q topology.Quote) []string {
	var lines []string
	switch {
	case q.Length < 0:
		lines = append(lines, "quotes everything")
	case q.Length > 0:
		lines = append(lines, fmt.Sprintf("quotes %d bytes", q.Length))
	}
	switch q.TTL {
	case "":
	case topology.TTLValue:
		lines = append(lines, fmt.Sprintf("quotes TTL %d", q.TTLValue))
	default:
		lines = append(lines, "quotes TTL as "+string(q.TTL))
	}
	if q.ID != "" {
		lines = append(lines, "quotes ID "+string(q.ID))
	}
	return lines
}

func mplsLine(m *topology.MPLS) string {
	labels := make([]string, len(m.Labels))
	for i, l := range m.Labels {
		labels[i] = strconv.FormatUint(uint64(l.Label), 10)
	}
	line := "MPLS " + strings.Join(labels, "/")
	if m.Form != "" {
		line += " (" + string(m.Form) + ")"
	}
	return line
}

func serviceLines(s topology.Service) []string {
	var lines []string
	if s.UDP != "" {
		lines = append(lines, "UDP "+string(s.UDP))
	}
	if len(s.Open) > 0 {
		lines = append(lines, "TCP "+ports(s.Open))
	}
	if s.Filtered {
		lines = append(lines, "other TCP filtered")
	}
	if s.NoEcho {
		lines = append(lines, "no ICMP echo")
	}
	return lines
}

func prefixNode(p topology.Prefix) Node {
	lines := []string{p.Prefix.String()}
	switch {
	case p.MinHops != p.MaxHops:
		lines = append(lines, fmt.Sprintf("behind %d to %d routers", p.MinHops, p.MaxHops), "of "+p.Routers.String())
	case p.MaxHops > 0:
		lines = append(lines, fmt.Sprintf("behind %d routers", p.MaxHops), "of "+p.Routers.String())
	}
	lines = append(lines, serviceLines(p.Service)...)
	return Node{p.Prefix.String(), append(lines, answerLines(p.Answer)...), Cloud}
}

func linkEdges(l topology.Link) []Edge {
	lines := delayLines(l.Delay, l.Jitter)
	for _, chance := range []struct {
		what string
		p    float64
	}{{"loss", l.Loss}, {"reorder", l.Reorder}, {"duplicate", l.Duplicate}} {
		if chance.p > 0 {
			lines = append(lines, fmt.Sprintf("%s %.3g%%", chance.what, 100*chance.p))
		}
	}
	if l.Weight > 1 {
		lines = append(lines, fmt.Sprintf("weight %d", l.Weight))
	}
	if l.MTU != 0 {
		lines = append(lines, fmt.Sprintf("MTU %d", l.MTU))
	}
	var edges []Edge
	for i, to := range l.Path[min(1, len(l.Path)):] {
		edges = append(edges, Edge{From: l.Path[i], To: to, Lines: lines})
	}
	return edges
}

func delayLines(delay, jitter topology.Duration) []string {
	switch {
	case jitter > 0:
		return []string{fmt.Sprintf("%v to %v", delay, delay+jitter)}
	case delay > 0:
		return []string{delay.String()}
	default:
		return nil
	}
}
