package topology

import "net/netip"

// Topology is a network as one host sees it: links lead away from the host, by
// way of routers, to destinations. Which way a packet goes follows from the
// graph: a router forwards to those of its neighbours from which the
// packet's destination can be reached.
type Topology struct {
	// Name is a short name, Description a line about what the network shows.
	Name        string `toml:"name"`
	Description string `toml:"description"`

	// Seed is what all chance comes from: loss, jitter, the hash functions of
	// balancers.
	Seed uint64 `toml:"seed"`

	Host         Host          `toml:"host"`
	Routers      []Router      `toml:"router"`
	Destinations []Destination `toml:"destination"`
	Prefixes     []Prefix      `toml:"prefix"`
	Links        []Link        `toml:"link"`
}

// HostName is what links call the host.
const HostName = "host"

// Host is the host that probes.
type Host struct {
	// Addresses are its interface's, with the length of the link's prefix: at
	// most one IPv4 and one IPv6. None means 192.0.2.10/24 and
	// 2001:db8::10/64.
	Addresses []netip.Prefix `toml:"addresses"`

	// Gateways are the next hops, at most one for each of Addresses' families,
	// on the host's link. A family without one has the first address of its
	// prefix. The first router may have that address, but need not.
	Gateways []netip.Addr `toml:"gateways"`

	MTU int `toml:"mtu"` // of its interface; 0 means 1500
}

// Link is a way from one node to the next, and back. Path has at least two
// names; with more it is a link between each and the next, all alike.
type Link struct {
	Path []string `toml:"path"`

	Delay  Duration `toml:"delay"`  // one way
	Jitter Duration `toml:"jitter"` // up to so much longer, chosen anew for each packet and way

	// Loss, Reorder and Duplicate are how many packets in 1 meet that, each
	// way. A packet that is reordered takes no delay but its own share of
	// jitter, and so overtakes others.
	Loss      float64 `toml:"loss"`
	Reorder   float64 `toml:"reorder"`
	Duplicate float64 `toml:"duplicate"`

	MTU    int `toml:"mtu"`    // 0 means 1500
	Weight int `toml:"weight"` // its share among the links a balancer chooses from; 0 means 1
}

// Node is what routers and destinations have in common.
type Node struct {
	Name      string       `toml:"name"`      // by which links name it
	DNS       string       `toml:"dns"`       // its host name; none if empty
	Addresses []netip.Addr `toml:"addresses"` // at most one IPv4 and one IPv6
	ASN       uint32       `toml:"asn"`       // the autonomous system of its addresses; 0 if none
	Answer    Answer       `toml:"answer"`
}

// Answer is how a node answers: when, and with what headers.
type Answer struct {
	Silent bool     `toml:"silent"` // no answers at all
	Delay  Duration `toml:"delay"`  // to make an answer

	// Limit bounds how many ICMP errors are sent.
	Limit Limit `toml:"limit"`

	// TTL is that of an answer as it leaves: 64, 128 or 255; 0 means 64.
	TTL uint8 `toml:"ttl"`

	// ReturnHops is how many routers longer the way back is than the way
	// there: negative if it is shorter.
	ReturnHops int `toml:"return_hops"`

	// As is the address that all ICMP errors of the node come from; by default
	// its own. AsDestination makes it the probe's destination: a middlebox that
	// answers in its name.
	As            netip.Addr `toml:"as"`
	AsDestination bool       `toml:"as_destination"`

	Quote Quote `toml:"quote"`

	// WrongLength makes the IP header of an error state too little: only the
	// ICMP header and 8 bytes of the quote.
	WrongLength bool `toml:"wrong_length"`

	MPLS      *MPLS      `toml:"mpls"`
	Interface *Interface `toml:"interface"`
}

// Limit is a token bucket: Burst at once, then Rate a second. The zero Limit is
// none. A Rate without a Burst has a Burst of 1; a Burst without a Rate is all
// there ever is.
type Limit struct {
	Rate  float64 `toml:"rate"`
	Burst int     `toml:"burst"`
}

