package policy

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// Drain is what a route wants of a drain. Nil: nothing special.
type Drain struct {
	Notice   Notice        `yaml:"notice"`   // when its clients are told to leave
	Deadline time.Duration `yaml:"deadline"` // how long its exchanges and tunnels may go on while draining; zero: as long as the drain
	Order    string        `yaml:"order" enum:"first,last"`

	CloseAt   string `yaml:"close_at" enum:"deadline,start"` // when its WebSockets get a Close frame: shortly before their time is over, or as soon as draining begins
	CloseCode int    `yaml:"close_code"`                     // of that frame: 1001 or 1012; zero: 1012 where a successor has taken over, otherwise 1001

	EventStream string `yaml:"event_stream" enum:"none,retry,end"` // what becomes of its text/event-stream responses when draining begins; empty: none
}

// Notice is when, after the lame duck began, clients of a route are told to leave. The zero
// value is as for every other route.
type Notice struct {
	Off   bool          // only once draining begins
	After time.Duration // with Given
	Given bool
}

// UnmarshalYAML reads "off" or a duration.
func (t *Notice) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	if n.Kind() == yaml.String && n.Text() == "off" {
		t.Off = true
		return
	}
	t.Given = true
	r.Decode(n, &t.After)
}

// UnmarshalYAML reads a drain class. "0s" is no time at all, and not "no limit".
func (d *Drain) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	type plain Drain
	r.Decode(n, (*plain)(d))
	if at, ok := n.Get("deadline"); ok && d.Deadline == 0 && at.Kind() == yaml.String {
		r.Key("deadline").Fault(at, "must be positive; leave it out for the deadline of the drain")
	}
	if at, ok := n.Get("close_code"); ok && d.CloseCode != 1001 && d.CloseCode != 1012 && at.Kind() == yaml.Number {
		r.Key("close_code").Fault(at, "must be 1001 (going away) or 1012 (service restart)")
	}
}
