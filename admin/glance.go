package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/sluiceproxy/sluice/admin/dashboard"
	"github.com/sluiceproxy/sluice/health"
)

// Glance is one event of GET /dashboard/events: all that the dashboard shows. Peers are
// hashed. It has nothing that the other pages do not have for the same caller.
type Glance struct {
	At          time.Time   `json:"at"`
	NextMS      int64       `json:"next_ms"` // until the next one, if looking is quick
	Acts        bool        `json:"acts"`    // actions are possible for who may read this
	Status      Status      `json:"status"`
	Holders     Connections `json:"holders"`
	Traffic     Traffic     `json:"traffic"`
	Generations []Draining  `json:"draining_generations,omitempty"` // that this process knows of
	Account     string      `json:"account,omitempty"`              // of the last drain, in one line
}

// Draining is an earlier generation that drains still.
type Draining struct {
	Generation int `json:"generation"`
	PID        int `json:"pid"`
}

// Paces of the dashboard. A drain is short, and somebody waits for its end.
const (
	glanceEvery   = time.Second
	glanceHurried = 500 * time.Millisecond
	glanceHolders = 50
)

// look looks once for all who watch.
func (s *Server) look() dashboard.Look {
	g := s.glance()
	data, err := json.Marshal(g)
	if err != nil {
		panic("BUG: a glance is always JSON: " + err.Error())
	}
	return dashboard.Look{Data: data, Next: time.Duration(g.NextMS) * time.Millisecond}
}

func (s *Server) glance() Glance {
	h := s.cfg.Hooks
	traffic := read(h.Proxy)
	g := Glance{At: time.Now(), NextMS: glanceEvery.Milliseconds(), Acts: s.guard.lets(http.MethodPost), Status: s.status(traffic), Traffic: trafficOf(traffic)}
	if g.Status.Drain.State != health.ProcessServing {
		g.NextMS = glanceHurried.Milliseconds()
	}
	if h.View != nil {
		g.Holders = s.holders(context.Background(), glanceHolders, false) // bounds itself
	}
	for _, m := range h.Generations.Draining() {
		g.Generations = append(g.Generations, Draining{m.Generation, m.PID})
	}
	if h.Receipt != nil {
		if r, ok := h.Receipt(); ok {
			g.Account = r.String()
		}
	}
	return g
}

// events streams glances. still is asked before each one whether who looks may look still;
// nil: always.
func (s *Server) events(still func(*http.Request) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.Hooks.Health == nil || s.cfg.Hooks.Lifecycle == nil {
			missing(w)
			return
		}
		may := func() bool { return still == nil || still(r) }
		switch err := s.streams.Serve(w, r, may); {
		case errors.Is(err, dashboard.ErrFull):
			w.Header().Set("Retry-After", "10")
			refuse(w, http.StatusServiceUnavailable, "as many dashboards are open as may be: close one")
		case err != nil:
			refuse(w, http.StatusServiceUnavailable, err.Error())
		}
	}
}