// Quote is what ICMP errors quote of a packet.
type Quote struct {
	// Length is how many bytes, from the IP header on; 0 is as much as RFC
	// 1812 and RFC 4443 ask for, -1 everything. 28 is the least that IPv4
	// allows; for IPv6, 28 to 47 mean 48, its header and 8 bytes. With an RFC 4884 extension the quote is padded to 128.
	Length int `toml:"length"`

	TTL QuoteTTL `toml:"ttl"` // which TTL it shows

	// TTLValue is the TTL shown, if TTL is "value": that of a router in a
	// tunnel that carries the TTL of the packet inside along.
	TTLValue uint8 `toml:"ttl_value"`

	ID QuoteID `toml:"id"`
}

// QuoteTTL is which TTL a quote shows.
type QuoteTTL string

// The TTLs seen in quotes. The empty one is what Linux does: as received, but
// already decremented where a packet is rejected when forwarded.
const (
	TTLReceived    QuoteTTL = "received"
	TTLDecremented QuoteTTL = "decremented"
	TTLSent        QuoteTTL = "sent" // restored to what it was sent with
	TTLValue       QuoteTTL = "value"
)

// QuoteID is what becomes of the IPv4 ID in a quote.
type QuoteID string

// The IP IDs seen in quotes. The empty one is the packet's.
const (
	IDSwapped QuoteID = "swapped" // its two bytes exchanged
	IDZero    QuoteID = "zero"
)

// MPLS is a label stack that ICMP errors report (RFC 4950), the top first, and
// the form of the extension (RFC 4884) in which they do.
type MPLS struct {
	Labels []Label       `toml:"labels"`
	Form   ExtensionForm `toml:"form"`
}

// Label is an entry of a label stack (RFC 3032).
type Label struct {
	Label uint32 `toml:"label"`
	TC    uint8  `toml:"tc"`
	TTL   uint8  `toml:"ttl"` // 0 means 1
}

// ExtensionForm is how an ICMP extension is attached.
type ExtensionForm string

// The forms seen in the wild. The empty one is what RFC 4884 asks for: the
// quote padded to 128 bytes, Length set, the extension behind it.
const (
	Length17At128      ExtensionForm = "length-17-at-128" // Length says 17 words, the extension is at byte 128
	Length0At128       ExtensionForm = "length-0-at-128"  // Length is 0, the extension is at byte 128
	LengthGarbageAt128 ExtensionForm = "garbage"          // Length is anything, the extension is at byte 128
)

// Interface is what ICMP errors tell of the interface that a packet came in by
// (RFC 5837). What is zero is left out.
type Interface struct {
	Index   uint32     `toml:"index"`
	Name    string     `toml:"name"`
	Address netip.Addr `toml:"address"`
	MTU     uint32     `toml:"mtu"`
}

// Router forwards packets.
type Router struct {
	Node

	// Balance is how it chooses where several links lead to a destination.
	Balance Balance `toml:"balance"`

	Reject *Reject `toml:"reject"`

	SetDSCP *uint8 `toml:"set_dscp"` // on all it forwards: 0 to 63
	SetECN  *uint8 `toml:"set_ecn"`  // 0 to 3

	// ZeroTTL: it forwards a packet whose TTL has run out, with a TTL of 0,
	// and so never answers for it; the next router does, quoting 0.
	ZeroTTL bool `toml:"zero_ttl"`

	// KeepTTL: it forwards without decrementing, as inside a tunnel.
	KeepTTL bool `toml:"keep_ttl"`

	NAT *NAT `toml:"nat"`
}

// Balance is by what a router tells apart packets that it balances.
type Balance string

// The ways to balance.
const (
	ByFlow        Balance = "flow" // addresses, protocol and ports or ICMP checksum; the default
	ByPacket      Balance = "packet"
	ByDestination Balance = "destination"
)

