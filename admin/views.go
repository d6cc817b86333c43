package admin

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/fleet"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// Status is GET /status: everything at one moment.
type Status struct {
	Build
	PID           int               `json:"pid"`
	Generation    int               `json:"generation"` // 1, and one more with each upgrade
	Ready         bool              `json:"ready"`
	Readiness     string            `json:"readiness"` // "ok", or what keeps it from being ready, in the words of the probe
	health.Report                   // process, statuses, checks
	Policy        Policy            `json:"policy"`
	Sessions      *Sessions         `json:"sessions,omitempty"` // none: the configuration has no sessions
	Fleet         *fleet.Status     `json:"fleet,omitempty"`    // none: it is one of no fleet
	Upstreams     Upstreams         `json:"upstreams"`
	Drain         Progress          `json:"drain"`
	Connections   drain.ClassCounts `json:"connections"`
	Tracked       uint64            `json:"connections_total"`
	Refused       uint64            `json:"refused_total"`
	Exchanges     uint64            `json:"exchanges_total"`
}

// Upstreams is the health of all endpoints.
type Upstreams struct {
	Endpoints int       `json:"endpoints"`
	Healthy   int       `json:"healthy"`
	Out       []OutItem `json:"out,omitempty"`     // those that are not, at most 100
	Waiting   int       `json:"waiting,omitempty"` // requests that wait for a connection (max_connections)
}

// OutItem is an endpoint that gets no requests.
type OutItem struct {
	Cluster  string `json:"cluster"`
	Endpoint string `json:"endpoint"`
	State    string `json:"state"` // ejected, unhealthy
}

const maxOut = 100

func upstreamsOf(s proxy.Stats) (u Upstreams) {
	for _, e := range s.Upstreams {
		u.Endpoints++
		if e.State == upstream.Healthy {
			u.Healthy++
		} else if len(u.Out) < maxOut {
			u.Out = append(u.Out, OutItem{e.Cluster, e.Endpoint, e.State.String()})
		}
	}
	for _, c := range s.Clusters {
		u.Waiting += c.Waiting
	}
	return u
}

// Progress is GET /drain: how the drain goes.
type Progress struct {
	State       health.Process    `json:"state"`
	Since       time.Time         `json:"since,omitzero"`
	Reason      string            `json:"reason,omitempty"`
	TurnWaits   bool              `json:"waits_for_turn,omitempty"` // told to stop, and serving until it is its turn in the fleet
	Until       time.Time         `json:"until,omitzero"`           // end of the lame duck or of the drain at the latest
	SecondsLeft float64           `json:"seconds_left"`             // until then
	Budget      time.Time         `json:"budget,omitzero"`          // when the process is over at the latest
	Latest      time.Time         `json:"latest,omitzero"`          // how far the deadline of the drain may be moved; none: as far as you like
	Holding     string            `json:"holding,omitempty"`        // the step under way: "drain proxy"
	NextSignal  string            `json:"next_signal,omitempty"`    // what one more signal would do
	Initial     drain.ClassCounts `json:"initial"`                  // connections open when draining began
	Remaining   drain.ClassCounts `json:"remaining"`
	Told        uint64            `json:"told"` // connections told to leave, ever
}

// Connections is GET /connections: who holds the drain, or would.
type Connections struct {
	At          time.Time           `json:"at"`
	Total       drain.ClassCounts   `json:"total"`
	Groups      []drain.HolderGroup `json:"groups"`      // the largest first
	Holders     []drain.Holder      `json:"connections"` // those first that a drain waits for
	PeersHashed bool                `json:"peers_hashed,omitempty"`
}

// Watch is GET /drain/watch: how the drain goes, and who holds it.
type Watch struct {
	Drain       Progress    `json:"drain"`
	Connections Connections `json:"holders"`
}

// Action is what POST /drain does.
type Action string

// The actions. The zero Action is none of them.
const (
	ActionStart       Action = "start" // begin the lame duck
	ActionUndo        Action = "undo"  // go back to serving
	ActionAcknowledge Action = "ack"   // balancers have stopped sending: end the lame duck
	ActionCut         Action = "cut"   // end what is left now, as three signals do

	ActionDeadline Action = "deadline" // move the deadline of the drain that runs
	ActionClose    Action = "close"    // close one connection
)

// drainAction is the body of POST /drain.
type drainAction struct {
	Action Action `json:"action"`
	Park   bool   `json:"park,omitempty"` // of start: stay in Drained instead of exiting
	In     string `json:"in,omitempty"`   // of deadline: from now on, "30s"
	ID     uint64 `json:"id,omitempty"`   // of close
}
