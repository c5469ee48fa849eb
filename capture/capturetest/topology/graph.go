package topology

import (
	"maps"
	"slices"
)

// graph is the links of a topology that lead from and to nodes as they may.
type graph struct {
	kinds map[string]kind
	next  map[string][]string // in the order of the links
	depth map[string]int      // links between the host and a node, where there is a way
}

// kind is what a node is.
type kind uint8

const (
	aHost kind = iota + 1
	aRouter
	aDestination
)

func newGraph(t *Topology) *graph {
	g := &graph{kinds: map[string]kind{HostName: aHost}, next: map[string][]string{}}
	for _, r := range t.Routers {
		g.node(r.Name, aRouter)
	}
	for _, d := range t.Destinations {
		g.node(d.Name, aDestination)
	}
	for _, l := range t.Links {
		for n, from := range l.Path[:max(0, len(l.Path)-1)] {
			g.link(from, l.Path[n+1])
		}
	}
	g.depth = g.depths()
	return g
}

func (g *graph) node(name string, k kind) {
	if name != "" && g.kinds[name] == 0 {
		g.kinds[name] = k
	}
}

func (g *graph) link(from, to string) {
	canSend := g.kinds[from] == aHost || g.kinds[from] == aRouter
	canTake := g.kinds[to] == aRouter || g.kinds[to] == aDestination
	if canSend && canTake {
		g.next[from] = append(g.next[from], to)
	}
}

func (g *graph) names() []string { return slices.Sorted(maps.Keys(g.kinds)) }

// routers returns the names of the routers in order.
func (g *graph) routers() []string {
	return slices.DeleteFunc(g.names(), func(name string) bool { return g.kinds[name] != aRouter })
}

// depths finds how far from the host each node is.
func (g *graph) depths() map[string]int {
	depth := map[string]int{HostName: 0}
	for queue := []string{HostName}; len(queue) > 0; queue = queue[1:] {
		for _, to := range g.next[queue[0]] {
			if _, known := depth[to]; !known {
				depth[to] = depth[queue[0]] + 1
				queue = append(queue, to)
			}
		}
	}
	return depth
}

// before finds the nodes from which a way leads to one of the given, and those.
func (g *graph) before(of ...string) map[string]bool {
	previous := map[string][]string{}
	for from, next := range g.next {
		for _, to := range next {
			previous[to] = append(previous[to], from)
		}
	}
	found := map[string]bool{}
	for queue := slices.Clone(of); len(queue) > 0; queue = queue[1:] {
		if !found[queue[0]] {
			found[queue[0]] = true
			queue = append(queue, previous[queue[0]]...)
		}
	}
	return found
}

// loops finds ways that lead back to where they began, at least one in every
// part of the graph that has any. Each begins and ends with the same name.
func (g *graph) loops() [][]string {
	s := loopSearch{graph: g, state: map[string]progress{}}
	s.visit(HostName)
	for _, name := range g.names() {
		s.visit(name)
	}
	return s.found
}

// loopSearch is a depth-first search that keeps its own stack: a topology may be
// deep.
type loopSearch struct {
	*graph
	state map[string]progress
	found [][]string
}

type progress uint8

const (
	onStack progress = iota + 1
	done
)

func (s *loopSearch) visit(from string) {
	if s.state[from] != 0 {
		return
	}
	stack, tried := []string{from}, []int{0}
	s.state[from] = onStack
	for len(stack) > 0 {
		top := len(stack) - 1
		name, n := stack[top], tried[top]
		if n == len(s.next[name]) {
			s.state[name] = done
			stack, tried = stack[:top], tried[:top]
			continue
		}
		tried[top]++
		switch to := s.next[name][n]; s.state[to] {
		case 0:
			s.state[to] = onStack
			stack, tried = append(stack, to), append(tried, 0)
		case onStack:
			loop := slices.Clone(stack[slices.Index(stack, to):])
			s.found = append(s.found, append(loop, to))
		}
	}
}