// Reject makes a router refuse to forward.
type Reject struct {
	// Code is that of the ICMPv4 destination-unreachable; for ICMPv6 the code
	// that means the same is taken.
	Code uint8 `toml:"code"`

	// Hook is where it refuses: before it looks at the TTL, quoting it as
	// received (the default), or after, quoting it decremented.
	Hook Hook `toml:"hook"`

	// AllowTCP are TCP ports that pass all the same.
	AllowTCP []uint16 `toml:"allow_tcp"`
}

// Hook is where in a router's processing a packet is refused.
type Hook string

// The hooks, in the words of Linux.
const (
	Prerouting Hook = "prerouting"
	Forward    Hook = "forward"
)

// NAT rewrites the source of packets on their way out, and restores it on their
// way back, in ICMP quotes too. The zero value with an address does what Linux
// does.
type NAT struct {
	// Address is the source outside of IPv4 packets, Address6 that of IPv6
	// packets (RFC 6296). At least one is set; packets of the other family pass
	// unchanged.
	Address  netip.Addr `toml:"address"`
	Address6 netip.Addr `toml:"address6"`

	// Ports says which source port, or ICMP identifier, a packet gets.
	Ports PortMapping `toml:"ports"`

	// ID says which IPv4 ID a packet gets. A quote shows the new one.
	ID NATID `toml:"id"`

	// KeepQuotedChecksum leaves the transport checksum in a quote as it was
	// outside, so that it reveals the NAT. Linux repairs it.
	KeepQuotedChecksum bool `toml:"keep_quoted_checksum"`

	// KeepQuotedPort leaves the source port, or the ICMP identifier, in a quote
	// as it was outside.
	KeepQuotedPort bool `toml:"keep_quoted_port"`

	// QuotedTTL is the TTL that a quote shows behind the NAT. The empty value
	// leaves it alone. TTLReceived is the TTL with which the packet came to the
	// NAT, TTLValue is QuotedTTLValue.
	QuotedTTL      QuoteTTL `toml:"quoted_ttl"`
	QuotedTTLValue uint8    `toml:"quoted_ttl_value"`
}

// PortMapping is how a NAT chooses source ports (RFC 4787, section 4.1). The
// empty value keeps them.
type PortMapping string

// The port mappings.
const (
	EndpointIndependent     PortMapping = "endpoint-independent"       // one port for each source port
	AddressAndPortDependent PortMapping = "address-and-port-dependent" // one port for each source port, destination and destination port
)

// NATID is how a NAT chooses IPv4 IDs. The empty value keeps them.
type NATID string

// The ways to choose IDs.
const (
	NATIDOrdered NATID = "ordered" // up by one from packet to packet
	NATIDRandom  NATID = "random"
)

// Destination is a host that can be traced to.
type Destination struct {
	Node
	Service
}

// Service is what a destination answers to.
type Service struct {
	UDP UDPService `toml:"udp"`

	// Open are TCP ports that answer a SYN with SYN-ACK. Others answer with
	// RST, or not at all if Filtered.
	Open     []uint16 `toml:"tcp_open"`
	Filtered bool     `toml:"tcp_filtered"`

	NoEcho bool `toml:"no_echo"` // no answer to ICMP echo
}

// UDPService is what becomes of a datagram.
type UDPService string

// The UDP services. The empty one is no open port: port-unreachable.
const (
	UDPEcho    UDPService = "echo"    // the payload comes back
	UDPDNS     UDPService = "dns"     // port 53 answers queries, others are closed
	UDPNothing UDPService = "nothing" // no answer
)

// Prefix stands for as many destinations as it has addresses. The path to each
// follows from a hash of its address.
type Prefix struct {
	Prefix netip.Prefix `toml:"prefix"`
	Behind string       `toml:"behind"` // the router that all its paths go through

	// Hops are the fewest and the most routers behind that one.
	MinHops int `toml:"min_hops"`
	MaxHops int `toml:"max_hops"`

	// Routers is where their addresses are taken from.
	Routers netip.Prefix `toml:"routers"`

	Delay  Duration `toml:"delay"` // of each link, one way
	Answer Answer   `toml:"answer"`
	Service
}
