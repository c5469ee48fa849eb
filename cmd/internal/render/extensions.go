package render

import (
	"encoding/hex"
	"net/netip"

	"github.com/tracewire/tracewire/matcher"
)

type extensionsJSON struct {
	Text     string       `json:"text"`
	Offset   int          `json:"offset"`
	Stated   *int         `json:"stated"`
	Verified bool         `json:"verified"`
	Objects  []objectJSON `json:"objects"`
}

type objectJSON struct {
	Class     uint8          `json:"class"`
	Type      uint8          `json:"type"`
	Length    int            `json:"length"`
	Malformed bool           `json:"malformed"`
	Labels    []labelJSON    `json:"labels"`
	Interface *interfaceJSON `json:"interface"`
	Node      *nodeJSON      `json:"node"`
	Payload   *string        `json:"payload"`
}

type nodeJSON struct {
	Address *netip.Addr `json:"address"`
	Name    *string     `json:"name"`
}

type labelJSON struct {
	Label  uint32 `json:"label"`
	TC     uint8  `json:"tc"`
	Bottom bool   `json:"bottom"`
	TTL    uint8  `json:"ttl"`
}

type interfaceJSON struct {
	Role    string      `json:"role"`
	Index   *uint32     `json:"index"`
	Name    *string     `json:"name"`
	Address *netip.Addr `json:"address"`
	MTU     *uint32     `json:"mtu"`
}

// newExtensions is nil of a reply without any.
func newExtensions(e *matcher.Extensions) *extensionsJSON {
	if e == nil {
		return nil
	}
	j := &extensionsJSON{
		Text: e.String(), Offset: e.Offset, Stated: pointer(e.Stated), Verified: e.Verified, Objects: make([]objectJSON, len(e.Objects)),
	}
	for i := range e.Objects {
		j.Objects[i] = newObject(&e.Objects[i])
	}
	return j
}

func newObject(o *matcher.ExtensionObject) objectJSON {
	j := objectJSON{Class: o.Class, Type: o.Type, Length: o.Length, Malformed: o.Malformed}
	for _, l := range o.Labels {
		j.Labels = append(j.Labels, labelJSON(l))
	}
	if i := o.Interface; i != nil {
		j.Interface = &interfaceJSON{
			Role: i.Role.String(), Index: pointer(i.Index), Name: pointer(i.Name), Address: pointer(i.Address), MTU: pointer(i.MTU),
		}
	}
	if n := o.Node; n != nil {
		j.Node = &nodeJSON{Address: pointer(n.Address), Name: pointer(n.Name)}
	}
	if o.Malformed || o.Labels == nil && o.Interface == nil && o.Node == nil {
		payload := hex.EncodeToString(o.Payload)
		j.Payload = &payload
	}
	return j
}
