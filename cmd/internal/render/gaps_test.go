package render_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

// What happened on this host is said, in every format, beside the output.
func TestWhatThisHostMissedIsNoted(t *testing.T) {
	began := newPath(1).Started
	for name, test := range map[string]struct {
		do   func(p *path.Path)
		want string // of the notes, behind the program's and the target's name
	}{
		"nothing": {func(*path.Path) {}, ""},
		"frames": {func(p *path.Path) { p.Gaps = []frame.Gap{{From: began, To: began.Add(time.Second), Frames: 124}} },
			"the capture lost 124 frames: 2 *s of hop 2 may have been answered, and the target reached: fewer at once (--at-once, -N) lose less"},
		"frames, in two gaps": {func(p *path.Path) {
			p.Gaps = []frame.Gap{{From: began, To: began.Add(time.Second), Frames: 1}, {From: began.Add(2 * time.Second), To: began.Add(3 * time.Second), Frames: 2}}
		}, "the capture lost 3 frames: 2 *s of hop 2 may have been answered, and the target reached: fewer at once (--at-once, -N) lose less"},
		"frames of somebody's capture": {func(p *path.Path) {
			p.Gaps, p.Clock.Captured = []frame.Gap{{From: began, To: began.Add(time.Second), Frames: 1}}, true
		}, "the capture lost 1 frame: 2 *s of hop 2 may have been answered, and the target reached"},
		"frames, and nothing was waited for": {func(p *path.Path) {
			p.Gaps = []frame.Gap{{From: began.Add(-time.Hour), To: began.Add(-time.Minute), Frames: 1}}
		},
			"the capture lost 1 frame; no probe was without a reply then"},
		"the carrier": {func(p *path.Path) {
			p.Gaps = []frame.Gap{{From: began, To: began.Add(1500 * ms), Cause: frame.NoCarrier}}
			p.Source.Interface = "eth\x1b0"
		}, `the link of eth\x1b0 was lost for 1.500 s: 2 *s of hop 2 may have been answered, and the target reached`},
		"the address": {func(p *path.Path) {
			p.Gaps = []frame.Gap{{From: began, To: began.Add(time.Second), Cause: frame.AddressRemoved}}
		},
			newPath(1).Source.Addr.String() + " was removed from eth0: 2 *s of hop 2 may have been answered, and the target reached"},
		"the address, which another interface may have had": {func(p *path.Path) {
			p.Gaps = []frame.Gap{{From: began, To: began.Add(time.Second), Cause: frame.AddressRemoved}}
			p.Source.Also = []string{"eth1"}
		},
			newPath(1).Source.Addr.String() + " was removed from eth0 or eth1: 2 *s of hop 2 may have been answered, and the target reached"},
		"what was never sent": {func(p *path.Path) { p.Probes[1].Status, p.Probes[1].Sent = path.Unsent, time.Time{} },
			"1 probe of hop 2 never left, since the system refused to send: the * of such a probe is no router's"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPath(2, exceeded(1, r1, 28*us), lost(2), exceeded(1, r1, 28*us), lost(2))
			test.do(p)
			want := ""
			if test.want != "" {
				want = "tracewire: " + p.Target.Host + ": " + test.want + "\n"
			}
			for _, format := range render.Formats() {
				var out, notes strings.Builder
				r, err := render.New(format, &out, &notes, namer(nil))
				if err != nil {
					t.Fatal(err)
				}
				p.Events(func(e path.Event) {
					if err := r.Event(e); err != nil {
						t.Fatal(err)
					}
				})
				if d := cmp.Diff(want, notes.String()); d != "" {
					t.Errorf("%s: %s", format, d)
				}
			}
		})
	}
}
