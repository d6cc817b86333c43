package drain

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Forecast is what a drain that began to wait now would cut, for several budgets. It is
// made of three kinds, which are kept apart: what a rule says (idle connections are closed,
// not cut), what was observed (exchanges and tunnels of routes on which enough have lasted
// as long), and what nobody can know (the rest). It says nothing about requests that come
// meanwhile: they are served, and may last as long as any.
type Forecast struct {
	At        time.Time       `json:"at"`
	TimeoutMS int64           `json:"timeout_ms"` // the budget of a drain, as configured
	Total     ClassCounts     `json:"total"`
	Before    string          `json:"before,omitempty"` // what a stop would wait for before it drains; the caller fills it in
	Budgets   []Horizon       `json:"budgets"`
	Routes    []RouteForecast `json:"routes"` // where something would be cut; most of it first, at most 20
}

// Horizon is the forecast for one budget.
type Horizon struct {
	BudgetMS int64 `json:"budget_ms"`
	// Expected is how many of the exchanges and tunnels that can be judged would be cut;
	// Low and High are two standard deviations away, within 0 and their number.
	Expected float64 `json:"expected"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	// Unknown are those that cannot be judged: too few have lasted as long on their route.
	// Any number of them may be cut.
	Unknown int `json:"unknown"`
	Judged  int `json:"judged"`
	// IdleClosed are connections that the rule for idle ones closes, if they stay idle, and
	// ExpectedLoss the requests that this is expected to cross with.
	IdleClosed   int     `json:"idle_closed"`
	ExpectedLoss float64 `json:"expected_loss"`

	variance float64
}

// RouteForecast is what one route contributes, for each budget.
type RouteForecast struct {
	Listener string    `json:"listener"`
	Route    string    `json:"route,omitempty"`
	Open     int       `json:"open"` // exchanges and tunnels now
	Expected []float64 `json:"expected"`
	Unknown  []int     `json:"unknown"`
}

// maxRouteForecasts bounds the routes of a forecast.
const maxRouteForecasts = 20

// Forecast judges every connection. The lock is held for a piece of the table at a time.
func (t *Tracker) Forecast(budgets []time.Duration) Forecast {
	now := t.cfg.Now()
	tick := t.tickAt(now)
	f := Forecast{At: now, TimeoutMS: t.cfg.Timeout.Milliseconds(), Budgets: make([]Horizon, len(budgets)), Routes: []RouteForecast{}}
	for i, b := range budgets {
		f.Budgets[i].BudgetMS = b.Milliseconds()
	}
	p := &predictor{now: now, known: map[livesKey]*left{}}
	routes := map[groupKey]*RouteForecast{}
	t.look(func(c *Conn) {
		w := c.load()
		f.Total.add(w.class())
		switch w.class() {
		case Handshake, Idle:
			f.idle(t, w, c.age(now))
		case Active, Tunnel:
			k := groupKey{listener: c.kind.listener, route: c.route.Load()}
			r := routes[k]
			if r == nil {
				r = &RouteForecast{Expected: make([]float64, len(budgets)), Unknown: make([]int, len(budgets))}
				routes[k] = r
			}
			f.busy(p, c, w, tick, r)
		case Gone:
		}
	})
	for i := range f.Budgets {
		f.Budgets[i].finish()
	}
	f.Routes = mergeRoutes(routes)
	return f
}

// idle counts one that idles.
func (f *Forecast) idle(t *Tracker, w word, age time.Duration) {
	if t.cfg.IdleClose <= 0 {
		return
	}
	for i := range f.Budgets {
		f.Budgets[i].IdleClosed++
		f.Budgets[i].ExpectedLoss += expectedLoss(t.cfg.AssumedRTT, w.started(), age)
	}
}

// busy judges an exchange or a tunnel.
func (f *Forecast) busy(p *predictor, c *Conn, w word, tick uint64, r *RouteForecast) {
	r.Open++
	age, limit := w.lasted(tick), c.limit()
	for i := range f.Budgets {
		h := &f.Budgets[i]
		more := time.Duration(h.BudgetMS) * time.Millisecond
		if limit > 0 {
			more = min(more, limit)
		}
		chance, known := p.survives(c, w.class(), age, more)
		if !known {
			h.Unknown++
			r.Unknown[i]++
			continue
		}
		h.Judged++
		h.Expected += chance
		h.variance += chance * (1 - chance)
		r.Expected[i] += chance
	}
}

// finish makes the range, and rounds what is precise only on paper.
func (h *Horizon) finish() {
	d := 2 * math.Sqrt(h.variance)
	h.Low, h.High = round(max(0, h.Expected-d)), round(min(float64(h.Judged), h.Expected+d))
	h.Expected, h.ExpectedLoss = round(h.Expected), round(h.ExpectedLoss)
}

func round(x float64) float64 { return math.Round(x*100) / 100 }

// mergeRoutes puts together what has the same names, and keeps what may be cut.
func mergeRoutes(routes map[groupKey]*RouteForecast) []RouteForecast {
	type name struct{ listener, route string }
	merged := map[name]*RouteForecast{}
	for k, r := range routes {
		n := name{listener: k.listener}
		if k.route != nil {
			n.route = *k.route
		}
		m := merged[n]
		if m == nil {
			r.Listener, r.Route = n.listener, n.route
			merged[n] = r
			continue
		}
		m.Open += r.Open
		for i := range r.Expected {
			m.Expected[i] += r.Expected[i]
			m.Unknown[i] += r.Unknown[i]
		}
	}
	out := []RouteForecast{}
	for _, m := range merged {
		for i := range m.Expected {
			m.Expected[i] = round(m.Expected[i])
		}
		if m.atMost() > 0 {
			out = append(out, *m)
		}
	}
	slices.SortFunc(out, func(a, b RouteForecast) int {
		return cmp.Or(cmp.Compare(b.atMost(), a.atMost()), cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Route, b.Route))
	})
	return out[:min(len(out), maxRouteForecasts)]
}

// atMost is what a route may lose in any of the budgets.
func (r *RouteForecast) atMost() (most float64) {
	for i := range r.Expected {
		most = max(most, r.Expected[i]+float64(r.Unknown[i]))
	}
	return most
}
